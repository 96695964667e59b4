"""Train one classifier or generator from a configuration, and keep its best epoch."""

from typing import TYPE_CHECKING

from alignment.lazy import lazy

if TYPE_CHECKING:
    from eval.fit.checkpoints import NoBestEpoch
    from eval.fit.lightning_cli import FitCLI, GeneratorCLI, fit_from
    from eval.fit.selection import Epsilon50

__all__ = ["Epsilon50", "FitCLI", "GeneratorCLI", "NoBestEpoch", "fit_from"]

lazy(__name__)
