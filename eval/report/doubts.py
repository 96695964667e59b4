"""Rules by which accuracies and radii under several attacks contradict each other, in a paper or in ours.

They are those of `eval.robustness.masking` as far as numbers in a table can show them: an attack that is stronger by
construction and fools less, or one whose success hardly depends on its strength, speaks of gradients that mislead
(Athalye et al. 2018, https://arxiv.org/abs/1802.00420, section 3.1; Carlini et al. 2019,
https://arxiv.org/abs/1902.06705, section 5).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

from eval.attacks import ATTACKS
from eval.records import Quantity
from eval.records.quantity import NORMS, UNDER_ATTACK
from eval.report.published import PaperModel, models
from eval.report.worst import BLACK_BOXES
from training.strength import Strength

ITERATED = ("pgd", "pgd20", "pgd100", "mi_fgsm", "cw_linf", "apgd_ce", "apgd_dlr", "apgd_t")
"""Attacks of many gradient steps."""
STRONGER = (("pgd20", "pgd100"), ("square", "autoattack"), ("fab_t", "autoattack"), ("apgd_t", "autoattack"))
"""Pairs of which the second does all that the first does, and more."""
FAR = 0.1
"""By how much an attack of many steps may lie above AutoAttack, as a share of samples."""
WIDE = 4
"""A strength so many times another should fool more samples in between than the other did alone."""
LEFT = 0.25
"""As long as so large a share of samples is left to be fooled."""


@dataclass(frozen=True)
class Known:
    """A number of a model.

    Attributes:
        value: a share in [0, 1] or a radius.
        spread: deviation over runs, or half the width of its interval; 0 where neither is known.
    """

    value: float
    spread: float = 0.0


Ball = tuple[str, str]
"""Norm and ε as written."""
Shares = Mapping[Ball, Mapping[str, Known]]
"""Accuracies by ball and attack."""


def doubts_of(known: Mapping[Quantity, Known]) -> list[str]:
    """A sentence for every rule that the numbers of one model break.

    Args:
        known: by what they are numbers of, whatever the settings.
    """
    shares, radii, clean = _sorted(known)
    told = [
        ("a sign of gradient masking, so that the larger figures say little", far_above_autoattack(shares)),
        ("a sign of gradient masking", black_box_ahead(shares)),
        ("a sign of gradient masking", single_step_ahead(shares)),
        ("a sign of gradient masking", hardly_falling(shares, clean)),
        ("impossible but for chance", rising(shares)),
        ("impossible but for chance", weaker_ahead(shares)),
        ("impossible but for chance", above_clean(shares, clean)),
        ("PGD may be misled by the gradients", radius_above_black_box(radii)),
    ]
    return [f"{'; '.join(found)}: {meaning}." for meaning, found in ((why, [*rule]) for why, rule in told) if found]


def repeated(model: PaperModel) -> list[str]:
    """A sentence for every attack whose accuracies, over three strengths or more, are those of another one."""
    own = {of: values for (name, of), values in _runs().items() if name == (model.paper, model.name)}
    return [
        f"{', '.join(f'{value:.4f}' for value in values)} under {of} are the figures of {name} under {other}, too: "
        "one of the two is likely a copy."
        for of, values in own.items()
        for ((paper, name), other), rivals in _runs().items()
        if values == rivals and paper == model.paper and (name, other) != (model.name, of)
    ]


@cache
def _runs() -> dict[tuple[tuple[str, str], str], tuple[float, ...]]:
    """The accuracies of the papers' models by model, and by attack and norm, over three strengths or more."""
    found = {}
    for model in models():
        shares, _, _ = _sorted({of: Known(number.value) for of, number in model.numbers.items()})
        for attack, norm, ladder in _ladders(shares):
            if len(ladder) > 2:
                found[(model.paper, model.name), f"{_title(attack)} {norm}"] = tuple(n.value for _, n in ladder)
    return found


def far_above_autoattack(shares: Shares) -> Iterator[str]:
    """Attacks of many steps that leave far more than AutoAttack does."""
    for ball, by_attack in shares.items():
        if least := by_attack.get("autoattack"):
            above = {a: k for a, k in by_attack.items() if a in ITERATED and k.value - least.value > FAR}
            if above:
                yield f"{_at(ball)} AutoAttack leaves {_percent(least)} correct, and {_listed(above)}"


def black_box_ahead(shares: Shares) -> Iterator[str]:
    """Black boxes that leave less than every attack by many gradient steps."""
    for ball, by_attack in shares.items():
        white = {a: k for a, k in by_attack.items() if a in ITERATED}
        for attack in BLACK_BOXES:
            black = by_attack.get(attack)
            if white and black and all(_clearly_above(k, black) for k in white.values()):
                told = f"the black box {_title(attack)} leaves {_percent(black)} correct"
                yield f"{_at(ball)} {told}, and {_listed(white)}"


