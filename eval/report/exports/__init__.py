"""Results in other programs' forms: RobustBench's leaderboard, Hugging Face's model cards, and plain CSV."""

from eval.report.exports.exported import Exported
from eval.report.exports.forms import FORMS, export
from eval.report.exports.frames import models_frame, samples_frame

__all__ = ["FORMS", "Exported", "export", "models_frame", "samples_frame"]
