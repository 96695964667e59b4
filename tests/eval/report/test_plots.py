"""A picture is tested by what it draws."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from eval.figures.style import COLOURS
from eval.records import Model, Quantity, Records, Results
from eval.report.plots import all_figures, residuals
from tests.eval.made import ALPHA, PGD, PGD_L2, model, record, written

SQUARE = Quantity("epsilon50", "square", "Linf")


def radii(folder: Path, found: dict[str, list[float]]) -> Records:
    results = Results(folder)
    for recipe, values in found.items():
        frame = pd.DataFrame({"index": range(len(values)), "label": 0, "radius": values, "failed_at": values})
        made = record(PGD, float(frame.radius.median()), model(recipe=recipe))
        results.home(made.model, made.subject.model_key).write(made, frame)
    return results.load()


def height(axis: Axes, label: str, at: float) -> float:
    (line,) = [line for line in axis.lines if line.get_label() == label]
    return float(np.interp(at, line.get_xdata(), line.get_ydata()))


def test_a_curve_falls_from_the_clean_accuracy_through_the_share_of_radii_above(tmp_path: Path) -> None:
    figure = all_figures(radii(tmp_path, {"B": [0, 0.1, 0.2, 0.3, 0.4], "P": [0.35, 0.4, 0.4, 0.4, 0.4]}))["curves-d"]
    (axis,) = figure.axes
    assert height(axis, "B", 0.0) == pytest.approx(80)  # one of five is wrong without attack
    assert height(axis, "B", 0.15) == pytest.approx(60)
    assert height(axis, "B", 0.25) == pytest.approx(40)
    assert height(axis, "P", 0.25) == pytest.approx(100)
    half = [line for line in axis.lines if list(line.get_ydata()) == [50, 50]][-1]
    assert half.get_linestyle() == ":"
    assert axis.get_xlabel() == "ε, PGD L∞"


def test_recipes_have_their_colours_and_every_seed_a_line(tmp_path: Path) -> None:
    made = [record(PGD, 0.2, model(recipe=recipe, seed=seed)) for recipe in ("B", "P") for seed in (0, 1)]
    (axis,) = all_figures(written(tmp_path, made))["curves-d"].axes
    drawn = [line for line in axis.lines if len(line.get_xdata()) > 2]
    assert sorted(line.get_color() for line in drawn) == sorted([COLOURS["B"], COLOURS["P"]] * 2)
    assert [text.get_text() for text in axis.figure.legends[0].get_texts()] == ["B", "P"]


def test_a_band_reaches_from_failure_to_success(tmp_path: Path) -> None:
    frame = pd.DataFrame({"index": [0, 1], "label": 0, "radius": [0.2, 0.4], "failed_at": [0.1, 0.3]})
    made = record(PGD, 0.3)
    results = Results(tmp_path)
    results.home(made.model, "12345678").write(made, frame)
    (axis,) = all_figures(results.load())["curves-d"].axes
    band = axis.collections[0]
    vertices = band.get_paths()[0].vertices
    inside = vertices[np.abs(vertices[:, 0] - 0.15) < 2e-3, 1]
    assert inside.min() == pytest.approx(50)
    assert inside.max() == pytest.approx(100)


def test_many_attacks_on_one_model_share_a_plot_with_a_panel_per_norm(tmp_path: Path) -> None:
    made = [record(q, 0.2) for q in (PGD, SQUARE, Quantity("epsilon50", "cw", "L2"), Quantity("tau50", "sta"))]
    figures = all_figures(written(tmp_path, made))
    (name,) = [name for name in figures if name.startswith("attacks-d-B")]
    axes = figures[name].axes
    assert [axis.get_xlabel() for axis in axes] == ["ε, L∞", "ε, L2", "1/τ"]
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["PGD L∞", "Square L∞"]


def swept(quantities: tuple[Quantity, ...]) -> list:
    made = []
    for i, epsilon in enumerate(("1/20", "0.1", "0.2")):
        for seed in (0, 1):
            named = Model("digits", "P", epsilon, seed, ("sweep",))
            made += [record(q, (i + 1) * (k + 1) + seed / 9, named) for k, q in enumerate(quantities)]
    return made


@pytest.mark.parametrize("radius", [PGD, PGD_L2, SQUARE])
def test_every_metric_has_a_panel_with_a_point_per_model(tmp_path: Path, radius: Quantity) -> None:
    image = Quantity("alpha_x")
    figure = all_figures(written(tmp_path, swept((ALPHA, image, radius))))["correlation-digits"]
    assert [axis.get_xlabel() for axis in figure.axes] == ["α_Δx", "α_x"]
    assert [axis.get_ylabel() for axis in figure.axes] == [radius.title] * 2
    for factor, axis in zip((1, 2), figure.axes, strict=True):
        points = np.concatenate([bar.lines[0].get_xydata() for bar in axis.containers])
        known = [(factor * i + seed / 9, 3 * i + seed / 9) for i in (1, 2, 3) for seed in (0, 1)]
        np.testing.assert_allclose(sorted(map(tuple, points)), sorted(known))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["1/20", "0.1", "0.2"]


def test_a_sweep_without_radii_has_nothing_to_correlate(tmp_path: Path) -> None:
    assert [*all_figures(written(tmp_path, swept((ALPHA,))))] == ["sweep-digits-epsilon"]


def test_a_picture_of_residuals_shows_image_residual_and_their_sum() -> None:
    """x is half grey; Δ̂x is brighter on the left and darker on the right; x̂' is x + Δ̂x."""
    x, residual = np.full((1, 1, 2, 2), 0.0), np.array([[[[0.5, -0.5], [0.5, -0.5]]]])
    arrays = {
        "x": x, "residual": residual, "exact": 2 * residual, "y": np.array([0]), "target": np.array([1]),
        "bounds": np.array([-1.0, 1.0]), "classes": np.array(["a", "b"]),
    }  # fmt: skip
    figure = residuals("d", {"mine": arrays})
    (axis,) = figure.axes
    drawn = {image.get_label(): np.asarray(image.get_array()) for image in axis.images}
    assert [text.get_text() for text in axis.texts] == ["x", "Δx", "Δ̂x, mine", "x̂', mine", "a → b"]
    np.testing.assert_allclose(drawn["0, 0"], 0.5)  # of bounds [−1, 1]
    np.testing.assert_allclose(drawn["1, 0"], [[0.75, 0.25]] * 2)
    np.testing.assert_allclose(drawn["2, 0"], [[0.625, 0.375]] * 2)  # of [−2, 2]
    np.testing.assert_allclose(drawn["3, 0"], [[0.75, 0.25]] * 2)


