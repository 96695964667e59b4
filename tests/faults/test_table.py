"""The page about faults names tests that exist, and all tests of faults."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _named() -> set[tuple[str, str]]:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    return {(file, name) for file, name in re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page)}


def _written(file: Path) -> set[str]:
    return {*re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)}


def test_every_test_that_the_page_names_exists() -> None:
    assert len(_named()) >= 20
    assert [f"{file}::{name}" for file, name in sorted(_named()) if name not in _written(ROOT / file)] == []


def test_the_page_names_every_test_of_a_fault() -> None:
    files = {file for file in (ROOT / "tests" / "faults").glob("test_*.py") if file != Path(__file__)}
    written = {(f"tests/faults/{file.name}", name) for file in files for name in _written(file)}
    assert sorted(written - _named()) == []
