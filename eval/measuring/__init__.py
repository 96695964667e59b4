"""Measure any model on any data in one call, and keep what came of it."""

from eval.measuring.one_call import measure
from eval.measuring.report import Report

__all__ = ["Report", "measure"]
