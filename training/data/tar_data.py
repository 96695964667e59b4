"""Images in tar files, as WebDataset keeps them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.data.foreign.item_data import ItemData
from training.data.foreign.reading import Reading
from training.data.foreign.tar_items import TarItems, tar_files
from training.data.split import SplitName
from training.strength import Strength


class TarData(ItemData):
    """Images in tar files of WebDataset's form: `--data TarData --data.test 'val-{0000..0006}.tar'`.

    A sample is the files that share a name up to its first dot: `0001.jpg` and `0001.cls`, or `0001.json` that holds
    `label`. The tar files are passed through once for where each file lies; samples are then read from their places.

    Args:
        test: names of tar files, with `*` or ranges such as `{0000..0006}`.
        train: those of the training split, if there is one.
        validation: those for validation; a share of the training split is kept where there are none.
        image: ending of the images' files; the only usual one if not given.
        label: ending of the labels' files, such as `cls`, `txt`, or `json:label` for a key of JSON; the only usual
            one if not given.
        classes: their names, or how many there are; as many as the labels say if not given.
        bounds: lowest and highest legal value of an input; bytes are mapped to them.
        validation_share: of the training split, kept by a fixed shuffle.
        size: height and width to which images are brought; they are left as they are if not given.
        resize: length of the shorter side before the middle is kept; `size` if not given.
        channels: 1 for grey, 3 for colour; left as they are if not given.
        name: as it stands in tables; that of the first test file if not given.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that read and prepare batches.

    Raises:
        FileNotFoundError: if there are no such files.
        ValueError: if a tar file is compressed, or it cannot be seen where images and labels lie.
    """

    def __init__(
        self,
        test: list[str] | str,
        train: list[str] | str | None = None,
        validation: list[str] | str | None = None,
        image: str | None = None,
        label: str | None = None,
        classes: list[str] | int | None = None,
        bounds: tuple[float, float] = (0.0, 1.0),
        validation_share: float | Strength = 0.1,
        size: int | None = None,
        resize: int | None = None,
        channels: int | None = None,
        name: str | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 128,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        files = {"train": train, "validation": validation, "test": test}
        self.files = {part: [given] if isinstance(given, str) else given for part, given in files.items()}
        super().__init__(
            name or _name_of(self.files["test"] or []),
            bounds=bounds,
            classes=classes,
            reading=Reading(size=size, resize=resize, channels=channels),
            validation_share=validation_share,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
            workers=workers,
        )
        self.image, self.label = image, label
        self.look("test")

    def items(self, name: SplitName) -> Any:
        """The samples of a split; None where there are none."""
        patterns = self.files[name]
        return TarItems(tar_files(patterns), self.image, self.label) if patterns else None


def _name_of(patterns: Sequence[str]) -> str:
    """What the first name of some tar files says before its numbers.

    Example:
        >>> _name_of(["data/pets-{00..12}.tar"])
        'pets'
    """
    return re.split(r"[{*?.]", Path((*patterns, "tar")[0]).name)[0].rstrip("-_0123456789") or "tar"
