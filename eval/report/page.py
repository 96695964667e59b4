"""One self-contained HTML page, tables and plots from the records of a folder, or of several."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from eval.records import Records
from eval.report.content.assembling import Assembly
from eval.report.content.layout import BESIDE, COST, DIFFERENCES, FINDINGS, file_of, in_order
from eval.report.findings import findings, findings_table
from eval.report.folder_differences import folder_differences
from eval.report.joining import joined, records_of
from eval.report.plots import all_plots
from eval.report.published import hours_beside
from eval.report.rendering import explorable, library, rendered
from eval.report.studied import Studied, planned, studies_of
from eval.report.table_files import table_files
from eval.report.tables import all_tables
from eval.report.verdicts import Finding
from eval.tables.table import Table
from generators.files import remove_leftovers, write_whole

FEW = 4
"""Folders from which on a title counts them."""


def write_report(folder: str | Path) -> dict[str, Table]:
    """Write tables, `plots/*`, `records.csv` and `page.html` into a results folder.

    Tables are CSV with all digits, as in `table.csv`, and LaTeX and Markdown as printed, as in `tables/table.tex`.

    Each record and each table of outcomes is read once.

    Args:
        folder: of a study or a measurement.

    Returns:
        The tables by their headings, ready to print; what was found first, where the study says what papers claim.

    Raises:
        ValueError: if the folder holds no records, or a damaged file.
    """
    folder = Path(folder)
    records = records_of(folder)
    studies = studies_of(folder)
    found = findings(records, [claim for study in studies for claim in study.claims])
    tables = _in_order(_with_hours(all_tables(records), records))
    tables = ({FINDINGS: findings_table(found)} if found else {}) | tables
    return _written(folder, records, studies, found, tables, planned(folder))


def write_comparison(folders: Sequence[str | Path], out: str | Path) -> dict[str, Table]:
    """Write the same of several folders together into a folder of its own.

    A model that lies in several folders is one; others of one name are told apart by their folders.

    Args:
        folders: of studies or measurements.
        out: is made if there is none; it should hold no records.

    Returns:
        The tables by their headings, which say of each recipe in which folder it lies.

    Raises:
        ValueError: if one of the folders holds no records or a damaged file, or `out` holds records.
    """
    out = Path(out)
    if any(out.glob("models/*/*.json")):
        raise ValueError(f"`out` should be a folder without records, whose page stays as it is. Found {out}.")
    together = joined([*map(Path, folders)])
    found = all_tables(together.records) | {DIFFERENCES: folder_differences(together)}
    found = {heading: table for heading, table in found.items() if not table.frame.empty}
    tables = {heading: together.told(table) for heading, table in _in_order(found).items()}
    title = f"Comparison of {' and '.join(together.folders) if len(folders) < FEW else f'{len(folders)} folders'}"
    command = shlex.join(["alphadx", "report", *map(str, folders), "--out", str(out)])
    return _written(out, together.records, [Studied(title, command)], [], tables)


def _written(
    folder: Path,
    records: Records,
    studies: Sequence[Studied],
    found: Sequence[Finding],
    tables: dict[str, Table],
    models: int | None = None,
) -> dict[str, Table]:
    """Write all files, and return the tables."""
    plots = all_plots(records)
    for place in (folder, folder / "plots", folder / "tables"):
        remove_leftovers(place, below=False)
    for heading, table in tables.items():
        for name, content in table_files(table, heading, file_of(heading)).items():
            write_whole(folder / name, content)
    write_whole(folder / "records.csv", records.frame().to_csv(index=False))
    for name, picture in plots.items():
        write_whole(folder / "plots" / name, picture)
    write_whole(folder / "page.html", page(records, studies, found, tables, plots, models))
    return tables


def page(
    records: Records,
    studies: Sequence[Studied],
    found: Sequence[Finding],
    tables: Mapping[str, Table],
    plots: Mapping[str, bytes],
    models: int | None = None,
) -> str:
    """The page as HTML, with everything it shows inside.

    Args:
        records: of a folder.
        studies: what was studied.
        found: what was found of the papers' claims.
        tables: by heading.
        plots: by the names of their files; each picture, as SVG or else PNG, stands below its heading.
        models: how many were planned; None where it is not known.
    """
    made = Assembly(records, studies, found, tables, plots, explorable()).page(models)
    charts = any(section.charts for section in made.sections)
    return rendered(replace(made, library=library()) if charts else made)


def _in_order(tables: Mapping[str, Table]) -> dict[str, Table]:
    """Models side by side before all else."""
    ordered = in_order(tables)
    return {heading: tables[heading] for heading in sorted(ordered, key=lambda heading: heading != BESIDE)}


def _with_hours(tables: Mapping[str, Table], records: Records) -> dict[str, Table]:
    """What the papers' trainings took is told beside the cost of ours."""
    data = dict.fromkeys(record.subject.samples.data for record in records)
    told = [sentence for name in data if (sentence := hours_beside(name))]
    found = dict(tables)
    if COST in found:
        found[COST] = replace(found[COST], notes=[*found[COST].notes, *told])
    return found
