from collections.abc import Callable
from functools import partial

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch.optim import SGD

from eval.fit.selection import MONITORED, Epsilon50
from training import Classifier
from training.data import Spheres


class Log(Callback):
    """Remembers what was logged after every epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, module: Classifier) -> None:
        self.epochs.append({name: float(value) for name, value in trainer.callback_metrics.items()})


@pytest.mark.parametrize("first_epoch", [0, 2])
def test_epochs_before_the_first_allowed_one_are_never_the_best(quiet_trainer: Callable, first_epoch: int) -> None:
    data, log = Spheres(dimensions=4, train_size=6000), Log()
    fast = partial(torch.optim.Adam, lr=0.02)
    module = Classifier("mlp", {"hidden": [16]}, shape=data.shape, bounds=data.bounds, optimizer=fast)
    quiet_trainer(3, callbacks=[Epsilon50(steps=3, first_epoch=first_epoch), log]).fit(module, data)
    for number, epoch in enumerate(log.epochs):
        assert epoch["val_epsilon50"] >= 0
        assert epoch["val_accuracy"] > 0.7
        assert epoch[MONITORED] == (epoch["val_epsilon50"] if number >= first_epoch else -1)


def test_an_epoch_at_chance_is_never_the_best(quiet_trainer: Callable) -> None:
    """A classifier that always answers the more frequent class withstands everything on half of the samples."""
    data, log = Spheres(dimensions=4, train_size=100), Log()
    module = Classifier("mlp", {"hidden": []}, shape=data.shape, bounds=data.bounds, optimizer=partial(SGD, lr=0.0))
    y = torch.cat([batch.y for batch in data.batches("validation")])
    with torch.no_grad():
        module.network[1].weight.zero_()
        module.network[1].bias.copy_(
            torch.tensor([0.0, 1.0]) if y.double().mean() > 0.5 else torch.tensor([1.0, 0.0])
        )
    quiet_trainer(1, callbacks=[Epsilon50(steps=3), log]).fit(module, data)
    assert 0.4 < log.epochs[0]["val_accuracy"] < 0.6
    assert log.epochs[0][MONITORED] == -1


def test_next_search_starts_where_the_last_one_ended() -> None:
    callback, resumed = Epsilon50(), Epsilon50()
    callback.last = 0.25
    resumed.load_state_dict(callback.state_dict())
    assert resumed.last == 0.25
