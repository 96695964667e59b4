"""Train classifiers: data sets, networks, PGD, objectives, the Lightning module, and anybody's checkpoints."""

from training.attacks import pgd
from training.checkpoints import load_classifier
from training.classifier import Classifier
from training.networks import build_network
from training.objectives import AT, Plain
from training.strength import Strength

__all__ = ["AT", "Classifier", "Plain", "Strength", "build_network", "load_classifier", "pgd"]
