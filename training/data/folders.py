"""Folders of image files, one folder per class, and Tiny ImageNet, which arranges them in its own way."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

from training.data.augmentation import Augmentation
from training.data.checks import validation_divided
from training.data.dataset import DataSet
from training.data.images import LOOKED_AT, Channels, Files, FileSplit, Interpolation, Preparation, evenly, looked_at
from training.data.mnist import data_root as _data_root
from training.data.split import Split, SplitName
from training.strength import Strength


class ImageFolders(DataSet):
    """Images in folders of yours, such as CUB or Stanford Dogs at 224×224 pixels (paper 3, section 4.2).

    The folder holds `train/CLASS/*.jpg`, `test/CLASS/*.jpg` and, if there is one, `validation/CLASS/*.jpg` or
    `val/CLASS/*.jpg`; other names can be given, such as `test: val` for ImageNet's form. To measure, the folder of
    one split is enough. Classes are sorted by their folders' names, as torchvision does. Images are read when they
    are asked for, so `workers` speed it up, and "nearest" residuals take one pass over the training split.

    Images are read as torchvision's loader does: an alpha channel is left out, and an EXIF orientation is passed over
    unless `upright`. Images of 16 bits keep them: they become floating point, mapped from [0, `levels`] to the
    bounds.

    Args:
        folder: that holds the folders of splits.
        size: height and width in pixels; the middle is kept.
        bounds: lowest and highest legal value of an input.
        validation_share: of the training files, kept by a fixed shuffle where there is no folder for validation; 0
            for none, with which no best epoch can be chosen: `selection: {keep: last}`.
        augmentation: of training batches; none if not given.
        name: as it stands in tables; that of the folder if not given.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples and their augmentation.
        workers: processes that read and prepare batches.
        train: name of the folder of the training split.
        validation: name of that of the validation split; `validation` or `val` if not given and there is one.
        test: name of that of the test split.
        resize: length in pixels to which the shorter side is resized before the middle is kept, such as 256; that of
            `size` if not given.
        interpolation: of resizing, with antialiasing.
        channels: 3; 1, in which colours become grey; or auto, which is 1 if all images looked at are grey.
        levels: largest possible value of images of more than 8 bits, such as 4095 for 12 bits; 65535 if not given.
        upright: turn images as their EXIF orientation says.
        listed: file that names the images of the test split, `CLASS/FILE` a line, as RobustBench's list of 5,000
            images of ImageNet does; all images of its folder if not given.

    Raises:
        FileNotFoundError: if a folder or a listed image is missing, or a class has no images.
        ValueError: if `size` is below 1, `validation_share` does not lie in [0, 1), a split has a class that training
            does not have, or a file is no image.
    """

    layout = "train/CLASS/*.jpg, test/CLASS/*.jpg and, if there is one, validation/CLASS/*.jpg or val/CLASS/*.jpg"
    lone = True  # whether the folder of one split is enough
    later_arguments: ClassVar[Mapping[str, Any]] = {"listed": None}

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
        train: str = "train",
        validation: str | None = None,
        test: str = "test",
        resize: int | None = None,
        interpolation: Interpolation = "bilinear",
        channels: Channels = 3,
        levels: int | None = None,
        upright: bool = False,
        listed: str | None = None,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        self.listed = listed
        self.folder, self.name = Path(folder), name or Path(folder).resolve().name
        self.parts = {"train": train, "validation": validation, "test": test}
        self.validation_share, self.augmentation = validation_share, augmentation
        alone = self.lone and not (self.folder / train).is_dir() and (self.folder / test).is_dir()
        self.first: SplitName = "test" if alone else "train"
        self.bounds = (bounds[0], bounds[1])
        prepare = Preparation(
            size, resize or size, interpolation, 3 if channels == "auto" else channels, levels, self.bounds, upright
        )
        self.classes = tuple(self._classes_in(self.parts[self.first] or ""))
        found, self.notes = looked_at(self._some_files(), levels)
        self.prepare = replace(prepare, channels=found) if channels == "auto" else prepare
        self.shape = (self.prepare.channels, size, size)

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        if name == "test" or self._validation_folder():
            files = self._files(name)
        else:
            everything = self._files("train")
            rest, kept = validation_divided(len(everything), self.validation_share, self.name, none=True)
            files = [everything[i] for i in (kept if name == "validation" else rest)]
        return FileSplit(files, self.prepare)

    def _some_files(self) -> list[str]:
        """Files of some classes, which are looked at before any is asked for."""
        folder, found = self.folder / str(self.parts[self.first]), []
        for name in evenly(self.classes):
            with suppress(FileNotFoundError):  # of a class without images, said when the split is asked for
                files = make_dataset(folder, {name: 0}, IMG_EXTENSIONS)
                found += [path for path, _ in evenly(files, max(1, LOOKED_AT // len(self.classes)))]
        return found

    def _validation_folder(self) -> str | None:
        if self.parts["validation"]:
            return self.parts["validation"]
        others = (self.parts["train"], self.parts["test"])
        usual = (part for part in ("validation", "val") if part not in others)
        return next((part for part in usual if (self.folder / part).is_dir()), None)

    def _files(self, name: SplitName) -> Files:
        part = self._validation_folder() if name == "validation" else self.parts[name]
        found = self._classes_in(part or name)
        unknown = sorted(set(found) - set(self.classes))
        if unknown:
            raise ValueError(
                f"{self.folder / str(part)}: its classes should be among those of "
                f"{self.folder / str(self.parts[self.first])}. Found {unknown[0]!r}."
            )
        if name == "test" and self.listed is not None:
            return _listed(Path(self.listed), self.folder / str(part), self.classes)
        return make_dataset(
            self.folder / str(part), {name: self.classes.index(name) for name in found}, IMG_EXTENSIONS
        )

    def _classes_in(self, part: str) -> list[str]:
        """Names of the folders in a part, sorted."""
        try:
            return find_classes(self.folder / part)[0]
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{self.folder / part}: no folders of classes. Expected {self.layout} in {self.folder}."
                f"{_other_folders(self.folder)}"
            ) from error


def _listed(file: Path, folder: Path, classes: Sequence[str]) -> Files:
    """The images that a file names, in its order; what stands on a line behind the name is passed over."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file. `listed` should name one with lines such as CLASS/FILE.jpg.")
    names = [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    found = []
    for number, name in enumerate(names, start=1):
        if (owner := Path(name).parent.name) not in classes:
            raise ValueError(f"{file}: image {number} should be named as CLASS/FILE. Found {name!r}.")
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name}: no such file, which {file} names.")
        found.append((str(folder / name), classes.index(owner)))
    return found


