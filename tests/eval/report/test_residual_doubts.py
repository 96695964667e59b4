"""An estimator that leads to no other class is said to, by rule."""

from pathlib import Path
from typing import Any

import pytest

from eval.records import Model, Quantity, Record
from eval.report import quality_table
from eval.report.findings import findings
from eval.studies.paper_claims import claims_of
from tests.eval.made import record, written

SHARE, NORM = Quantity("residual_target_share"), Quantity("residual_norm")


def estimator(name: str, share: float, norm: float, high: float, kind: str = "gan", seed: int = 0) -> list[Record]:
    of = Model("d", name, seed=seed, groups=("estimators",))
    rest: dict[str, Any] = {"network": {"estimator": kind, "settings": {}}, "weights": f"{name}{seed}"}
    return [record(SHARE, share, of, interval=(0.0, high), **rest), record(NORM, norm, of, **rest)]


@pytest.mark.parametrize(
    ("share", "high", "norm", "said"),
    [
        (0.0, 0.019, 2.6, "0.0 % of x + Δ̂x are of the class that they should be of, and Δ̂x is 0.19 times as long"),
        (0.075, 0.199, 8.0, "7.5 % of x + Δ̂x are of the class that they should be of: for the others, Δ̂x is not"),
        (0.4, 0.55, 2.6, ""),
        (0.9, 0.95, 2.6, ""),
    ],
)
def test_an_estimator_whose_residuals_lead_nowhere_is_said(
    tmp_path: Path, share: float, high: float, norm: float, said: str
) -> None:
    """Of 14.0 to the nearest example, 2.6 is 0.186; an interval up to a half decides nothing."""
    made = [*estimator("ours", share, norm, high), *estimator("nearest example", 0.6, 14.0, 0.7, "nearest")]
    told = [note for note in quality_table(written(tmp_path, made)).notes if "should be of" in note]
    assert [note.startswith(f"d, ours: {said}") for note in told] == [True] * bool(said)


def test_without_the_nearest_example_nothing_is_said_of_the_length(tmp_path: Path) -> None:
    (note,) = [
        n for n in quality_table(written(tmp_path, estimator("ours", 0.0, 0.1, 0.1))).notes if "should be" in n
    ]
    assert "nearest example" not in note


@pytest.mark.parametrize(("high", "weak"), [(0.7, True), (0.92, False)])
def test_a_judge_that_does_not_recognise_real_samples_is_said(tmp_path: Path, high: float, weak: bool) -> None:
    made = estimator("nearest example", 0.62, 14.0, high, "nearest")
    said = "d: the judge recognises 62.0 % of nearest examples, real samples of the class, and no more."
    assert (said in quality_table(written(tmp_path, made)).notes) == weak


def test_a_finding_on_its_length_says_so_too(tmp_path: Path) -> None:
    made = [*estimator("a, b", 0.1, 8.0, 0.2), *estimator("c", 0.9, 6.0, 1.0)]
    claim = {"says": "longer", "more": {"measurement": "residual_norm", "of": "a, b", "than": "c"}}
    (found,) = findings(written(tmp_path, made), claims_of({"claims": [claim]}))
    assert found.sentence.endswith(". Most x̂' of “a, b” are not of the target class.")
