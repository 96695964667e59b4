"""Sweeps: some recipes, trained at several values of one setting of their configuration, or of two."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Any

from eval.records.subject import SETTINGS
from eval.studies.checks import check_keys, check_mapping, recipes_of, seeds_of
from eval.studies.overlay import laid_over
from training.strength import Strength

PARTS = ("data", "model", "trainer", "selection", "checkpoint")
"""Where a path of a setting may begin."""
RESERVED = ("recipe", "recipes", "seeds")
"""Keys of a sweep that are no settings."""
MOST_SETTINGS = 2
"""Settings that a sweep may have; more could not be drawn."""
PLACES: dict[str, tuple[str, ...]] = {
    "epsilon": ("model", "objective", "init_args", "epsilon"),
    "steps": ("model", "objective", "init_args", "steps"),
    "beta": ("model", "objective", "init_args", "beta"),
    "gamma": ("model", "combiner", "init_args", "gamma"),
    "weight": ("model", "combiner", "init_args", "weights"),
    "clip_norm": ("model", "combiner", "init_args", "clip_norm"),
    "combiner_start": ("model", "combiner_start"),
    "alignment_weight": ("model", "alignment_weight"),
    "residual": ("model", "residual"),
}
"""Where the settings with a name of their own stand in a configuration."""


@dataclass(frozen=True)
class Point:
    """A recipe at one setting of a sweep, with one seed.

    Attributes:
        recipe: its name.
        fit: its configuration.
        names: of the settings.
        setting: their values as written, but for ε, which every model of a study says.
        seed: of the training.
    """

    recipe: str
    fit: Mapping[str, Any]
    names: tuple[str, ...]
    setting: dict[str, str]
    seed: int


def points(sweep: Any, recipes: dict[str, Mapping[str, Any]], base: Mapping[str, Any], where: str) -> Iterator[Point]:
    """Every model of a sweep: setting by setting, recipe by recipe, seed by seed.

    Args:
        sweep: `recipe`, the name of one, or `recipes`, names of several or a mapping of its own; one or two settings,
            each with a list of values; and `seeds`. A setting is a name of `PLACES` or a path such as
            `model.optimizer.init_args.lr`.
        recipes: configurations by name, which the sweep may name; those of its own are added.
        base: which recipes of the sweep's own are laid over.
        where: it stands, for messages.

    Raises:
        ValueError: for anything else.
    """
    check_keys(sweep, where, needed=set(), allowed={*RESERVED, *_names(sweep, where)})
    chosen = _chosen(sweep, recipes, base, where)
    values = {name: _values(sweep[name], name, where) for name in _names(sweep, where)}
    for recipe, fit in chosen.items():
        if recipes.setdefault(recipe, fit) != fit:
            raise ValueError(f"{where}: a recipe should be one in all of an experiment. Found two called {recipe!r}.")
    for name, (recipe, fit) in product(values, chosen.items()):
        _check_has(name, recipe, fit, where)
    for setting in product(*values.values()):
        told = dict(zip(values, setting, strict=True))
        changes: dict[str, Any] = {}
        for name, value in told.items():
            changes = laid_over(changes, _change(name, value))
        beside = {name: written(value) for name, value in told.items() if name != "epsilon"}
        for (recipe, fit), seed in product(chosen.items(), seeds_of(sweep, where)):
            yield Point(recipe, laid_over(fit, changes), tuple(told), beside, seed)


def _names(sweep: Any, where: str) -> list[str]:
    """The settings of a sweep.

    Raises:
        ValueError: if there is none or there are too many, or one is neither a name nor a path.
    """
    check_mapping(sweep, where)
    names = [str(name) for name in sweep if name not in RESERVED]
    for name in names:
        if name not in PLACES and (not name.startswith(tuple(f"{part}." for part in PARTS)) or ".." in name):
            raise ValueError(
                f"{where}: a setting should be one of {', '.join(PLACES)}, or a path in the configuration such as "
                f"model.optimizer.init_args.lr. Found {name!r}."
            )
    if not 1 <= len(names) <= MOST_SETTINGS:
        raise ValueError(f"{where}: should hold one setting or two, such as `epsilon: [0.1, 0.2]`. Found {names}.")
    return names


def _chosen(
    sweep: Mapping[str, Any], recipes: Mapping[str, Mapping[str, Any]], base: Mapping[str, Any], where: str
) -> dict[str, Mapping[str, Any]]:
    """The recipes of a sweep: its own, or those that it names."""
    if ("recipe" in sweep) == ("recipes" in sweep):
        raise ValueError(f"{where}: should hold either `recipe` or `recipes`. Found {sorted(map(str, sweep))}.")
    if isinstance(sweep.get("recipes"), Mapping):
        return {name: laid_over(base, changes) for name, changes in recipes_of(sweep, where).items()}
    named = sweep["recipes"] if "recipes" in sweep else [sweep["recipe"]]
    if not isinstance(named, list) or not named or any(str(name) not in recipes for name in named):
        key = "recipe" if "recipe" in sweep else "recipes"
        raise ValueError(
            f"{where}: `{key}` should name a recipe of the experiment, {', '.join(recipes) or 'which has none'}. "
            f"Found {sweep[key]!r}."
        )
    return {str(name): recipes[str(name)] for name in named}


def _values(values: Any, name: str, where: str) -> list[Any]:
    """The values of a setting, each once."""
    if not isinstance(values, list) or not values:
        what = "strengths" if name == "epsilon" else "values"
        raise ValueError(f"{where}: `{name}` should be a list of {what}. Found {values!r}.")
    for value in values:
        if name == "epsilon":
            Strength(str(value))  # so that what is no strength is refused before anything is trained
        if name == "weight" and not (isinstance(value, int | float) and 0 <= value <= 1):
            raise ValueError(f"{where}: `weight` should be λ in [0, 1], of the adversarial loss. Found {value!r}.")
    return [*{written(value): value for value in values}.values()]


def _check_has(name: str, recipe: str, fit: Mapping[str, Any], where: str) -> None:
    """Refuse a setting of an objective or a combiner that a recipe has not."""
    place = PLACES.get(name, ())
    part = place[1] if place[2:] else ""
    if part and "class_path" not in (fit.get("model", {}).get(part) or {}):
        raise ValueError(
            f"{where}: `recipe` should name a recipe whose {part} takes {SETTINGS[name]}. Found {recipe!r}, which "
            f"has no `model.{part}.class_path`."
        )


def _change(name: str, value: Any) -> dict[str, Any]:
    """What a setting lays over a configuration."""
    changes = _vanilla(value) if name == "weight" else value
    for key in reversed(PLACES.get(name) or tuple(name.split("."))):
        changes = {key: changes}
    return changes


def _vanilla(weight: float | int) -> dict[str, float]:
    """The weights of (1 − λ) ℓ_clean + λ ℓ_adv, as short as λ was written."""
    return {"clean": float(1 - Decimal(str(weight))), "adversarial": weight}


def written(value: Any) -> str:
    """A value in words.

    Example:
        >>> written(0.8), written(None), written({"residual": "a.ckpt", "options": {"method": "ours"}})
        ('0.8', 'none', 'a.ckpt, ours')
    """
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(map(written, value.values()))
    return str(value).lower() if isinstance(value, bool) else str(value)
