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
class KnownAttack:
    """An attack as the suite knows it.

    Attributes:
        title: as it stands in tables.
        attack: with a budget, `(classifier, x, y, strength, *, norm, bounds, generator)`, or without.
        norms: in which it can be measured; none where its strength is no distance, but 1/τ.
        minimal: whether it looks for the nearest adversarial example itself and takes no strength.
        scout: a cheaper and hardly stronger attack, whose ε50% says where to begin; None where failures are cheap.
        together: whether samples of different strengths are attacked in one batch. Where not, the curve is closed at
            strengths that all samples share.
    """

    title: str
    attack: Callable[..., Tensor]
    norms: tuple[Norm, ...] = EVERY_NORM
    minimal: bool = False
    scout: Callable[..., Tensor] | None = None
    together: bool = True


SHORT = partial(pgd, steps=10, leave_when_fooled=True)

ATTACKS = {
    "fgsm": KnownAttack("FGSM", fgsm),
    "pgd": KnownAttack("PGD", partial(pgd, leave_when_fooled=True)),
    "pgd20": KnownAttack("PGD-20", partial(pgd, steps=20, leave_when_fooled=True)),
    "pgd100": KnownAttack("PGD-100", partial(pgd, steps=100, leave_when_fooled=True)),
    "mi_fgsm": KnownAttack("MI-FGSM", mi_fgsm),
    "cw_linf": KnownAttack("CW", partial(pgd, loss="margin", leave_when_fooled=True), ("Linf",)),
    "apgd_ce": KnownAttack("APGD-CE", partial(auto_attack, attacks=["apgd-ce"])),
    "apgd_dlr": KnownAttack("APGD-DLR", partial(auto_attack, attacks=["apgd-dlr"])),
    "apgd_t": KnownAttack("APGD-T", partial(auto_attack, attacks=["apgd-t"])),
    "fab": KnownAttack("FAB", partial(auto_attack, attacks=["fab"]), scout=SHORT, together=False),
    "fab_t": KnownAttack("FAB-T", partial(auto_attack, attacks=["fab-t"])),
    "square": KnownAttack("Square", square_attack, ("Linf", "L2"), scout=partial(square_attack, queries=300)),
    "spsa": KnownAttack("SPSA", spsa, ("Linf",), scout=SHORT),
    "autoattack": KnownAttack("AutoAttack", auto_attack, scout=SHORT, together=False),
    "cw": KnownAttack("CW", carlini_wagner, ("L2",), minimal=True),
    "ddn": KnownAttack("DDN", ddn, ("L2",), minimal=True),
    "fmn": KnownAttack("FMN", fmn, minimal=True),
    "deepfool": KnownAttack("DeepFool", deepfool, ("Linf", "L2"), minimal=True),
    "sta": KnownAttack("STA", partial(spatial_attack, leave_when_fooled=True), ()),
}
"""In the order in which they stand in tables."""
