"""The finding in a sentence."""

from pathlib import Path
from typing import Any

import pandas as pd

from eval.records import Model, Quantity
from eval.report.content.headline import headline
from eval.report.verdicts import CONFIRMED, REFUTED, UNDECIDED, Finding
from eval.studies.paper_claims import Claim
from eval.tables.table import Table
from tests.eval.made import ACCURACY, ALPHA, PGD, record, written


def claim(kind: str, says: str = "so") -> Claim:
    return Claim(says, "paper 1", "", kind, {})


def test_a_correlation_goes_first_whatever_its_verdict_and_the_rest_is_counted(tmp_path: Path) -> None:
    records = written(tmp_path, [record()])
    first, second = claim("more"), claim("correlates", "they go together")
    found = [
        Finding(first, CONFIRMED, "a [1, 2]"),
        Finding(first, CONFIRMED, "b [1, 2]"),
        Finding(second, REFUTED, "r [−1, 0]"),
    ]
    told = headline(records, found, None)
    assert (told.sentence, told.verdict, told.claim) == ("r [−1, 0]", REFUTED, "paper 1: they go together")
    assert told.tally == "3 findings on 2 claims: 2 confirmed, 1 not confirmed"


def test_what_has_no_interval_goes_last(tmp_path: Path) -> None:
    found = [Finding(claim("correlates"), UNDECIDED, "no sweep"), Finding(claim("more"), REFUTED, "a [1, 2]")]
    assert headline(written(tmp_path, [record()]), found, None).sentence == "a [1, 2]"


def test_without_claims_it_is_the_correlation(tmp_path: Path) -> None:
    line: dict[str, Any] = {"data": "d", "of": "P over ε", "robustness": "ε50% PGD L∞", "metric": "α_Δx"}
    table = Table(pd.DataFrame([line | {"models": 6, "settings": 3, "Pearson": "0.9 [0.8, 1.0]"}]))
    assert headline(written(tmp_path, [record()]), [], table).sentence == (
        "d, P over ε: Pearson's correlation of α_Δx and ε50% PGD L∞ is 0.9 [0.8, 1.0], over 6 models of 3 settings."
    )


def test_without_a_correlation_it_is_the_most_robust_recipe_against_b(tmp_path: Path) -> None:
    made = [
        record(PGD, value + seed / 100, Model("d", recipe, seed=seed))
        for recipe, value in (("A", 0.05), ("B", 0.1), ("P", 0.3))
        for seed in range(3)
    ]
    assert headline(written(tmp_path, made), [], None).sentence == (
        "d: ε50% PGD L∞ is 0.310 for P and 0.110 for B: +0.200 [+0.200, +0.200], paired over 3 seeds."
    )


def test_the_most_robust_recipe_has_the_smallest_tau(tmp_path: Path) -> None:
    tau = Quantity("tau50", "sta")
    made = [
        record(tau, value + seed / 100, Model("d", recipe, seed=seed))
        for recipe, value in (("A", 5.0), ("B", 4.0), ("P", 2.0))
        for seed in range(3)
    ]
    assert headline(written(tmp_path, made), [], None).sentence == (
        "d: τ50% STA is 2.01 for P and 4.01 for B: −2.00 [−2.00, −2.00], paired over 3 seeds."
    )


def test_of_one_model_it_is_what_was_measured_with_intervals_and_n(tmp_path: Path) -> None:
    made = [record(PGD, 0.2, interval=(0.1, 0.3)), record(ALPHA, 0.5, interval=(0.4, 0.6)), record(ACCURACY, 0.9)]
    assert headline(written(tmp_path, made), [], None).sentence == (
        "d, B: accuracy 90.0 %; ε50% PGD L∞ 0.200 [0.100, 0.300]; α_Δx 0.500 [0.400, 0.600]; n = 4."
    )
