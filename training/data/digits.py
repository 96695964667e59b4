"""scikit-learn's handwritten digits: real data that needs no download."""

from typing import ClassVar

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from training.data.dataset import DataSet
from training.data.split import Split, SplitName


class Digits(DataSet):
    """1,797 real handwritten digits of 8×8 pixels, ten classes; 1,077 / 180 / 540 samples.

    The splits are fixed and stratified by class. The files are part of scikit-learn (Alpaydin and Kaynak 1998).

    Args:
        bounds: lowest and highest legal value of an input.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.
    """

    name = "digits"
    classes = tuple(str(digit) for digit in range(10))
    shape = (1, 8, 8)
    later_arguments: ClassVar = {"bounds": (-1.0, 1.0)}

    def __init__(
        self,
        bounds: tuple[float, float] = (-1.0, 1.0),
        batch_size: int = 64,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        self.bounds = (bounds[0], bounds[1])

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        raw, labels = load_digits(return_X_y=True)
        low, high = self.bounds
        images = low + torch.from_numpy(raw).float().reshape(-1, 1, 8, 8) / 16 * (high - low)
        rest, test = train_test_split(range(len(labels)), test_size=540, stratify=labels, random_state=0)
        train, validation = train_test_split(rest, test_size=180, stratify=labels[rest], random_state=0)
        chosen = {"train": train, "validation": validation, "test": test}[name]
        return Split(images[chosen], torch.from_numpy(labels[chosen]), self.bounds)
