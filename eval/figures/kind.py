"""What a figure is: what it measures of a classifier, and how it is drawn from the records of that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from eval.records import Record, Records
from eval.records.outcome import Measurement
from eval.tables.table import Table


@dataclass(frozen=True)
class FigureKind:
    """A figure or table of a paper that can be made of any classifier.

    Attributes:
        name: by which it is asked for, `--figures linearity`; files of its pictures begin with it.
        title: heading on the page, with the paper's number of it.
        kinds: of the quantities that it is made from; they do not stand in the side-by-side table.
        measurements: from its options to what is measured of a classifier; none where it is drawn from a training's
            log.
        table: of records of these kinds; an empty frame for none.
        draw: pictures by what follows the name in the names of their files, such as the data set's.
    """

    name: str
    title: str
    kinds: tuple[str, ...]
    measurements: Callable[..., Sequence[Measurement]]
    table: Callable[[Records, Sequence[Record]], Table]
    draw: Callable[[Records, Sequence[Record]], Mapping[str, Figure]]


def no_measurement() -> Sequence[Measurement]:
    """Of a figure that is drawn from the log of a training."""
    return []


def no_pictures(records: Records, chosen: Sequence[Record]) -> Mapping[str, Figure]:
    """Of a figure that is a table."""
    return {}
