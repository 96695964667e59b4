"""Judge: robustness, alignment and their correlation, from checkpoints to tables, plots and one page."""

from eval.attacks import spatial_attack, square_attack
from eval.radii import Radii, critical_radii, minimal_radii

__all__ = ["Radii", "critical_radii", "minimal_radii", "spatial_attack", "square_attack"]
