"""Figures of the papers that can be made of any classifier; one file each, with measurement and drawing."""

from eval.figures.kind import FigureKind
from eval.figures.other_classes import OTHER_CLASSES
from eval.figures.variants import VARIANTS
from eval.records import Record

FIGURES: dict[str, FigureKind] = {figure.name: figure for figure in (OTHER_CLASSES, VARIANTS)}
"""By name, in the order in which they stand on a page."""
FIGURE_KINDS = tuple(kind for figure in FIGURES.values() for kind in figure.kinds)
"""Kinds of quantities that stand in a figure, and not in the tables of models."""


def of_models(records: list[Record]) -> list[Record]:
    """Records that stand in the tables of models."""
    return [record for record in records if record.quantity.kind not in FIGURE_KINDS]


__all__ = ["FIGURES", "FIGURE_KINDS", "FigureKind", "of_models"]
