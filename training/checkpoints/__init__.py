"""Load anybody's classifier: our checkpoints, weights of named networks in any form, and programs."""

from training.checkpoints.describing import FORMAT, NETWORK_KEY, described_options, description_of, network_from
from training.checkpoints.loading import Loaded, load, load_classifier, load_weights

__all__ = [
    "FORMAT",
    "NETWORK_KEY",
    "Loaded",
    "described_options",
    "description_of",
    "load",
    "load_classifier",
    "load_weights",
    "network_from",
]
