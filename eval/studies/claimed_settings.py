"""The setting of a sweep that a claim is about."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eval.studies.sweeping import RESERVED, written


@dataclass(frozen=True)
class Offered:
    """What a sweep of a study has, as far as its YAML is of the right form.

    Attributes:
        recipes: their names.
        values: of each setting, as written.
    """

    recipes: frozenset[str]
    values: Mapping[str, list[str]]


def offered(experiment: Any) -> Iterator[Offered]:
    """The sweeps of an experiment."""
    sweeps = experiment.get("sweep") if isinstance(experiment, Mapping) else None
    for sweep in sweeps if isinstance(sweeps, list) else [sweeps]:
        if isinstance(sweep, Mapping):
            named = sweep.get("recipes", [sweep.get("recipe")])
            values = {
                str(k): [*map(written, v)] for k, v in sweep.items() if k not in RESERVED and isinstance(v, list)
            }
            yield Offered(frozenset(map(str, named if isinstance(named, list | Mapping) else [named])), values)


def settings_of(about: Mapping[str, Any], where: str) -> dict[str, str]:
    """The values that a claim holds as `at`, as written; none where it holds nothing.

    Raises:
        ValueError: if it is no mapping of settings.
    """
    at = about.get("at", {})
    if not isinstance(at, Mapping) or ("at" in about and not at):
        raise ValueError(f"{where}: `at` should hold settings of a sweep, such as {{epsilon: 0.2}}. Found {at!r}.")
    return {str(name): written(value) for name, value in at.items()}


def check_settings(at: Mapping[str, str], recipes: Collection[str], sweeps: Iterable[Offered], where: str) -> None:
    """Refuse a setting at which no sweep trains one of the recipes of a claim.

    Raises:
        ValueError: if no sweep of one of the recipes has these settings, or not at these values.
    """
    own = [sweep for sweep in sweeps if sweep.recipes & {*recipes}]
    named = " or ".join(map(repr, recipes))
    over = [sweep for sweep in own if at.keys() <= sweep.values.keys()]
    if not over:
        known = sorted({name for sweep in own for name in sweep.values}) or "none"
        raise ValueError(
            f"{where}: `at` should name settings of one sweep of {named}, which is over {known}. Found {sorted(at)}."
        )
    if not any(all(value in sweep.values[name] for name, value in at.items()) for sweep in over):
        values = {name: [*dict.fromkeys(v for sweep in over for v in sweep.values[name])] for name in at}
        raise ValueError(
            f"{where}: `at` should be at values of a sweep of {named}, which are {values}. Found {dict(at)}."
        )
