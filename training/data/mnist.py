"""MNIST and pairs of its digits, from torchvision's files."""

import os
from pathlib import Path

import numpy as np
import torch
import torchvision
from jaxtyping import Int
from torch import Tensor

from training.data.checks import shuffled
from training.data.dataset import DataSet
from training.data.idx import check_idx
from training.data.resizing import Resizing, check_resizing, resized
from training.data.split import Split, SplitName


def data_root(root: str | Path | None) -> Path:
    """Where data files lie: what was given, else the environment's ALPHADX_DATA, else `data`."""
    return Path(root or os.environ.get("ALPHADX_DATA", "data"))


SIDE = 28
LATER = {"bounds": (-1.0, 1.0), "size": SIDE, "resizing": "bilinear"}
"""What held before these could be given."""


class MNIST(DataSet):
    """The 70,000 digits of 28×28 pixels; 10 % of the training part is kept for validation.

    Args:
        data_root: folder that holds `MNIST/raw`; None for the environment's ALPHADX_DATA, else `data`.
        download: let torchvision fetch the files if they are absent.
        bounds: lowest and highest legal value of an input; paper 1 uses [−1, 1], public networks mostly [0, 1].
        size: height and width; paper 3's logistic regression uses 32.
        resizing: how they are brought to another size than 28, "bilinear" or "pad" with black, as paper 1's
            conditional GAN does.
        batch_size: samples per training step; the paper's 64.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.

    Raises:
        ValueError: for a size below 1, or below 28 where images are padded.
    """

    name = "MNIST"
    shape = (1, SIDE, SIDE)  # of the usual size
    later_arguments = LATER
    digits: tuple[int, ...] = tuple(range(10))

    def __init__(
        self,
        data_root: str | None = None,
        download: bool = False,
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
        self.data_root, self.download, self.bounds = data_root, download, (bounds[0], bounds[1])
        self.shape, self.resizing = (1, size, size), resizing
        self.classes = tuple(str(digit) for digit in self.digits)

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        images, labels = self._read(train=name != "test")
        if name != "test":
            order = self.shuffled(len(labels))
            kept = len(labels) // 10
            chosen = order[:kept] if name == "validation" else order[kept:]
            images, labels = images[chosen], labels[chosen]
        return Split(resized(images.unsqueeze(1), self.shape[-1], self.resizing), labels, self.bounds)

    def shuffled(self, count: int) -> Int[Tensor, " N"]:
        """The fixed order of the training part, of which the first tenth is kept for validation."""
        return shuffled(count, "validation", self.name)

    def _read(self, train: bool) -> tuple[Tensor, Tensor]:
        """The digits that take part, renumbered from 0 in the order of `digits`."""
        root = data_root(self.data_root)
        check_idx(root / "MNIST" / "raw", train=train)
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

    The training part is divided as in the program of paper 1, after NumPy's `RandomState(0).shuffle` of it.

    Args:
        a: digit that becomes class 0.
        b: digit that becomes class 1.
        data_root: folder that holds `MNIST/raw`; None for the environment's ALPHADX_DATA, else `data`.
        download: let torchvision fetch the files if they are absent.
        bounds: lowest and highest legal value of an input; paper 1 uses [−1, 1], public networks mostly [0, 1].
        size: height and width; paper 3's logistic regression uses 32.
        resizing: how they are brought to another size than 28, "bilinear" or "pad" with black, as paper 1's
            conditional GAN does.
        batch_size: samples per training step; the paper's 12.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.

    Raises:
        ValueError: if the two digits are the same or no digits, or for a size as of `MNIST`.
    """

    def __init__(
        self,
        a: int = 3,
        b: int = 5,
        data_root: str | None = None,
        download: bool = False,
        bounds: tuple[float, float] = (-1.0, 1.0),
        size: int = SIDE,
        resizing: Resizing = "bilinear",
        batch_size: int = 12,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        if a == b or not {a, b} <= set(range(10)):
            raise ValueError(f"`a` and `b` should be two different digits. Found {a} and {b}.")
        self.digits, self.name = (a, b), f"MNIST-{a}/{b}"
        super().__init__(data_root, download, bounds, size, resizing, batch_size, eval_batch_size, seed, workers)

    def shuffled(self, count: int) -> Int[Tensor, " N"]:
        """The paper's own order."""
        order = np.arange(count)
        np.random.RandomState(0).shuffle(order)
        return torch.from_numpy(order)
