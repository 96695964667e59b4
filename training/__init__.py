"""Train classifiers: data sets, networks, PGD, objectives, combiners, the Lightning module, anybody's checkpoints."""

from alignment.version import __version__ as __version__
from training.attacks import pgd
from training.checkpoints import load_classifier
from training.classifier import Classifier
from training.combiners import AGR, CAAT, TorchJD, WeightedSum
from training.networks import build_network
from training.networks.normalization import Normalization, Normalized
from training.objectives import AT, CLP, MART, TRADES, AvMixup, Plain
from training.strength import Strength
from training.weight_perturbation import AWP

__all__ = [
    "AGR",
    "AT",
    "AWP",
    "CAAT",
    "CLP",
    "MART",
    "TRADES",
    "AvMixup",
    "Classifier",
    "Normalization",
    "Normalized",
    "Plain",
    "Strength",
    "TorchJD",
    "WeightedSum",
    "build_network",
    "load_classifier",
    "pgd",
]
