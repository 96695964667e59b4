"""What a finished study printed, in one small file: `python benchmarks/study_record.py runs/NAME --save FILE`."""

import argparse
from pathlib import Path
from typing import Any

from eval.records import Results
from eval.records.store import read_json, write_json
from eval.report import Table, write_report

LEFT_OUT = ("Cost of the measurements",)
"""Tables that say nothing of models."""


def gathered(folder: Path) -> dict[str, Any]:
    """The tables of a study, what it took, and where it was made."""
    records = Results(folder).load()
    provenance = [dict(record.provenance) for record in records]
    return {
        "command": command(folder),
        "models": len({record.subject.model_key for record in records}),
        "seconds": {"training": round(training_seconds(folder)), "measuring": round(sum(r.seconds for r in records))},
        "revision": sorted({str(made.get("revision")) for made in provenance}),
        "machine": sorted({f"{made.get('device')}, {made.get('threads')} threads" for made in provenance}),
        "versions": provenance[0].get("versions", {}),
        "tables": {
            heading: printed(table) for heading, table in write_report(folder).items() if heading not in LEFT_OUT
        },
    }


def command(folder: Path) -> str:
    """That makes the study anew."""
    name = str(read_json(folder / "study.json", {"name"})["name"])
    words = [name.removesuffix("_fast"), "--fast"] if name.endswith("_fast") else [name]
    return " ".join(["alphadx study", *words, "--data-root DIR"])


def training_seconds(folder: Path) -> float:
    """Of all models, and of what was trained before them."""
    marks = folder.rglob("training/trained.json")
    return sum(float(read_json(mark, {"best"}).get("seconds", 0)) for mark in marks)


def printed(table: Table) -> dict[str, Any]:
    """A table as it is printed, row by row."""
    rows = ["  ".join(map(str, row)) for row in table.frame.to_numpy()]
    return {"columns": "  ".join(map(str, table.frame.columns)), "rows": rows, "notes": [*table.notes]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of a study")
    parser.add_argument("--save", type=Path, required=True)
    options = parser.parse_args()
    write_json(options.save, gathered(options.folder))
    print(options.save)


if __name__ == "__main__":
    main()
