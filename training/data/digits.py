"""scikit-learn's handwritten digits: real data that needs no download."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from training.data.dataset import DataSet
from training.data.split import Split, SplitName


class Digits(DataSet):
    """1,797 real handwritten digits of 8×8 pixels, ten classes, in [−1, 1]; 1,077 / 180 / 540 samples.

    The splits are fixed and stratified by class. The files are part of scikit-learn (Alpaydin and Kaynak 1998).

    Args:
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.
    """

    name = "digits"
    classes = tuple(str(digit) for digit in range(10))
    shape = (1, 8, 8)
    bounds = (-1.0, 1.0)

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        raw, labels = load_digits(return_X_y=True)
        images = torch.from_numpy(raw).float().reshape(-1, 1, 8, 8) / 8 - 1
        rest, test = train_test_split(range(len(labels)), test_size=540, stratify=labels, random_state=0)
        train, validation = train_test_split(rest, test_size=180, stratify=labels[rest], random_state=0)
        chosen = {"train": train, "validation": validation, "test": test}[name]
        return Split(images[chosen], torch.from_numpy(labels[chosen]), self.bounds)
