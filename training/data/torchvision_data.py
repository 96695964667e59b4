"""Torchvision's data sets of labelled images, by name."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import torchvision
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Subset

from training.data.checks import shuffled
from training.data.foreign.item_data import ItemData
from training.data.foreign.reading import Reading
from training.data.mnist import data_root as _data_root
from training.data.split import SplitName
from training.strength import Strength

BY_TRAIN = ("MNIST", "FashionMNIST", "KMNIST", "QMNIST", "EMNIST", "CIFAR10", "CIFAR100", "USPS")
"""Take `train`."""
BY_SPLIT: Mapping[str, tuple[str, str | None, str]] = {
    "SVHN": ("train", None, "test"),
    "STL10": ("train", None, "test"),
    "GTSRB": ("train", None, "test"),
    "Food101": ("train", None, "test"),
    "StanfordCars": ("train", None, "test"),
    "FER2013": ("train", None, "test"),
    "OxfordIIITPet": ("trainval", None, "test"),
    "Flowers102": ("train", "val", "test"),
    "FGVCAircraft": ("train", "val", "test"),
    "DTD": ("train", "val", "test"),
    "PCAM": ("train", "val", "test"),
    "RenderedSST2": ("train", "val", "test"),
    "Country211": ("train", "valid", "test"),
    "ImageNet": ("train", None, "val"),
    "Imagenette": ("train", None, "val"),
    "Places365": ("train-standard", None, "val"),
}
"""Take `split`: its values for training, validation and test. Where labels of a test part were never published, the
validation part is tested on."""
WHOLE = ("EuroSAT", "Caltech101", "Caltech256", "SUN397", "SEMEION", "FakeData")
"""Have one part, of which `TEST_SHARE` is kept for the test by a fixed shuffle."""
TEST_SHARE = 0.2
COUNTS = {"SVHN": 10, "USPS": 10, "GTSRB": 43, "PCAM": 2, "SEMEION": 10}
"""Classes of data sets that do not say them."""


class TorchvisionData(ItemData):
    """A data set of torchvision by name: `--data TorchvisionData --data.set SVHN --data.data_root DIR`.

    Images are read from torchvision's files when they are asked for. Nothing is downloaded unless it is asked for.

    Args:
        set: name in `torchvision.datasets`, such as SVHN, FashionMNIST, Flowers102 or ImageNet.
        data_root: folder of its files; None for the environment's ALPHADX_DATA, else `data`.
        download: let torchvision fetch the files if they are absent.
        size: height and width to which images are brought; they are left as they are if not given.
        resize: length of the shorter side before the middle is kept; `size` if not given.
        channels: 1 for grey, 3 for colour; left as they are if not given.
        bounds: lowest and highest legal value of an input, to which bytes are mapped.
        options: that its class takes besides, such as `{split: balanced}` for EMNIST.
        classes: their names, or how many there are; torchvision's if not given.
        validation_share: of the training part, kept by a fixed shuffle where there is no part for validation.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that read and prepare batches.

    Raises:
        FileNotFoundError: if the files are missing.
        ValueError: if there is no such data set of labelled images, or images differ in size and `size` is not given.
    """

    def __init__(
        self,
        set: str,
        data_root: str | None = None,
        download: bool = False,
        size: int | None = None,
        resize: int | None = None,
        channels: int | None = None,
        bounds: tuple[float, float] = (0.0, 1.0),
        options: dict[str, Any] | None = None,
        classes: list[str] | int | None = None,
        validation_share: float | Strength = 0.1,
        batch_size: int = 64,
        eval_batch_size: int = 128,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        if set not in (*BY_TRAIN, *BY_SPLIT, *WHOLE):
            known = ", ".join(sorted((*BY_TRAIN, *BY_SPLIT, *WHOLE)))
            raise ValueError(
                f"`set` should be one of torchvision's data sets of labelled images: {known}. Found {set!r}. Any "
                f"other class is taken by its path, --data TorchData --data.source torchvision.datasets:{set}."
            )
        super().__init__(
            set,
            bounds=bounds,
            classes=classes if classes is not None else COUNTS.get(set),
            reading=Reading(size=size, resize=resize, channels=channels),
            validation_share=validation_share,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
            workers=workers,
        )
        self.data_root, self.download, self.options = data_root, download, options or {}
        self.look("test")

    def items(self, name: SplitName) -> Any:
        """The items of a split, as torchvision reads them; None where it has no part for validation."""
        if self.name in WHOLE:
            return self._part_of_whole(name)
        if self.name in BY_TRAIN:
            return None if name == "validation" else self._opened({"train": name == "train"})
        train, validation, test = BY_SPLIT[self.name]
        value = {"train": train, "validation": validation, "test": test}[name]
        return None if value is None else self._opened({"split": value})

    def _part_of_whole(self, name: SplitName) -> Any:
        """A share of the only part there is."""
        if name == "validation":
            return None
        everything = self._opened({})
        order: Int[Tensor, " N"] = shuffled(len(everything), "test", self.name)
        count = max(1, int(len(order) * TEST_SHARE))
        chosen = order[:count] if name == "test" else order[count:]
        return Subset(everything, chosen.sort().values.tolist())

    def _opened(self, part: Mapping[str, Any]) -> Any:
        """Torchvision's data set of a part.

        Raises:
            FileNotFoundError: if its files are missing.
        """
        make = getattr(torchvision.datasets, self.name)
        takes = signature(make).parameters
        root = _data_root(self.data_root)
        given: dict[str, Any] = {**part, **self.options}
        if "root" in takes:
            given["root"] = str(root)
        if "download" in takes or self.name in BY_TRAIN:  # which hand it on
            given["download"] = self.download
        try:
            return make(**given)
        except TypeError as error:
            raise ValueError(f"`options` should be what {self.name} takes. Found {self.options}: {error}.") from error
        except (RuntimeError, FileNotFoundError) as error:
            raise FileNotFoundError(
                f"{root}: the files of torchvision's {self.name} were not found or not fetched ({error}). Name their "
                "folder with `data_root` (--data.data_root) or ALPHADX_DATA, or set `download` to true."
            ) from error
