"""Blocks of Markdown, with the comments that say what is to be done with them."""

from pathlib import Path

import pytest

PAGE = """# A page

```bash
alphadx fit fit.yaml
```

<!-- not run: long -->
```bash
make study
```

A sentence between a mark and a block is not passed over.

<!-- setup:
x = 1
-->
<!-- file: a.yaml -->
```yaml
a: 1
```

```{record-table} studies/quick
:table: Findings
```

```{code-block} sh
make test
```

<!-- record: studies/quick, Side by side -->

| data | recipe |
|---|---|
| digits | B |
"""


def blocks(folder: Path, text: str) -> list:
    from blocks import blocks_of

    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return blocks_of(page)


def test_languages_lines_and_marks(tmp_path: Path) -> None:
    found = [(block.line, block.language, block.marks) for block in blocks(tmp_path, PAGE)]
    assert found == [
        (3, "bash", {}),
        (8, "bash", {"not run": "long"}),
        (18, "yaml", {"file": "a.yaml"}),
        (26, "bash", {}),
        (32, "table", {"record": "studies/quick, Side by side"}),
    ]


def test_setup_and_text(tmp_path: Path) -> None:
    found = blocks(tmp_path, PAGE)[2]
    assert (found.setup, found.text) == ("x = 1", "a: 1\n")


def test_a_mark_belongs_to_the_block_right_below_it_alone(tmp_path: Path) -> None:
    (found,) = blocks(tmp_path, "<!-- not run: long -->\n\nText.\n\n```bash\nalphadx\n```\n")
    assert found.marks == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```\nalphadx\n```\n", "should name its language"),
        ("<!-- not run: no time -->\n```bash\nalphadx\n```\n", "should begin with one of"),
        ("```text\nan output\n```\n", "should say which record"),
    ],
)
def test_what_nobody_could_check_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        blocks(tmp_path, text)
