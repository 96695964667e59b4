"""Find Δx, the vector from an input to the closest point of another class.

An estimator returns Δ̂x of `(x, y, target)`, of the shape of x. All estimators are interchangeable.
"""

from typing import TYPE_CHECKING

try:
    from alignment.lazy import lazy
    from alignment.sisters import check_sisters
except ModuleNotFoundError as error:  # what could say more is hidden, too
    raise ImportError("alphadx's package `alignment` is hidden by another of that name. Start elsewhere.") from error

if TYPE_CHECKING:
    from alignment.version import __version__ as __version__
    from generators.checkpoints import load_generator
    from generators.conditional import ConditionalGAN
    from generators.consensus import Consensus, mutual_cosine, rated_weights
    from generators.denoiser import Denoiser, ScoreDifference, score
    from generators.direct import DirectGAN, DirectResidual
    from generators.estimators import holds_estimator, load_estimator
    from generators.examples import Examples
    from generators.nearest import NearestExample
    from generators.projection import LatentProjection, project
    from generators.residuals import ExactResidual, ResidualEstimator, radial, towards_prototypes
    from generators.store import ResidualStore, SelfFillingResidual, StoredResidual, for_samples, for_training
    from generators.translation import Translation
    from generators.transport import TransportGAN

__all__ = [
    "ConditionalGAN",
    "Consensus",
    "Denoiser",
    "DirectGAN",
    "DirectResidual",
    "ExactResidual",
    "Examples",
    "LatentProjection",
    "NearestExample",
    "ResidualEstimator",
    "ResidualStore",
    "ScoreDifference",
    "SelfFillingResidual",
    "StoredResidual",
    "Translation",
    "TransportGAN",
    "for_samples",
    "for_training",
    "holds_estimator",
    "load_estimator",
    "load_generator",
    "mutual_cosine",
    "project",
    "radial",
    "rated_weights",
    "score",
    "towards_prototypes",
]

lazy(__name__)
check_sisters(__name__)
