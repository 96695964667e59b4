"""The parts of a page, as the templates get them: texts and numbers, and no HTML but that of pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup


@dataclass(frozen=True)
class Cell:
    """A cell of a table: a text, or a number in parts, so that points can stand below each other.

    Attributes:
        whole: up to the point; all of a text that is no number.
        fraction: from the point on, with an exponent.
        rest: what follows, such as the spread.
        sign: beside a number that differs from another beyond its interval.
        meaning: the sign in words.
    """

    whole: str
    fraction: str = ""
    rest: str = ""
    sign: str = ""
    meaning: str = ""

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.whole}{self.fraction}{self.rest}"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: at its head.
        names: whether its cells name their lines.
        whole: characters before the point, of numbers that are to be aligned; 0 for texts.
        fraction: characters from the point on.
    """

    title: str
    names: bool = False
    whole: int = 0
    fraction: int = 0


@dataclass(frozen=True)
class Line:
    """A line of a table.

    Attributes:
        cells: one for each column.
        of_paper: whether its numbers are a paper's.
        begins: whether it is the first of a data set.
    """

    cells: Sequence[Cell]
    of_paper: bool = False
    begins: bool = False


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        caption: what it is a table of.
        columns: in their order.
        lines: in their order.
        file: name of the CSV file that holds it.
    """

    caption: str
    columns: Sequence[Column]
    lines: Sequence[Line]
    file: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture with its caption.

    Attributes:
        name: of its files, without ending.
        caption: what is drawn.
        alt: what it shows, in numbers.
        image: the drawing itself, which reads `alt` to who cannot see it.
        files: names of the files that hold it.
    """

    name: str
    caption: str
    alt: str
    image: Markup
    files: Sequence[str] = ()


@dataclass(frozen=True)
class Headline:
    """The finding of a page.

    Attributes:
        sentence: with its interval and n.
        verdict: on what a paper claims; empty where nothing is claimed.
        claim: of the paper.
        tally: how many claims there are, and what became of them.
    """

    sentence: str
    verdict: str = ""
    claim: str = ""
    tally: str = ""


@dataclass(frozen=True)
class Judged:
    """A claim with the sentences found of it, each with its verdict."""

    says: str
    paper: str
    found: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Chart:
    """An interactive view.

    Attributes:
        name: for its place on the page.
        caption: what can be done with it.
        spec: in the language of Vega-Lite.
    """

    name: str
    caption: str
    spec: Mapping[str, object]


@dataclass(frozen=True)
class Section:
    """A part of the page below a heading.

    Attributes:
        anchor: by which it is linked to.
        heading: above it.
        sentences: that everybody should read.
        conditions: under which its numbers hold: bounds, samples, networks, estimators.
        warnings: what makes its numbers mean less than they seem to.
        grid: a table, or None.
        notes: on the table.
        pictures: in their order.
        charts: interactive views.
        folded: whether the table is opened by who wants it.
    """

    anchor: str
    heading: str
    sentences: Sequence[str] = ()
    conditions: Sequence[str] = ()
    warnings: Sequence[str] = ()
    grid: Grid | None = None
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    charts: Sequence[Chart] = ()
    folded: bool = False


@dataclass(frozen=True)
class Study:
    """One study of the page: what it is about, and how to repeat it."""

    title: str
    command: str
    paper: str = ""
    minutes: str = ""
    differs: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """All that a page says.

    Attributes:
        title: its heading.
        studied: what was studied, in a line.
        headline: what was found.
        lead: the first table, with the picture of the subject.
        judged: what was found of each claim.
        sections: below, in their order.
        studies: what was studied, and how to repeat it.
        made_with: where the numbers come from, by name.
        legend: what words and signs mean.
        library: that draws the interactive views; empty without them.
    """

    title: str
    studied: str
    headline: Headline
    lead: Section
    judged: Sequence[Judged] = ()
    sections: Sequence[Section] = ()
    studies: Sequence[Study] = ()
    made_with: Mapping[str, str] = field(default_factory=dict)
    legend: Mapping[str, str] = field(default_factory=dict)
    library: str = ""
