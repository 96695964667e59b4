"""Folders of image files, one folder per class, and Tiny ImageNet, which arranges them in its own way."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS, default_loader, find_classes, make_dataset
from torchvision.transforms.v2.functional import center_crop, pil_to_tensor, resize

from training.data.augmentation import Augmentation
from training.data.checks import validation_divided
from training.data.dataset import DataSet
from training.data.mnist import data_root as _data_root
from training.data.split import Bounds, LazySplit, Split, SplitName
from training.strength import Strength

Files = list[tuple[str, int]]
"""Image files and their classes."""


class FileSplit(LazySplit):
    """Images that are read from their files when they are asked for.

    Args:
        files: with their classes.
        size: height and width; the shorter side is resized to it and the middle is kept.
        bounds: lowest and highest legal value of an input.
    """

    def __init__(self, files: Files, size: int, bounds: Bounds) -> None:
        super().__init__(torch.tensor([label for _, label in files], dtype=torch.int64), bounds)
        self.paths, self.size = [path for path, _ in files], size

    def read(self, indices: Sequence[int]) -> UInt8[Tensor, "B 3 size size"]:
        """Images, resized and cropped."""
        return torch.stack([_image(self.paths[i], self.size) for i in indices])


class ImageFolders(DataSet):
    """Colour images in folders of yours, such as CUB or Stanford Dogs at 224×224 pixels (paper 3, section 4.2).

    The folder holds `train/CLASS/*.jpg`, `test/CLASS/*.jpg` and, if there is one, `validation/CLASS/*.jpg` or
    `val/CLASS/*.jpg`. Images are read when they are asked for, so `workers` speed it up, and "nearest" residuals
    take one pass over the training split.

    Args:
        folder: that holds `train`, `test` and perhaps `validation` or `val`.
        size: height and width in pixels; the shorter side is resized to it and the middle is kept.
        bounds: lowest and highest legal value of an input.
        validation_share: of the training files, kept by a fixed shuffle where there is no folder for validation.
        augmentation: of training batches; none if not given.
        name: as it stands in tables; that of the folder if not given.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples and their augmentation.
        workers: processes that read and prepare batches.

    Raises:
        FileNotFoundError: if a folder is missing, or a class has no images.
        ValueError: if `size` is below 1, `validation_share` does not lie in (0, 1), a split has a class that training
            does not have, or a file is no image.
    """

    layout = "train/CLASS/*.jpg, test/CLASS/*.jpg and, if there is one, validation/CLASS/*.jpg or val/CLASS/*.jpg"

    def __init__(
        self,
        folder: str,
        size: int = 224,
        bounds: tuple[float, float] = (0.0, 1.0),
        validation_share: float | Strength = 0.1,
        augmentation: Augmentation | None = None,
        name: str | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 128,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        if size < 1:
            raise ValueError(f"`size` should be at least 1 pixel. Found {size}.")
        self.folder, self.name = Path(folder), name or Path(folder).resolve().name
        self.shape, self.bounds = (3, size, size), (bounds[0], bounds[1])
        self.validation_share, self.augmentation = validation_share, augmentation
        self.classes = tuple(self._classes_in("train"))

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        if name == "test" or self._validation_folder():
            files = self._files(name)
        else:
            everything = self._files("train")
            rest, kept = validation_divided(len(everything), self.validation_share, self.name)
            files = [everything[i] for i in (kept if name == "validation" else rest)]
        return FileSplit(files, self.shape[1], self.bounds)

    def _validation_folder(self) -> str | None:
        return next((part for part in ("validation", "val") if (self.folder / part).is_dir()), None)

    def _files(self, name: SplitName) -> Files:
        part = (self._validation_folder() or name) if name == "validation" else name
        found = self._classes_in(part)
        unknown = sorted(set(found) - set(self.classes))
        if unknown:
            raise ValueError(
                f"{self.folder / part}: its classes should be among those of {self.folder / 'train'}. "
                f"Found {unknown[0]!r}."
            )
        return make_dataset(self.folder / part, {name: self.classes.index(name) for name in found}, IMG_EXTENSIONS)

    def _classes_in(self, part: str) -> list[str]:
        """Names of the folders in a part, sorted."""
        try:
            return find_classes(self.folder / part)[0]
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{self.folder / part}: no folders of classes. Expected {self.layout} in {self.folder}."
            ) from error


class TinyImageNet(ImageFolders):
    """Tiny ImageNet: 64×64 pixels, 200 classes, 100,000 images for training (paper 2, section 4.1).

    The labels of its test part were never published, so its 10,000 validation images are the test split, and a share
    of the training part is kept for validation. Files are used as they are unpacked: `tiny-imagenet-200/train`,
    `tiny-imagenet-200/val/images` and `tiny-imagenet-200/val/val_annotations.txt`.

    Args:
        data_root: folder that holds `tiny-imagenet-200`; None for the environment's ALPHADX_DATA, else `data`.
        bounds: lowest and highest legal value of an input.
        validation_share: of the training part, kept by a fixed shuffle; paper 2's 5:1 is `1/6`.
        augmentation: of training batches; none if not given.
        batch_size: samples per training step; the paper's 128.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples and their augmentation.
        workers: processes that read and prepare batches.

    Raises:
        FileNotFoundError: if the files are missing.
        ValueError: if `validation_share` does not lie in (0, 1), a line of the annotations cannot be right, or a file
            is no image.
    """

    layout = "train/CLASS/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt"

    def __init__(
        self,
        data_root: str | None = None,
        bounds: tuple[float, float] = (0.0, 1.0),
        validation_share: float | Strength = 0.1,
        augmentation: Augmentation | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(
            str(_data_root(data_root) / "tiny-imagenet-200"),
            size=64,
            bounds=bounds,
            validation_share=validation_share,
            augmentation=augmentation,
            name="Tiny ImageNet",
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
            workers=workers,
        )

    def _validation_folder(self) -> None:
        """There is one, and it serves as the test split."""

    def _files(self, name: SplitName) -> Files:
        if name == "train":
            return super()._files(name)
        annotations = self.folder / "val" / "val_annotations.txt"
        if not annotations.is_file():
            raise FileNotFoundError(f"{annotations}: not found. Expected {self.layout} in {self.folder}.")
        rows = [line.split("\t") for line in annotations.read_text().splitlines()]
        for number, row in enumerate(rows, start=1):
            if len(row) < 2 or row[1] not in self.classes:
                raise ValueError(f"{annotations}: line {number} should name a file and its class. Found {row[:2]}.")
        return [(str(annotations.parent / "images" / row[0]), self.classes.index(row[1])) for row in rows]


def _image(path: str, size: int) -> UInt8[Tensor, "3 size size"]:
    try:
        image = default_loader(path)
    except Exception as error:  # a broken file can make the reader fail in any way
        raise ValueError(f"{path}: not an image that can be read ({error}).") from error
    return center_crop(resize(pil_to_tensor(image), [size], antialias=True), [size, size])
