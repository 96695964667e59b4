"""A folder belongs to one study or to several, and says what it was begun with."""

import os
from pathlib import Path
from typing import Any

from eval.records.identity import digest
from eval.records.provenance import revision
from eval.records.store import read_json, write_json
from eval.studies.asked import FILE, sources
from eval.studies.joining import joined_first, joined_sources, names
from eval.studies.own_classes import own_code
from eval.studies.plan import Study

SAID = {"revision": "revision of the code", "data_root": "folder of data"}


def claimed(folder: Path, study: Study) -> list[str]:
    """Write the study's source into the folder, beside those of others that are there; returns what else has changed.

    Args:
        folder: of results.
        study: one, or several joined.

    Raises:
        ValueError: if the folder holds results of another version of it, or of a user's own classes that it names,
            or what it trains first is called as something else is there.
    """
    file = folder / FILE
    now = {"revision": revision(), "data_root": os.environ.get("ALPHADX_DATA", "")}
    own = {path: code for source in study.sources.values() for path, code in own_code(source).items()}
    before = read_json(file, {"name", "title", "models", "source"}) if file.exists() else {}
    there = sources(before) if before else {}
    for name, source in study.sources.items():
        if name in there and digest(there[name]) != digest(source):
            raise ValueError(
                f"{folder} holds results of another version of {name!r}. Name a new folder with --out, or remove "
                "this one."
            )
    known = before.get("own_code", {})
    if edited := [path for path, code in own.items() if known.get(path, code) != code]:
        raise ValueError(
            f"{folder} holds results of other code of {', '.join(edited)}, or of another version of Python. Name a "
            "new folder with --out, or remove this one."
        )
    together = there | study.sources
    joined_first({name: source.get("first", {}) for name, source in together.items()})
    if together.keys() != there.keys():
        # A folder that is joined keeps the revision and the data that it was begun with.
        begun = {key: before.get(key, now[key]) for key in now}
        write_json(file, _content(study, together, before) | begun | {"own_code": known | own})
    return [
        f"{folder} was begun with the {told} {before[key] or 'of no name'}, and goes on with {now[key] or 'none'}."
        for key, told in SAID.items()
        if key in before and before[key] != now[key]
    ]


def _content(study: Study, together: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    identities = sorted({*before.get("identities", []), *(cell.identity for cell in study.cells)})
    unnamed = 0 if "identities" in before else before.get("models", 0)  # of a folder that does not name them yet
    source = joined_sources(together)
    content = {"name": names([*together]), "title": source["title"], "models": len(identities) + unnamed}
    content |= {"source": source, "identities": identities}
    return content if len(together) == 1 else content | {"studies": together}
