"""What a sweep measures stands in a table and in pictures, whatever the attack and the norm."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from eval.records import Model, Quantity, Record
from eval.report import correlation_table, sweep_table, write_report
from eval.report.plots import all_figures
from eval.report.sweeps import pooled, sweeps
from tests.eval.made import ACCURACY, ALPHA, PGD, PGD_L2, model, record, written

SQUARE = Quantity("epsilon50", "square", "L2")
TAU = Quantity("tau50", "sta")
AT_8 = Quantity("robust_accuracy", "autoattack", "Linf", epsilon="8/255")


def of(setting: dict[str, str], recipe: str = "C", seed: int = 0, **rest: object) -> Model:
    """A model of a sweep over these settings."""
    beside = {name: value for name, value in setting.items() if name != "epsilon"}
    return Model(
        "d", recipe, setting.get("epsilon", "0.1"), seed, ("sweep",), setting=beside, sweeps=(tuple(setting),), **rest
    )


def trained(quantity: Quantity, value: float, of: Model, **rest: object) -> Record:
    """Its training says the setting too, as that of a study does."""
    return record(
        quantity, value, of, training={"a": {**of.setting, "e": of.epsilon, "r": of.recipe}}, weights=repr(of), **rest
    )


def over_gamma(quantity: Quantity = ACCURACY, recipe: str = "C", slope: float = 1.0) -> list[Record]:
    return [
        trained(quantity, slope * gamma + seed / 100, of({"gamma": str(gamma)}, recipe, seed))
        for gamma in (0.9, 0.7)
        for seed in (0, 1)
    ]


def test_each_setting_is_a_row_with_all_that_was_measured(tmp_path: Path) -> None:
    accuracies = {"accuracy_at": {"0.1": 0.5, "8/255": 0.75}, "epsilon_max": 2.0}
    made = [replace(one, details=accuracies) for one in over_gamma(PGD_L2)]
    made += over_gamma() + over_gamma(TAU, slope=10) + over_gamma(AT_8)
    frame = sweep_table(written(tmp_path, made)).frame
    assert list(frame.columns) == [
        "data", "recipe", "setting", "models", "accuracy %", "ε50% PGD L2", "τ50% STA", "PGD L2 0.1 %",
        "PGD L2 8/255 %", "accuracy under AutoAttack L∞ 8/255 %",
    ]  # fmt: skip
    assert list(frame.setting) == ["γ = 0.7", "γ = 0.9"]
    assert list(frame.models) == ["2", "2"]
    assert list(frame["accuracy %"]) == ["70.5 ± 0.7", "90.5 ± 0.7"]
    assert list(frame["τ50% STA"]) == ["7.00 ± 0.01", "9.00 ± 0.01"]
    assert list(frame["PGD L2 8/255 %"]) == ["75.0 ± 0.0"] * 2


MORE = [(TAU,), (AT_8, ACCURACY), (SQUARE, ALPHA), (ALPHA,)]


@pytest.mark.parametrize("kinds", [(TAU, ALPHA), *(pytest.param(kinds, marks=pytest.mark.slow) for kinds in MORE)])
def test_a_report_needs_no_pgd(tmp_path: Path, kinds: tuple[Quantity, ...]) -> None:
    written(tmp_path, [one for quantity in kinds for one in over_gamma(quantity)])
    tables = write_report(tmp_path)
    assert set(tables["Sweeps"].frame.columns[4:]) == {quantity.title for quantity in kinds}
    assert (tmp_path / "plots/sweep-d-gamma.pdf").is_file()
    assert (tmp_path / "sweeps.csv").is_file()


def test_correlations_are_of_each_sweep_and_of_every_measure_of_robustness(tmp_path: Path) -> None:
    """α and τ fall together for C, against each other for D; the two are not pooled."""
    made = [
        trained(quantity, sign * value, of({"gamma": str(value)}, recipe))
        for recipe, signs in (("C", (1, 1)), ("D", (1, -1)))
        for quantity, sign in zip((ALPHA, TAU), signs, strict=True)
        for value in (1.0, 2.0, 3.0)
    ]
    table = correlation_table(written(tmp_path, made))
    assert dict(zip(table.frame.of, table.frame.Pearson.str[:6], strict=True)) == {
        "C over γ": "1.000", "D over γ": "-1.000",
    }  # fmt: skip
    assert {*table.frame.robustness} == {"τ50% STA"}
    assert any("lower τ50% is more robust" in note for note in table.notes)


def bars(axis: Axes) -> dict[str, ErrorbarContainer]:
    return {bar.get_label(): bar for bar in axis.containers if isinstance(bar, ErrorbarContainer)}


def test_a_panel_per_measurement_has_a_line_per_recipe_over_the_setting(tmp_path: Path) -> None:
    made = [*over_gamma(), *over_gamma(TAU, slope=10), *over_gamma(recipe="D", slope=0.5)]
    figure = all_figures(written(tmp_path, made))["sweep-d-gamma"]
    assert [axis.get_ylabel() for axis in figure.axes] == ["accuracy %", "τ50% STA"]
    assert {axis.get_xlabel() for axis in figure.axes} == {"γ"}
    accuracy, tau = figure.axes
    assert bars(accuracy).keys() == {"C", "D"}
    assert bars(tau).keys() == {"C"}
    np.testing.assert_allclose(bars(accuracy)["C"].lines[0].get_xydata(), [(0.7, 70.5), (0.9, 90.5)])
    np.testing.assert_allclose(bars(accuracy)["D"].lines[0].get_xydata(), [(0.7, 35.5), (0.9, 45.5)])
    (bar, _) = bars(accuracy)["C"].lines[2][0].get_segments()
    np.testing.assert_allclose(bar, [(0.7, 70.5 - 0.5**0.5), (0.7, 70.5 + 0.5**0.5)])


def test_a_setting_with_a_radius_above_everything_tried_has_points_and_no_mean(tmp_path: Path) -> None:
    made = [*over_gamma(PGD), trained(PGD, math.inf, of({"gamma": "0.9"}, seed=2))]
    (axis,) = all_figures(written(tmp_path, made))["sweep-d-gamma"].axes
    np.testing.assert_allclose(bars(axis)["C"].lines[0].get_xydata(), [(0.7, 0.705)])
    (points, *_) = axis.collections
    np.testing.assert_allclose(np.sort(points.get_offsets()[:, 1]), [0.7, 0.71, 0.9, 0.91])


def test_a_recipe_without_any_mean_keeps_its_points_and_its_name(tmp_path: Path) -> None:
    infinite = [trained(PGD, math.inf, of({"gamma": gamma}, seed=2)) for gamma in ("0.7", "0.9")]
    (axis,) = all_figures(written(tmp_path, [*over_gamma(PGD), *infinite]))["sweep-d-gamma"].axes
    assert not len(bars(axis)["C"].lines[0].get_xydata())
    assert len(axis.collections[0].get_offsets()) == 4


def test_a_second_setting_has_a_line_for_each_of_its_values(tmp_path: Path) -> None:
    made = [
        trained(ACCURACY, int(start) / 10 + 0.01 * float(clip), of({"clip_norm": clip, "combiner_start": start}))
        for clip in ("0.1", "10")
        for start in ("1", "2", "4")
    ]
    figure = all_figures(written(tmp_path, made))["sweep-d-clip_norm-combiner_start"]
    (axis,) = figure.axes
    assert axis.get_xlabel() == "first epoch of combining"
    assert bars(axis).keys() == {"C, C = 0.1", "C, C = 10"}
    np.testing.assert_allclose(bars(axis)["C, C = 10"].lines[0].get_xydata(), [(1, 20), (2, 30), (4, 50)])


@pytest.mark.parametrize(
    ("values", "scale"),
    [(("1e-4", "1e-2", "1"), "log"), (("0", "0.01", "1"), "symlog"), (("1", "2", "3"), "linear")],
)
def test_an_axis_is_logarithmic_where_values_reach_far(tmp_path: Path, values: tuple[str, ...], scale: str) -> None:
    made = [trained(ACCURACY, 0.5, of({"model.optimizer.init_args.lr": value})) for value in values]
    (axis,) = all_figures(written(tmp_path, made))["sweep-d-model.optimizer.init_args.lr"].axes
    assert axis.get_xscale() == scale
    assert [text.get_text() for text in axis.get_xticklabels()] == [*values]


def test_values_that_are_no_numbers_stand_one_after_the_other(tmp_path: Path) -> None:
    made = [trained(ACCURACY, 0.5, of({"clip_norm": value})) for value in ("none", "0.1")]
    (axis,) = all_figures(written(tmp_path, made))["sweep-d-clip_norm"].axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["0.1", "none"]
    assert list(axis.get_xticks()) == [0, 1]


def test_a_correlation_is_drawn_with_its_line_and_told(tmp_path: Path) -> None:
    made = [
        trained(quantity, (index + seed / 10) * factor, of({"epsilon": epsilon}, "P", seed), interval=(0.5, 8.0))
        for index, epsilon in ((3, "0.3"), (1, "1/10"), (2, "0.2"))
        for seed in (0, 1)
        for quantity, factor in ((ALPHA, 1.0), (PGD, 2.0))
    ]
    (axis,) = all_figures(written(tmp_path, made))["correlation-d"].axes
    (line,) = [line for line in axis.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(line.get_xydata(), [(1.0, 2.0), (3.1, 6.2)])
    assert axis.get_title("left") == "r = 1.000, n = 6"
    across, upwards = bars(axis)["0.2"].lines[2]
    np.testing.assert_allclose(across.get_segments()[0], [(0.5, 4.0), (8.0, 4.0)])
    np.testing.assert_allclose(upwards.get_segments()[1], [(2.1, 0.5), (2.1, 8.0)])


def test_curves_of_a_sweep_are_named_by_its_setting(tmp_path: Path) -> None:
    figures = all_figures(written(tmp_path, over_gamma(PGD) + over_gamma(ACCURACY)))
    (axis,) = figures["sweep-curves-d-C-gamma"].axes
    assert axis.get_xlabel() == "ε, PGD L∞"
    assert [text.get_text() for text in axis.figure.legends[0].get_texts()] == ["γ = 0.7", "γ = 0.9"]
    assert "curves-d" not in figures


def test_a_model_of_two_sweeps_stands_in_both_and_is_one_row_beside_others(tmp_path: Path) -> None:
    both = replace(of({"gamma": "0.7"}), groups=("side by side", "sweep"), sweeps=(("gamma",), ("epsilon",)))
    alone = replace(of({}, seed=1), groups=("side by side",), sweeps=())
    training = {"training": {"gamma": 0.7}}
    records = written(tmp_path, [record(ACCURACY, 0.5, one, **training) for one in (both, alone)])
    assert [group.title for group in sweeps(records)] == ["C over γ", "C over ε"]
    assert [row.models for group in sweeps(records) for row in group.rows] == [1, 1]
    assert list(write_report(tmp_path)["Side by side"].frame.models) == ["2"]


def measured(name: str, alpha: float, weights: str, **rest: object) -> list[Record]:
    named = model(recipe=name, checkpoint=f"{name}.pt", named=False, **rest)
    return [record(q, value, named, weights=weights) for q, value in ((ALPHA, float(alpha)), (PGD, alpha / 2))]


def test_models_that_were_only_measured_are_correlated_however_many_calls_it_took(tmp_path: Path) -> None:
    """Each says seed 0, as calls of one checkpoint do; a copy of a model counts once."""
    made = [one for i, name in enumerate("abcd") for one in measured(name, i**2, name)]
    records = written(tmp_path, [*made, *measured("copy", 9.0, "d")])
    (line,) = correlation_table(records).frame.to_dict("records")
    assert (line["of"], line["models"], line["settings"]) == ("all models measured", 4, 4)
    assert line["Pearson"].startswith("1.000")
    assert "correlation-d" in all_figures(records)


def test_two_models_alone_are_not_correlated(tmp_path: Path) -> None:
    records = written(tmp_path, [one for i, name in enumerate("ab") for one in measured(name, i, name)])
    assert pooled(records) == []
    assert correlation_table(records).frame.empty


def test_a_setting_that_is_never_reached_is_left_out_of_the_picture(tmp_path: Path) -> None:
    made = [trained(PGD, value, of({"gamma": gamma})) for gamma, value in (("0.1", 0.2), ("0.2", math.inf))]
    (axis,) = all_figures(written(tmp_path, made))["sweep-d-gamma"].axes
    np.testing.assert_allclose(bars(axis)["C"].lines[0].get_xydata(), [(0.1, 0.2)])


def test_settings_that_change_nothing_are_said(tmp_path: Path) -> None:
    """CA-AT keeps the clean gradient for every γ below the cosine, and for γ = 1."""
    made = [trained(ACCURACY, 0.5, of({"gamma": gamma})) for gamma in ("0.5", "0.8", "1")]
    first, _, last = [replace(r, subject=replace(r.subject, weights="w")) for r in made]
    same = [first, made[1], last]
    notes = sweep_table(written(tmp_path, same)).notes
    assert [note for note in notes if "same weights" in note] == [
        "d, C: γ = 0.5 and γ = 1 trained the very same weights."
    ]
