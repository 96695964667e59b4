"""Train classifiers: data sets, networks, PGD, objectives, combiners, the Lightning module, anybody's checkpoints."""

from typing import TYPE_CHECKING

try:
    from alignment.lazy import lazy
    from alignment.sisters import check_sisters
except ModuleNotFoundError as error:  # what could say more is hidden, too
    raise ImportError("alphadx's package `alignment` is hidden by another of that name. Start elsewhere.") from error

if TYPE_CHECKING:
    from alignment.version import __version__ as __version__
    from training.attacks import pgd
    from training.checkpoints import load_classifier
    from training.classifier import Classifier
    from training.combiners import AGR, CAAT, TorchJD, WeightedSum
    from training.networks import build_network
    from training.networks.normalization import Normalization, Normalized
    from training.objectives import AT, CLP, MART, TRADES, AvMixup, Plain
    from training.penalties import Alignment, Edges, GradientNorm, Jacobian, LenientAlignment, WeightedAlignment
    from training.perpendicular import PerpendicularAT
    from training.sample_caat import SampleCAAT
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
    "Alignment",
    "AvMixup",
    "Classifier",
    "Edges",
    "GradientNorm",
    "Jacobian",
    "LenientAlignment",
    "Normalization",
    "Normalized",
    "PerpendicularAT",
    "Plain",
    "SampleCAAT",
    "Strength",
    "TorchJD",
    "WeightedAlignment",
    "WeightedSum",
    "build_network",
    "load_classifier",
    "pgd",
]

lazy(__name__)
check_sisters(__name__)
