"""Every attack by the name that stands in configurations and records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from alignment.contracts import check_choice
from eval.attacks.adversarial_library import alma, ddn_advlib, fmn_advlib, pdgd, pdpgd, sigma_zero
from eval.attacks.autoattack import auto_attack
from eval.attacks.minimum_norm import carlini_wagner, ddn, deepfool, fmn
from eval.attacks.options import check_names, rehearse
from eval.attacks.protocols import Attack, MinimumNormAttack
from eval.attacks.spatial import spatial_attack
from eval.attacks.spsa import spsa
from eval.attacks.square import square_attack
from training.attacks import Distance, Norm, fgsm, mi_fgsm, pgd

EVERY_NORM: tuple[Norm, ...] = ("Linf", "L2", "L1")
EVERY_DISTANCE: tuple[Distance, ...] = (*EVERY_NORM, "L0")


@dataclass(frozen=True)
class SuiteAttack:
    """An attack as the suite knows it.

    Attributes:
        title: as it stands in tables.
        attack: with a budget or without, perhaps with options bound to it.
        norms: in which it can be measured; none where its strength is no distance, but 1/τ.
        minimal: whether it looks for the nearest adversarial example itself and takes no strength.
        first_guess: a cheaper and hardly stronger attack, whose ε50% says where to begin; None where failures are
            cheap.
        mixed_strengths: whether every radius is searched for at strengths of its own. Where not, because a run is
            dear, the curve is closed at strengths that all samples share.
        of_two_classes: options that do nothing with more classes, whose records leave them out.
        source: digest of the file that holds an attack of a user's, for its records; empty for ours.
    """

    title: str
    attack: Attack | MinimumNormAttack
    norms: tuple[Distance, ...] = EVERY_NORM
    minimal: bool = False
    first_guess: Attack | None = None
    mixed_strengths: bool = True
    of_two_classes: tuple[str, ...] = ()
    source: str = ""

    def effective(self, options: Mapping[str, Any], num_classes: int) -> dict[str, Any]:
        """Those of the options that can change what the attack finds.

        Example:
            >>> ATTACKS["sta"].effective({"iterations": 40, "binary_margin": 2.0}, num_classes=10)
            {'iterations': 40}
        """
        without = () if num_classes == 2 else self.of_two_classes
        told = {"source": self.source} if self.source else {}
        return {name: value for name, value in options.items() if name not in without} | told

    def check(
        self,
        options: Mapping[str, Any],
        norm: Distance | None,
        shape: Sequence[int],
        num_classes: int,
        bounds: tuple[float, float],
    ) -> None:
        """Refuse, before any real work, what the attack would refuse later.

        Args:
            options: that are to be bound to the attack.
            norm: in which it is to be measured; None for STA.
            shape: of one input.
            num_classes: number of classes.
            bounds: lowest and highest legal value of an input.

        Raises:
            ValueError: for options that are misspelt, that the attack refuses, that are part of what its name means
                or that a search passes itself, a norm or data that it does not know, or a missing extra.
        """
        check_choice(norm, self.norms or (None,), f"norm of {self.title}")
        check_names(self.title, self.attack, options)
        strength = () if self.minimal else (torch.full((1,), 0.1),)
        try:
            rehearse(self.attack, options, *strength, norm=norm, shape=shape, num_classes=num_classes, bounds=bounds)
        except ValueError as error:
            raise ValueError(f"{self.title} cannot run: {error}") from error


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
    "ddn_advlib": SuiteAttack("DDN (adv-lib)", ddn_advlib, ("L2",), minimal=True),
    "fmn_advlib": SuiteAttack("FMN (adv-lib)", fmn_advlib, EVERY_DISTANCE, minimal=True),
    "pdgd": SuiteAttack("PDGD", pdgd, ("L2",), minimal=True),
    "pdpgd": SuiteAttack("PDPGD", pdpgd, EVERY_DISTANCE, minimal=True),
    "alma": SuiteAttack("ALMA", alma, ("L2",), minimal=True),
    "sigma_zero": SuiteAttack("σ-zero", sigma_zero, ("L0",), minimal=True),
    "sta": SuiteAttack("STA", partial(spatial_attack, leave_when_fooled=True), (), of_two_classes=("binary_margin",)),
}
"""In the order in which they stand in tables."""

if TYPE_CHECKING:  # a partial hides from mypy whether the function below it fits
    _budgeted: tuple[Attack, ...] = (pgd, fgsm, mi_fgsm, auto_attack, square_attack, spsa, spatial_attack)
    _minimal: tuple[MinimumNormAttack, ...] = (
        carlini_wagner,
        ddn,
        fmn,
        deepfool,
        ddn_advlib,
        fmn_advlib,
        pdgd,
        pdpgd,
        alma,
        sigma_zero,
    )
