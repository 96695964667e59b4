"""What was studied, as the folder's `study.json` says: titles, papers, what differs, claims, and how to repeat it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.records.store import read_json
from eval.studies.paper_claims import Claim, claims_of

FILE = "study.json"
FAST = "_fast"
"""How the name of a fast form ends."""


@dataclass(frozen=True)
class Studied:
    """One study, or the measurements of a folder that no study made.

    Attributes:
        title: a sentence.
        command: that repeats it.
        paper: which tables and figures it repeats; empty for none.
        minutes: about how long it takes; empty where nobody says.
        differs: what is not as in the paper.
        claims: of the papers.
        models: how many were planned; None where it is not known.
    """

    title: str
    command: str
    paper: str = ""
    minutes: str = ""
    differs: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    models: int | None = None


def studies_of(folder: Path) -> list[Studied]:
    """What a folder was begun with; one study or several, or none, for which there is a single entry.

    Raises:
        ValueError: if the file is damaged, or lacks a name or title, naming it and the remedy.
    """
    file = folder / FILE
    if not file.exists():
        return [Studied("Alignment and robustness", f"alphadx measure … --out {folder}")]
    content = read_json(file, set())
    several = content.get("studies")
    if not isinstance(several, list):
        read_json(file, {"name", "title", "models"})
        several = [content]
    if not all(isinstance(one, Mapping) and one.keys() >= {"name", "title"} for one in several) or not several:
        raise ValueError(f"{file} should hold the name and title of each study, and does not.")
    return [_studied(one, folder, str(content.get("data_root") or "")) for one in several]


def planned(studies: Sequence[Studied]) -> int | None:
    """How many models were planned, by all studies together; None where it is not known or they may share some."""
    return studies[0].models if len(studies) == 1 else None


def _studied(content: Mapping[str, Any], folder: Path, data_root: str) -> Studied:
    source: Mapping[str, Any] = content.get("source") or {}
    name = str(content["name"])
    fast = f"{name.removesuffix(FAST)} --fast" if name.endswith(FAST) else name
    root = f" --data-root {data_root}" if data_root else ""
    differs = source.get("differs") or ()
    return Studied(
        str(content["title"]),
        f"alphadx study {fast}{root} --out {folder}",
        str(source.get("paper") or ""),
        minutes_of(source.get("minutes")),
        tuple(map(str, [differs] if isinstance(differs, str) else differs)),
        tuple(claims_of(source)),
        content.get("models"),
    )


def minutes_of(said: Any) -> str:
    """About how long a study takes, as its YAML says it: a number, text, or a mapping of forms.

    Example:
        >>> minutes_of({"paper size": "600 on one H100", "estimated": None, "fast": 4}), minutes_of(3)
        ('paper size: 600 on one H100, estimated, fast: 4', '3')
    """
    if not isinstance(said, Mapping):
        return "" if said is None else str(said)
    return _listed(str(key) if value is None else f"{key}: {value}" for key, value in said.items())


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(parts)
