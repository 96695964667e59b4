"""MNIST and pairs of its digits, from torchvision's files."""

import os
from pathlib import Path

import torch
import torchvision
from torch import Tensor

from training.data.checks import shuffled
from training.data.dataset import DataSet
from training.data.split import Split, SplitName


def data_root(root: str | Path | None) -> Path:
    """Where data files lie: what was given, else the environment's ALPHADX_DATA, else `data`."""
    return Path(root or os.environ.get("ALPHADX_DATA", "data"))


class MNIST(DataSet):
    """The 70,000 digits of 28×28 pixels in [−1, 1]; 10 % of the training part is kept for validation.

    Args:
        data_root: folder that holds `MNIST/raw`; None for the environment's ALPHADX_DATA, else `data`.
        download: let torchvision fetch the files if they are absent.
        batch_size: samples per training step; the paper's 64.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.
    """

    name = "MNIST"
    shape = (1, 28, 28)
    bounds = (-1.0, 1.0)
    digits: tuple[int, ...] = tuple(range(10))

    def __init__(
        self,
        data_root: str | None = None,
        download: bool = False,
        batch_size: int = 64,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        self.data_root, self.download = data_root, download
        self.classes = tuple(str(digit) for digit in self.digits)

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        images, labels = self._read(train=name != "test")
        if name != "test":
            order = shuffled(len(labels), "validation", self.name)
            kept = len(labels) // 10
            chosen = order[:kept] if name == "validation" else order[kept:]
            images, labels = images[chosen], labels[chosen]
        return Split(images.unsqueeze(1), labels, self.bounds)

    def _read(self, train: bool) -> tuple[Tensor, Tensor]:
        """The digits that take part, renumbered from 0 in the order of `digits`."""
        root = data_root(self.data_root)
        try:
            files = torchvision.datasets.MNIST(str(root), train=train, download=self.download)
        except RuntimeError as error:
            raise FileNotFoundError(
                f"{root / 'MNIST' / 'raw'}: MNIST's four idx files were not found or not fetched ({error}). "
                "Name the folder with `data_root` (--data-root) or ALPHADX_DATA, or set `download` to true."
            ) from error
        position = torch.full((10,), -1)
        position[list(self.digits)] = torch.arange(len(self.digits))
        labels = position[files.targets]
        return files.data[labels >= 0], labels[labels >= 0]


class MNISTPair(MNIST):
    """Two digits of MNIST as a binary data set; the default is the paper's MNIST-3/5, 10,397 / 1,155 / 1,902.

    Args:
        a: digit that becomes class 0.
        b: digit that becomes class 1.
        data_root: folder that holds `MNIST/raw`; None for the environment's ALPHADX_DATA, else `data`.
        download: let torchvision fetch the files if they are absent.
        batch_size: samples per training step; the paper's 12.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.

    Raises:
        ValueError: if the two digits are the same or no digits.
    """

    def __init__(
        self,
        a: int = 3,
        b: int = 5,
        data_root: str | None = None,
        download: bool = False,
        batch_size: int = 12,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        if a == b or not {a, b} <= set(range(10)):
            raise ValueError(f"`a` and `b` should be two different digits. Found {a} and {b}.")
        self.digits, self.name = (a, b), f"MNIST-{a}/{b}"
        super().__init__(data_root, download, batch_size, eval_batch_size, seed, workers)
