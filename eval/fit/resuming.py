"""Which run a checkpoint belongs to, and what may change when the run goes on."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from eval.fit.within_epoch import WITHIN_KEY

RUN_KEY = "alphadx_run"
"""Where a checkpoint says which run it belongs to."""
PARTS = ("seed_everything", "model", "data", "selection")
"""What of a configuration makes a run, beside what its best epoch is best in."""
OPTIMISATION = ("model.optimizer.", "model.scheduler", "model.lr", "model.discriminator_lr", "model.betas")
"""How the keys begin whose values may change, and are then given to the restored optimisers."""
FREE = (
    "model.log_layers",
    "model.graphs",
    "model.channels_last",
    "data.workers",
    "data.eval_batch_size",
    "data.data_root",
    "data.download",
)
"""Keys whose values may change and need nothing more."""
DEFAULTS = {"model.optimizer": "torch.optim.Adam"}
"""What None stands for."""


def run_of(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a run, as plain values.

    Args:
        configuration: of a training, as plain values, defaults included.
    """
    best = {key: configuration["checkpoint"].get(key) for key in ("monitor", "mode")}
    return {part: configuration.get(part) for part in PARTS} | {"checkpoint": best}


def differences(found: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Where two runs differ: by the name of the option, what is found and what is asked.

    Example:
        >>> differences({"model": {"network": "mlp", "seed": 0}}, {"model": {"network": "small_cnn", "seed": 0}})
        {'model.network': ('mlp', 'small_cnn')}
    """
    a, b = _options(found), _options(asked)
    return {key: (a.get(key), b.get(key)) for key in [*a, *(b.keys() - a.keys())] if a.get(key) != b.get(key)}


def _options(run: Mapping[str, Any]) -> dict[str, Any]:
    """Options by name; `class_path` and `init_args` are left out of the names."""
    options: dict[str, Any] = {}
    for part, value in run.items():
        options |= _named(part, value) if isinstance(value, Mapping) else {part: value}
    return {key: DEFAULTS.get(key) if value is None else value for key, value in options.items()}


def _named(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    is_class = "class_path" in value
    options = {name: value["class_path"]} if is_class else {}
    for key, inner in ((value.get("init_args") or {}) if is_class else value).items():
        inside = isinstance(inner, Mapping) and "class_path" in inner
        options |= _named(f"{name}.{key}", inner) if inside else {f"{name}.{key}": inner}
    return options


def check_same_run(path: Path, content: Mapping[str, Any], asked: Mapping[str, Any], *, named: bool) -> None:
    """Refuse a checkpoint of another run; warn of one that does not say which run it belongs to, if it was named.

    Args:
        path: of the checkpoint.
        content: of the checkpoint.
        asked: the run that is to go on, see `run_of`.
        named: whether the checkpoint was named by its path.

    Raises:
        ValueError: if it is of another run, or may be.
    """
    if RUN_KEY not in content:
        message = f"{path} does not say which run it belongs to; an older version wrote it."
        if not named:
            raise ValueError(f"{message} Name it by its path, `--resume {path}`, if it is this one's.")
        warnings.warn(f"{message} Options that differ from that run's are not noticed.", stacklevel=2)
        return
    differing = differences(content[RUN_KEY], asked)
    refused = {key: pair for key, pair in differing.items() if key not in FREE and not key.startswith(OPTIMISATION)}
    if refused:
        listed = "; ".join(f"`{key}` {found!r} where {wanted!r} is asked" for key, (found, wanted) in refused.items())
        raise ValueError(
            f"`resume` should name a checkpoint of this run. Found in {path}: {listed}. Leave them as they were, "
            "name another checkpoint by its path, or leave out --resume to begin a new run."
        )


def check_weights(path: Path, content: Mapping[str, Any], module: LightningModule) -> None:
    """Refuse a checkpoint whose weights are not those of the model.

    Raises:
        ValueError: if names or shapes differ.
    """
    found = {name: tuple(value.shape) for name, value in content["state_dict"].items()}
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    if differing := sorted(name for name in found | wanted if found.get(name) != wanted.get(name)):
        first = differing[0]
        raise ValueError(
            f"{path} holds the weights of another model: {len(differing)} differ, such as {first}, "
            f"{found.get(first)} where {wanted.get(first)} is needed."
        )


def check_epochs(path: Path, content: Mapping[str, Any], max_epochs: int | None) -> None:
    """Refuse a checkpoint of a run that has already gone further than asked.

    Raises:
        ValueError: if it has.
    """
    done = _whole_epochs(content)
    if max_epochs is not None and 0 <= max_epochs < done:
        raise ValueError(
            f"`trainer.max_epochs` should be at least {done}, the epochs that {path} has behind it. "
            f"Found {max_epochs}."
        )


def _whole_epochs(content: Mapping[str, Any]) -> int:
    """How many epochs a checkpoint has behind it; the one in whose middle it was made is not among them."""
    return int(content["epoch"]) + (WITHIN_KEY not in content)


class Resumable(Callback):
    """Says in every checkpoint which run it belongs to, and applies what may change when the run goes on.

    Args:
        run: see `run_of`.
    """

    def __init__(self, run: dict[str, Any]) -> None:
        self.run = run

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Say which run it is."""
        checkpoint[RUN_KEY] = self.run

    def on_load_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Give the restored optimisers another learning rate, decay or schedule, if another one is asked."""
        differing = differences(checkpoint.get(RUN_KEY, self.run), self.run)
        if any(key.startswith(OPTIMISATION) for key in differing):
            apply_optimisation(checkpoint, module)


def apply_optimisation(checkpoint: dict[str, Any], module: LightningModule) -> None:
    """Replace the options of a checkpoint's optimisers and its schedule by those of the module.

    Moments of the optimisers stay. A schedule stands where it would if it had held from the beginning.
    """
    optimizers, schedules = _configured(module)
    for interval, scheduler in schedules:
        done = checkpoint["global_step"] if interval == "step" else _whole_epochs(checkpoint)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no step of the optimiser comes before those of the schedule
            for _ in range(done):
                scheduler.step()
    for state, optimizer in zip(checkpoint["optimizer_states"], optimizers, strict=True):
        fresh = optimizer.state_dict()["param_groups"]
        old = [group["params"] for group in state["param_groups"]]
        state["param_groups"] = [group | {"params": params} for group, params in zip(fresh, old, strict=True)]
    checkpoint["lr_schedulers"] = [scheduler.state_dict() for _, scheduler in schedules]


def _configured(module: LightningModule) -> tuple[list[Optimizer], list[tuple[str, LRScheduler]]]:
    """The optimisers of a module of ours, and its schedules with their intervals."""
    configured: Any = module.configure_optimizers()
    if isinstance(configured, Mapping):
        schedule = configured["lr_scheduler"]
        return [configured["optimizer"]], [(schedule["interval"], schedule["scheduler"])]
    return (configured if isinstance(configured, list) else [configured]), []
