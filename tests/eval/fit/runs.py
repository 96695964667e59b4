"""Small trainings of a few seconds, by configuration."""

from pathlib import Path
from typing import Any

import torch

from eval.fit import FitCLI, fit_from
from eval.studies.overlay import laid_over

LEARNING = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.02}}
STILL = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.0}}
HALVED = {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1, "gamma": 0.5}}
AT = {"class_path": "training.AT", "init_args": {"epsilon": "1/20", "steps": 1}}
DIGITS = {"class_path": "training.data.Digits", "init_args": {"batch_size": 64}}


def configuration(folder: Path | str, *changes: dict[str, Any]) -> dict[str, Any]:
    """Of a classifier of digits that learns within an epoch, with changes laid over it."""
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    whole: dict[str, Any] = {
        "data": DIGITS,
        "model": {"network": "mlp", "network_options": {"hidden": [16]}, "optimizer": LEARNING},
        "selection": {"steps": 2, "resolution": 0.2},
        "trainer": {"max_epochs": 3, "accelerator": "cpu", "default_root_dir": str(folder), **quiet},
    }
    for change in changes:
        whole = laid_over(whole, change)
    return whole


def fitted(folder: Path | str, *changes: dict[str, Any]) -> FitCLI:
    """A training that has ended."""
    cli = fit_from(configuration(folder, *changes))
    cli.fit()
    return cli


def saved(folder: Path | str, name: str = "last") -> dict[str, Any]:
    """What a checkpoint holds."""
    return torch.load(Path(folder) / f"checkpoints/{name}.ckpt", weights_only=True)


def epochs(number: int) -> dict[str, Any]:
    """A change of the number of epochs."""
    return {"trainer": {"max_epochs": number}}


def lr(value: float) -> dict[str, Any]:
    """A change of the learning rate."""
    return {"model": {"optimizer": {"init_args": {"lr": value}}}}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two checkpoints hold the same weights."""
    return all(
        torch.equal(a["state_dict"][name], b["state_dict"][name]) for name in a["state_dict"] | b["state_dict"]
    )
