"""Code blocks of a Markdown page, with the comments before them that say what is to be done with them."""

import re
from dataclasses import dataclass, field
from pathlib import Path

TABLE = re.compile(r"<!--\s*record:\s*(?P<record>[^>]*?)\s*-->\s*\n(?P<rows>(?:\|.*\n)+)")
"""A Markdown table that repeats a record."""
FENCE = re.compile(r"^(?P<fence>```+)(?P<language>\S*) *(?P<rest>.*)$")
CODE, SHOWN = "{code-block}", {"sh": "bash", "console": "bash"}
"""The directive that shows code, and other names of a language."""
COMMENT = re.compile(
    r"<!--\s*(?P<key>not run|file|needs|record|shows|setup|refused):?\s*(?P<value>.*?)\s*-->", re.DOTALL
)
REASONS = ("long", "needs data", "needs a GPU", "needs a cluster", "needs a download", "installs", "a form")
"""Why a block may be left out: each is counted and printed."""
RUN = ("bash", "python", "yaml")
"""Languages of blocks that are run or read; others show something."""


@dataclass
class Block:
    """A fenced block.

    Attributes:
        page: the file.
        line: of its first fence, from 1.
        language: that it names.
        text: of the block.
        marks: what the comments right before it say, by key: `not run: REASON`, `file: NAME` to write it to,
            `record: NAME, TABLE` whose rows it repeats, `refused: TEXT` that its command ends with, `shows` for what
            is no output.
        setup: Python that is run before it and not shown.
    """

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)
    setup: str = ""

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order; directives of MyST, in braces, are Sphinx's to judge.

    Raises:
        ValueError: for a fence without a language, a mark that is not known, or a text block without one.
    """
    lines = page.read_text(encoding="utf-8").splitlines()
    found, start, before = [], 0, 0
    while start < len(lines):
        opened = FENCE.match(lines[start])
        if not opened:
            start += 1
            continue
        end = next(at for at in range(start + 1, len(lines)) if lines[at].rstrip() == opened["fence"])
        language = SHOWN.get(opened["rest"], opened["rest"]) if opened["language"] == CODE else opened["language"]
        if not language.startswith("{"):
            block = Block(page, start + 1, language, "\n".join(lines[start + 1 : end]) + "\n")
            _mark(block, "\n".join(lines[before:start]))
            found.append(block)
        start = before = end + 1
    return [*found, *_tables(page)]


def _tables(page: Path) -> list[Block]:
    """Markdown tables that say which record they repeat."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text[: at.start("rows")].count("\n") + 1, "table", at["rows"], {"record": at["record"]})
        for at in TABLE.finditer(text)
    ]


def _mark(block: Block, above: str) -> None:
    """Read the comments between which and the block nothing else stands."""
    tail = re.search(r"((?:<!--(?:(?!-->).)*-->\s*)+)$", above, re.DOTALL)
    for comment in COMMENT.finditer(tail[1] if tail else ""):
        if comment["key"] == "setup":
            block.setup = comment["value"]
        else:
            block.marks[comment["key"]] = comment["value"]
    _check(block)


def _check(block: Block) -> None:
    if not block.language:
        raise ValueError(f"{block}: a block should name its language, such as bash, python, yaml or text.")
    reason = block.marks.get("not run")
    if reason is not None and not reason.startswith(REASONS):
        raise ValueError(f"{block}: `not run` should begin with one of {', '.join(REASONS)}. Found {reason!r}.")
    if block.language == "text" and not {"record", "shows"} & {*block.marks}:
        raise ValueError(f"{block}: a text block should say which record it repeats, or `shows` what it shows.")
