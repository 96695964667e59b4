"""A sweep over two settings is a grid of numbers, tested by what is drawn."""

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from eval.records import Model, Quantity, Record
from eval.report.plots import all_figures
from tests.eval.made import ACCURACY, record, written

MU = Quantity("mu")
NAMES = ("epsilon", "steps")


def trained(
    epsilon: str, steps: str, value: float, of: Quantity = ACCURACY, recipe: str = "C", seed: int = 0
) -> Record:
    named = Model("d", recipe, epsilon, seed, ("sweep",), setting={"steps": steps}, sweeps=(NAMES,))
    return record(of, value, named, training={"a": [epsilon, steps, recipe]}, weights=repr((named, epsilon, steps)))


def grid(**more: object) -> list[Record]:
    """Accuracies of 20 to 80 %, over ε of 8/255 and 16/255 and κ of 5 and 10; two seeds."""
    return [
        trained(e, k, base + seed / 50, seed=seed, **more)
        for (e, k), base in {
            ("16/255", "10"): 0.79,
            ("8/255", "5"): 0.19,
            ("8/255", "10"): 0.39,
            ("16/255", "5"): 0.59,
        }.items()
        for seed in (0, 1)
    ]


def cells(axis: Axes) -> dict[tuple[float, float], str]:
    return {(float(text.get_position()[0]), float(text.get_position()[1])): text.get_text() for text in axis.texts}


def test_means_over_seeds_stand_in_the_cells_of_their_settings(tmp_path: Path) -> None:
    figures = all_figures(written(tmp_path, grid()))
    axis, bar = figures["sweep-grid-d-epsilon-steps-accuracy"].axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["8/255", "16/255"]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["5", "10"]
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_title()) == ("training ε", "κ", "C")
    assert cells(axis) == {(0, 0): "20.0", (1, 0): "60.0", (0, 1): "40.0", (1, 1): "80.0"}
    (image,) = axis.images
    np.testing.assert_allclose(image.get_array(), [[20, 60], [40, 80]])
    assert image.get_clim() == pytest.approx((20, 80))
    assert axis.get_ylim()[0] < axis.get_ylim()[1]  # the second setting grows upwards
    assert bar.get_ylabel() == "accuracy %"


def test_there_is_a_picture_per_measurement_and_a_panel_per_recipe_of_one_scale(tmp_path: Path) -> None:
    made = [*grid(), *(trained("8/255", "5", 0.9, recipe="D"), trained("16/255", "10", 0.1, recipe="D"))]
    figures = all_figures(written(tmp_path, [*made, *(trained("8/255", "5", 0.0123, MU) for _ in "a")]))
    assert {name for name in figures if "grid" in name} == {
        f"sweep-grid-d-epsilon-steps-{name}" for name in ("accuracy", "mu")
    }
    first, second, _ = figures["sweep-grid-d-epsilon-steps-accuracy"].axes
    assert [axis.get_title() for axis in (first, second)] == ["C", "D"]
    assert cells(second) == {(0, 0): "90.0", (1, 0): "–", (0, 1): "–", (1, 1): "10.0"}
    assert first.images[0].get_clim() == second.images[0].get_clim() == pytest.approx((10, 90))
    colours = {text.get_text(): text.get_color() for text in second.texts}
    assert colours == {"90.0": "black", "10.0": "white", "–": "black"}
    (told, *_) = figures["sweep-grid-d-epsilon-steps-mu"].axes[0].texts
    assert told.get_text() == "0.0123"


def test_a_radius_above_everything_tried_is_said_and_has_no_colour(tmp_path: Path) -> None:
    radius = Quantity("epsilon50", "fmn", "L2")
    values = {("0.1", "5"): 0.2, ("0.1", "10"): 0.4, ("0.2", "5"): math.inf, ("0.2", "10"): 0.3}
    made = [trained(e, k, value, radius) for (e, k), value in values.items()]
    axis, _ = all_figures(written(tmp_path, made))["sweep-grid-d-epsilon-steps-epsilon50_fmn_l2"].axes
    assert cells(axis)[1, 0] == "∞"
    assert axis.images[0].get_clim() == pytest.approx((0.2, 0.4))


def test_one_value_of_a_setting_makes_no_grid(tmp_path: Path) -> None:
    made = [trained(epsilon, "5", 0.5) for epsilon in ("0.1", "0.2")]
    assert not [name for name in all_figures(written(tmp_path, made)) if "grid" in name]


def test_one_attack_with_two_settings_has_two_pictures(tmp_path: Path) -> None:
    attacks = [Quantity("epsilon50", "pgd", "L2", {"steps": steps}) for steps in (10, 40)]
    figures = all_figures(written(tmp_path, [one for of in attacks for one in grid(of=of)]))
    labels = {figure.axes[-1].get_ylabel() for name, figure in figures.items() if "grid" in name}
    assert labels == {"ε50% PGD L2 (steps 10)", "ε50% PGD L2 (steps 40)", "ε50% worst of all L2"}
