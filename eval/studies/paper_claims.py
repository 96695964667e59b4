"""What a study says that a paper claims, in a form that can be judged by rule from the records.

`claims` of a study is a list, each with `says`, a sentence; `paper`, where it stands; `data`, the experiment that it
is about, or all of them; and one of

    more, less: {measurement: epsilon50_pgd_linf, of: P, than: B}
    same: {measurement: accuracy, of: P, than: B, within: 0.01}
    value: {measurement: residual_similarity, of: 'direct, paper', between: [0.8, 0.9]}
    correlates: {measurement: alpha_dx, with: epsilon50_pgd_linf, above: 0.5}, of one recipe where it names it as `of`
    front: {x: accuracy, y: accuracy_pgd_linf_8/255, of: CA-AT, than: vanilla}, with the `reference` of the areas
        where the worst of each that any model has is not meant

where a measurement is a `Quantity.name`. Of recipes of a sweep, the first four are judged at each setting that both
have, or only at the one that they name, such as `at: {epsilon: 0.2}`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from eval.attacks import ATTACKS
from eval.figures import FIGURE_KINDS
from eval.records.quantity import KINDS, UNDER_ATTACK, WORST, Quantity
from eval.studies.claimed_settings import check_settings, offered, settings_of
from training.strength import Strength

ABOUT: dict[str, tuple[set[str], set[str]]] = {
    "more": ({"measurement", "of", "than"}, {"at"}),
    "less": ({"measurement", "of", "than"}, {"at"}),
    "same": ({"measurement", "of", "than", "within"}, {"at"}),
    "value": ({"measurement", "of", "between"}, {"at"}),
    "correlates": ({"measurement", "with", "above"}, {"of"}),
    "front": ({"x", "y", "of", "than"}, {"reference"}),
}
"""Kinds of claims, with the keys that each must have and may have."""
MEASURED = ("measurement", "with", "x", "y")
"""Keys that name a measurement."""
PAIRS = {"between", "reference"}
"""Keys of two numbers."""
RECIPES = ("of", "than")
"""Keys that name a recipe."""


@dataclass(frozen=True)
class Claim:
    """What a paper claims.

    Attributes:
        says: the claim as a sentence.
        paper: where it stands; empty where nobody says.
        data: name of an experiment of the study; empty for each that has the recipes.
        kind: of `ABOUT`.
        about: what the kind needs.
    """

    says: str
    paper: str
    data: str
    kind: str
    about: Mapping[str, Any]

    @property
    def at(self) -> dict[str, str]:
        """The values of settings that the claim is about, as written; none for all of a sweep."""
        return settings_of(self.about, self.says)


def claims_of(source: Mapping[str, Any], where: str = "claims") -> list[Claim]:
    """The claims that a study's YAML holds.

    Raises:
        ValueError: if one is not of the form above, or names a measurement that does not exist.
    """
    found = source.get("claims") or []
    if not isinstance(found, list):
        raise ValueError(f"{where}: `claims` should be a list. Found {found!r}.")
    return [_claim(claim, f"{where}, claim {number}") for number, claim in enumerate(found, 1)]


def check_claims(source: Any, where: str) -> None:
    """Refuse claims that could never be judged, of both forms of a study, before anything is trained.

    Args:
        source: the whole YAML, with the fast form; what is no mapping has none.
        where: name of the study, for messages.

    Raises:
        ValueError: if a claim is not of its form, or names a measurement, recipe or experiment that does not exist.
    """
    if not isinstance(source, Mapping):
        return
    fast = source.get("fast")
    forms = [source, *([fast] if isinstance(fast, Mapping) else [])]
    experiments = [pair for form in forms for pair in _experiments(form)]
    data, recipes = {name for name, _ in experiments}, {r for _, found in experiments for r in _recipes(found)}
    for claim in (claim for form in forms for claim in claims_of(form, where)):
        if claim.data and claim.data not in data:
            raise ValueError(f"{where}: `data` of a claim should be one of {sorted(data)}. Found {claim.data!r}.")
        for name in (str(claim.about[key]) for key in RECIPES if key in claim.about):
            if name not in recipes:
                raise ValueError(f"{where}: a claim should be about one of {sorted(recipes)}. Found {name!r}.")
        if claim.at:
            sweeps = (one for name, found in experiments if claim.data in ("", name) for one in offered(found))
            check_settings(claim.at, [str(claim.about[key]) for key in RECIPES if key in claim.about], sweeps, where)


def is_measurement(name: str) -> bool:
    """Whether records may have this name.

    Example:
        >>> is_measurement("epsilon50_pgd_linf"), is_measurement("accuracy_pgd_l2_128/255"), is_measurement("ε50")
        (True, True, False)
    """
    head, _, epsilon = name.rpartition("_")
    if name in _names() or any(name == kind or name.startswith(f"{kind}_") for kind in FIGURE_KINDS):
        return True
    return head in _names() and head.startswith(tuple(f"{kind}_" for kind in UNDER_ATTACK)) and _is_strength(epsilon)


def _claim(found: Any, where: str) -> Claim:
    kinds = [kind for kind in ABOUT if isinstance(found, Mapping) and kind in found]
    if len(kinds) != 1 or not isinstance(found.get("says"), str):
        raise ValueError(f"{where}: should hold `says` and one of {', '.join(ABOUT)}. Found {found!r}.")
    (kind,) = kinds
    if unknown := sorted(found.keys() - {"says", "paper", "data", kind}):
        raise ValueError(f"{where}: should hold says, paper, data and {kind}. Found {', '.join(unknown)}.")
    about = found[kind]
    needed, allowed = ABOUT[kind]
    if not isinstance(about, Mapping) or not needed <= about.keys() <= needed | allowed:
        raise ValueError(f"{where}: `{kind}` should hold {', '.join(sorted(needed))}. Found {about!r}.")
    _check_numbers(about, f"{where}, {kind}")
    settings_of(about, f"{where}, {kind}")
    for name in (about[key] for key in MEASURED if key in about):
        if not is_measurement(str(name)):
            raise ValueError(
                f"{where}: a measurement should be named as records are, such as epsilon50_pgd_linf, alpha_dx or "
                f"accuracy_pgd_linf_8/255. Found {name!r}."
            )
    return Claim(found["says"], str(found.get("paper", "")), str(found.get("data", "")), kind, about)


def _check_numbers(about: Mapping[str, Any], where: str) -> None:
    """Refuse what is no number where one belongs."""
    numbers = [about[key] for key in ("within", "above") if key in about]
    for key in PAIRS & about.keys():
        if not isinstance(about[key], list) or len(about[key]) != 2:
            raise ValueError(f"{where}: `{key}` should be a pair of numbers. Found {about[key]!r}.")
        numbers += about[key]
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{where}: should hold numbers. Found {number!r}.")


def _experiments(form: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    experiments = form.get("experiments")
    if isinstance(experiments, Mapping):
        yield from ((str(name), experiment) for name, experiment in experiments.items())


def _recipes(experiment: Any) -> Iterator[str]:
    """The recipes and estimators of an experiment, those included that a sweep has of its own."""
    if not isinstance(experiment, Mapping):
        return
    sweep = experiment.get("sweep") or []
    parts = [experiment, *(sweep if isinstance(sweep, list) else [sweep])]
    for part in parts:
        for key in ("recipes", "estimators"):
            if isinstance(part, Mapping) and isinstance(part.get(key), Mapping):
                yield from map(str, part[key])


@cache
def _names() -> frozenset[str]:
    """Names of quantities without a strength."""
    attacked = [(name, norm) for name, attack in ATTACKS.items() for norm in attack.norms]
    attacked += [(WORST, norm) for norm in ("Linf", "L2", "L1")]
    found = {Quantity(kind).name for kind in KINDS if kind not in ("epsilon50", "tau50", "robust_accuracy")}
    found |= {Quantity(kind, *pair).name for kind in ("epsilon50", *UNDER_ATTACK) for pair in attacked}
    return frozenset(found | {Quantity("tau50", "sta").name})


def _is_strength(written: str) -> bool:
    try:
        Strength(written)
    except ValueError:
        return False
    return True
