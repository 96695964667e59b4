"""Moved: see training.passes."""

from training.passes import CountPasses as CountPasses
