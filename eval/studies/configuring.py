"""From a configuration of a study to a training that is ready to begin."""

from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from eval.fit import FitCLI
from eval.records.device import AUTO, trainer_on
from eval.studies.overlay import FIRST, laid_over, with_first
from eval.studies.parsing import one_sentence
from eval.studies.trained import best_checkpoint
from generators.checkpoints import read_checkpoint


def configured(make: Callable[[dict[str, Any]], FitCLI], configuration: dict[str, Any]) -> FitCLI:
    """A training, ready to begin.

    Raises:
        ValueError: in one sentence, for what the parser refuses: it prints its usage, and ends the process.
    """
    with redirect_stderr(StringIO()) as printed:
        try:
            return make(configuration)
        except SystemExit as error:
            told = one_sentence(printed.getvalue().rpartition("error: ")[2])
            raise ValueError(told or f"ended with {error.code}") from error


def resolved(configuration: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A configuration in which `first/NAME` is the path of a checkpoint."""
    return with_first(configuration, lambda name: str(best_checkpoint(folder / FIRST / name)))


def kept_under(fit: Mapping[str, Any], home: Path, device: str = AUTO) -> dict[str, Any]:
    """A training with everything it writes kept under its home."""
    folder = (home / "training").resolve()
    logs = {"save_dir": str(folder), "name": "logs"}
    logger = {"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": logs}
    return laid_over(
        fit,
        {
            "checkpoint": {"dirpath": str(folder)},
            "resume": _last(folder),
            "trainer": {
                "default_root_dir": str(folder),
                "logger": logger,
                "log_every_n_steps": 1,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                **trainer_on(device),
            },
        },
    )


def _last(folder: Path) -> str | None:
    """The checkpoint from which a training goes on, or None.

    Raises:
        ValueError: if it is damaged, with the remedy.
    """
    last = folder / "last.ckpt"
    if not last.exists():
        return None
    try:
        read_checkpoint(last, mmap=True)
    except (ValueError, OSError) as error:
        raise ValueError(f"{last} is damaged. Remove {folder}, and the same command trains again.") from error
    return str(last)
