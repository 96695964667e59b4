"""Figures of the papers that can be made of any classifier; one file each, with measurement and drawing."""

from eval.figures.boundary import BOUNDARY
from eval.figures.conflict_course import CONFLICT_COURSE
from eval.figures.conflict_growth import CONFLICT_GROWTH
from eval.figures.descent import DESCENT
from eval.figures.embedding import EMBEDDING
from eval.figures.epoch_cost import EPOCH_COST
from eval.figures.gradients import GRADIENTS
from eval.figures.kind import FigureKind
from eval.figures.landscape import LANDSCAPE
from eval.figures.layer_conflict import LAYER_CONFLICT
from eval.figures.linearity import LINEARITY
from eval.figures.other_classes import OTHER_CLASSES
from eval.figures.residual_grid import RESIDUAL_GRID_FIGURE
from eval.figures.theorems import THEOREMS
from eval.figures.training_curves import TRAINING_CURVES
from eval.figures.variants import VARIANTS
from eval.records import Record

FIGURES: dict[str, FigureKind] = {
    figure.name: figure
    for figure in (
        GRADIENTS,
        RESIDUAL_GRID_FIGURE,
        OTHER_CLASSES,
        VARIANTS,
        LINEARITY,
        THEOREMS,
        BOUNDARY,
        LANDSCAPE,
        DESCENT,
        LAYER_CONFLICT,
        CONFLICT_COURSE,
        CONFLICT_GROWTH,
        EMBEDDING,
        TRAINING_CURVES,
        EPOCH_COST,
    )
}
"""By name, in the order in which they stand on a page."""
FIGURE_KINDS = tuple(kind for figure in FIGURES.values() for kind in figure.kinds)
"""Kinds of quantities that stand in a figure, and not in the tables of models."""


def of_models(records: list[Record]) -> list[Record]:
    """Records that stand in the tables of models."""
    return [record for record in records if record.quantity.kind not in FIGURE_KINDS]


__all__ = ["FIGURES", "FIGURE_KINDS", "FigureKind", "of_models"]
