"""A LightningDataModule as splits, prepared and set up as Lightning does."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset

from training.data.foreign.loaders import LoaderItems
from training.data.foreign.reading import Reading
from training.data.foreign.streams import held

LOADERS = {"train": "train_dataloader", "validation": "val_dataloader", "test": "test_dataloader"}
STAGES = {"train": "fit", "validation": "fit", "test": "test"}
HOOKS = ("on_before_batch_transfer", "on_after_batch_transfer")


class ModuleParts:
    """The splits of a LightningDataModule.

    Args:
        module: prepared once, and set up for each stage when a split of it is needed.
    """

    def __init__(self, module: LightningDataModule) -> None:
        self.module = module
        self.prepared = False
        self.stages: set[str] = set()

    def sources(self) -> Mapping[str, Callable[[], Any]]:
        """What returns the items of each split for which the module has a loader.

        Raises:
            ValueError: if it has none.
        """
        there = {split: partial(self.items, split) for split, hook in LOADERS.items() if _has(self.module, hook)}
        if not there:
            raise ValueError(
                f"{type(self.module).__name__}: should define {', '.join(LOADERS.values())}. Found none of them."
            )
        return there

    def items(self, split: str) -> Any:
        """The items of a split's loader, after the module's own hooks; None where it returns no loader.

        Raises:
            ValueError: if setting up fails, or there are several loaders.
        """
        hook = LOADERS[split]
        try:
            self._set_up(STAGES[split])
            loader = getattr(self.module, hook)()
        except Exception as error:  # code of the user's, which can fail in any way
            raise ValueError(
                f"{type(self.module).__name__}: `{hook}` after `prepare_data` and `setup('{STAGES[split]}')` should "
                f"return a loader. Found {type(error).__name__}: {error}"
            ) from error
        return self._items(_single(loader, f"{type(self.module).__name__}.{hook}"), hook)

    def _set_up(self, stage: str) -> None:
        if not self.prepared:
            self.module.prepare_data()
            self.prepared = True
        if stage not in self.stages:
            self.module.setup(stage)
            self.stages.add(stage)

    def _items(self, loader: DataLoader[Any] | None, hook: str) -> Any:
        if loader is None:
            return None
        hooks = [name for name in HOOKS if _has(self.module, name)]
        after = partial(_hooked, self.module, hooks) if hooks else None
        if isinstance(loader.dataset, IterableDataset):
            batches = loader if after is None else map(after, loader)
            return held(batches, Reading(), f"{type(self.module).__name__}.{hook}")
        return LoaderItems(loader, Reading(), after)


def _hooked(module: LightningDataModule, hooks: list[str], batch: Any) -> Any:
    """A batch after the module's hooks around its transfer to a device.

    Raises:
        ValueError: if one fails.
    """
    for name in hooks:
        try:
            batch = getattr(module, name)(batch, 0)
        except Exception as error:  # code of the user's, which often asks for the trainer
            raise ValueError(
                f"{type(module).__name__}: `{name}` should work without a trainer, as it changes what a network "
                f"sees. Found {type(error).__name__}: {error}. Give the loader that it shall measure."
            ) from error
    return batch


def _has(module: LightningDataModule, hook: str) -> bool:
    """Whether a module, or its class, has a hook of its own."""
    return hook in vars(module) or getattr(type(module), hook) is not getattr(LightningDataModule, hook)


def _single(loader: Any, source: str) -> DataLoader[Any] | None:
    """The only loader of several in a list or mapping.

    Raises:
        ValueError: if there are several, or what is there is no loader.
    """
    found = [*loader.values()] if isinstance(loader, Mapping) else loader
    if isinstance(found, list | tuple) and len(found) == 1:
        found = found[0]
    if found is None or isinstance(found, DataLoader):
        return found
    several = f"{len(found)} of them" if isinstance(found, list | tuple) else type(found).__name__
    raise ValueError(f"{source}: should return one DataLoader. Found {several}. Give the one to be measured.")
