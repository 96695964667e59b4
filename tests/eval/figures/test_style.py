"""Pictures fit into a paper: their widths, their letters, what tells recipes apart, and their bytes."""

import re
from base64 import b64decode
from io import BytesIO
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from eval.figures.image_grid import ImageGrid, in_bounds
from eval.figures.panels import legend_below, panels, panels_for, titled
from eval.figures.saving import saved
from eval.figures.style import COLUMN, LETTERS, OTHERS, PAGE, RASTER, looks_of, style
from eval.records import Records
from eval.report.plots import all_figures
from tests.eval.made import ACCURACY, ALPHA, PGD, PGD_L2, model, record, shown, written


def lightness(colour: str) -> float:
    """L* of CIE 1976, 0 to 100."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = float(np.dot([0.2126, 0.7152, 0.0722], linear))
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


def contrast(colour: str) -> float:
    """Against white, by WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 1.05 / (float(np.dot([0.2126, 0.7152, 0.0722], linear)) + 0.05)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    made = [record(q, 0.2, model(recipe=name)) for name in ("B", "Lα", "P") for q in (ACCURACY, ALPHA, PGD, PGD_L2)]
    return written(tmp_path, made)


@pytest.fixture
def curves(records: Records) -> Figure:
    return all_figures(records)["curves-d"]


def test_recipes_of_the_paper_are_told_apart_in_grey_and_by_lines_and_marks(curves: Figure) -> None:
    axis = curves.axes[0]
    lines = [line for line in axis.lines if line.get_label() in ("B", "Lα", "P")]
    greys = [lightness(line.get_color()) for line in lines]
    assert min(abs(one - other) for one, other in combinations(greys, 2)) > 15
    assert len({line.get_linestyle() for line in lines}) == 3
    marks = [bar.lines[0].get_marker() for bar in axis.containers]
    assert len(marks) == len({*marks}) == 3


def test_every_colour_can_be_seen_on_white() -> None:
    looks = looks_of(["B", "Lα", "P", *(f"other {number}" for number in range(len(OTHERS)))])
    assert [look.color for look in looks if contrast(look.color) < 3] == []


def test_pictures_are_as_wide_as_one_or_two_columns_and_their_letters_are_legible(records: Records) -> None:
    for name, figure in all_figures(records).items():
        assert figure.get_figwidth() in (COLUMN, PAGE), name
        saved(name, figure)
        sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text()}
        assert sizes <= {LETTERS, LETTERS + 1}, name


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7])
def test_panels_fill_their_lines(count: int) -> None:
    figure, axes = panels_for(count)
    assert len(axes) == len(figure.axes) == count
    assert figure.get_figwidth() == (COLUMN if count == 1 else PAGE)


def test_titles_and_legends_take_nothing_from_the_panels() -> None:
    with style():
        figure, axes = panels(2)
        axes[0].plot([0, 1], [0, 1], label="a name")
        figure.draw_without_rendering()
        before = axes[0].get_window_extent().height
        legend_below(figure, axes)
        titled(figure, "a title " * 20)
        figure.draw_without_rendering()
    assert axes[0].get_window_extent().height == pytest.approx(before, rel=0.08)


def test_a_picture_is_saved_in_the_same_bytes_as_svg_and_pdf(records: Records) -> None:
    first, second = (saved("curves-d", all_figures(records)["curves-d"]) for _ in range(2))
    assert [*first] == ["curves-d.svg", "curves-d.pdf"]
    assert first == second
    assert first["curves-d.pdf"].startswith(b"%PDF")
    assert b"CreationDate" not in first["curves-d.pdf"]
    assert b"/Subtype /Type0" in first["curves-d.pdf"] or b"/FontFile2" in first["curves-d.pdf"]  # TrueType
    assert b"dc:date" not in first["curves-d.svg"]


def test_letters_of_an_svg_are_text_and_no_id_is_of_another_picture(records: Records) -> None:
    figures = all_figures(records)
    texts = {name: saved(name, figures["curves-d"])[f"{name}.svg"].decode() for name in ("one", "two")}
    root = ElementTree.fromstring(texts["one"])
    words = {"".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"B", "Lα", "P", "ε, PGD L∞", "accuracy under attack, %"} <= words
    ids = {name: {*re.findall(r'\bid="([^"]+)"', text)} for name, text in texts.items()}
    assert not ids["one"] & ids["two"]
    used = {*re.findall(r'(?:href="#|url\(#)([^")]+)', texts["one"])}
    assert used
    assert used <= ids["one"]


def test_a_cloud_is_a_raster_and_everything_else_is_not() -> None:
    sizes = {}
    for cloud in (False, True):
        with style():
            figure, (axis,) = panels(1)
            axis.plot(*np.random.default_rng(0).random((2, 5000)), ".", rasterized=cloud)
        sizes[cloud] = saved("x", figure)["x.svg"]
    assert (b"<image" in sizes[True], b"<image" in sizes[False]) == (True, False)
    assert len(sizes[True]) < len(sizes[False]) / 2
    assert RASTER >= 300


def grid(rows: int, columns: int) -> ImageGrid:
    return ImageGrid([f"row {row}" for row in range(rows)], [f"c{column}" for column in range(columns)], [0])


def test_an_image_is_kept_at_its_own_resolution_in_its_cell() -> None:
    made = grid(2, 3)
    image = np.arange(12.0).reshape(1, 3, 4) / 11
    made.show(1, 2, **in_bounds(image, 0.0, 1.0))
    figure = made.titled("d")
    (found,) = shown(figure).values()
    np.testing.assert_allclose(found.get_array(), image[0])
    left, right, bottom, top = found.get_extent()
    assert (right - left) / (bottom - top) == pytest.approx(4 / 3)
    (kept,) = re.findall(rb"data:image/png;base64,\s*([^\"]+)", saved("x", figure)["x.svg"])
    assert Image.open(BytesIO(b64decode(kept))).size == (4, 3)


@pytest.mark.parametrize(("rows", "columns", "width"), [(6, 4, COLUMN), (6, 10, PAGE), (30, 3, PAGE)])
def test_a_grid_fits_into_a_page(rows: int, columns: int, width: float) -> None:
    figure = grid(rows, columns).titled("d")
    assert figure.get_figwidth() == width
    assert figure.get_figheight() < 13
    (axis,) = figure.axes
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axis.texts]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    assert all(not one.overlaps(other) for one, other in combinations(boxes, 2))