def single_step_ahead(shares: Shares) -> Iterator[str]:
    """One step that leaves less than many do."""
    for ball, by_attack in shares.items():
        step = by_attack.get("fgsm")
        many = {a: k for a, k in by_attack.items() if step and a in ITERATED and _clearly_above(k, step)}
        if step and many:
            yield f"{_at(ball)} the single step of FGSM leaves {_percent(step)} correct, and {_listed(many)}"


def hardly_falling(shares: Shares, clean: Known | None) -> Iterator[str]:
    """Attacks of many steps that fool fewer samples from some ε to four times that than up to ε."""
    for attack, norm, ladder in _ladders(shares):
        (weak, first), (strong, last) = ladder[0], ladder[-1]
        wide = float(Strength(strong)) >= WIDE * float(Strength(weak))
        if not clean or attack not in ITERATED or not wide or last.value <= LEFT:
            continue
        if first.value - last.value < clean.value - first.value:
            told = (
                f"{_percent(clean)} without attack, {_percent(first)} at {weak}, still {_percent(last)} at {strong}"
            )
            yield f"{_title(attack)} {norm} leaves {told}"


def rising(shares: Shares) -> Iterator[str]:
    """Accuracies that rise with ε."""
    for attack, norm, ladder in _ladders(shares):
        for (weak, before), (strong, after) in combinations(ladder, 2):
            if _clearly_above(after, before):
                yield f"{_title(attack)} {norm} leaves {_percent(before)} at {weak} and {_percent(after)} at {strong}"


def weaker_ahead(shares: Shares) -> Iterator[str]:
    """Attacks that leave more than another that is a part of them."""
    for ball, by_attack in shares.items():
        for part, whole in STRONGER:
            if part in by_attack and whole in by_attack and _clearly_above(by_attack[whole], by_attack[part]):
                yield f"{_at(ball)} {_listed({a: by_attack[a] for a in (whole, part)})}"


def above_clean(shares: Shares, clean: Known | None) -> Iterator[str]:
    """Accuracies under attack above that without."""
    for ball, by_attack in shares.items():
        above = {a: k for a, k in by_attack.items() if clean and _clearly_above(k, clean)}
        if clean and above:
            yield f"{_percent(clean)} are correct without attack, and {_at(ball)} {_listed(above)}"


def radius_above_black_box(radii: Mapping[str, Mapping[str, Known]]) -> Iterator[str]:
    """ε50% under PGD above that under a black box, however little."""
    for norm, by_attack in radii.items():
        for attack in BLACK_BOXES:
            white, black = by_attack.get("pgd"), by_attack.get(attack)
            if white and black and white.value > black.value:
                near = "" if _clearly_above(white, black) else ", within their spread"
                told = f"ε50% {NORMS[norm]} is {white.value:.3g} under PGD and {black.value:.3g} under the black box"
                yield f"{told} {_title(attack)}{near}"


def _sorted(known: Mapping[Quantity, Known]) -> tuple[dict[Ball, dict[str, Known]], dict[str, Any], Known | None]:
    """Accuracies under attack by ball, radii by norm, and the accuracy without attack."""
    shares: dict[Ball, dict[str, Known]] = {}
    radii: dict[str, dict[str, Known]] = {}
    clean = None
    for quantity, number in known.items():
        if not math.isfinite(number.value):
            continue
        if quantity.kind == "epsilon50" and quantity.norm:
            radii.setdefault(quantity.norm, {})[quantity.attack] = number
        elif quantity.kind in UNDER_ATTACK and quantity.attack and _is_strength(quantity.epsilon):
            shares.setdefault((quantity.norm, quantity.epsilon), {})[quantity.attack] = number
        elif quantity.kind == "accuracy" and not quantity.attack:
            clean = number
    return shares, radii, clean


def _ladders(shares: Shares) -> Iterator[tuple[str, str, list[tuple[str, Known]]]]:
    """Each attack in each norm over its strengths, from the weakest."""
    found: dict[tuple[str, str], list[tuple[str, Known]]] = {}
    for (norm, epsilon), by_attack in shares.items():
        for attack, number in by_attack.items():
            found.setdefault((attack, norm), []).append((epsilon, number))
    for (attack, norm), ladder in found.items():
        yield attack, NORMS[norm], sorted(ladder, key=lambda step: float(Strength(step[0])))


def _clearly_above(one: Known, other: Known) -> bool:
    """Whether a number lies above another by more than both their spreads, and not by rounding alone."""
    return one.value - other.value > max(one.spread + other.spread, 1e-9)


def _is_strength(written: str) -> bool:
    try:
        return Strength(written) > 0
    except ValueError:
        return False


def _title(attack: str) -> str:
    return ATTACKS[attack].title


def _at(ball: Ball) -> str:
    return f"at {NORMS[ball[0]]} {ball[1]}"


def _percent(number: Known) -> str:
    return f"{100 * number.value:.2f} %"


def _listed(by_attack: Mapping[str, Known]) -> str:
    return ", ".join(f"{_title(attack)} {_percent(number)}" for attack, number in by_attack.items())
