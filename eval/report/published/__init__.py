"""The papers' figures, table by table, and what stands beside ours of them."""

from eval.report.published.beside import (
    Published,
    beside,
    correlation_beside,
    doubtful,
    estimator_beside,
    figure_beside,
    hours_beside,
    papers_of,
    samples_beside,
)
from eval.report.published.content import Number, PaperModel, models
from eval.report.published.index import Entry, index

__all__ = [
    "Entry",
    "Number",
    "PaperModel",
    "Published",
    "beside",
    "correlation_beside",
    "doubtful",
    "estimator_beside",
    "figure_beside",
    "hours_beside",
    "index",
    "models",
    "papers_of",
    "samples_beside",
]
