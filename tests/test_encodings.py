"""Text files are UTF-8 whatever the locale: whoever opens one says so."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("alignment", "generators", "training", "eval", "benchmarks")
TEXT = {"read_text", "write_text", "read_csv"}
"""Methods that read or write text, and take an encoding."""


def without_encoding(source: str) -> Iterator[int]:
    """Lines in which a text file is opened without an encoding."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and not any(word.arg == "encoding" for word in node.keywords):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if (name in TEXT and not reads_memory(node)) or (name == "open" and is_text(node)):
                yield node.lineno
            if name == "to_csv" and node.args:  # without a file it returns a text
                yield node.lineno


def reads_memory(node: ast.Call) -> bool:
    """Whether what is read is a text already."""
    return bool(node.args) and isinstance(node.args[0], ast.Call) and ast.unparse(node.args[0].func) == "StringIO"


def is_text(node: ast.Call) -> bool:
    """Whether a file is opened as text, as by `open(path)` and `path.open("w")`, and not by `Image.open(file)`."""
    is_method = isinstance(node.func, ast.Attribute)
    modes = [*node.args[0 if is_method else 1 :], *(word.value for word in node.keywords if word.arg == "mode")]
    words = [str(mode.value) if isinstance(mode, ast.Constant) else "" for mode in modes]
    if is_method and words and not (words[0] and set(words[0]) <= set("rwxabt+")):
        return False  # the open of another library, which takes a file
    return not any("b" in word for word in words)


@pytest.mark.parametrize("folder", FOLDERS)
def test_text_files_are_opened_with_an_encoding(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    found = [f"{file}:{line}" for file in files for line in without_encoding(file.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    "source",
    ["open(path)", "open(path, 'w')", "path.open()", "path.open('a')", "path.read_text()", "path.write_text(t)",
     "pd.read_csv(path)", "frame.to_csv(path)", "open(path, mode='r')"],
)  # fmt: skip
def test_one_without_is_found(source: str) -> None:
    assert [*without_encoding(source)] == [1]


@pytest.mark.parametrize(
    "source",
    ["open(path, 'rb')", "path.open('ab')", "path.open(encoding='utf-8')", "frame.to_csv(index=False)",
     "pd.read_csv(StringIO(text))", "Image.open(file)", "tarfile.open(path, 'r:')", "path.open(mode='wb')"],
)  # fmt: skip
def test_other_files_are_left_alone(source: str) -> None:
    assert [*without_encoding(source)] == []
