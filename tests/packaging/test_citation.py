"""What others cite: this version, and the three papers that the docstrings name."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.test_distribution import project

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_it_names_what_the_format_requires(citation: dict[str, Any]) -> None:
    assert citation["cff-version"] == "1.2.0"
    assert all(citation[key] for key in ("message", "title", "authors"))


def test_it_says_what_pyproject_says(citation: dict[str, Any]) -> None:
    assert (citation["title"], citation["version"]) == (project()["name"], project()["version"])
    assert citation["license"] == project()["license"]
    assert citation["authors"] == project()["authors"]


def test_papers_are_in_the_order_of_their_numbers(citation: dict[str, Any]) -> None:
    numbers = [int(re.match(r"Paper (\d) ", one["notes"])[1]) for one in citation["references"]]
    assert numbers == [1, 2, 3]
    assert all(one["authors"] and one["title"] and one["year"] for one in citation["references"])
