"""The notebooks of the documentation, which `make docs` runs: their form, and in a slow test that they run."""

import ast
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import yaml

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.md"))
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)^```$", re.MULTILINE | re.DOTALL)
by_name = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def cells(notebook: Path) -> list[tuple[str, str]]:
    """Options and source of every cell."""
    return CELL.findall(notebook.read_text(encoding="utf-8"))


def test_there_are_six() -> None:
    assert len(NOTEBOOKS) == 6


@by_name
def test_a_notebook_names_its_kernel_and_has_a_title(notebook: Path) -> None:
    _, header, text = notebook.read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(header)["kernelspec"]["name"] == "python3"
    assert text.lstrip().startswith("# ")


@by_name
def test_what_a_notebook_says_is_asserted_where_nobody_sees_it(notebook: Path) -> None:
    hidden = [source for options, source in cells(notebook) if "remove-cell" in options]
    seen = [source for options, source in cells(notebook) if "remove-cell" not in options]
    assert any("assert " in source for source in hidden)
    assert not any("assert " in source for source in seen)


@by_name
def test_every_cell_is_python_and_one_draws(notebook: Path) -> None:
    parsed = [ast.parse(source) for _, source in cells(notebook)]
    assert any("plt.subplots" in ast.unparse(tree) for tree in parsed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # a notebook shows none of what goes to stderr
@by_name
@pytest.mark.usefixtures("as_in_production")
def test_a_notebook_runs(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(notebook.parent)
    names: dict[str, object] = {"__name__": "__main__"}
    for number, (_, source) in enumerate(cells(notebook)):
        exec(compile(source, f"{notebook.name}, cell {number}", "exec"), names)
    assert plt.get_fignums()
    plt.close("all")
