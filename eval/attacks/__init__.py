"""Attacks beyond PGD, and every attack by its name."""

from eval.attacks.known import ATTACKS, KnownAttack
from eval.attacks.spatial import spatial_attack
from eval.attacks.spsa import spsa
from eval.attacks.square import square_attack

__all__ = ["ATTACKS", "KnownAttack", "spatial_attack", "spsa", "square_attack"]
