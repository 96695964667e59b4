"""Studies: grids of data set × recipe × ε × seed, trained, measured side by side and correlated."""

from eval.studies.catalogue import catalogue
from eval.studies.correlation import correlations
from eval.studies.grid import EstimatorCell, ModelCell
from eval.studies.plan import Study, load_study, presets
from eval.studies.run import StudyRun, run_study

__all__ = [
    "EstimatorCell",
    "ModelCell",
    "Study",
    "StudyRun",
    "catalogue",
    "correlations",
    "load_study",
    "presets",
    "run_study",
]
