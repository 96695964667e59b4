"""Judge: robustness, alignment and their correlation, from checkpoints to tables, plots and one page."""

from typing import TYPE_CHECKING

try:
    from alignment.lazy import lazy
    from alignment.sisters import check_sisters
except ModuleNotFoundError as error:  # what could say more is hidden, too
    raise ImportError("alphadx's package `alignment` is hidden by another of that name. Start elsewhere.") from error

if TYPE_CHECKING:
    from alignment.version import __version__ as __version__
    from eval.attacks import spatial_attack, square_attack
    from eval.measuring import Report, measure
    from eval.robustness.fixed_strength import RobustAccuracy, robust_accuracy
    from eval.robustness.masking import Sign, masking_signs
    from eval.robustness.optimality import optimality
    from eval.robustness.radii import Radii, critical_radii, median_interval, minimal_radii

__all__ = [
    "Radii",
    "Report",
    "RobustAccuracy",
    "Sign",
    "critical_radii",
    "masking_signs",
    "measure",
    "median_interval",
    "minimal_radii",
    "optimality",
    "robust_accuracy",
    "spatial_attack",
    "square_attack",
]

lazy(__name__)
check_sisters(__name__)
