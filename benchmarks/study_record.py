"""A finished study in one small file: `python benchmarks/study_record.py runs/suite --save FILE`."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.records import Results
from eval.records.store import read_json, write_json

KEPT = ("value", "interval", "samples", "invalid", "forward_passes", "backward_passes")


def gathered(folder: Path) -> dict[str, Any]:
    """Every record of a study without settings and outcomes per sample, and where the records come from."""
    study = read_json(folder / "study.json", {"name", "models"})
    records = [*Results(folder).load()]
    revisions = sorted({record.provenance["revision"] for record in records})
    return {
        "command": f"alphadx study {study['name']} --data-root DIR",
        "models": len({record.subject.model_key for record in records}),
        "planned": study["models"],
        "provenance": records[0].provenance | {"revision": ", ".join(revisions)},
        "records": [
            asdict(r.model) | {"measurement": r.quantity.name} | {key: getattr(r, key) for key in KEPT}
            for r in records
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of a study")
    parser.add_argument("--save", type=Path, required=True)
    options = parser.parse_args()
    write_json(options.save, gathered(options.folder))
    print(options.save)


if __name__ == "__main__":
    main()
