"""scikit-learn's handwritten digits: real data that needs no download."""

from typing import ClassVar

import torch

from training.data.dataset import DataSet
from training.data.resizing import Resizing, check_resizing, resized
from training.data.split import Split, SplitName

SIDE = 8


class Digits(DataSet):
    """1,797 real handwritten digits of 8×8 pixels, ten classes; 1,077 / 180 / 540 samples.

    The splits are fixed and stratified by class. The files are part of scikit-learn (Alpaydin and Kaynak 1998).

    Args:
        bounds: lowest and highest legal value of an input.
        size: height and width.
        resizing: how they are brought to another size than 8, "bilinear" or "pad" with black.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.

    Raises:
        ValueError: for a size below 1, or below 8 where images are padded.
    """

    name = "digits"
    classes = tuple(str(digit) for digit in range(10))
    shape = (1, SIDE, SIDE)  # of the usual size
    later_arguments: ClassVar = {"bounds": (-1.0, 1.0), "size": SIDE, "resizing": "bilinear"}

    def __init__(
        self,
        bounds: tuple[float, float] = (-1.0, 1.0),
        size: int = SIDE,
        resizing: Resizing = "bilinear",
        batch_size: int = 64,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        check_resizing(size, resizing, SIDE)
        self.bounds, self.shape, self.resizing = (bounds[0], bounds[1]), (1, size, size), resizing

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        raw, labels = load_digits(return_X_y=True)
        low, high = self.bounds
        images = resized(torch.from_numpy(raw).float().reshape(-1, 1, SIDE, SIDE), self.shape[-1], self.resizing)
        images = low + images / 16 * (high - low)
        rest, test = train_test_split(range(len(labels)), test_size=540, stratify=labels, random_state=0)
        train, validation = train_test_split(rest, test_size=180, stratify=labels[rest], random_state=0)
        chosen = {"train": train, "validation": validation, "test": test}[name]
        return Split(images[chosen], torch.from_numpy(labels[chosen]), self.bounds)
