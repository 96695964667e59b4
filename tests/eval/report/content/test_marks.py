"""Which numbers differ from those of plain training beyond their interval."""

import math
from pathlib import Path

import pytest
from scipy import stats

from eval.records import Model, Record
from eval.report.content.marks import compared_with, difference, marks
from eval.studies.paper_claims import Claim
from tests.eval.made import ACCURACY, PGD, record, written

TITLE = "ε50% PGD L∞"


def of(recipe: str, *values: float, seeds: int = 0) -> list[Record]:
    """One model per value, with seeds from `seeds` on."""
    return [record(PGD, value, Model("d", recipe, seed=seeds + place)) for place, value in enumerate(values)]


def signs(folder: Path, *records: Record, claims: tuple[Claim, ...] = ()) -> dict[str, str]:
    found, _ = marks(written(folder, [*records]), claims)
    return {recipe: mark.sign for (_, recipe, title), mark in found.items() if title == TITLE}


def test_higher_and_lower_than_b_are_marked_and_what_may_be_chance_is_not(tmp_path: Path) -> None:
    made = [
        *of("B", 0.20, 0.22, 0.24),
        *of("P", 0.30, 0.32, 0.35),
        *of("Q", 0.10, 0.12, 0.13),
        *of("R", 0.1, 0.4, 0.3),
    ]
    assert signs(tmp_path, *made) == {"P": "▲", "Q": "▼"}


def test_the_interval_is_paired_by_seeds_where_there_are_several() -> None:
    low, high = difference(of("P", 0.30, 0.32, 0.37), of("B", 0.20, 0.22, 0.24))
    mean, half = 0.11, stats.t.ppf(0.975, 2) * 0.01  # differences 0.10, 0.10, 0.13: deviation √3/100, over √3
    assert (low, high) == (pytest.approx(mean - half), pytest.approx(mean + half))


def test_trainings_with_other_seeds_are_not_paired() -> None:
    low, high = difference(of("P", 1.0, 2.0, 3.0), of("B", 1.0, 1.0, seeds=7))
    assert (low, high) == (pytest.approx(-1.484, abs=1e-3), pytest.approx(3.484, abs=1e-3))


def test_trainings_are_not_paired_where_a_seed_has_several() -> None:
    """Nothing says which of the two models of seed 0 belongs to that of B."""
    ones, others = [*of("P", 1.0, 2.0), *of("P", 3.0)], of("B", 1.0, 1.0)
    assert difference(ones, others) == (pytest.approx(-1.484, abs=1e-3), pytest.approx(3.484, abs=1e-3))


def test_single_models_differ_where_their_intervals_do_not_overlap() -> None:
    one, near, far = (
        record(PGD, value, interval=interval)
        for value, interval in ((0.2, (0.15, 0.25)), (0.3, (0.24, 0.35)), (0.4, (0.3, 0.5)))
    )
    assert difference([near], [one]) == (pytest.approx(-0.01), pytest.approx(0.2))
    assert difference([far], [one]) == (pytest.approx(0.05), pytest.approx(0.35))


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_is_not_finite_has_no_mark(tmp_path: Path, value: float) -> None:
    assert signs(tmp_path, *of("B", 0.2, 0.2), *of("P", 0.4, value)) == {}


def test_without_b_it_is_what_the_claims_compare_with_then_the_first_of_a_few(tmp_path: Path) -> None:
    made = [*of("A", 0.1, 0.1), *of("AT", 0.2, 0.2), *of("Z", 0.3, 0.3)]
    claim = Claim("", "", "", "more", {"measurement": "epsilon50_pgd_linf", "of": "Z", "than": "AT"})
    assert signs(tmp_path / "1", *made) == {"AT": "▲", "Z": "▲"}
    assert signs(tmp_path / "2", *made, claims=(claim,)) == {"A": "▼", "Z": "▲"}
    many = [one for number in range(13) for one in of(f"{number:02}", number / 10)]
    assert signs(tmp_path / "3", *many) == {}


def test_the_note_names_what_is_compared_with(tmp_path: Path) -> None:
    found, against = marks(written(tmp_path, [*of("B", 0.2, 0.2), *of("P", 0.3, 0.3)]))
    assert compared_with(found, against)[0].startswith("▲ higher, ▼ lower than B, beyond the 95 % interval")
    found, against = marks(written(tmp_path / "same", [record(ACCURACY), record(ACCURACY, of=Model("d", "P"))]))
    assert compared_with(found, against)[0].startswith("No number differs from that of B beyond the 95 % interval")
    assert compared_with({}, {}) == []
