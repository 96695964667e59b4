"""What was studied, as the folder's `study.json` says: titles, papers, what differs, claims, and how to repeat it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.records.store import read_json
from eval.studies.asked import FILE
from eval.studies.paper_claims import Claim, claims_of
from eval.studies.source import FAST


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
        of_study: whether a study trained the models.
    """

    title: str
    command: str
    paper: str = ""
    minutes: str = ""
    differs: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    of_study: bool = True


def studies_of(folder: Path) -> list[Studied]:
    """What a folder was begun with; one study or several, or none, for which there is a single entry.

    Raises:
        ValueError: if the file is damaged, or lacks a name or title, naming it and the remedy.
    """
    file = folder / FILE
    if not file.exists():
        return [Studied("Alignment and robustness", f"alphadx measure … --out {folder}", of_study=False)]
    content = read_json(file, set())
    read_json(file, {"name", "title", "models"})
    root = str(content.get("data_root") or "")
    if several := content.get("studies"):
        return [_studied(name, source.get("title", name), source, folder, root) for name, source in several.items()]
    return [_studied(str(content["name"]), content["title"], content.get("source") or {}, folder, root)]


def planned(folder: Path) -> int | None:
    """How many models the studies of a folder have together; None where there is none."""
    file = folder / FILE
    return int(read_json(file, {"models"})["models"]) if file.exists() else None


def _studied(name: str, title: str, source: Mapping[str, Any], folder: Path, data_root: str) -> Studied:
    fast = f"{name.removesuffix(FAST)} --fast" if name.endswith(FAST) else name
    root = f" --data-root {data_root}" if data_root else ""
    differs = source.get("differs") or ()
    return Studied(
        str(title),
        f"alphadx study {fast}{root} --out {folder}",
        str(source.get("paper") or ""),
        minutes_of(source.get("minutes")),
        tuple(map(str, [differs] if isinstance(differs, str) else differs)),
        tuple(claims_of(source)),
    )


def minutes_of(said: Any) -> str:
    """About how long a study takes, as its YAML says it: a number, text, or a mapping of forms.

    Example:
        >>> minutes_of({"whole": "600 on one H100", "fast": 4}), minutes_of(3)
        ('whole: 600 on one H100, fast: 4', '3')
    """
    if not isinstance(said, Mapping):
        return "" if said is None else str(said)
    return _listed(str(key) if value is None else f"{key}: {value}" for key, value in said.items())


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(parts)
