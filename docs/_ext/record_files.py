"""Read the saved results under `benchmarks/records`, the only source of numbers in the documentation."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "records"
BETWEEN_CELLS = re.compile(r"(?<=\S)  |^  ")
"""Cells of a printed row: the first one may be empty, and the second indented, where a row is a paper's."""


@dataclass(frozen=True)
class Printed:
    """A table of a study as it was printed."""

    columns: list[str]
    rows: list[list[str]]
    notes: list[str]

    def only(self, columns: list[str], rows: str = "") -> "Printed":
        """Some of its columns, and the rows whose first cells match a pattern.

        Raises:
            ValueError: for a column that is not there, or if no row matches.
        """
        missing = [name for name in columns if name not in self.columns]
        if missing:
            raise ValueError(f"`columns` should be among {self.columns}. Found {missing}.")
        places = [self.columns.index(name) for name in columns or self.columns]
        matching = [row for row in self.rows if re.search(rows, "  ".join(row))]
        if not matching:
            raise ValueError(f"`rows` should match a row. Found none for {rows!r}.")
        return Printed(columns or self.columns, [[row[at] for at in places] for row in matching], self.notes)


def read(name: str) -> dict[str, Any]:
    """A record by its file name, such as `studies/quick` or `pgd`."""
    path = FOLDER / f"{name.removesuffix('.json')}.json"
    if not path.is_file():
        raise ValueError(f"`{name}` should be a file under benchmarks/records. Found no {path.name}.")
    return json.loads(path.read_text(encoding="utf-8"))


def studies() -> list[str]:
    """Names of the studies with a record."""
    return sorted(path.stem for path in (FOLDER / "studies").glob("*.json"))


def table(name: str, heading: str) -> Printed:
    """A table of a study's record, by the beginning of its heading.

    Raises:
        ValueError: if there is none, or a row has another number of cells than there are columns.
    """
    tables = read(name)["tables"]
    found = [key for key in tables if key.startswith(heading)]
    if not found:
        raise ValueError(f"`table` of {name} should begin one of {[*tables]}. Found {heading!r}.")
    content = tables[found[0]]
    columns = BETWEEN_CELLS.split(content["columns"])
    rows = [BETWEEN_CELLS.split(row) for row in content["rows"]]
    if any(len(row) != len(columns) for row in rows):
        raise ValueError(f"{name}, {found[0]!r}: every row should have {len(columns)} cells.")
    return Printed(columns, rows, content["notes"])


def findings(verdict: str) -> list[list[str]]:
    """Preset, what was found, what is claimed and where, of all findings with a verdict.

    Raises:
        ValueError: if no finding has it.
    """
    rows = [
        [name, found, claim, paper]
        for name in studies()
        if "Findings" in read(f"studies/{name}")["tables"]
        for found, judged, claim, paper in table(f"studies/{name}", "Findings").rows
        if judged == verdict
    ]
    if not rows:
        raise ValueError(f"`verdict` should be one that a finding has. Found {verdict!r}.")
    return rows


def value(name: str, path: str) -> Any:
    """A number or text of a record, by keys and positions with " / " between them; a key may hold that itself.

    Raises:
        ValueError: naming the key that is not there.
    """
    found: Any = read(name)
    parts = path.split(" / ")
    while parts:
        key = next((joined for joined in _beginnings(parts) if _holds(found, joined)), None)
        if key is None:
            there = [*found] if isinstance(found, dict) else f"{len(found)} entries"
            raise ValueError(f"{name}: a key should be among {there}. Found {parts[0]!r}.")
        found = found[int(key)] if isinstance(found, list) else found[key]
        parts = parts[key.count(" / ") + 1 :]
    return found


def _beginnings(parts: list[str]) -> list[str]:
    """The first parts joined, the longest first."""
    return [" / ".join(parts[:end]) for end in range(len(parts), 0, -1)]


def _holds(found: Any, key: str) -> bool:
    return key in found if isinstance(found, dict) else key.isdigit() and int(key) < len(found)


def made_by(record: dict[str, Any]) -> str:
    """The command that a record repeats, with the cost and the code that it was made with."""
    parts = [f"`{record['command']}`"]
    if "seconds" in record and isinstance(record["seconds"], dict) and "training" in record["seconds"]:
        seconds = sum(record["seconds"].values())
        parts.append(f"{record['models']} models, {max(1, round(seconds / 60))} min of one core")
    revisions = record.get("revision") or [record.get("provenance", {}).get("revision")]
    if any(revisions):
        parts.append("revision " + ", ".join(str(revision) for revision in revisions))
    return "; ".join(parts)
