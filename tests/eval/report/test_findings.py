"""Claims are judged by their intervals: closed values of made records."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eval.records import Model, Quantity, Record, Records, Results, Samples
from eval.report.differences import between_shares, between_trainings, mean_over_trainings, over_samples
from eval.report.findings import CONFIRMED, REFUTED, UNDECIDED, findings, findings_table
from eval.studies.paper_claims import claims_of
from tests.eval.made import ACCURACY, ALPHA, PGD, record, written

MORE = {"says": "P is more robust", "paper": "paper 1, Table 2"}
RADII = MORE | {"more": {"measurement": "epsilon50_pgd_linf", "of": "P", "than": "B"}}


def judged(records: Records, claim: dict[str, Any]) -> tuple[str, str]:
    (found,) = findings(records, claims_of({"claims": [claim]}))
    return found.verdict, found.sentence


def trainings(folder: Path, **values: list[float]) -> Records:
    made = [record(PGD, v, Model("d", name, seed=s)) for name, found in values.items() for s, v in enumerate(found)]
    return written(folder, made)


@pytest.mark.parametrize(
    ("b", "verdict"), [([0.1, 0.2, 0.15], CONFIRMED), ([0.5, 0.58, 0.55], REFUTED), ([0.1, 0.6, 0.35], UNDECIDED)]
)
def test_recipes_are_compared_over_paired_seeds(tmp_path: Path, b: list[float], verdict: str) -> None:
    found, sentence = judged(trainings(tmp_path, P=[0.3, 0.4, 0.35], B=b), RADII)
    assert found == verdict
    assert "paired over 3 seeds" in sentence
    assert sentence.endswith("; too few to decide.") == (verdict == UNDECIDED)


def test_the_interval_of_pairs_is_student_s(tmp_path: Path) -> None:
    """Differences of 0.1, 0.2 and 0.3: 0.2 ± t(0.975, 2) · 0.1 / √3 = 0.2 ± 0.2484."""
    _, sentence = judged(trainings(tmp_path, P=[0.3, 0.4, 0.5], B=[0.2, 0.2, 0.2]), RADII)
    assert "ε50% PGD L∞ is 0.400 for P and 0.200 for B: +0.200 [−0.048, +0.448]" in sentence


def test_less_is_more_the_other_way_round(tmp_path: Path) -> None:
    less = MORE | {"less": RADII["more"]}
    records = trainings(tmp_path, P=[0.3, 0.4, 0.35], B=[0.1, 0.2, 0.15])
    assert judged(records, less)[0] == REFUTED


@pytest.mark.parametrize(("within", "verdict"), [(0.02, CONFIRMED), (0.0005, REFUTED), (0.0102, UNDECIDED)])
def test_same_needs_the_whole_interval_within(tmp_path: Path, within: float, verdict: str) -> None:
    """Differences of 0.01 ± 0.0025."""
    same = MORE | {"same": RADII["more"] | {"within": within}}
    records = trainings(tmp_path, P=[0.31, 0.411, 0.359], B=[0.3, 0.4, 0.35])
    assert judged(records, same)[0] == verdict


def test_seeds_that_nothing_pairs_are_compared_by_welch(tmp_path: Path) -> None:
    made = [record(PGD, v, Model("d", "P", seed=s)) for s, v in ((0, 0.5), (1, 0.52))]
    made += [record(PGD, v, Model("d", "B", seed=s)) for s, v in ((7, 0.2), (8, 0.22))]
    verdict, sentence = judged(written(tmp_path, made), RADII)
    assert verdict == CONFIRMED
    assert "over 2 and 2 trainings" in sentence


def test_a_radius_above_everything_tried_decides_nothing(tmp_path: Path) -> None:
    assert judged(trainings(tmp_path, P=[0.3, math.inf], B=[0.1, 0.1]), RADII)[0] == UNDECIDED


def samples_of(
    folder: Path, quantity: Quantity, frames: dict[str, pd.DataFrame], values: dict[str, float]
) -> Records:
    results = Results(folder)
    for name, frame in frames.items():
        made = record(quantity, values[name], Model("d", name), details={})
        results.home(made.model, made.subject.model_key).write(made, frame)
    return results.load()


def correct(count: int, of: int = 100) -> pd.DataFrame:
    predicted = [0] * count + [1] * (of - count)
    return pd.DataFrame({"index": range(of), "label": 0, "predicted": predicted})


def robust_of(count: int, of: int = 100) -> pd.DataFrame:
    return pd.DataFrame({"index": range(of), "label": 0, "robust": [True] * count + [False] * (of - count)})


@pytest.mark.parametrize(("b", "verdict"), [(70, CONFIRMED), (79, UNDECIDED), (95, REFUTED)])
def test_one_training_of_each_is_compared_sample_by_sample(tmp_path: Path, b: int, verdict: str) -> None:
    claim = MORE | {"more": {"measurement": "accuracy", "of": "P", "than": "B"}}
    frames = {"P": correct(80), "B": correct(b)}
    found, sentence = judged(samples_of(tmp_path, ACCURACY, frames, {"P": 0.8, "B": b / 100}), claim)
    assert found == verdict
    assert "one training each, so over 100 samples alone" in sentence


def test_of_one_training_each_only_the_samples_that_both_met_count(tmp_path: Path) -> None:
    """Sample 100 to 199 of B are its good ones; on the shared hundred P is ahead."""
    frames = {"P": correct(80), "B": correct(70)}
    frames["B"]["index"] = [*range(60), *range(100, 140)]
    claim = MORE | {"more": {"measurement": "accuracy", "of": "P", "than": "B"}}
    _, sentence = judged(samples_of(tmp_path, ACCURACY, frames, {"P": 0.8, "B": 0.7}), claim)
    assert "so over 60 samples alone" in sentence


@pytest.mark.parametrize("value", [0.25, 0.26])
def test_radii_of_one_training_are_medians_over_drawn_samples(tmp_path: Path, value: float) -> None:
    """A record whose outcomes do not say its value is not taken apart."""
    frames = {
        name: pd.DataFrame({"index": range(50), "label": 0, "radius": radius, "failed_at": 0.0})
        for name, radius in (("P", np.linspace(0.2, 0.3, 50)), ("B", np.linspace(0.05, 0.15, 50)))
    }
    verdict, sentence = judged(samples_of(tmp_path, PGD, frames, {"P": value, "B": 0.1}), RADII)
    assert verdict == (CONFIRMED if value == 0.25 else UNDECIDED)
    assert ("[+0.150, +0.150]" in sentence) == (value == 0.25)  # every sample moves by the same


def test_accuracy_at_a_strength_is_read_off_a_search(tmp_path: Path) -> None:
    frames = {
        name: pd.DataFrame(
            {"index": range(100), "label": 0, "radius": [1.0] * n + [0.0] * (100 - n), "failed_at": 0.0}
        )
        for name, n in (("P", 80), ("B", 50))
    }
    results = Results(tmp_path)
    for name, frame in frames.items():
        share = float((frame.radius > 0.1).mean())
        details = {"accuracy_at": {"0.1": share}, "epsilon_max": 2.0}
        made = record(PGD, float(frame.radius.median()), Model("d", name), details=details)
        results.home(made.model, made.subject.model_key).write(made, frame)
    claim = MORE | {"more": {"measurement": "accuracy_pgd_linf_0.1", "of": "P", "than": "B"}}
    verdict, sentence = judged(results.load(), claim)
    assert verdict == CONFIRMED
    assert "PGD L∞ 0.1 % is 80.0 for P and 50.0 for B: +30.0" in sentence


@pytest.mark.parametrize(
    ("between", "verdict"), [([0.2, 0.4], CONFIRMED), ([0.5, 0.6], REFUTED), ([0.3, 0.6], UNDECIDED)]
)
def test_values_lie_inside_with_their_interval(tmp_path: Path, between: list[float], verdict: str) -> None:
    claim = MORE | {"value": {"measurement": "epsilon50_pgd_linf", "of": "P", "between": between}}
    found, sentence = judged(trainings(tmp_path, P=[0.29, 0.31, 0.3]), claim)
    assert found == verdict
    assert "ε50% PGD L∞ of P is 0.300 [0.275, 0.325] (over 3 trainings), where" in sentence


def swept(epsilon: str, seed: int, alpha: float, radius: float) -> list[Record]:
    named = Model("d", "P", epsilon, seed, ("sweep",))
    return [record(quantity, value, named) for quantity, value in ((ALPHA, alpha), (PGD, radius))]


def test_correlation_has_the_interval_over_settings(tmp_path: Path) -> None:
    made = [r for i in range(6) for seed in (0, 1) for r in swept(f"0.{i}", seed, i + 0.2 * seed, i + 0.3 * (i % 2))]
    claim = MORE | {"correlates": {"measurement": "alpha_dx", "with": "epsilon50_pgd_linf", "above": 0.5}}
    found, sentence = judged(written(tmp_path, made), claim)
    assert found == CONFIRMED
    assert "over 12 models of 6 settings" in sentence


def front(recipe: str, points: list[tuple[float, float]], seed: int = 0) -> list[Record]:
    robust = Quantity("robust_accuracy", "pgd", "Linf", {}, "0.1")
    return [
        record(of, value, Model("d", recipe, seed=seed, groups=("sweep",)), training={"at": i}, weights=f"{i}{seed}")
        for i, pair in enumerate(points)
        for of, value in zip((ACCURACY, robust), pair, strict=True)
    ]


FRONT = {"x": "accuracy", "y": "accuracy_pgd_linf_0.1", "of": "CA-AT", "than": "vanilla"}


@pytest.mark.parametrize(("ahead", "verdict"), [(0.1, CONFIRMED), (-0.1, REFUTED)])
def test_fronts_are_compared_by_area_seed_by_seed(tmp_path: Path, ahead: float, verdict: str) -> None:
    made = []
    for seed in range(3):
        off = 0.01 * seed
        made += front("CA-AT", [(0.6 + ahead + off, 0.5), (0.5, 0.6 + ahead)], seed)
        made += front("vanilla", [(0.6 + off, 0.5), (0.5, 0.6)], seed)
    found, sentence = judged(written(tmp_path, made), MORE | {"front": FRONT | {"reference": [0.2, 0.2]}})
    assert found == verdict
    assert "paired over 3 seeds" in sentence


def test_fronts_of_one_training_are_compared_over_samples(tmp_path: Path) -> None:
    """Areas above (0, 0): of the points (0.8, 0.4) and (0.6, 0.6), less those of (0.6, 0.4) and (0.4, 0.6)."""
    results = Results(tmp_path)
    for name, points in (("CA-AT", [(80, 40), (60, 60)]), ("vanilla", [(60, 40), (40, 60)])):
        for at, (clean, robust) in enumerate(points):
            named = Model("d", name, groups=("sweep",))
            for of, count, frame in (
                (ACCURACY, clean, correct(clean)),
                (Quantity("robust_accuracy", "pgd", "Linf", {}, "0.1"), robust, robust_of(robust)),
            ):
                made = record(of, count / 100, named, training={"at": at}, weights=f"{name}{at}", details={})
                results.home(made.model, made.subject.model_key).write(made, frame)
    verdict, sentence = judged(results.load(), MORE | {"front": FRONT | {"reference": [0, 0]}})
    assert verdict == CONFIRMED
    assert "fronts dominate 91.7 (CA-AT) and 66.7 (vanilla) % of the rectangle around them: +25.0 points" in sentence
    assert "one training at each setting, so over 100 samples alone" in sentence


def test_a_front_of_one_setting_is_none(tmp_path: Path) -> None:
    made = front("CA-AT", [(0.6, 0.5)]) + front("vanilla", [(0.6, 0.5), (0.5, 0.6)])
    assert judged(written(tmp_path, made), MORE | {"front": FRONT})[0] == UNDECIDED


@pytest.mark.parametrize("asked", ["accuracy_pgd_linf_0.1", "robust_accuracy_pgd_linf_0.1"])
@pytest.mark.parametrize("kind", ["accuracy", "robust_accuracy"])
def test_an_accuracy_under_attack_is_one_however_it_was_measured(tmp_path: Path, asked: str, kind: str) -> None:
    robust = Quantity(kind, "pgd", "Linf", {}, "0.1")
    made = [record(robust, v + s / 100, Model("d", n, seed=s)) for n, v in (("P", 0.5), ("B", 0.1)) for s in (0, 1)]
    claim = MORE | {"more": {"measurement": asked, "of": "P", "than": "B"}}
    assert judged(written(tmp_path, made), claim)[0] == CONFIRMED


def test_test_samples_are_meant_and_not_those_that_something_was_chosen_by(tmp_path: Path) -> None:
    """On validation, with more samples, B is ahead."""
    made = []
    for split, count, ahead in (("validation", 9, "B"), ("test", 4, "P")):
        samples = Samples("d", {}, (-1.0, 1.0), split, count, split)
        for name in ("B", "P"):
            for seed in (0, 1):
                value = 0.1 + 0.1 * (name == ahead) + seed / 1000
                of = Model("d", name, seed=seed)
                made.append(record(PGD, value, of, samples_of=samples, samples=count))
    assert judged(written(tmp_path, made), RADII)[0] == CONFIRMED


def test_what_was_not_measured_is_undecided(tmp_path: Path) -> None:
    verdict, sentence = judged(trainings(tmp_path, B=[0.1, 0.2]), RADII)
    assert (verdict, sentence) == (UNDECIDED, "epsilon50_pgd_linf of P and B was not measured on the same samples.")


def test_a_sentence_stands_beside_the_paper_s(tmp_path: Path) -> None:
    found = findings(trainings(tmp_path, P=[0.3, 0.4], B=[0.1, 0.2]), claims_of({"claims": [RADII]}))
    table = findings_table(found)
    assert list(table.frame.columns) == ["found", "verdict", "the paper claims", "paper"]
    first, second = str(table).splitlines()
    assert first.startswith("d: ε50% PGD L∞ is 0.350 for P and 0.150 for B")
    assert second == "  confirmed: paper 1, Table 2: P is more robust"


def test_intervals_have_their_closed_values() -> None:
    """t(0.975, 1) = 12.706; Agresti and Min add half a sample to each of four cells."""
    assert mean_over_trainings([1.0, 2.0]) == pytest.approx((1.5 - 12.7062 * 0.5, 1.5 + 12.7062 * 0.5), rel=1e-4)
    assert between_trainings([1.0, 1.0], [0.5, 0.5]) == (0.5, 0.5)
    one, other = np.array([1] * 30 + [0] * 70), np.array([0] * 30 + [0] * 60 + [1] * 10)
    mean, half = (30 - 10) / 102, 1.959964 * math.sqrt(41 - 20**2 / 102) / 102
    assert between_shares(one, other) == pytest.approx((mean - half, mean + half), rel=1e-6)


def test_no_sample_that_differs_leaves_room_for_a_difference() -> None:
    low, high = between_shares(np.ones(100), np.ones(100))
    assert low == -high
    assert high == pytest.approx(1.959964 / 102, rel=1e-6)


def test_drawn_again_a_mean_spreads_as_its_standard_error() -> None:
    values = np.arange(100) % 2
    low, high = over_samples(lambda drawn: float(values[drawn].mean()), 100)
    assert (high - low) / 2 == pytest.approx(1.96 * 0.05, rel=0.15)


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.9, CONFIRMED), (0.54, UNDECIDED)])
def test_models_at_chance_decide_nothing(tmp_path: Path, accuracy: float, verdict: str) -> None:
    """They are equal in everything that is claimed to be."""
    same = MORE | {"same": RADII["more"] | {"within": 0.02}}
    made = [record(PGD, 0.3 + seed / 1000, Model("d", name, seed=seed)) for name in "PB" for seed in range(3)]
    made += [
        record(ACCURACY, accuracy, Model("d", name, seed=seed), details={"classes": 2})
        for name in "PB"
        for seed in range(3)
    ]
    found, sentence = judged(written(tmp_path, made), same)
    assert found == verdict
    assert ("Models at chance are left out" in sentence) == (verdict == UNDECIDED)


def test_tau_of_an_even_number_of_samples_is_that_of_the_median_strength(tmp_path: Path) -> None:
    """Strengths of 0.1 and 0.2 in the middle: τ50% = 1 / 0.15, and not the mean of 10 and 5."""
    strengths = np.array([0.05, 0.1, 0.2, 0.4])
    frames = {
        name: pd.DataFrame(
            {"index": range(40), "label": 0, "radius": np.repeat(by * strengths, 10), "failed_at": 0.0}
        )
        for name, by in (("P", 3.0), ("B", 1.0))
    }
    values = {"P": 1 / 0.45, "B": 1 / 0.15}
    less = MORE | {"less": {"measurement": "tau50_sta", "of": "P", "than": "B"}}
    verdict, sentence = judged(samples_of(tmp_path, Quantity("tau50", "sta"), frames, values), less)
    assert "so over 40 samples alone" in sentence
    assert verdict == CONFIRMED
