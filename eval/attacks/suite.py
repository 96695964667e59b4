"""Every attack by the name that stands in configurations and records."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from eval.attacks.autoattack import auto_attack
from eval.attacks.minimum_norm import carlini_wagner, ddn, deepfool, fmn
from eval.attacks.spatial import spatial_attack
from eval.attacks.spsa import spsa
from eval.attacks.square import square_attack
from training.attacks import Norm, fgsm, mi_fgsm, pgd

EVERY_NORM: tuple[Norm, ...] = ("Linf", "L2", "L1")


@dataclass(frozen=True)
class SuiteAttack:
    """An attack as the suite knows it.

    Attributes:
        title: as it stands in tables.
        attack: with a budget, `(classifier, x, y, strength, *, norm, bounds, generator)`, or without.
        norms: in which it can be measured; none where its strength is no distance, but 1/τ.
        minimal: whether it looks for the nearest adversarial example itself and takes no strength.
        first_guess: a cheaper and hardly stronger attack, whose ε50% says where to begin; None where failures are
            cheap.
        mixed_strengths: whether samples of different strengths are attacked in one batch. Where not, the curve is
            closed at strengths that all samples share.
    """

    title: str
    attack: Callable[..., Tensor]
    norms: tuple[Norm, ...] = EVERY_NORM
    minimal: bool = False
    first_guess: Callable[..., Tensor] | None = None
    mixed_strengths: bool = True


SHORT = partial(pgd, steps=10, leave_when_fooled=True)

ATTACKS = {
    "fgsm": SuiteAttack("FGSM", fgsm),
    "pgd": SuiteAttack("PGD", partial(pgd, leave_when_fooled=True)),
    "pgd20": SuiteAttack("PGD-20", partial(pgd, steps=20, leave_when_fooled=True)),
    "pgd100": SuiteAttack("PGD-100", partial(pgd, steps=100, leave_when_fooled=True)),
    "mi_fgsm": SuiteAttack("MI-FGSM", mi_fgsm),
    "cw_linf": SuiteAttack("CW", partial(pgd, loss="margin", leave_when_fooled=True), ("Linf",)),
    "apgd_ce": SuiteAttack("APGD-CE", partial(auto_attack, attacks=["apgd-ce"])),
    "apgd_dlr": SuiteAttack("APGD-DLR", partial(auto_attack, attacks=["apgd-dlr"])),
    "apgd_t": SuiteAttack("APGD-T", partial(auto_attack, attacks=["apgd-t"])),
    "fab": SuiteAttack("FAB", partial(auto_attack, attacks=["fab"]), first_guess=SHORT, mixed_strengths=False),
    "fab_t": SuiteAttack("FAB-T", partial(auto_attack, attacks=["fab-t"])),
    "square": SuiteAttack("Square", square_attack, ("Linf", "L2"), first_guess=partial(square_attack, queries=300)),
    "spsa": SuiteAttack("SPSA", spsa, ("Linf",), first_guess=SHORT),
    "autoattack": SuiteAttack("AutoAttack", auto_attack, first_guess=SHORT, mixed_strengths=False),
    "cw": SuiteAttack("CW", carlini_wagner, ("L2",), minimal=True),
    "ddn": SuiteAttack("DDN", ddn, ("L2",), minimal=True),
    "fmn": SuiteAttack("FMN", fmn, minimal=True),
    "deepfool": SuiteAttack("DeepFool", deepfool, ("Linf", "L2"), minimal=True),
    "sta": SuiteAttack("STA", partial(spatial_attack, leave_when_fooled=True), ()),
}
"""In the order in which they stand in tables."""
