"""From a configuration of a study to that of one training, with its own folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.records.device import AUTO, trainer_on
from eval.studies.overlay import FIRST, laid_over, with_first
from eval.studies.trained import best_checkpoint
from generators.checkpoints import read_checkpoint


def resolved(configuration: Mapping[str, Any], folder: Path, seed: int) -> dict[str, Any]:
    """A configuration of a model of some seed in which `first/NAME` is the path of a checkpoint."""
    return with_first(configuration, lambda name: str(best_checkpoint(folder / FIRST / name)), seed)


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
                **_one_device(fit.get("trainer") or {}),
                **trainer_on(device),
            },
        },
    )


def _one_device(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """One of a machine's devices, where a training does not say which.

    Raises:
        ValueError: if it asks for more than one.
    """
    devices = trainer.get("devices", AUTO)
    several = len(devices) if isinstance(devices, list) else devices
    if several not in (1, "1", AUTO) or trainer.get("num_nodes", 1) != 1:
        raise ValueError(
            f"`trainer.devices` should be 1 in a study, which trains many models at a time. Found {devices!r}. For "
            "one model on several devices there is `alphadx fit`."
        )
    return {"devices": 1} if devices == AUTO else {}


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
