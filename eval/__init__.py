"""Judge: robustness, alignment and their correlation, from checkpoints to tables, plots and one page."""

from alignment.version import __version__ as __version__
from eval.attacks import spatial_attack, square_attack
from eval.measuring import Report, measure
from eval.robustness.fixed_strength import RobustAccuracy, robust_accuracy
from eval.robustness.masking import Sign, masking_signs
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
    "robust_accuracy",
    "spatial_attack",
    "square_attack",
]
