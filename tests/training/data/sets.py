"""Data sets as users write them; the lowest pixel says the number of a sample."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, IterableDataset

LABELS = [0, 1, 2, 0, 1, 2, 0, 1, 2, 2]
SHAPE = (3, 5, 6)


def pixels(number: int) -> np.ndarray:
    """An image (height, width, channels) that differs in every channel and from every other number."""
    image = np.arange(np.prod(SHAPE), dtype=np.uint8).reshape(5, 6, 3)
    image[0, 0] = (number, number + 100, 255)
    return image


def expected(number: int) -> torch.Tensor:
    """The same as an input in [0, 1]."""
    return torch.from_numpy(pixels(number)).permute(2, 0, 1).double().div(255).float()


def pair(x: Any, y: Any) -> Any:
    return x, y


class Pictures(Dataset[Any]):
    """Items in any form, ten of them, with a transform of the user's."""

    def __init__(self, form: Any = Image.fromarray, item: Any = pair, transform: Any = None) -> None:
        self.form, self.item, self.transform = form, item, transform

    def __len__(self) -> int:
        return len(LABELS)

    def __getitem__(self, index: int) -> Any:
        if index >= len(LABELS):
            raise IndexError(index)
        x = self.form(pixels(index))
        return self.item(x if self.transform is None else self.transform(x), LABELS[index])


class Stream(IterableDataset[Any]):
    """The same, one after another."""

    def __init__(self, count: int = 10) -> None:
        self.count = count

    def __iter__(self) -> Any:
        return (floats(i) for i in range(self.count))


def floats(number: int) -> tuple[torch.Tensor, int]:
    """A sample of floating-point numbers in [0, 1]."""
    return expected(number % 10), LABELS[number % 10]


class FloatPictures(Pictures):
    """Floating-point inputs in [0, 1]; takes an option to tell its parts apart, and counts what is read."""

    classes = ("ant", "bee", "cat")

    def __init__(self, first: int = 0, transform: Any = None) -> None:
        super().__init__(transform=transform)
        self.first, self.read = first, 0

    def __len__(self) -> int:
        return len(LABELS) - self.first

    def __getitem__(self, index: int) -> Any:
        self.read += 1
        x, y = floats(index + self.first)
        return (x if self.transform is None else self.transform(x)), y


class Module(LightningDataModule):
    """A data module that says what was called."""

    def __init__(self, batch_size: int = 4) -> None:
        super().__init__()
        self.batch_size, self.called = batch_size, []

    def prepare_data(self) -> None:
        self.called.append("prepare")

    def setup(self, stage: str) -> None:
        self.called.append(stage)
        if stage == "fit":
            self.train, self.val = FloatPictures(2), FloatPictures(6)
        if stage == "test":
            self.test = FloatPictures()

    def train_dataloader(self) -> Any:
        return DataLoader(self.train, self.batch_size, shuffle=True)

    def val_dataloader(self) -> Any:
        return [DataLoader(self.val, self.batch_size)]

    def test_dataloader(self) -> Any:
        return DataLoader(self.test, self.batch_size)


class WithRoot(FloatPictures):
    def __init__(self, root: str, first: int = 0) -> None:
        super().__init__(first)
        self.root = root


class AsMapping:
    """Makes an item with names that nobody else has."""

    def __call__(self, x: Any, y: Any) -> dict[str, Any]:
        return {"patient": 3, "scan": x, "diagnosis": y}
