"""Blocks are run, and what does not do what the page says is told."""

from pathlib import Path
from typing import Any

import pytest


def block(language: str, text: str, **marks: str) -> Any:
    from blocks import Block

    return Block(Path("page.md"), 1, language, text, marks)


def test_what_runs_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from running import run

    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    run(block("bash", "alphadx study --list   # all of them\n"), names)
    run(block("yaml", "a: 1\n", file="a.yaml"), names)
    run(block("python", "x = 2\n"), names)
    run(block("python", "assert x == 2\n"), names)
    assert (tmp_path / "a.yaml").read_text(encoding="utf-8") == "a: 1\n"


@pytest.mark.parametrize(
    ("language", "text", "told"),
    [
        ("bash", "alphadx measure nothing.pt --data Digits\n", r"nothing\.pt"),
        ("bash", "ls\n", "only alphadx is run"),
        ("python", "assert 1 == 2\n", "AssertionError"),
    ],
)
def test_what_fails_is_untrue(language: str, text: str, told: str) -> None:
    from running import Untrue, run

    with pytest.raises(Untrue, match=told):
        run(block(language, text), {})


def test_a_refusal_is_as_the_page_says() -> None:
    from running import Untrue, run

    run(block("bash", "alphadx measure nothing.pt --data Digits\n", refused="nothing.pt"), {})
    with pytest.raises(Untrue, match="should be refused with 'full disk'"):
        run(block("bash", "alphadx measure nothing.pt --data Digits\n", refused="full disk"), {})
    with pytest.raises(Untrue, match="should be refused"):
        run(block("bash", "alphadx study --list\n", refused=""), {})


@pytest.mark.parametrize("text", ["make nothing\n", "python benchmarks/nothing.py\n", "pip install '.[nothing]'\n"])
def test_what_is_not_run_must_be_there(text: str) -> None:
    from running import Untrue, examine

    with pytest.raises(Untrue, match="nothing"):
        examine(block("bash", text))


def test_a_preset_that_is_not_run_must_be_there() -> None:
    from running import examine

    examine(block("bash", "alphadx study quick\nmake test\npip install '.[dev]'\n"))
    with pytest.raises(ValueError, match="nothing"):
        examine(block("bash", "alphadx study nothing\n"))
