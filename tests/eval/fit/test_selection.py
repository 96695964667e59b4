from collections.abc import Callable
from functools import partial

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch.optim import SGD, Adam

from eval.fit.selection import MONITORED, Epsilon50, InItsPrecision, finite
from eval.robustness.radii import critical_radii
from training import AGR, AT, Classifier, Strength, pgd
from training.data import Spheres


class Log(Callback):
    """Remembers what was logged after every epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, module: Classifier) -> None:
        self.epochs.append({name: float(value) for name, value in trainer.callback_metrics.items()})


@pytest.mark.slow
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
    """A classifier that always predicts the more frequent class withstands everything on half of the samples."""
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


@pytest.mark.slow
def test_every_epoch_is_searched_with_its_own_randomness(quiet_trainer: Callable) -> None:
    """The search of epoch k is that with the seed k, in a resumed run too, and begins where the last one ended."""
    data, log = Spheres(dimensions=4, train_size=1500), Log()
    module = Classifier(
        "mlp", {"hidden": [16]}, shape=data.shape, bounds=data.bounds, optimizer=partial(Adam, lr=0.02)
    )
    quiet_trainer(1).fit(module, data)
    module.optimizer = partial(Adam, lr=0.0)
    # So short a step that what is found depends on the random start.
    options = {"steps": 1, "step_size": Strength(0.01), "resolution": 0.01}
    quiet_trainer(3, callbacks=[Epsilon50(**options), log]).fit(module, data)
    search = partial(
        critical_radii,
        module.network,
        data.batches("validation"),
        attack=partial(pgd, steps=1, step_size=0.01, leave_when_fooled=True),
    )
    guess, found = None, {}
    for seed in range(3):
        radii = search(
            resolution=0.01,
            only="median",
            bounds=data.bounds,
            guess=guess,
            pilot=32,
            seed=seed,
        )
        guess = found[seed] = radii.epsilon50
    assert [epoch["val_epsilon50"] for epoch in log.epochs] == [pytest.approx(found[seed]) for seed in range(3)]
    assert len(set(found.values())) > 1


@pytest.mark.parametrize(
    ("chosen", "combiner", "first"), [(None, AGR(), 3), (None, None, 0), (1, AGR(), 1), (0, AGR(), 0), (5, None, 5)]
)
def test_first_candidate_is_the_first_epoch_that_combines_unless_another_is_chosen(chosen, combiner, first) -> None:
    module = Classifier("mlp", shape=(4,), objective=AT(Strength(0.1)), combiner=combiner, combiner_start=3)
    assert Epsilon50(first_epoch=chosen).first(module) == first


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64, torch.float32])
def test_a_network_is_shown_inputs_of_its_own_type(kind: torch.dtype) -> None:
    network = torch.nn.Linear(4, 3, dtype=kind)
    x = torch.rand(5, 4)
    found = InItsPrecision(network)(x)
    assert found.dtype == (torch.float64 if kind == torch.float64 else torch.float32)
    assert torch.equal(found, network(x.to(kind)).to(found.dtype))


class Wrapped(torch.nn.Linear):
    """Returns logits as `transformers` does."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return {"logits": super().forward(x)}


def test_a_network_may_return_more_than_a_tensor() -> None:
    network, x = InItsPrecision(Wrapped(4, 3)), torch.rand(5, 4)
    assert network(x).shape == (5, 3)
    assert finite(network, [(x, None)], torch.device("cpu"))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1.0])
def test_logits_that_are_no_numbers_are_noticed(value: float) -> None:
    x = torch.zeros(6, 2)
    x[4, 1] = value
    batches = [(x[:3], None, None), (x[3:], None, None)]
    assert finite(torch.nn.Identity(), batches, torch.device("cpu")) == (value == 1)


def test_next_search_starts_where_the_last_one_ended() -> None:
    callback, resumed = Epsilon50(), Epsilon50()
    callback.last = 0.25
    resumed.load_state_dict(callback.state_dict())
    assert resumed.last == 0.25
