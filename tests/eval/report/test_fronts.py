"""Fronts and choices are drawn from records, and from what the study's YAML asks for."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.records import Model, Quantity, Record, Records
from eval.records.store import write_json
from eval.report import write_report
from eval.report.choice import choice_table
from eval.report.front_table import front_table
from eval.report.fronts import all_fronts
from eval.report.plots import all_figures
from tests.eval.made import ACCURACY, PGD, record, written

ROBUST = Quantity("robust_accuracy", "pgd", "Linf", epsilon="8/255")
FRONT = {"x": "accuracy", "y": "accuracy_pgd_linf_8/255"}


def asking(folder: Path, made: list[Record], **asked: Any) -> Records:
    """Records in the folder of a study whose experiment asks for something."""
    source = {"title": "s", "experiments": {"d": asked}}
    write_json(folder / "study.json", {"name": "s", "title": "s", "models": 1, "source": source})
    return written(folder, made)


def one(recipe: str, value: str, seed: int, numbers: Mapping[Quantity, float], **model: Any) -> list[Record]:
    named = Model("d", recipe, "0.1", seed, **({"groups": ("sweep",), "setting": {"gamma": value}} | model))
    training = {"recipe": recipe, "gamma": value}
    return [
        record(q, number, named, training=training, weights=repr((recipe, value, seed)))
        for q, number in numbers.items()
    ]


def both(shift: float = 0.0, seeds: tuple[int, ...] = (0,)) -> list[Record]:
    """Two recipes with fronts (.5, .8), (.7, .6) and, shifted, (.4, .8), (.7, .5); clean accuracy first."""
    points = {"C": [(0.5, 0.8), (0.7, 0.6)], "V": [(0.4, 0.8), (0.7, 0.5)]}
    return [
        r
        for recipe, front in points.items()
        for place, (x, y) in enumerate(front)
        for seed in seeds
        for r in one(recipe, str(place), seed, {ACCURACY: x + shift * seed, ROBUST: y}, sweeps=(("gamma",),))
    ]


def test_the_area_is_that_of_the_rectangle_from_the_worst_to_the_best(tmp_path: Path) -> None:
    """From (.4, .5) to (.7, .8): C covers 1/3 · 1 + 2/3 · 1/3 = 5/9, V, in both corners, nothing."""
    records = asking(tmp_path, both(), fronts=[FRONT])
    (found,) = all_fronts(records)
    assert (found.reference, found.best) == ((0.4, 0.5), (0.7, 0.8))
    assert [found.areas(front) for front in found.fronts] == [[pytest.approx(5 / 9)], [pytest.approx(0)]]
    table = front_table(records)
    assert list(table.frame["sweep"]) == ["C over γ", "V over γ"]
    assert list(table.frame["area"]) == ["0.556", "0.000"]
    assert "C over γ is ahead with an area of 0.556 against 0.000 of V over γ; there is too little" in table.notes[1]
    assert "from the worst of any model (accuracy % 40.0, accuracy under PGD L∞ 8/255 % 50.0)" in table.notes[0]


def test_a_stated_reference_holds(tmp_path: Path) -> None:
    """From (0, 0) to (.7, .8): C covers (.5 · .8 + .2 · .6) / .56, V (.4 · .8 + .3 · .5) / .56."""
    (found,) = all_fronts(asking(tmp_path, both(), fronts=FRONT | {"reference": [0, 0]}))
    assert [found.areas(front)[0] for front in found.fronts] == pytest.approx([0.52 / 0.56, 0.47 / 0.56])


def test_seeds_have_an_area_each(tmp_path: Path) -> None:
    records = asking(tmp_path, both(0.01, (0, 1)), fronts=[FRONT | {"reference": [0, 0]}])
    (found,) = all_fronts(records)
    assert {len(found.areas(front)) for front in found.fronts} == {2}
    assert "± " in front_table(records).frame["area"][0]
    assert "paired over 2 seeds" in front_table(records).notes[1]


def test_a_seed_that_lacks_a_setting_has_no_area(tmp_path: Path) -> None:
    made = [
        r for r in both(seeds=(0, 1)) if (r.model.recipe, r.model.seed, r.model.setting["gamma"]) != ("C", 1, "0")
    ]
    (found,) = all_fronts(asking(tmp_path, made, fronts=[FRONT]))
    assert [len(found.areas(front)) for front in found.fronts] == [1, 2]


def test_where_less_is_better_the_front_lies_on_the_other_side(tmp_path: Path) -> None:
    """τ of 1 at .7 beats 2 at .6: one point covers the whole rectangle, the other nothing of it."""
    tau = Quantity("tau50", "sta")
    made = [
        r for recipe, x, y in (("C", 0.7, 1.0), ("V", 0.6, 2.0))
        for r in one(recipe, "0", 0, {ACCURACY: x, tau: y}, sweeps=(("gamma",),))
    ]  # fmt: skip
    (found,) = all_fronts(asking(tmp_path, made, fronts=[{"x": "accuracy", "y": "tau50_sta"}]))
    assert (found.reference, found.best) == ((0.6, 2.0), (0.7, 1.0))
    assert [found.areas(front) for front in found.fronts] == [[1.0], [0.0]]


@pytest.mark.slow
def test_the_picture_shows_models_settings_and_stairs(tmp_path: Path) -> None:
    records = asking(tmp_path, both(), fronts=[FRONT])
    (axis,) = all_figures(records)["front-d-accuracy-robust_accuracy_pgd_linf_8255"].axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("accuracy %", "accuracy under PGD L∞ 8/255 %")
    lines = {line.get_label(): line.get_xydata() for line in axis.lines}
    np.testing.assert_allclose(lines["C over γ"], [(40, 80), (50, 80), (50, 60), (70, 60), (70, 50)])
    np.testing.assert_allclose(lines["reference of the area"], [(40, 50)])
    assert [text.get_text() for text in axis.texts] == ["0", "1", "0", "1"]
    write_report(tmp_path)
    assert "Fronts" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_front_of_what_was_not_measured_is_said(tmp_path: Path) -> None:
    table = front_table(asking(tmp_path, both(), fronts=[FRONT, {"x": "accuracy", "y": "epsilon50_cw_l2"}]))
    assert "d: a front is asked for of epsilon50_cw_l2 against accuracy, and epsilon50_cw_l2 was not measured." in (
        table.notes
    )


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (0.0, "C over γ has an area of 0.330 against 0.330 of V over γ: 0.000 [−0.254, +0.254], paired over 2 seeds"),
        (0.3, "C over γ is better, with an area of 0.630 against 0.330 of V over γ: +0.300 [+0.046, +0.554], paired"),
    ],
)
def test_seeds_decide_which_is_better(tmp_path: Path, ahead: float, said: str) -> None:
    """Above (0, 0), to (1, 1), the area is y at x = 1: differences of ahead ± .02, and t(.975, 1) = 12.706."""
    made = []
    for recipe, more in (("C", (ahead + 0.02, ahead - 0.02)), ("V", (0.0, 0.0))):
        for seed, off in enumerate(more):
            area = 0.33 + off
            for value, x, y in (("0", area, 1.0), ("1", 1.0, 0.0)):
                made += one(recipe, value, seed, {ACCURACY: x, ROBUST: y}, sweeps=(("gamma",),))
    table = front_table(asking(tmp_path, made, fronts=[FRONT | {"reference": [0, 0]}]))
    assert said in table.notes[1]
    assert ("the interval holds 0" in table.notes[1]) == (not ahead)


@pytest.mark.parametrize("lonely", [0.5, -0.3])
def test_only_seeds_that_both_have_are_compared(tmp_path: Path, lonely: float) -> None:
    """Seed 2 of C alone, however large its area: the others differ by 0.02 ± 0.01, and t(.975, 1) = 12.706."""
    made = []
    for recipe, seeds in (("C", (0.03, 0.01, lonely)), ("V", (0.0, 0.0))):
        for seed, off in enumerate(seeds):
            for value, x, y in (("0", 0.33 + off, 1.0), ("1", 1.0, 0.0)):
                made += one(recipe, value, seed, {ACCURACY: x, ROBUST: y}, sweeps=(("gamma",),))
    table = front_table(asking(tmp_path, made, fronts=[FRONT | {"reference": [0, 0]}]))
    told = "C over γ has an area of 0.350 against 0.330 of V over γ: +0.020 [−0.107, +0.147], paired over 2 seeds"
    assert told in table.notes[1]


def test_models_near_chance_are_left_out_of_a_front_and_said(tmp_path: Path) -> None:
    """The worst corner is that of the others."""
    made = [
        replace(r, details={"classes": 10})
        for r in [*both(), *one("C", "2", 0, {ACCURACY: 0.1, ROBUST: 0.0}, sweeps=(("gamma",),))]
    ]
    records = asking(tmp_path, made, fronts=[FRONT])
    (found,) = all_fronts(records)
    assert found.reference == (0.4, 0.5)
    assert found.lost == {"C over γ": (1, 3), "V over γ": (0, 2)}
    assert "d, C over γ: 1 of 3 models are near chance and left out." in front_table(records).notes


def test_a_model_beyond_everything_tried_is_said_and_decides_nothing(tmp_path: Path) -> None:
    """Its area is larger than can be known, and the front without it would be behind."""
    made = []
    for recipe, radii in (("C", (0.3, math.inf)), ("V", (0.4, 0.5))):
        for seed in (0, 1):
            for value, (x, y) in enumerate(zip((0.7, 0.5, 0.6), (0.1, *radii), strict=True)):
                made += one(recipe, str(value), seed, {ACCURACY: x, PGD: y}, sweeps=(("gamma",),))
    records = asking(tmp_path, made, fronts=[{"x": "accuracy", "y": "epsilon50_pgd_linf", "reference": [0, 0]}])
    table = front_table(records)
    assert any("ahead" in note and "models are left out, so that nothing is decided" in note for note in table.notes)
    assert any(note.startswith("d, C over γ: 2 of 6 models are left out: a number") for note in table.notes)
    (found,) = all_fronts(records)
    assert (found.best, [front.beyond for front in found.fronts]) == ((0.7, 0.5), [2, 0])


RULE = {"most": "epsilon50_pgd_linf", "within": 0.04, "of": "accuracy", "against": "B"}


def judged(values: dict[str, tuple[float, float]], baseline: float = 0.9) -> list[Record]:
    chosen = {"groups": ("choice",)}
    made = one("B", "", 0, {ACCURACY: baseline, PGD: 0.1}, setting={}, **chosen)
    for value, (accuracy, radius) in values.items():
        made += one("L", value, 0, {ACCURACY: accuracy, PGD: radius}, sweeps=(("gamma",),), **chosen)
    return made


def test_the_rule_chooses_the_most_robust_of_those_that_lose_little(tmp_path: Path) -> None:
    """.86 of .9 is allowed; the most robust of all loses too much."""
    values = {"1": (0.9, 0.2), "2": (0.86, 0.4), "3": (0.85, 0.9), "4": (0.89, 0.3)}
    table = choice_table(asking(tmp_path, judged(values), choose=RULE))
    assert dict(zip(table.frame.setting, table.frame.chosen, strict=True)) == {
        "γ = 1": "", "γ = 2": "✓", "γ = 3": "", "γ = 4": "",
    }  # fmt: skip
    assert list(table.frame.allowed) == ["yes", "yes", "no", "yes"]
    assert list(table.frame["loss against B"]) == ["0.0", "4.0", "5.0", "1.0"]
    assert "γ = 2 is chosen, with ε50% PGD L∞ 0.400; next is γ = 4 with ε50% PGD L∞ 0.300." in table.notes[1]


@pytest.mark.parametrize(("second", "close"), [(0.39, True), (0.3, False)])
def test_a_choice_between_settings_that_are_alike_says_so(tmp_path: Path, second: float, close: bool) -> None:
    made = judged({"1": (0.9, 0.4), "2": (0.9, second)})
    made = [replace(r, interval=(0.35, 0.45)) if r.quantity.kind == "epsilon50" else r for r in made]
    told = choice_table(asking(tmp_path, made, choose=RULE)).notes[1]
    assert ("which is within the first one's interval" in told) == close


def test_none_is_chosen_where_all_lose_too_much(tmp_path: Path) -> None:
    table = choice_table(asking(tmp_path, judged({"1": (0.5, 0.9)}), choose=RULE))
    assert list(table.frame.chosen) == [""]
    assert "none is chosen" in table.notes[1]


def test_what_a_setting_is_chosen_by_stands_in_no_other_table(tmp_path: Path) -> None:
    asking(tmp_path, judged({"1": (0.9, 0.2)}), choose=RULE)
    assert [*write_report(tmp_path)] == ["Choice of a setting", "Cost of the measurements"]
