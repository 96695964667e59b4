"""Clean and adversarial gradients are compared in every epoch, and the training notices nothing of it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer
from torch import nn
from torch.optim import SGD

from training import AGR, AT, AWP, MART, TRADES, Classifier, Plain, Strength
from training.attacks import pgd
from training.data import Digits
from training.graphs import Alone

EPSILON = Strength("0.1")
OBJECTIVES = {
    "AT": lambda: AT(EPSILON, steps=2),
    "TRADES": lambda: TRADES(EPSILON, steps=2),
    "MART": lambda: MART(EPSILON, steps=2),
    "AWP": lambda: AWP(AT(EPSILON, steps=2)),
}


class Normalised(nn.Sequential):
    """A network with running statistics."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))


def data() -> Digits:
    return Digits(batch_size=300)


def classifier(**options: Any) -> Classifier:
    images = data()
    return Classifier(
        **(
            {
                "network": "small_cnn",
                "shape": images.shape,
                "num_classes": images.num_classes,
                "bounds": images.bounds,
                "optimizer": partial(SGD, lr=0.05),
            }
            | options
        )
    )


def trained(
    trainer: Callable[..., Trainer], module: Classifier, *, epochs: int = 1, recorded: bool = False, **settings: Any
) -> dict[str, float]:
    if recorded:
        module.runner = Alone(torch.device("cpu"))
    fit = trainer(epochs, limit_val_batches=0, **settings)
    fit.fit(module, data())
    return {name: float(value) for name, value in fit.callback_metrics.items()}


@pytest.mark.parametrize(
    ("objective", "recorded"),
    [
        pytest.param(objective, recorded, marks=[] if (place % 2 == 1) == recorded else pytest.mark.slow)
        for place, objective in enumerate(OBJECTIVES)
        for recorded in (False, True)
    ],
)
def test_layers_are_logged_without_a_combiner_and_training_is_the_same(
    objective: str, recorded: bool, quiet_trainer: Callable[..., Trainer]
) -> None:
    made = {seen: classifier(objective=OBJECTIVES[objective](), log_layers=seen) for seen in (False, True)}
    logged = {seen: trained(quiet_trainer, module, recorded=recorded) for seen, module in made.items()}
    for name, value in made[False].state_dict().items():
        assert torch.equal(made[True].state_dict()[name], value), name
    layers = {f"cosine/{name}" for name, _ in made[True].network.named_parameters()}
    assert layers <= logged[True].keys()
    assert {"train_mu", "train_cosine", "train_clean"} <= logged[True].keys()
    assert "train_gop_frequency" not in logged[True]
    assert logged[True]["train_loss"] == pytest.approx(logged[False]["train_loss"])
    assert not [name for name in logged[False] if name.startswith("cosine/")]


def test_running_statistics_do_not_see_the_clean_pass_that_is_only_watched(
    quiet_trainer: Callable[..., Trainer],
) -> None:
    made = [
        classifier(network=f"{__name__}.Normalised", objective=AT(EPSILON, steps=1), log_layers=seen)
        for seen in (False, True)
    ]
    for module in made:
        trained(quiet_trainer, module, limit_train_batches=1)
    states = [module.state_dict() for module in made]
    assert any("running_mean" in name for name in states[0])
    assert all(torch.equal(states[1][name], value) for name, value in states[0].items())


def test_the_cosine_of_a_layer_is_that_of_the_two_gradients(quiet_trainer: Callable[..., Trainer]) -> None:
    module = classifier(objective=AT(EPSILON, steps=2, random_start=False), log_layers=True)
    images = data()
    loader = images.train_dataloader()
    loader.sampler.set_epoch(0)
    batch = next(iter(loader))
    weights = [*module.network.parameters()]
    clean = torch.autograd.grad(F.cross_entropy(module.network(batch.x), batch.y), weights)
    perturbed = pgd(
        module.network, batch.x, batch.y, 0.1, steps=2, bounds=images.bounds, random_start=False, loss="auto"
    )
    adversarial = torch.autograd.grad(F.cross_entropy(module.network(perturbed), batch.y), weights)
    expected = [F.cosine_similarity(g.flatten(), h.flatten(), dim=0) for g, h in zip(clean, adversarial, strict=True)]
    logged = trained(quiet_trainer, module, limit_train_batches=1)
    names = [name for name, _ in module.network.named_parameters()]
    assert [logged[f"cosine/{name}"] for name in names] == pytest.approx([float(c) for c in expected], abs=1e-5)
    assert [logged[f"opposed/{name}"] for name in names] == [float(c < 0) for c in expected]


def test_layers_are_logged_before_gradients_are_combined_and_after(quiet_trainer: Callable[..., Trainer]) -> None:
    plain, watched = (
        classifier(objective=AT(EPSILON, steps=1), combiner=AGR(), combiner_start=1, log_layers=seen)
        for seen in (False, True)
    )
    alone = classifier(objective=AT(EPSILON, steps=1), combiner=AGR(), combiner_start=1, log_layers=True)
    first = trained(quiet_trainer, alone)
    assert any(name.startswith("cosine/") for name in first)
    assert "train_gop_frequency" not in first
    after = [trained(quiet_trainer, module, epochs=2) for module in (plain, watched)]
    assert after[1]["train_gop_frequency"] == pytest.approx(after[0]["train_gop_frequency"])
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), watched.parameters(), strict=True))


def test_an_objective_without_an_adversarial_loss_has_nothing_to_compare(
    quiet_trainer: Callable[..., Trainer],
) -> None:
    logged = trained(quiet_trainer, classifier(objective=Plain(), log_layers=True))
    assert not [name for name in logged if name.startswith(("cosine/", "train_mu"))]
