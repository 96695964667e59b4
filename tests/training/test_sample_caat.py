"""CA-AT sample by sample: by hand, against CA-AT of single samples, and inside a training."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.optim import SGD

from tests.alignment.classifiers import smooth
from training import (
    AT,
    AWP,
    CAAT,
    CLP,
    MART,
    TRADES,
    AvMixup,
    Classifier,
    GradientNorm,
    PerpendicularAT,
    Plain,
    SampleCAAT,
    Strength,
)
from training.data import Digits
from training.graphs import Alone
from training.networks.batch_norm import FrozenBatchNorm
from training.objectives import AdversarialObjective, Step
from training.sample_conflict import sample_conflict

REACH = Strength(0.3)
FREE = (-10.0, 10.0)
OBJECTIVES: dict[str, Callable[[], AdversarialObjective]] = {
    "AT": lambda: AT(REACH, steps=2),
    "TRADES": lambda: TRADES(REACH, steps=2),
    "TRADES apart": lambda: TRADES(REACH, steps=2, clean="apart"),
    "MART": lambda: MART(REACH, steps=2),
    "CLP": lambda: CLP(REACH, steps=2),
}


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def convolutions(classes: int = 3, norm: Callable[[int], nn.Module] = nn.Identity) -> nn.Module:
    parts = [nn.Conv2d(2, 4, 3), norm(4), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 2 * 3, classes)]
    return nn.Sequential(*parts).double()


def linear(classes: int = 3) -> nn.Module:
    """Without biases, whose gradients would hardly turn."""
    return nn.Sequential(nn.Flatten(), nn.Linear(40, classes, bias=False)).double()


def batch_of(size: int = 7, classes: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(size, 2, 4, 5).double(), torch.arange(size) % classes


def losses_of(objective: Any, network: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    return objective(network, x, y, cache(lambda: network(x)), bounds=FREE, generator=seeded())


def gradient(loss: Tensor, network: nn.Module) -> list[Tensor]:
    return [*torch.autograd.grad(loss, [*network.parameters()], retain_graph=True)]


def pairs_of(
    objective: AdversarialObjective, network: nn.Module, x: Tensor, y: Tensor
) -> list[dict[str, list[Tensor]]]:
    """The two gradients of each sample, one backward pass each."""
    perturbed = objective.perturbed(network, x, y, bounds=FREE, generator=seeded())
    found = []
    for i in range(len(y)):
        part = slice(i, i + 1)
        step = Step(network, x[part], y[part], perturbed[part], lambda part=part: network(x[part]), seeded())
        losses = {"clean": F.cross_entropy(network(x[part]), y[part])} | objective.losses(step)
        found.append({name: gradient(loss, network) for name, loss in losses.items()})
    return found


def mean(gradients: list[list[Tensor]]) -> list[Tensor]:
    return [torch.stack(parts).mean(dim=0) for parts in zip(*gradients, strict=True)]


def assert_near(found: list[Tensor], expected: list[Tensor]) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_conflict_of_a_linear_model_by_hand() -> None:
    # At zero weights p = ½, so that g = (p − e_y) xᵀ: the cosine is that of x and x', lengths are ‖x‖ / √2.
    network = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(network.weight)
    x, perturbed = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[4.0, -3.0], [-2.0, 0.0]])
    losses = (
        lambda network, x, _, y: F.cross_entropy(network(x), y),
        lambda network, _, perturbed, y: F.cross_entropy(network(perturbed), y),
    )
    found = sample_conflict(network, losses, x, perturbed, torch.tensor([0, 1]))
    torch.testing.assert_close(found.cosines, torch.tensor([0.0, -1.0]).double())
    torch.testing.assert_close(found.clean_norms, torch.tensor([5.0, 1.0]).double() / 2**0.5)
    torch.testing.assert_close(found.adversarial_norms, torch.tensor([5.0, 2.0]).double() / 2**0.5)
    torch.testing.assert_close(found.mus, torch.tensor([12.5, 2.0]).double())


@pytest.mark.parametrize("gamma", [0.0, 0.8, 0.99, 1.0])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_step_is_the_mean_of_what_caat_makes_of_each_sample(name: str, gamma: float) -> None:
    network, objective, (x, y) = convolutions(), OBJECTIVES[name](), batch_of()
    found = losses_of(SampleCAAT(objective, gamma, at_once=3), network, x, y)
    expected = mean([CAAT(gamma)(pair) for pair in pairs_of(objective, network, x, y)])
    assert_near(gradient(found["adversarial"], network), expected)
    alone = losses_of(objective, network, x, y)["adversarial"]
    torch.testing.assert_close(found["adversarial"], alone)


@pytest.mark.parametrize("gamma", [0.8, 0.99])
def test_of_one_sample_it_is_caat(gamma: float) -> None:
    network, objective, (x, y) = convolutions(), AT(REACH, steps=2), batch_of(1)
    (pair,) = pairs_of(objective, network, x, y)
    found = losses_of(SampleCAAT(objective, gamma), network, x, y)
    assert_near(gradient(found["adversarial"], network), CAAT(gamma)(pair))


def test_of_several_samples_it_is_not() -> None:
    network, objective, (x, y) = convolutions(), AT(Strength(3.0), steps=3), batch_of()
    pairs = pairs_of(objective, network, x, y)
    of_all = {name: mean([pair[name] for pair in pairs]) for name in ("clean", "adversarial")}
    found = gradient(losses_of(SampleCAAT(objective), network, x, y)["adversarial"], network)
    assert not torch.allclose(found[0], CAAT()(of_all)[0], rtol=0.1)


def test_without_conflict_it_is_plain_training() -> None:
    # Hardly moved inputs have nearly the gradient of x, whose cosine is above γ.
    network, (x, y) = convolutions(), batch_of()
    found = losses_of(SampleCAAT(AT(Strength(1e-4), steps=1)), network, x, y)
    assert_near(gradient(found["adversarial"], network), gradient(F.cross_entropy(network(x), y), network))
    assert (float(found["sample_turned"]), float(found["sample_opposed"])) == (0, 0)


def test_what_is_measured_is_that_of_the_samples() -> None:
    network, objective, (x, y) = linear(), AT(Strength(7.0), steps=3), batch_of(40)
    pairs = pairs_of(objective, network, x, y)
    flat = [[torch.cat([g.flatten() for g in pair[name]]) for name in ("clean", "adversarial")] for pair in pairs]
    cosines = torch.stack([F.cosine_similarity(g_n, g_a, dim=0) for g_n, g_a in flat])
    lengths = torch.stack([g_n.norm() * g_a.norm() for g_n, g_a in flat])
    expected = {
        "sample_mu": (lengths * (1 - cosines)).mean(),
        "sample_cosine": cosines.mean(),
        "sample_opposed": (cosines < 0).double().mean(),
        "sample_turned": (cosines <= 0.1).double().mean(),
    }
    found = losses_of(SampleCAAT(objective, 0.1), network, x, y)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
    assert 0 < found["sample_opposed"] < found["sample_turned"] < 1


@pytest.mark.parametrize("name", ["AT", "TRADES apart"])
def test_without_a_goal_it_measures_and_changes_nothing(name: str) -> None:
    network, objective, (x, y) = convolutions(), OBJECTIVES[name](), batch_of()
    mine, alone = SampleCAAT(objective, None), losses_of(objective, network, x, y)
    found = losses_of(mine, network, x, y)
    assert [*found] == [*alone, "sample_mu", "sample_cosine", "sample_opposed"]
    assert mine.names == objective.names
    for key, loss in alone.items():
        assert torch.equal(found[key], loss)
        assert_near(gradient(found[key], network), gradient(loss, network))


def test_a_network_that_draws_trains_as_if_nothing_were_measured() -> None:
    network, objective, (x, y) = nn.Sequential(convolutions(), nn.Dropout(0.5)), AT(REACH, steps=2), batch_of()
    found = []
    for one in (objective, SampleCAAT(objective, None)):
        torch.manual_seed(1)
        found.append(losses_of(one, network, x, y)["adversarial"])
    assert torch.equal(*found)


def test_frozen_batch_norm_leaves_samples_their_gradients() -> None:
    network, objective, (x, y) = convolutions(norm=FrozenBatchNorm), AT(REACH, steps=2), batch_of()
    expected = mean([CAAT()(pair) for pair in pairs_of(objective, network, x, y)])
    assert_near(gradient(losses_of(SampleCAAT(objective), network, x, y)["adversarial"], network), expected)


def test_batch_norm_is_refused_before_training(as_in_production: None) -> None:
    objective, (x, y) = SampleCAAT(AT(REACH, steps=1)), batch_of()
    for norm in (nn.BatchNorm2d, partial(nn.BatchNorm2d, track_running_stats=False)):
        with pytest.raises(ValueError, match=r"no batch normalisation.*Found BatchNorm2d as '1'"):
            losses_of(objective, convolutions(norm=norm), x, y)
    assert losses_of(objective, convolutions(norm=nn.BatchNorm2d).eval(), x, y)
    with pytest.raises(ValueError, match="no batch normalisation"):
        Classifier("resnet18_cifar", {}, (3, 8, 8), 2, objective=objective)


def test_what_cannot_be_told_sample_by_sample_is_refused(as_in_production: None) -> None:
    for other in (Plain(), AWP(AT(REACH)), SampleCAAT(AT(REACH))):
        with pytest.raises(ValueError, match=f"one at inputs that PGD finds. Found {type(other).__name__}"):
            SampleCAAT(other)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"draws nothing, so that each sample has its own. Found AvMixup"):
        SampleCAAT(AvMixup(REACH, steps=1))
    with pytest.raises(ValueError, match="`gamma` should be in"):
        SampleCAAT(AT(REACH), gamma=1.5)
    with pytest.raises(ValueError, match=r"`at_once` should be at least 1. Found 0"):
        SampleCAAT(AT(REACH), at_once=0)


def test_residuals_are_handed_on() -> None:
    network, (x, y) = smooth(40, 3).float(), batch_of()
    x = x.float().flatten(1)
    bound = SampleCAAT(PerpendicularAT(REACH, steps=0), gamma=None).with_residual(torch.ones_like(x))
    assert torch.isfinite(losses_of(bound, network, x, y)["sample_mu"])


@pytest.mark.parametrize(
    ("gamma", "options"),
    [(0.8, {}), (0.8, {"penalty": GradientNorm(0.1), "log_layers": True}), (None, {"combiner": CAAT()})],
)
def test_a_training_logs_what_it_measures_and_follows_only_the_losses(
    gamma: float | None, options: dict[str, Any], quiet_trainer: Callable[..., Trainer]
) -> None:
    logs = []
    for recorded in (False, True):
        data = Digits(batch_size=20)
        objective = SampleCAAT(AT(Strength(0.1), steps=1), gamma)
        given: dict[str, Any] = {"network_options": {"width": 4, "hidden": 16}, "optimizer": partial(SGD, lr=0.1)}
        module = Classifier(
            "small_cnn", shape=(1, 8, 8), num_classes=10, bounds=data.bounds, objective=objective, **given, **options
        )
        module.runner = Alone(torch.device("cpu")) if recorded else None
        trainer = quiet_trainer(1, limit_train_batches=2, limit_val_batches=0)
        trainer.fit(module, data)
        logs.append({name: float(value) for name, value in trainer.callback_metrics.items()})
    plain, again = logs
    assert plain == pytest.approx(again, rel=1e-5)
    assert {"train_sample_mu", "train_sample_cosine", "train_sample_opposed"} <= plain.keys()
    assert 0 <= plain["train_sample_opposed"] <= 1
    followed = {"train_adversarial", "train_gradient_norm", *(["train_clean"] if "combiner" in options else [])}
    assert plain["train_loss"] == pytest.approx(sum(plain[name] for name in followed & plain.keys()), rel=1e-5)