def _other_folders(folder: Path) -> str:
    """What there is instead, and how it is named."""
    found = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not found:
        return ""
    shown = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
    return f" Found the folders {shown}: name one with `train`, `validation` or `test`, such as `test: {found[-1]}`."


class TinyImageNet(ImageFolders):
    """Tiny ImageNet: 64×64 pixels, 200 classes, 100,000 images for training (paper 2, section 4.1).

    The labels of its test part were never published, so its 10,000 validation images are the test split, and a share
    of the training part is kept for validation. Files are used as they are unpacked: `tiny-imagenet-200/train`,
    `tiny-imagenet-200/val/images` and `tiny-imagenet-200/val/val_annotations.txt`.

    Args:
        data_root: folder that holds `tiny-imagenet-200`; None for the environment's ALPHADX_DATA, else `data`.
        bounds: lowest and highest legal value of an input.
        validation_share: of the training part, kept by a fixed shuffle; with 0, as in paper 2, all is for training,
            and no best epoch can be chosen: `selection: {keep: last}`.
        augmentation: of training batches; none if not given.
        batch_size: samples per training step; the paper's 128.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples and their augmentation.
        workers: processes that read and prepare batches.
        size: height and width in pixels to which images are resized; paper 2's program has 32.

    Raises:
        FileNotFoundError: if the files are missing.
        ValueError: if `validation_share` does not lie in [0, 1), `size` is below 1, a line of the annotations cannot
            be right, or a file is no image.
    """

    layout = "train/CLASS/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt"
    lone = False
    later_arguments: ClassVar[Mapping[str, Any]] = {"size": 64}

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
        size: int = 64,
    ) -> None:
        super().__init__(
            str(_data_root(data_root) / "tiny-imagenet-200"),
            size=size,
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
        rows = [line.split("\t") for line in annotations.read_text(encoding="utf-8").splitlines()]
        for number, row in enumerate(rows, start=1):
            if len(row) < 2 or row[1] not in self.classes:
                raise ValueError(f"{annotations}: line {number} should name a file and its class. Found {row[:2]}.")
        return [(str(annotations.parent / "images" / row[0]), self.classes.index(row[1])) for row in rows]
