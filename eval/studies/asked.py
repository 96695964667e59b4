"""What the studies of a folder ask of its page, beside what they train and measure."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from eval.records.store import read_json

FILE = "study.json"
"""Says which studies a folder belongs to."""


def sources(content: Mapping[str, Any]) -> dict[str, Any]:
    """The YAML of every study of a folder, by name, from what its file holds."""
    return dict(content.get("studies") or {content["name"]: content["source"]})


def asked(folder: Path | None, key: str) -> Iterator[tuple[str, Any]]:
    """What experiments hold under a key, with their names; what a study holds is of all its experiments.

    Args:
        folder: of results; without a study nothing is asked.
        key: such as "fronts".
    """
    file = None if folder is None else folder / FILE
    if file is None or not file.exists():
        return
    for source in sources(read_json(file, {"name", "source"})).values():
        for name, experiment in source.get("experiments", {}).items():
            found = experiment.get(key, source.get(key)) if isinstance(experiment, Mapping) else None
            for one in found if isinstance(found, list) else [found] if found else []:
                yield str(name), one
