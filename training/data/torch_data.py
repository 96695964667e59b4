"""A data set or LightningDataModule of yours, by the dotted path of its class."""

from collections.abc import Mapping
from typing import Any

from pytorch_lightning import LightningDataModule

from training.data.dataset import DataSet
from training.data.foreign.dotted import built, called, imported, without_paths
from training.data.foreign.item_data import ItemData
from training.data.foreign.reading import Reading
from training.data.given import items_of, sources_of
from training.data.split import SplitName
from training.strength import Strength


class TorchData(ItemData):
    """Any data set of torch, or LightningDataModule, by dotted path: `--data TorchData --data.source my.module:Name`.

    Its items are (input, label, …) or mappings with both; inputs are images of Pillow, tensors or arrays. They are
    read when they are asked for. Whoever names a path lets its module be imported and its class be called.

    Args:
        source: dotted path of a class, or of a function that returns a data set, a DataLoader or a
            LightningDataModule, such as `mypackage.data:MyDataset`; the current folder can be imported from.
        bounds: lowest and highest legal value of an input. Bytes are mapped to them.
        classes: their names, or how many there are; the data's own if not given, else as many as the labels say.
        options: that it takes for every split, such as `{root: data}`; `{class_path: …, init_args: {…}}` in them
            becomes the object it describes, such as a transform.
        train_options: besides, for the training samples, such as `{train: true}`; none are there if neither these nor
            `test_options` are given. A LightningDataModule needs none.
        test_options: besides, for the test samples, such as `{train: false}`.
        validation_options: besides, for the validation samples; a share of the training samples is kept if not given.
        validation_share: that share, by a fixed shuffle.
        image: name under which an item that is a mapping holds its input, if it is no usual one.
        label: name under which it holds its label.
        size: height and width to which images are brought; they are left as they are if not given.
        resize: length of the shorter side before the middle is kept; `size` if not given.
        channels: 1 for grey, 3 for colour; left as they are if not given.
        name: as it stands in tables; that of the class if not given.
        batch_size: samples per training step.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that read and prepare batches.

    Raises:
        ValueError: if it cannot be imported or made, the bounds are missing, or its items cannot be right.
    """

    def __init__(
        self,
        source: str,
        bounds: tuple[float, float] | None = None,
        classes: list[str] | int | None = None,
        options: dict[str, Any] | None = None,
        train_options: dict[str, Any] | None = None,
        test_options: dict[str, Any] | None = None,
        validation_options: dict[str, Any] | None = None,
        validation_share: float | Strength = 0.1,
        image: str | None = None,
        label: str | None = None,
        size: int | None = None,
        resize: int | None = None,
        channels: int | None = None,
        name: str | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 128,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(
            name or source.replace(":", ".").rpartition(".")[2],
            bounds=bounds,
            classes=classes,
            reading=Reading(image, label, size, resize, channels),
            validation_share=validation_share,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
            workers=workers,
        )
        self.source, self.options = source, options or {}
        self.split_options = {"train": train_options, "validation": validation_options, "test": test_options}
        self._describe()
        self.module = self._module_or_test()
        self.look("test", "validation", "train")

    def _describe(self) -> None:
        """Where files lie is no part of what the data are."""
        for argument in ("options", "train_options", "test_options", "validation_options"):
            self.arguments[argument] = without_paths(self.arguments[argument])

    def _module_or_test(self) -> Mapping[SplitName, Any] | None:
        """The splits of a LightningDataModule; None for anything else, which then is the test samples."""
        made = self._made("test_options", self.split_options["test"])
        if isinstance(made, LightningDataModule) and not isinstance(made, DataSet):
            self.holder: Any = made
            self.validation_share = None
            return sources_of(made)
        if isinstance(made, DataSet):
            raise ValueError(f"`source` should be a data set of torch. Found one of ours: use --data {self.source}.")
        self.holder = None
        self._items["test"] = items_of(made)
        return None

    def items(self, name: SplitName) -> Any:
        """The items of a split."""
        if self.module is not None:
            return self.module[name]() if name in self.module else None
        options = self.split_options[name]
        return None if options is None else items_of(self._made(f"{name}_options", options))

    def _made(self, argument: str, options: Mapping[str, Any] | None) -> Any:
        """What the source returns for the options of a split."""
        wanted = {**built(self.options, "options"), **built(options or {}, argument)}
        return called(imported(self.source, "source"), wanted, self.source, "options")

    def class_holders(self, items: Any) -> tuple[Any, ...]:
        """What may say the names of the classes."""
        return (self.holder, items)

    def remedy(self, name: SplitName) -> str:
        """What a user does who needs the samples of a split that is not there."""
        return f"Say in `{name}_options` what {self.source} takes for them, or measure another `split`."
