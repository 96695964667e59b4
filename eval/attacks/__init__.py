"""Attacks beyond PGD, and every attack by its name."""

from eval.attacks.options import check_bound
from eval.attacks.protocols import Attack, MinimumNormAttack
from eval.attacks.spatial import spatial_attack
from eval.attacks.spsa import spsa
from eval.attacks.square import square_attack
from eval.attacks.suite import ATTACKS, SuiteAttack

__all__ = [
    "ATTACKS",
    "Attack",
    "MinimumNormAttack",
    "SuiteAttack",
    "check_bound",
    "spatial_attack",
    "spsa",
    "square_attack",
]
