"""A folder belongs to one study, and says what it was begun with."""

import os
from pathlib import Path

from eval.records.identity import digest
from eval.records.provenance import revision
from eval.records.store import read_json, write_json
from eval.studies.plan import Study


def claimed(folder: Path, study: Study) -> list[str]:
    """Write the study's source into the folder, or find that it is the same; returns what else has changed."""
    file = folder / "study.json"
    now = {"revision": revision(), "data_root": os.environ.get("ALPHADX_DATA", "")}
    if not file.exists():
        content = {"name": study.name, "title": study.title, "models": len(study.cells), "source": study.source}
        write_json(file, content | now)
        return []
    before = read_json(file, {"name", "title", "models", "source"})
    if digest(before["source"]) != digest(study.source):
        raise ValueError(
            f"{folder} holds results of another study, or of another version of {study.name!r}. Name a new folder "
            "with --out, or remove this one."
        )
    named = {"revision": "revision of the code", "data_root": "folder of data"}
    return [
        f"{folder} was begun with the {named[key]} {before[key] or 'of no name'}, and goes on with {value or 'none'}."
        for key, value in now.items()
        if key in before and before[key] != value
    ]
