"""Trainings of a study that are killed, as it were."""

from collections.abc import Callable
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from eval.fit import FitCLI


class Interrupts(Callback):
    """Ends the process, as it were, when the second epoch begins."""

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise SystemExit("killed")


def killed(make: Callable[..., Trainer], seeds: tuple[int, ...]) -> Callable[..., Trainer]:
    """Makes trainers as before, of which those of some seeds end the process."""

    def make_killed(cli: FitCLI, **options: Any) -> Trainer:
        trainer = make(cli, **options)
        if cli.config.seed_everything in seeds:
            trainer.callbacks.append(Interrupts())  # type: ignore[attr-defined]
        return trainer

    return make_killed
