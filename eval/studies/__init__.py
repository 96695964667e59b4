"""Studies: grids of data set × recipe × ε × seed, trained, measured side by side and correlated."""

from typing import TYPE_CHECKING

from alignment.lazy import lazy

if TYPE_CHECKING:
    from eval.studies.catalogue import catalogue
    from eval.studies.correlation import correlations
    from eval.studies.grid import EstimatorCell, ModelCell
    from eval.studies.plan import Study, load_study
    from eval.studies.run import StudyRun, run_study
    from eval.studies.source import presets

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

lazy(__name__)
