"""CIFAR-10 and CIFAR-100, from torchvision's files or HDF5 shards."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torchvision
from torch import Tensor

from training.data.augmentation import Augmentation
from training.data.checks import validation_divided
from training.data.dataset import DataSet
from training.data.hdf5 import HDF5Images
from training.data.mnist import data_root
from training.data.resizing import Resizing, check_resizing, resized
from training.data.split import Split, SplitName
from training.strength import Strength

SHARDS = 5
SIDE = 32
NAMES_10 = "airplane automobile bird cat deer dog frog horse ship truck"
NAMES_100 = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
    lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
    pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
    shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
    television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


class CIFAR10(DataSet):
    """60,000 colour images of 32×32 pixels in ten classes; a share of the 50,000 for training is validation.

    Args:
        data_root: folder that holds `cifar-10-batches-py` (torchvision's form) or `cifar10` (HDF5 shards
            `train-1.h5` to `train-5.h5` and `test.h5`, each with `images`, uint8 `(N, 3, 32, 32)`, and `labels`);
            None for the environment's ALPHADX_DATA, else `data`. Where both are there, the shards are read.
        download: let torchvision fetch its form if neither is there.
        bounds: lowest and highest legal value of an input; papers 2 and 3 use [0, 1], paper 1 uses [−1, 1].
        size: height and width.
        resizing: how they are brought to another size than 32, "bilinear" or "pad" with black.
        validation_share: of the training part, kept by a fixed shuffle, as paper 1's 0.1; with 0, as in paper 2, all
            is for training, and no best epoch can be chosen: `selection: {keep: last}`.
        augmentation: of training batches; none if not given.
        only: names of the classes that are kept, in this order, such as `[cat, dog]`; None for all.
        batch_size: samples per training step; the papers' 128.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples and their augmentation.
        workers: processes that prepare batches.

    Raises:
        ValueError: if `validation_share` does not lie in [0, 1), `only` is not two or more of the classes, a shard
            cannot be right, or the size is below 1, or below 32 where images are padded.
        FileNotFoundError: if the files are missing, when they are first asked for.
    """

    name = "CIFAR-10"
    shape = (3, SIDE, SIDE)  # of the usual size
    later_arguments: ClassVar = {"size": SIDE, "resizing": "bilinear", "only": None}
    classes = tuple(NAMES_10.split())
    folders = ("cifar10", "cifar-10-batches-py")
    reader: Any = torchvision.datasets.CIFAR10

    def __init__(
        self,
        data_root: str | None = None,
        download: bool = False,
        bounds: tuple[float, float] = (0.0, 1.0),
        size: int = SIDE,
        resizing: Resizing = "bilinear",
        validation_share: float | Strength = 0.1,
        augmentation: Augmentation | None = None,
        only: Sequence[str] | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        self.data_root, self.download = data_root, download
        self.bounds, self.validation_share = (bounds[0], bounds[1]), validation_share
        self.augmentation = augmentation
        check_resizing(size, resizing, SIDE)
        self.shape, self.resizing = (3, size, size), resizing
        self.all_classes = self.classes
        if only is not None:
            if len({*only}) != len(only) or len(only) < 2 or not {*only} <= {*self.classes}:
                raise ValueError(f"`only` should be two or more of {', '.join(self.classes)}. Found {[*only]}.")
            self.classes, self.name = tuple(only), f"{self.name} {'/'.join(only)}"

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        images, labels = self._read(train=name != "test")
        if name != "test":
            rest, kept = validation_divided(len(labels), self.validation_share, self.name, none=True)
            chosen = kept if name == "validation" else rest
            images, labels = images[chosen], labels[chosen]
        if self.classes != self.all_classes:
            number = torch.full((len(self.all_classes),), -1)
            number[[self.all_classes.index(kept) for kept in self.classes]] = torch.arange(len(self.classes))
            labels = number[labels.long()]
            images, labels = images[labels >= 0], labels[labels >= 0]
        return Split(resized(images, self.shape[-1], self.resizing), labels, self.bounds)

    def _read(self, train: bool) -> tuple[Tensor, Tensor]:
        root = data_root(self.data_root)
        shards, batches = (root / folder for folder in self.folders)
        if shards.is_dir():
            names = [f"train-{number}" for number in range(1, SHARDS + 1)] if train else ["test"]
            files = [str(shards / f"{name}.h5") for name in names]
            split = HDF5Images(files, files, classes=list(self.all_classes), bounds=self.bounds).split("test")
            return split.images, split.labels
        try:
            batch_files = self.reader(str(root), train=train, download=self.download)
        except RuntimeError as error:
            raise FileNotFoundError(
                f"{root}: neither {shards.name}/train-1.h5 to train-{SHARDS}.h5 and test.h5, nor whole files in "
                f"{batches.name}/ were found or fetched ({error}). Name the folder with `data_root` (--data-root) or "
                "ALPHADX_DATA, or set `download` to true."
            ) from error
        return torch.from_numpy(batch_files.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(batch_files.targets)


class CIFAR100(CIFAR10):
    """60,000 colour images of 32×32 pixels in a hundred classes: `CIFAR10` in all else.

    Its folders are `cifar-100-python` (torchvision's form) and `cifar100` (HDF5 shards).
    """

    name = "CIFAR-100"
    classes = tuple(NAMES_100.split())
    folders = ("cifar100", "cifar-100-python")
    reader = torchvision.datasets.CIFAR100