@pytest.mark.parametrize("name", [r"$\frac{$", "_hidden", "a$b"])
def test_any_name_can_be_drawn_and_stands_in_the_legend(tmp_path: Path, name: str) -> None:
    figures = all_figures(written(tmp_path, [record(PGD, 0.2, model(recipe=name))]))
    figures["curves-d"].savefig(BytesIO())
    assert len(figures["curves-d"].legends[0].get_texts()) == 1


def test_marks_are_the_numbers_of_the_table(tmp_path: Path) -> None:
    """ε50% of three seeds, 0.1, 0.2 and 0.3: the mean ± the deviation; of one model with its interval."""
    made = [record(PGD, value, model(seed=seed)) for seed, value in enumerate((0.1, 0.2, 0.3))]
    made.append(record(PGD, 0.4, model(recipe="P"), interval=(0.35, 0.5)))
    made.append(record(PGD, np.inf, model(recipe="beyond")))
    (axis,) = all_figures(written(tmp_path, made))["curves-d"].axes
    marks = [bar.lines[0].get_xydata() for bar in axis.containers]
    np.testing.assert_allclose(marks, [[(0.2, 50)], [(0.4, 50)]])
    reach = [bar.lines[2][0].get_segments()[0][:, 0] for bar in axis.containers]
    np.testing.assert_allclose(reach, [(0.1, 0.3), (0.35, 0.5)])


def test_many_models_are_drawn_alike_and_without_names(tmp_path: Path) -> None:
    made = [record(q, 0.1 + i / 50, model(recipe=f"m{i}")) for i in range(13) for q in (PGD, ALPHA)]
    figures = all_figures(written(tmp_path, made))
    curves, correlation = figures["curves-d"], figures["correlation-d"]
    assert not curves.legends
    assert not correlation.legends
    assert len({line.get_color() for line in curves.axes[0].lines}) == 2  # of the models, and of 50 %
    assert curves.get_suptitle().endswith("13 models")
    (points,) = correlation.axes[0].containers
    assert len(points.lines[0].get_xdata()) == 13
