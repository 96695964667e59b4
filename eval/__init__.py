"""Judge: robustness, alignment and their correlation, from checkpoints to tables, plots and one page."""

from eval.attacks import spatial_attack, square_attack
from eval.robustness.masking import Sign, masking_signs
from eval.robustness.radii import Radii, critical_radii, median_interval, minimal_radii

__all__ = [
    "Radii",
    "Sign",
    "critical_radii",
    "masking_signs",
    "median_interval",
    "minimal_radii",
    "spatial_attack",
    "square_attack",
]
