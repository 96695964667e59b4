"""A page from records: what stands where."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from eval.records import Records
from eval.report.content.charts import correlation_charts, curve_charts
from eval.report.content.conditions import conditions, of_frame
from eval.report.content.grids import grid
from eval.report.content.headline import headline
from eval.report.content.layout import (
    BESIDE,
    CORRELATION,
    CURVES,
    FINDINGS,
    LEADS,
    MASKING,
    PLOTS,
    file_of,
    heading_of,
    in_order,
)
from eval.report.content.legend import LEGEND
from eval.report.content.made_with import commands, made_with
from eval.report.content.marks import FEW, Mark, Place, compared_with, marks
from eval.report.content.masking import masking
from eval.report.content.parts import Chart, Page, Picture, Section
from eval.report.content.pictures import anchor, by_name, picture
from eval.report.content.studied_lines import judged, studied_line, studies_shown, title_of
from eval.report.studied import Studied
from eval.report.subject_picture import SUBJECT
from eval.report.verdicts import Finding
from eval.tables.table import Table

EMPTY = Table(pd.DataFrame())


class Assembly:
    """What the parts of a page share, each made once.

    Args:
        records: of a folder.
        studies: what was studied.
        found: what was found of the papers' claims.
        tables: by heading.
        plots: saved pictures, by the names of their files.
        explorable: whether the page has interactive views.
    """

    def __init__(
        self,
        records: Records,
        studies: Sequence[Studied],
        found: Sequence[Finding],
        tables: Mapping[str, Table],
        plots: Mapping[str, bytes],
        explorable: bool = False,
    ) -> None:
        self.records, self.studies, self.found = records, studies, found
        self.tables = {heading: table for heading, table in tables.items() if heading != FINDINGS}
        self.plots, self.explorable = by_name(plots), explorable
        self.known = conditions(records)
        self.first = next((heading for heading in LEADS if heading in self.tables), "")
        self.subject = next((name for name in self.plots if name.startswith(SUBJECT)), "")
        self.placed = self._placed()

    def page(self, models: int | None = None) -> Page:
        """The page.

        Args:
            models: how many were planned; None where it is not known.
        """
        return Page(
            title_of(self.studies),
            studied_line(self.records, self.studies, models),
            headline(self.records, self.found, self.tables.get(CORRELATION)),
            self.lead(),
            judged(self.found),
            self.sections(),
            studies_shown(self.studies, commands(self.records)),
            made_with(self.records),
            LEGEND,
        )

    def lead(self) -> Section:
        """The first table, and the picture of the subject, or another where there is none."""
        claims = [one.claim for one in self.found]
        signs, against = marks(self.records, claims) if self.first == BESIDE else ({}, {})
        section = self._section(self.first or BESIDE, self._lead_pictures(), signs)
        return replace(section, sentences=compared_with(signs, against), charts=[])

    def sections(self) -> list[Section]:
        """Everything below the first screen, in its order."""
        rest = {*self.tables, *self.placed} - {self.first}
        rest |= {self.first} & {*self.placed}
        return [self._below(heading) for heading in in_order(sorted(rest))]

    def _below(self, heading: str) -> Section:
        pictures = self._pictures(heading, self.placed.get(heading, []))
        if heading == MASKING:
            return self._masking(pictures)
        if heading == self.first:  # its table stands above
            return Section(anchor(f"more {heading}"), heading, pictures=pictures, charts=self._charts(heading))
        return self._section(heading, pictures)

    def _section(
        self, heading: str, pictures: Sequence[Picture], signs: Mapping[Place, Mark] | None = None
    ) -> Section:
        table = self.tables.get(heading, EMPTY)
        shown = grid(heading, table.frame, f"{file_of(heading)}.csv", signs) if len(table.frame) else None
        held = of_frame(self.known, self._frame(heading))
        told = [note for note in table.notes if note not in (*table.doubts, *held)]
        return Section(
            anchor(heading),
            heading,
            conditions=held,
            warnings=table.doubts,
            grid=shown,
            notes=told,
            pictures=pictures,
            charts=self._charts(heading),
            folded=shown is not None and len(shown.lines) > FEW,
        )

    def _masking(self, pictures: Sequence[Picture]) -> Section:
        table = self.tables[MASKING]
        found = masking(self.records, table)
        signs = table.frame.iloc[[*found.lines]]
        shown = grid(MASKING, signs, f"{file_of(MASKING)}.csv") if len(signs) else None
        return Section(anchor(MASKING), MASKING, [found.sentence], grid=shown, notes=table.notes, pictures=pictures)

    def _frame(self, heading: str) -> pd.DataFrame:
        """The table that says the numbers of what stands below a heading."""
        return self.tables.get(BESIDE if heading == CURVES else heading, EMPTY).frame

    def _placed(self) -> dict[str, list[str]]:
        """Names of pictures by their headings, but for that of the subject."""
        found: dict[str, list[str]] = {}
        for name in self.plots:
            if name != self.subject:
                found.setdefault(heading_of(name, {**PLOTS, **self.tables}), []).append(name)
        return found

    def _lead_pictures(self) -> list[Picture]:
        """The picture of the subject, else the first of those below."""
        if self.subject:
            (heading,) = [heading for heading, known in PLOTS.items() if known == ("gradients",)]
            return self._pictures(heading, [self.subject])
        for heading in in_order(self.placed):
            if found := self._pictures(heading, self.placed[heading][:1]):
                self.placed[heading] = self.placed[heading][1:]
                return found
        return []

    def _pictures(self, heading: str, names: Sequence[str]) -> list[Picture]:
        numbers = {name: number for number, name in enumerate(self.plots)}
        made = (picture(name, self.plots[name], numbers[name], heading, self._frame(heading)) for name in names)
        return [one for one in made if one is not None]

    def _charts(self, heading: str) -> list[Chart]:
        made = {CORRELATION: correlation_charts, CURVES: curve_charts}
        return made[heading](self.records) if self.explorable and heading in made else []
