"""What the pages list is what there is."""

import json
import re
from inspect import signature
from pathlib import Path

from eval.attacks import ATTACKS
from eval.cli.commands import report, study
from eval.cli.export import export
from eval.cli.fill import residuals
from eval.cli.measuring import measure
from eval.figures.wanted import DEFAULTS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
OTHERS = {"resume", "ways"}
"""Options of `fit` and of a benchmark."""
SYMBOLS = {"L∞": "Linf", "L2": "L2", "L1": "L1", "L0": "L0"}


def rows_of_attacks() -> dict[str, tuple[str, ...]]:
    """Norms by name of the attack, as the page says them."""
    text = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return {
        name: tuple(SYMBOLS[symbol] for symbol in row[2].split(", ") if symbol.strip() in SYMBOLS)
        for row in ([cell.strip() for cell in row] for row in rows)
        for name in re.findall(r"`(\w+)`", row[0])
    }


def test_every_attack_stands_on_its_page_with_its_norms() -> None:
    assert rows_of_attacks() == {name: attack.norms for name, attack in ATTACKS.items()}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_the_readme_counts_what_there_is() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "twenty-five attacks" in text
    assert len(ATTACKS) == 25
    quick = json.loads((ROOT / "benchmarks/records/studies/quick.json").read_text(encoding="utf-8"))
    assert f"{quick['models']} models" in text


def test_the_readme_links_to_pages_that_are_there() -> None:
    links = re.findall(
        r"\]\(((?:docs|benchmarks)/[^)#]+|[A-Z]+\.md)", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_options_in_sentences_are_options_of_a_command() -> None:
    known = {*DEFAULTS, *OTHERS}.union(
        *(signature(job).parameters for job in (measure, study, residuals, report, export))
    )
    named = {
        option.replace("-", "_")
        for page in PAGES
        for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page.read_text(encoding="utf-8"))
        if not code.startswith(("python", "pytest", "pip"))
        for option in re.findall(r"(?:^|\s)--([a-z-]+)(?![a-z.-])", code)
    }
    assert len(named) > 10
    assert named - known == set()
