"""Images in rows and columns, each with a heading, in one frame: cheap to draw, and as wide as a paper's columns."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from eval.figures.panels import literal, titled
from eval.figures.style import COLUMN, LETTER, LINE, PAGE, style

LARGEST, SMALLEST, LEAST = 0.8, 0.36, 0.3
"""Inches of a cell: never larger, in one column of a paper never smaller, and for the sake of a page never less."""
TALLEST = 8.6
"""Inches of all rows together, which shall fit on a page."""
GAP = 0.05
"""Inches between cells."""
NARROW = 16
"""Characters in a line of a row's heading."""


class ImageGrid:
    """A picture of images, whose places are counted in inches from its upper left corner.

    Args:
        rows: headings to the left.
        columns: headings above.
        told: rows in which a line of text stands below each image.
    """

    def __init__(self, rows: Sequence[str], columns: Sequence[str], told: Collection[int] = ()) -> None:
        named = [literal(row, NARROW) for row in rows]
        self._left = 0.12 + LETTER * max(len(line) for name in named for line in name.split("\n"))
        self._width, self._cell = self._sizes(len(rows), len(columns), LINE * len(told) / len(rows))
        heads, turned = self._headings(columns)
        longest = LETTER * max(map(len, columns), default=0)
        top = 0.06 + (0.6 * longest + LINE if turned else LINE * max(head.count("\n") + 1 for head in heads))
        heights = [self._cell + GAP + LINE * (row in told) for row in range(len(rows))]
        self._tops = [top, *(top + np.cumsum(heights))]
        with style():
            self.figure = Figure(figsize=(self._width, self._tops[-1] + GAP))
            self._axis = self.figure.add_axes((0.0, 0.0, 1.0, 1.0))
            self._axis.set(xlim=(0, self._width), ylim=(self.figure.get_figheight(), 0))
            self._axis.set_axis_off()
            self._head(named, heads, turned)

    def show(self, row: int, column: int, image: np.ndarray, **how: Any) -> None:
        """An image `(H, W)` or `(H, W, 3)` in its cell, as `imshow` draws it."""
        x, y = self._corner(row, column)
        scale = self._cell / max(image.shape[:2])
        high, wide = scale * image.shape[0], scale * image.shape[1]
        shown = self._axis.imshow(
            image, extent=(x, x + wide, y + high, y), aspect="auto", interpolation="none", **how
        )
        shown.set_label(f"{row}, {column}")
        self._axis.add_patch(Rectangle((x, y), wide, high, fill=False, lw=0.4, ec="0.5"))

    def tell(self, row: int, column: int, text: str) -> None:
        """A line of text below a cell."""
        x, y = self._corner(row, column)
        self._axis.text(x + self._cell / 2, y + self._cell + 0.02, literal(text), ha="center", va="top")

    def titled(self, title: str) -> Figure:
        """The picture, with a title."""
        before = self.figure.get_figheight()
        titled(self.figure, title)
        high = self.figure.get_figheight()
        self._axis.set_position((0.0, 0.0, 1.0, before / high))
        self.figure.suptitle(self.figure.get_suptitle(), y=1 - 0.05 / high, va="top")
        return self.figure

    def _sizes(self, rows: int, columns: int, below: float) -> tuple[float, float]:
        """Of the picture and of a cell: of one column of a paper where the cells are large enough there."""
        high = max(TALLEST / rows - below - GAP, LEAST)
        in_column, in_page = ((width - self._left) / columns - GAP for width in (COLUMN, PAGE))
        width, across = (COLUMN, in_column) if min(in_column, high) >= SMALLEST else (PAGE, in_page)
        return width, min(across, high, LARGEST)

    def _corner(self, row: int, column: int) -> tuple[float, float]:
        return self._left + column * (self._cell + GAP), self._tops[row]

    def _headings(self, columns: Sequence[str]) -> tuple[list[str], bool]:
        """Those of columns in lines that fit above them; turned where one word alone does not."""
        fitting = 1 + max(1, int((self._cell + GAP) / LETTER))
        turned = any(len(word) > fitting for column in columns for word in column.split())
        return [literal(column, 1000 if turned else fitting) for column in columns], turned

    def _head(self, rows: Sequence[str], columns: Sequence[str], turned: bool) -> None:
        for row, name in enumerate(rows):
            self._axis.text(
                self._left - 0.06, self._corner(row, 0)[1] + self._cell / 2, name, ha="right", va="center"
            )
        for column, name in enumerate(columns):
            x = self._corner(0, column)[0] + self._cell / 2
            how = {"rotation": 40, "ha": "left", "rotation_mode": "anchor"} if turned else {"ha": "center"}
            self._axis.text(x, self._tops[0] - 0.04, name, va="bottom", **how)


def in_bounds(image: np.ndarray, low: float, high: float) -> dict[str, Any]:
    """An image `(C, H, W)` of values in `[low, high]`, black to white, as `ImageGrid.show` takes it."""
    shown = np.clip((image.transpose(1, 2, 0) - low) / (high - low), 0, 1)
    return {"image": shown.squeeze(-1) if shown.shape[-1] == 1 else shown, "cmap": "gray", "vmin": 0, "vmax": 1}
