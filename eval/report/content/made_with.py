"""Where the numbers of a page come from: dates, machines, revisions, versions, and commands."""

from collections.abc import Iterable, Mapping
from typing import Any

from eval.records import Records

UNKNOWN = "not recorded"


def made_with(records: Records) -> dict[str, str]:
    """All of it by name; several of each where the records come from several runs."""
    made = [r.provenance for r in records]
    told = {
        "Measured": _joined(_days(made)),
        "Machine": _joined(_machine(p) for p in made),
        "Code revision": _joined(str(p.get("revision", UNKNOWN)) for p in made),
        "Versions": _joined(", ".join(f"{k} {v}" for k, v in p.get("versions", {}).items()) for p in made),
        "Folder of data": _joined(p.get("data_root") or "not named" for p in made),
    }
    old = sum(r.schema == 1 for r in records)
    return told | ({"Old records": f"{old} of schema 1, which do not say bounds, weights and network"} if old else {})


def commands(records: Records) -> list[str]:
    """The commands that the records were made by, in the order of their first records."""
    return list(dict.fromkeys(command for r in records if (command := r.provenance.get("command"))))


def _days(made: Iterable[Mapping[str, Any]]) -> list[str]:
    """The first day and the last."""
    days = sorted({str(p.get("date") or UNKNOWN) for p in made})
    return days if len(days) < 3 else [f"{days[0]} to {days[-1]}"]


def _machine(made: Mapping[str, Any]) -> str:
    return f"{made.get('device')}, {made.get('machine')}, {made.get('threads')} threads, Python {made.get('python')}"


def _joined(values: Iterable[str]) -> str:
    return " · ".join(sorted({value for value in values if value}))
