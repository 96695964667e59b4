"""Judge: robustness, alignment and their correlation, from checkpoints to tables, plots and one page."""

from eval.radii import Radii, critical_radii

__all__ = ["Radii", "critical_radii"]
