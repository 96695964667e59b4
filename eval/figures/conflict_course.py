"""The conflict μ of clean and adversarial gradient over the epochs of a training: paper 3, Fig. 3."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from eval.figures.kind import FigureKind, no_measurement
from eval.figures.panels import legend_below, lined, literal, over_epochs, panels_for, rows_by_data, titled
from eval.records import Record, Records
from eval.records.identity import slug
from eval.tables import Row, Table

KIND = "conflict_course"
LABELS = {
    "mu": "μ",
    "cosine": "cos(g_n, g_a)",
    "clean_norm": "‖g_n‖",
    "adversarial_norm": "‖g_a‖",
    "gop_frequency": "opposed tensors, share",
}


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One line per recipe: μ and its factors in the last epoch, and the mean of μ over all."""
    lines = []
    for row in [row for of_data in rows_by_data(chosen).values() for row in of_data]:
        courses = [records.per_sample(record) for record in row.records]
        lines.append({"data": row.data, "recipe": row.recipe, "models": str(row.models)} | _line(courses))
    told = [
        "μ = ‖g_n‖ ‖g_a‖ (1 − cos), mean over the steps of an epoch, in training mode, on the gradients before they "
        "are combined; means over models. It falls with the losses, whatever becomes of the cosine."
    ]
    return Table(pd.DataFrame(lines).fillna("–"), told)


def _line(courses: Sequence[pd.DataFrame]) -> dict[str, str]:
    whole = sum(course.mu.mean() for course in courses) / len(courses)
    found = {"epochs": str(max(len(course) for course in courses)), "mean μ": f"{whole:.3g}"}
    for name, label in LABELS.items():
        known = [
            course[name].dropna().iloc[-1] for course in courses if name in course and course[name].notna().any()
        ]
        if known:
            found[f"{label}, last epoch"] = f"{sum(known) / len(known):.3g}"
    return found


def draw(records: Records, chosen: Sequence[Record]) -> Mapping[str, Figure]:
    """For each data set a panel for μ and for each of its factors, a line per model."""
    return {slug(data): _drawn(records, data, rows) for data, rows in rows_by_data(chosen).items()}


def _drawn(records: Records, data: str, rows: Sequence[Row]) -> Figure:
    names = [name for name in LABELS if name != "gop_frequency"]
    figure, axes = panels_for(len(names))
    for axis, name in zip(axes, names, strict=True):
        for row, look in lined(rows):
            for number, record in enumerate(row.records):
                course = records.per_sample(record)
                if name in course:
                    label = None if number else literal(row.recipe)
                    axis.plot(course.epoch, course[name], **look.marked, ms=3, label=label)
        over_epochs(axis)
        axis.set_ylabel(LABELS[name])
    axes[0].set_yscale("log")
    legend_below(figure, axes)
    titled(figure, f"{data}: conflict of the gradients over the epochs of training")
    return figure


CONFLICT_COURSE = FigureKind(
    KIND, "Conflict of the gradients over epochs (paper 3, Fig. 3)", (KIND,), no_measurement, table, draw
)
