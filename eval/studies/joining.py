"""Several studies in one folder, which train what they share once."""

from collections.abc import Mapping, Sequence
from typing import Any

from eval.records.identity import digest

TITLES_APART = " · "


def joined_sources(studies: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What several studies tell their reader, as one: titles and papers in a line, claims and differences in a list.

    Args:
        studies: the YAML of each by its name; that of one alone is as it is.
    """
    if len(studies) == 1:
        return dict(next(iter(studies.values())))
    found: dict[str, Any] = {"title": TITLES_APART.join(str(source["title"]) for source in studies.values())}
    for key in ("claims", "differs"):
        if told := [one for source in studies.values() for one in source.get(key, [])]:
            found[key] = [one for place, one in enumerate(told) if one not in told[:place]]
    if papers := [str(source["paper"]) for source in studies.values() if "paper" in source]:
        found["paper"] = "; ".join(dict.fromkeys(papers))
    return found


def joined_first(studies: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What several studies train first, by name.

    Args:
        studies: what each trains first.

    Raises:
        ValueError: if one name is two things.
    """
    found: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for study, first in studies.items():
        for name, fit in first.items():
            if name in found and digest(found[name]) != digest(fit):
                raise ValueError(
                    f"`first` of {study} should name nothing that is something else in {owners[name]}, in the same "
                    f"folder. Found {name!r}. Name another folder with --out."
                )
            found.setdefault(name, fit)
            owners.setdefault(name, study)
    return found


def names(studies: Sequence[str]) -> str:
    """How several studies are called together, and how `alphadx study` is told all of them."""
    return ",".join(dict.fromkeys(studies))
