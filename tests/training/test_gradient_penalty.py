"""A penalty on the gradient's norm trains beside any objective, as the control for the alignment penalty."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer
from torch.optim import SGD

from alignment import gradient_norm_penalty
from training import AGR, AT, Classifier, Strength
from training.data import Digits
from training.graphs import Alone


def trained(trainer: Callable[..., Trainer], *, recorded: bool = False, **options: Any) -> tuple[Classifier, dict]:
    data = Digits(batch_size=300)
    module = Classifier(
        "small_cnn",
        shape=data.shape,
        num_classes=10,
        bounds=data.bounds,
        optimizer=partial(SGD, lr=0.1),
        **options,
    )
    if recorded:
        module.runner = Alone(torch.device("cpu"))
    fit = trainer(2, limit_val_batches=0)
    fit.fit(module, data)
    return module, {name: float(value) for name, value in fit.callback_metrics.items()}


def test_the_step_follows_cross_entropy_and_the_weighted_norm(quiet_trainer: Callable[..., Trainer]) -> None:
    data = Digits(batch_size=300)
    options = {"shape": data.shape, "num_classes": 10, "bounds": data.bounds, "optimizer": partial(SGD, lr=0.1)}
    module = Classifier("small_cnn", gradient_weight=0.7, **options)
    loader = data.train_dataloader()
    loader.sampler.set_epoch(0)
    batch = next(iter(loader))
    loss = F.cross_entropy(module.network(batch.x), batch.y)
    loss = loss + 0.7 * gradient_norm_penalty(module.network, batch.x, batch.y)
    weights = [*module.network.parameters()]
    expected = [w - 0.1 * g for w, g in zip(weights, torch.autograd.grad(loss, weights), strict=True)]
    quiet_trainer(1, limit_val_batches=0, limit_train_batches=1).fit(module, data)
    for found, wanted in zip(module.network.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), wanted.detach())


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"alignment_weight": 0.3, "residual": "nearest"}, marks=pytest.mark.slow),
        pytest.param({"objective": AT(Strength("0.1"), steps=2), "combiner": AGR()}, marks=pytest.mark.slow),
        {"objective": AT(Strength("0.1"), steps=2), "combiner": AGR(), "alignment_with": "own"},
    ],
    ids=["alone", "with alignment", "joined", "own"],
)
def test_recorded_steps_train_as_plain_ones(options: dict, quiet_trainer: Callable[..., Trainer]) -> None:
    (plain, logged), (recorded, also) = (
        trained(quiet_trainer, recorded=recorded, gradient_weight=0.1, **options) for recorded in (False, True)
    )
    torch.testing.assert_close(dict(plain.state_dict()), dict(recorded.state_dict()))
    assert "train_gradient_norm" in logged
    assert logged == pytest.approx(also, rel=1e-4, abs=1e-6)


def test_gradients_of_inputs_become_shorter(quiet_trainer: Callable[..., Trainer]) -> None:
    x, y, _ = Digits().split("validation").__getitems__(range(50))
    lengths = []
    for weight in (0.0, 10.0):
        module, _ = trained(quiet_trainer, gradient_weight=weight)
        lengths.append(float(gradient_norm_penalty(module.network, x, y).detach()))
    assert lengths[1] < 0.7 * lengths[0]


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="`gradient_weight` should be finite and at least 0"):
        Classifier("mlp", shape=(4,), gradient_weight=-1.0)
