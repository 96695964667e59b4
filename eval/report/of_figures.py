"""Tables and pictures of `eval.figures`, from saved records."""

from matplotlib.figure import Figure

from eval.figures import FIGURES
from eval.records import Records
from eval.tables.table import Table


def figure_tables(records: Records) -> dict[str, Table]:
    """The table of every figure that the records allow, by its heading."""
    found = {}
    for figure in FIGURES.values():
        if chosen := [r for r in records if r.quantity.kind in figure.kinds]:
            found[figure.title] = figure.table(records, chosen)
    return found


def figure_pictures(records: Records) -> dict[str, Figure]:
    """Every picture that the records allow, by the name of its file without ending."""
    found: dict[str, Figure] = {}
    for figure in FIGURES.values():
        if chosen := [r for r in records if r.quantity.kind in figure.kinds]:
            drawn = figure.draw(records, chosen)
            found |= {f"{figure.name}-{name}" if name else figure.name: picture for name, picture in drawn.items()}
    return found
