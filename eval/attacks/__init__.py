"""Attacks beyond PGD, and every attack by its name."""

from eval.attacks.spatial import spatial_attack
from eval.attacks.spsa import spsa
from eval.attacks.square import square_attack
from eval.attacks.suite import ATTACKS, SuiteAttack

__all__ = ["ATTACKS", "SuiteAttack", "spatial_attack", "spsa", "square_attack"]
