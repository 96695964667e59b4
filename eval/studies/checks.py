"""What a study's YAML must be made of; a mistake is named with the place where it stands."""

from collections.abc import Mapping, Sequence
from typing import Any

from alignment.spelling import did_you_mean


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
        hint = did_you_mean(unknown[0], needed | allowed)
        raise ValueError(f"{where}: should hold the keys {sorted(needed | allowed)}. Found {unknown}.{hint}")


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


def listed(found: Any) -> list[Any]:
    """Several of something, where one alone needs no list, and none no key."""
    return found if isinstance(found, list) else [] if found is None else [found]


def check_fronts(part: Mapping[str, Any], where: str) -> None:
    """Refuse fronts that are no two measurements by name.

    Raises:
        ValueError: if a key is missing or unknown, or the reference is not two numbers.
    """
    for front in listed(part.get("fronts")):
        check_keys(front, f"{where}, fronts", needed={"x", "y"}, allowed={"reference"})
        corner = front.get("reference", [0, 0])
        if not isinstance(corner, list) or [isinstance(end, int | float) for end in corner] != [True, True]:
            raise ValueError(f"{where}, fronts: `reference` should be two numbers, of x and of y. Found {corner!r}.")


def check_asked(experiment: Mapping[str, Any], where: str, recipes: Sequence[str]) -> list[Mapping[str, Any]]:
    """The rules by which an experiment chooses a setting; refuses those, and fronts, that mean nothing.

    Args:
        experiment: as the YAML holds it.
        where: it stands, for messages.
        recipes: of the experiment.

    Raises:
        ValueError: if a key is missing or unknown, a recipe is unknown, or there is no sweep to choose from.
    """
    check_fronts(experiment, where)
    if not isinstance(experiment.get("pool", False), bool):
        raise ValueError(f"{where}: `pool` should be true or false. Found {experiment['pool']!r}.")
    rules = listed(experiment.get("choose"))
    for rule in rules:
        check_keys(rule, f"{where}, choose", needed={"most", "within", "of", "against"}, allowed=set())
        if rule["against"] not in recipes:
            raise ValueError(
                f"{where}, choose: `against` should name a recipe of the experiment, {', '.join(recipes)}. "
                f"Found {rule['against']!r}."
            )
        if not isinstance(rule["within"], int | float) or not rule["within"] >= 0:
            raise ValueError(f"{where}, choose: `within` should be a number of at least 0. Found {rule['within']!r}.")
        if not listed(experiment.get("sweep")):
            raise ValueError(f"{where}, choose: needs a `sweep` to choose from. Found none.")
    return rules
