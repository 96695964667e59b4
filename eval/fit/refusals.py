"""What is refused before a training begins, in one sentence each."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning_fabric.utilities.exceptions import MisconfigurationException

from eval.fit.parser_sentences import UNION
from eval.fit.selection import MONITORED
from training.data import DataSet

LOGGED = ("val_accuracy", "val_epsilon50", MONITORED)
"""What is logged on validation whatever is trained."""
SHARDED = ("fsdp", "deepspeed", "modelparallel")
"""Beginnings of the names of strategies that leave no process with all of the weights."""


@contextmanager
def as_value_errors() -> Iterator[None]:
    """Raise refusals of Lightning's, of devices or packages that are not there, as a ValueError, as all of ours are.

    Of what jsonargparse says around a refusal of ours, ours is kept.
    """
    try:
        yield
    except (MisconfigurationException, ModuleNotFoundError) as error:
        raise ValueError(str(error)) from error
    except ValueError as error:
        if str(error).startswith(UNION) and isinstance(error.__cause__, ValueError):
            raise ValueError(str(error.__cause__)) from error
        raise


def check_trainer(options: Mapping[str, Any]) -> None:
    """Refuse options of a trainer that would leave no best epoch.

    Args:
        options: what the trainer is made with.

    Raises:
        ValueError: naming the option and what to do instead.
    """
    check_strategy(options.get("strategy"))
    if options["enable_checkpointing"] is False:
        raise ValueError(
            "`trainer.enable_checkpointing` should be left out: what a training finds is its best epoch. Found false."
        )
    if options["fast_dev_run"]:
        raise ValueError(
            f"`trainer.fast_dev_run` should be left out, since it keeps no epoch. Found {options['fast_dev_run']}. "
            "For a trial, limit `trainer.max_epochs` and `trainer.limit_train_batches`."
        )
    for name, purpose in (
        ("limit_val_batches", "the best epoch is chosen"),
        ("limit_train_batches", "it is trained"),
    ):
        if options[name] == 0:
            raise ValueError(
                f"`trainer.{name}` should be above 0: {purpose} on those batches. Found {options[name]}."
            )
    if options["max_epochs"] == 0:
        raise ValueError("`trainer.max_epochs` should be at least 1, or -1 for no limit. Found 0.")
    if options["accumulate_grad_batches"] < 1:
        raise ValueError(
            f"`trainer.accumulate_grad_batches` should be at least 1. Found {options['accumulate_grad_batches']}."
        )
    every, epochs = options["check_val_every_n_epoch"] or 1, options["max_epochs"]
    if epochs is not None and 0 < epochs < every:
        raise ValueError(
            f"`trainer.check_val_every_n_epoch` should be at most `trainer.max_epochs`, {epochs}, so that some epoch "
            f"is validated. Found {every}."
        )


def check_strategy(strategy: object) -> None:
    """Refuse to share out the weights of a network: attacks, combiners and AWP read all of them in every process.

    Args:
        strategy: of a trainer, by name or as an object; None for the default.

    Raises:
        ValueError: if it is one of FSDP, DeepSpeed or model parallelism.
    """
    name = strategy if isinstance(strategy, str) else type(strategy).__name__
    if name.lower().replace("_", "").startswith(SHARDED):
        raise ValueError(
            f"`trainer.strategy` should leave each process all of the weights, as ddp does. Found {name}."
        )


def without_validation(data: DataSet) -> bool:
    """Whether all samples of a data set are for training."""
    return getattr(data, "validation_share", None) == 0


def check_selection(data: DataSet, *, keep: str) -> None:
    """Refuse to choose the best epoch where there are no validation samples.

    Args:
        data: to train with.
        keep: best or last, see `eval.fit.selection.Epsilon50`.

    Raises:
        ValueError: if there are none.
    """
    if keep != "last" and without_validation(data):
        raise ValueError(
            "`selection.keep` should be last where `validation_share` is 0: no samples are left to choose the best "
            f"epoch by. Found {keep!r}."
        )


def check_monitor(monitor: str | None) -> None:
    """Refuse to look for the best epoch in what is not logged.

    Args:
        monitor: what the checkpoint callback of a classifier is to look at; None for nothing.

    Raises:
        ValueError: if neither validation nor training logs it.
    """
    if monitor not in (None, *LOGGED) and not str(monitor).startswith("train_"):
        raise ValueError(
            f"`checkpoint.monitor` should be one of {', '.join(LOGGED)}, or train_ and the name of a loss. "
            f"Found {monitor!r}."
        )
