"""Studies: grids of data set × recipe × ε × seed, trained, measured side by side and correlated."""

from eval.studies.correlation import correlations
from eval.studies.plan import Cell, Study, load_study
from eval.studies.run import run_study

__all__ = ["Cell", "Study", "correlations", "load_study", "run_study"]
