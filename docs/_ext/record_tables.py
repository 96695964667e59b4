"""Tables and numbers out of the saved records, so that none is typed."""

import re
from statistics import median
from typing import Any, ClassVar

import record_files
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

NUMBER = re.compile(r"^[<>~]?[+−-]?[\d.,]+( ?[±\[].*)?$|^–$")
"""What is set flush right: a number, perhaps with its spread or interval, or nothing."""
WORDS = {"median": median, "min": min, "max": max, "len": len}
"""What a role makes of a list of numbers."""


class RecordTable(SphinxDirective):
    """A table of a study's record: `{record-table} studies/quick`, with `table`, `columns` (a | b) and `rows`."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "table": directives.unchanged_required,
        "columns": directives.unchanged,
        "rows": directives.unchanged,
        "notes": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """The table with where it comes from, and its notes if wanted."""
        name = self.arguments[0]
        columns = [part.strip() for part in self.options.get("columns", "").split("|") if part.strip()]
        try:
            printed = record_files.table(name, self.options["table"]).only(columns, self.options.get("rows", ""))
        except ValueError as error:
            raise self.error(str(error)) from error
        self.env.note_dependency(str(record_files.FOLDER / f"{name}.json"))
        caption = record_files.made_by(record_files.read(name))
        notes = printed.notes if "notes" in self.options else []
        return [table_node(printed, self.parsed(caption)), *self.noted(notes)]

    def parsed(self, text: str) -> list[nodes.Node]:
        """Markdown of one line."""
        return self.parse_inline(text)[0]

    def noted(self, notes: list[str]) -> list[nodes.Node]:
        """The notes below a table, as one list."""
        if not notes:
            return []
        items = [nodes.list_item("", nodes.paragraph("", note)) for note in notes]
        return [nodes.bullet_list("", *items, classes=["table-notes"])]


class Verdicts(SphinxDirective):
    """Every finding of the fast forms with one verdict: `{verdicts} not confirmed`."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """The table, or a sentence where no finding has that verdict."""
        rows = record_files.findings(self.arguments[0])
        caption, _ = self.parse_inline(
            f"{len(rows)} findings, from the records of {len(record_files.studies())} studies."
        )
        printed = record_files.Printed(["preset", "found", "claimed", "paper"], rows, [])
        return [table_node(printed, caption)]


def table_node(printed: record_files.Printed, caption: list[nodes.Node]) -> nodes.Node:
    """A table that scrolls by itself where the screen is narrower."""
    table = nodes.table("", nodes.title("", "", *caption), classes=["record"])
    group = nodes.tgroup(cols=len(printed.columns))
    table += group
    group += [nodes.colspec(colwidth=1) for _ in printed.columns]
    group += nodes.thead("", row_node(printed.columns))
    group += nodes.tbody("", *(row_node(row) for row in printed.rows))
    return table


def row_node(cells: list[str]) -> nodes.row:
    """A row; numbers are marked, so that they stand below each other."""
    return nodes.row(
        "",
        *(
            nodes.entry("", nodes.paragraph("", cell.strip()), classes=["number"] if NUMBER.match(cell) else [])
            for cell in cells
        ),
    )


class RecordValue(SphinxRole):
    """A number of a record: {record}`pgd: images as ,.0f`; `median` and the like take lists first."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The number as text, with its source as a tooltip."""
        place, *shown = [part.strip() for part in self.text.split(" as ")]
        name, _, path = place.partition(": ")
        try:
            text = formatted(record_files.value(name, path), shown)
        except ValueError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        self.env.note_dependency(str(record_files.FOLDER / f"{name}.json"))
        return [nodes.inline("", text, classes=["record-value"])], []


def formatted(found: Any, shown: list[str]) -> str:
    """A value after the words that take lists, factors as `×100`, and a format such as `.1f`."""
    for how in shown:
        if how in WORDS:
            found = WORDS[how](found)
        elif how[:1] in "×÷":
            found = found * float(how[1:]) if how[0] == "×" else found / float(how[1:])
        else:
            return format(found, how)
    return str(found)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the role."""
    app.add_directive("record-table", RecordTable)
    app.add_directive("verdicts", Verdicts)
    app.add_role("record", RecordValue())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
