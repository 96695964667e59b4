"""What a study's YAML must be made of; a mistake is named with the place where it stands."""

from collections.abc import Mapping
from typing import Any


def check_mapping(found: Any, where: str) -> None:
    """Refuse what holds no keys.

    Raises:
        ValueError: if it is no mapping.
    """
    if not isinstance(found, Mapping):
        raise ValueError(f"{where}: should hold keys with values. Found {found!r}.")


def check_keys(found: Any, where: str, *, needed: set[str], allowed: set[str]) -> None:
    """Refuse keys that are missing or unknown.

    Raises:
        ValueError: if there are some, or it is no mapping.
    """
    if not isinstance(found, Mapping):
        raise ValueError(f"{where}: should hold the keys {sorted(needed)}. Found {found!r}.")
    if missing := sorted(needed - found.keys()):
        raise ValueError(f"{where}: the keys {missing} are missing.")
    if unknown := sorted(found.keys() - needed - allowed):
        raise ValueError(f"{where}: should hold the keys {sorted(needed | allowed)}. Found {unknown}.")


def seeds_of(part: Mapping[str, Any], where: str) -> list[int]:
    """The seeds of a part of an experiment; 0 alone where it says none.

    Raises:
        ValueError: if they are no list of whole numbers.
    """
    seeds = part.get("seeds", [0])
    if not isinstance(seeds, list) or not all(isinstance(seed, int) for seed in seeds):
        raise ValueError(f"{where}: `seeds` should be a list of whole numbers. Found {seeds!r}.")
    return seeds


def recipes_of(part: Mapping[str, Any], where: str) -> dict[str, Mapping[str, Any]]:
    """The recipes of a part of an experiment, by name; one without a value is the base itself.

    Raises:
        ValueError: if they are no mapping, or one of them holds no keys.
    """
    recipes = part.get("recipes", {})
    check_mapping(recipes, f"{where}, recipes")
    for name, changes in recipes.items():
        check_mapping(changes or {}, f"{where}, recipes, {name}")
    return {str(name): changes or {} for name, changes in recipes.items()}
