"""Claims are judged by their intervals: closed values of made records."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eval.records import Model, Quantity, Record, Records, Results, Samples
from eval.records.store import write_json
from eval.report import correlation_table
from eval.report.differences import between_shares, between_trainings, mean_over_trainings, over_samples
from eval.report.findings import findings, findings_table
from eval.report.front_table import front_table
from eval.report.verdicts import CONFIRMED, REFUTED, UNDECIDED
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
    assert sentence.endswith("; the interval holds 0.") == (verdict == UNDECIDED)


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
    assert "PGD L∞ 0.1 is 80.0 % for P and 50.0 % for B: +30.0 points [" in sentence


@pytest.mark.parametrize(
    ("between", "verdict"), [([0.2, 0.4], CONFIRMED), ([0.5, 0.6], REFUTED), ([0.3, 0.6], UNDECIDED)]
)
def test_values_lie_inside_with_their_interval(tmp_path: Path, between: list[float], verdict: str) -> None:
    claim = MORE | {"value": {"measurement": "epsilon50_pgd_linf", "of": "P", "between": between}}
    found, sentence = judged(trainings(tmp_path, P=[0.29, 0.31, 0.3]), claim)
    assert found == verdict
    assert "ε50% PGD L∞ is 0.300 [0.275, 0.325] for P (over 3 trainings), where" in sentence


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
        record(of, value, Model("d", recipe, f"0.{i}", seed, ("sweep",)), training={"at": [i, recipe]})
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
            named = Model("d", name, f"0.{at}", groups=("sweep",))
            for of, count, frame in (
                (ACCURACY, clean, correct(clean)),
                (Quantity("robust_accuracy", "pgd", "Linf", {}, "0.1"), robust, robust_of(robust)),
            ):
                made = record(of, count / 100, named, training={"at": [at, name]}, details={})
                results.home(made.model, made.subject.model_key).write(made, frame)
    verdict, sentence = judged(results.load(), MORE | {"front": FRONT | {"reference": [0, 0]}})
    assert verdict == CONFIRMED
    assert "the area is 0.917 for CA-AT over ε and 0.667 for vanilla over ε: +0.250 [" in sentence
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
    assert (verdict, sentence) == (UNDECIDED, "ε50% PGD L∞ of P and B was not measured on the same samples.")


def test_a_sentence_stands_beside_the_paper_s(tmp_path: Path) -> None:
    found = findings(trainings(tmp_path, P=[0.3, 0.4], B=[0.1, 0.2]), claims_of({"claims": [RADII]}))
    table = findings_table(found)
    assert list(table.frame.columns) == ["found", "verdict", "the paper claims", "paper"]
    first, second = str(table).splitlines()
    assert first.startswith("d: ε50% PGD L∞ is 0.350 for P and 0.150 for B")
    assert second == "  confirmed: paper 1, Table 2: P is more robust."


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
    nothing = sentence == "d: P and B are near chance, so that ε50% PGD L∞ is not compared."
    assert nothing == (verdict == UNDECIDED)


def test_models_at_chance_are_left_out_of_those_of_a_recipe(tmp_path: Path) -> None:
    """Of seed 2, B guesses; the other seeds are compared."""
    made = [record(PGD, v + s / 100, Model("d", n, seed=s)) for n, v in (("P", 0.3), ("B", 0.1)) for s in range(3)]
    made.append(record(ACCURACY, 0.5, Model("d", "B", seed=2), details={"classes": 2}))
    verdict, sentence = judged(written(tmp_path, made), RADII)
    assert verdict == CONFIRMED
    assert sentence.endswith("paired over 2 seeds. Models near chance are left out.")


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


def at(epsilon: str, recipe: str, value: float, seed: int = 0, **rest: Any) -> Record:
    """A model of a sweep over ε, or over ε and κ."""
    return record(
        PGD, value, Model("d", recipe, epsilon, seed, ("sweep",), **rest), training={"r": [recipe, epsilon]}
    )


def swept_pair(**shifts: float) -> list[Record]:
    """P is ahead by a shift at each ε, over two seeds."""
    return [
        at(epsilon, recipe, 0.1 + seed / 100 + (shift if recipe == "P" else 0), seed)
        for epsilon, shift in shifts.items()
        for recipe in ("P", "B")
        for seed in (0, 1)
    ]


def test_a_claim_over_a_sweep_is_judged_at_each_setting_in_their_order(tmp_path: Path) -> None:
    records = written(tmp_path, swept_pair(**{"16/255": -0.2, "8/255": 0.3}))
    found = findings(records, claims_of({"claims": [RADII]}))
    assert [(f.verdict, f.sentence.partition(": ")[0]) for f in found] == [
        (CONFIRMED, "d, ε = 8/255"),
        (REFUTED, "d, ε = 16/255"),
    ]
    assert "ε50% PGD L∞ is 0.405 for P and 0.105 for B: +0.300 [+0.300, +0.300]" in found[0].sentence


def test_a_claim_about_one_setting_is_judged_there_alone(tmp_path: Path) -> None:
    records = written(tmp_path, swept_pair(**{"0.1": 0.3, "0.2": -0.2}))
    verdict, sentence = judged(records, MORE | {"more": RADII["more"] | {"at": {"epsilon": 0.2}}})
    assert (verdict, sentence[:12]) == (REFUTED, "d, ε = 0.2: ")
    value = {"measurement": "epsilon50_pgd_linf", "of": "P", "between": [0.3, 0.5], "at": {"epsilon": 0.1}}
    assert judged(records, MORE | {"value": value})[1].startswith("d, ε = 0.1: ε50% PGD L∞ is 0.405 ")


def test_of_two_settings_a_claim_about_one_is_judged_at_each_value_of_the_other(tmp_path: Path) -> None:
    names = {"sweeps": (("epsilon", "steps"),)}
    made = [
        at(e, r, 0.1 + seed / 100 + (r == "P"), seed, setting={"steps": k}, **names)
        for e in ("0.1", "0.2") for k in ("10", "5") for r in "PB" for seed in (0, 1)
    ]  # fmt: skip
    claim = MORE | {"more": RADII["more"] | {"at": {"epsilon": 0.2}}}
    found = findings(written(tmp_path, made), claims_of({"claims": [claim]}))
    assert [f.sentence.partition(": ")[0] for f in found] == ["d, ε = 0.2, κ = 5", "d, ε = 0.2, κ = 10"]


def test_what_stands_beside_others_counts_before_a_sweep_and_against_each_setting_of_one(tmp_path: Path) -> None:
    """B is in no sweep; P is in one, and at first beside it, too."""
    b = [record(PGD, 0.2 + seed / 100, Model("d", "B", seed=seed)) for seed in (0, 1)]
    made = [*b, *(one for one in swept_pair(**{"0.1": 0.3, "0.2": -0.05}) if one.model.recipe == "P")]
    found = findings(written(tmp_path / "a", made), claims_of({"claims": [RADII]}))
    assert [(f.verdict, f.sentence[:10]) for f in found] == [(CONFIRMED, "d, ε = 0.1"), (REFUTED, "d, ε = 0.2")]
    made += [record(PGD, 0.5 + seed / 100, Model("d", "P", "0.3", seed)) for seed in (0, 1)]
    verdict, sentence = judged(written(tmp_path / "b", made), RADII)
    assert (verdict, sentence[:3]) == (CONFIRMED, "d: ")


def test_sweeps_over_other_settings_share_none(tmp_path: Path) -> None:
    made = [
        record(PGD, 0.1, Model("d", recipe, "", 0, ("sweep",), setting={name: "1"}, sweeps=((name,),)))
        for recipe, name in (("P", "gamma"), ("B", "weight"))
    ]
    verdict, sentence = judged(written(tmp_path, made), RADII)
    assert (verdict, sentence) == (UNDECIDED, "d: P and B share no setting of a sweep.")


def test_the_number_of_a_correlation_is_that_of_the_table(tmp_path: Path) -> None:
    """Both are of one bootstrap; settings are in the order of their values, whatever that of the records."""
    made = [r for i in (3, 1, 5, 0, 4, 2) for s in (0, 1) for r in swept(f"0.{i}", s, i + 0.7 * s, i + 1.3 * (i % 2))]
    made += [
        record(ACCURACY, 0.5 if r.model.epsilon == "0.5" else 0.9, r.model, details={"classes": 2}) for r in made
    ]
    records = written(tmp_path, made)
    (line,) = correlation_table(records).frame.to_dict("records")
    claim = MORE | {"correlates": {"measurement": "alpha_dx", "with": "epsilon50_pgd_linf", "above": 0.1}}
    _, sentence = judged(records, claim)
    assert "[" in line["Pearson"]
    assert (line["models"], line["settings"], line["left out"]) == (10, 5, 2)  # those of ε = 0.5 guess
    told = f"d, P over ε: Pearson's correlation of α_Δx and ε50% PGD L∞ is {line['Pearson']}, over 10 models of 5"
    assert sentence.startswith(told.replace("-", "−"))
    assert "without 2 that are left out" in sentence


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (2, "is not computed over 2 models of 2 settings: it needs 3."),
        (4, "is 1.000, over 4 models of 4 settings; below 5 settings there is no interval, so nothing is decided."),
    ],
)
def test_a_correlation_of_too_few_says_so(tmp_path: Path, count: int, said: str) -> None:
    made = [r for i in range(count) for r in swept(f"0.{i}", 0, float(i), float(i))]
    claim = MORE | {"correlates": {"measurement": "alpha_dx", "with": "epsilon50_pgd_linf", "above": 0.5}}
    verdict, sentence = judged(written(tmp_path, made), claim)
    assert verdict == UNDECIDED
    assert sentence.endswith(said)


def test_the_areas_of_a_claim_are_those_of_the_table(tmp_path: Path) -> None:
    """A third recipe, the best of all, is part of the rectangle of both."""
    asked = {"x": "accuracy", "y": "accuracy_pgd_linf_0.1", "reference": [0.2, 0.2]}
    source = {"title": "s", "experiments": {"d": {"fronts": [asked]}}}
    write_json(tmp_path / "study.json", {"name": "s", "title": "s", "models": 1, "source": source})
    made = front("CA-AT", [(0.6, 0.5), (0.5, 0.6)]) + front("vanilla", [(0.55, 0.5), (0.5, 0.55)])
    records = written(tmp_path, made + front("best", [(0.9, 0.8), (0.4, 0.4)]))
    areas = dict(zip(*(front_table(records).frame[key] for key in ("sweep", "area")), strict=True))
    _, sentence = judged(records, MORE | {"front": FRONT})
    assert (
        f"the area is {areas['CA-AT over ε']} for CA-AT over ε and {areas['vanilla over ε']} for vanilla" in sentence
    )
    assert areas["CA-AT over ε"] == "0.357"  # .4 · .3 + .3 · .1 of .7 · .6
    _, stated = judged(records, MORE | {"front": FRONT | {"reference": [0, 0]}})
    assert f"{areas['CA-AT over ε']} for CA-AT" not in stated


def test_fronts_of_models_at_chance_are_not_compared(tmp_path: Path) -> None:
    made = front("CA-AT", [(0.1, 0.0), (0.11, 0.01)]) + front("vanilla", [(0.6, 0.5), (0.5, 0.6)])
    made = [replace(r, details={"classes": 10}) for r in made]
    _, sentence = judged(written(tmp_path, made), MORE | {"front": FRONT})
    assert sentence == "d: CA-AT is near chance at every setting, so that fronts are not compared."


def test_a_number_without_interval_has_no_brackets(tmp_path: Path) -> None:
    norm = Quantity("residual_norm")
    made = [record(norm, value, Model("d", name)) for name, value in (("direct, paper", 8.04), ("B", 6.14))]
    claim = MORE | {"more": {"measurement": "residual_norm", "of": "direct, paper", "than": "B"}}
    verdict, sentence = judged(written(tmp_path, made), claim)
    assert verdict == UNDECIDED
    assert sentence == (
        "d: median ‖Δ̂x‖₂ is 8.04 for “direct, paper” and 6.14 for B: +1.90, one training each, and nothing recorded "
        "sample by sample; without an interval, nothing is decided."
    )


def test_norms_and_target_classes_are_compared_sample_by_sample(tmp_path: Path) -> None:
    """The median is torch's, the lower of two."""
    norm, share = Quantity("residual_norm"), Quantity("residual_target_share")
    frames = {
        name: pd.DataFrame({"index": range(40), "label": 0, "norm": np.arange(40) + off})
        for name, off in (("P", 5.0), ("B", 0.0))
    }
    more = MORE | {"more": {"measurement": "residual_norm", "of": "P", "than": "B"}}
    verdict, sentence = judged(samples_of(tmp_path / "a", norm, frames, {"P": 24.0, "B": 19.0}), more)
    assert verdict == CONFIRMED
    assert "+5.0 [+5.0, +5.0], one training each, so over 40 samples alone" in sentence
    frames = {
        name: pd.DataFrame({"index": range(40), "label": 0, "target": 1, "judged": [1] * hits + [0] * (40 - hits)})
        for name, hits in (("P", 30), ("B", 10))
    }
    more = MORE | {"more": {"measurement": "residual_target_share", "of": "P", "than": "B"}}
    assert judged(samples_of(tmp_path / "b", share, frames, {"P": 0.75, "B": 0.25}), more)[0] == CONFIRMED


def test_the_bound_of_sameness_is_said(tmp_path: Path) -> None:
    same = MORE | {"same": {"measurement": "accuracy", "of": "P", "than": "B", "within": 0.01}}
    frames = {"P": correct(300, 500), "B": correct(300, 500)}
    verdict, sentence = judged(samples_of(tmp_path, ACCURACY, frames, {"P": 0.6, "B": 0.6}), same)
    assert verdict == CONFIRMED
    assert sentence == (
        "d: accuracy is 60.0 % for P and 60.0 % for B: 0.0 points [−0.4, +0.4], one training each, so over 500 "
        "samples alone, where up to ±1.0 points is the same."
    )
