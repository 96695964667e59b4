"""A data set of your own: say what it is called, its classes, shape and bounds, and make its three splits."""

import numpy as np
import torch

from training.data import DataSet, Split, SplitName

SIZES = {"train": 2000, "validation": 200, "test": 500}


class TwoRings(DataSet):
    """Points of the plane on two noisy rings; put the reading of your files in `make_split`.

    Args:
        noise: standard deviation of the radius.
        batch_size: samples per training step.
        seed: of the order of the training samples.
    """

    name = "rings"
    classes = ("inner", "outer")
    shape = (2,)
    bounds = (-2.0, 2.0)

    def __init__(self, noise: float = 0.05, batch_size: int = 64, seed: int = 0) -> None:
        super().__init__(batch_size=batch_size, seed=seed)
        self.noise = noise

    def make_split(self, name: SplitName) -> Split:
        """Samples in float32 within the bounds, or images in uint8, which are mapped to the bounds; and labels."""
        random = np.random.default_rng(list(SIZES).index(name))
        labels = random.integers(0, 2, SIZES[name])
        radius = np.where(labels == 0, 0.7, 1.4) + self.noise * random.standard_normal(len(labels))
        angle = random.uniform(0, 2 * np.pi, len(labels))
        points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).clip(*self.bounds)
        return Split(torch.from_numpy(points).float(), torch.from_numpy(labels), self.bounds)
