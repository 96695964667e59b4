"""A run that no longer learns stops and says why; every epoch says what it cost."""

import math
import sys
from functools import partial

import pytest
import torch
from pytorch_lightning import Callback
from torch.optim import SGD

from training import Classifier
from training.data import Digits
from training.watch import EpochCost, StopAtCollapse, _largest_resident_mb

pytestmark = pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")


class Ruined(Callback):
    """Sets the weights to zero when an epoch is about to be validated."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_validation_epoch_start(self, trainer, module) -> None:
        if trainer.current_epoch == self.epoch:
            with torch.no_grad():
                for weight in module.network.parameters():
                    weight.zero_()


def epochs_run(quiet_trainer, *callbacks: Callback, lr: float = 0.1, epochs: int = 4) -> int:
    data = Digits(batch_size=100)
    module = Classifier(
        "mlp", {"hidden": []}, shape=data.shape, num_classes=10, bounds=data.bounds, optimizer=partial(SGD, lr=lr)
    )
    trainer = quiet_trainer(epochs, callbacks=[*callbacks, StopAtCollapse()], num_sanity_val_steps=0)
    trainer.fit(module, datamodule=data)
    return trainer.current_epoch


def test_a_run_that_learns_goes_on_to_its_end(quiet_trainer):
    assert epochs_run(quiet_trainer) == 4


def test_a_run_whose_loss_is_no_number_stops(quiet_trainer):
    with pytest.warns(UserWarning, match="collapsed in epoch 0 and was stopped: its loss is nan"):
        assert epochs_run(quiet_trainer, lr=1e38) == 1


def test_a_run_that_falls_to_chance_stops(quiet_trainer):
    with pytest.warns(UserWarning, match=r"collapsed in epoch 2 .* fell from \d\d\.\d% to chance, \d+\.\d%"):
        assert epochs_run(quiet_trainer, Ruined(2), epochs=6) == 3


def test_a_run_that_has_not_begun_to_learn_goes_on(quiet_trainer):
    assert epochs_run(quiet_trainer, Ruined(0), lr=0.0) == 4


def test_an_epoch_says_what_it_cost(quiet_trainer):
    data = Digits(batch_size=100)
    module = Classifier("mlp", {"hidden": []}, shape=data.shape, num_classes=10, bounds=data.bounds)
    trainer = quiet_trainer(1, callbacks=[EpochCost()])
    trainer.fit(module, datamodule=data)
    assert 0 < trainer.callback_metrics["epoch_seconds"] < 60
    assert trainer.callback_metrics["epoch_peak_mb"] > 50


def test_the_cost_of_the_steps_leaves_validation_out(quiet_trainer, monkeypatch):
    seconds = iter([10.0, 13.0, 20.0])
    monkeypatch.setattr("training.watch._clock", lambda module: lambda: next(seconds))
    data = Digits(batch_size=1000)
    module = Classifier("mlp", {"hidden": []}, shape=data.shape, num_classes=10, bounds=data.bounds)
    trainer = quiet_trainer(1, callbacks=[EpochCost()])
    trainer.fit(module, datamodule=data)
    assert trainer.callback_metrics["epoch_steps_seconds"] == 3
    assert trainer.callback_metrics["epoch_seconds"] == 10


def test_memory_is_in_mb_wherever_it_is_counted(monkeypatch):
    pytest.importorskip("resource", reason="this system counts no resident memory")
    here = _largest_resident_mb()
    monkeypatch.setattr(sys, "platform", "linux" if sys.platform == "darwin" else "darwin")
    assert {round(here / _largest_resident_mb()), round(_largest_resident_mb() / here)} == {1024, 0}


def test_memory_that_the_system_does_not_count_is_no_number(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert math.isnan(_largest_resident_mb())
