"""Auto-PGD: exact on linear models, settles where PGD swings, as strong as the authors' program, inside the ball."""

import math

import pytest
import torch
from torch import Tensor, nn

from tests.properties import assert_within, unchanged
from training.apgd import apgd, checkpoints
from training.attack_loss import attack_loss
from training.attacks import pgd

UNBOUNDED = (-math.inf, math.inf)
DUAL = {"Linf": 1, "L2": 2}
ORDER = {"Linf": math.inf, "L2": 2}
both_norms = pytest.mark.parametrize("norm", ["Linf", "L2"])


def curved(classes: int = 5) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 32), nn.Tanh(), nn.Linear(32, classes)).double()


def batch(classes: int = 5, size: int = 16) -> tuple[Tensor, Tensor]:
    return torch.rand(size, 12, dtype=torch.float64), torch.arange(size) % classes


class Hill(nn.Module):
    """Two logits whose margin for class 1 is highest at 0.3 in every coordinate."""

    def forward(self, x: Tensor) -> Tensor:
        height = -(x - 0.3).square().sum(dim=1)
        return torch.stack([-height, height], dim=1)


def test_checkpoints_of_the_paper():
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1) == [1]
    assert all(1 <= step <= steps for steps in range(1, 60) for step in checkpoints(steps))


@both_norms
@pytest.mark.parametrize("loss", ["margin", "cross_entropy"])
def test_closed_form_is_reached_on_a_linear_model(linear, norm, loss):
    classifier, epsilon = linear(20, 2, torch.float64), 0.25
    x, y = torch.randn(16, 20, dtype=torch.float64), torch.arange(16) % 2
    found = apgd(classifier, x, y, epsilon, norm=norm, loss=loss, steps=20, bounds=UNBOUNDED)
    slope = classifier[1].weight[1 - y] - classifier[1].weight[y]
    gained = attack_loss(classifier(found), y, "margin") - attack_loss(classifier(x), y, "margin")
    optimum = epsilon * torch.linalg.vector_norm(slope, ord=DUAL[norm], dim=1)
    torch.testing.assert_close((gained / optimum).detach(), torch.ones(16).double(), rtol=0, atol=2e-3)


@both_norms
def test_steps_shorten_towards_a_maximum_inside_the_ball(norm):
    """Steps of 2ε can only swing over it; PGD's of 2.5ε/steps come no nearer than their own length."""
    x, y = torch.full((4, 3), 0.27, dtype=torch.float64), torch.zeros(4, dtype=torch.int64)
    options = {"norm": norm, "steps": 30, "loss": "margin", "bounds": UNBOUNDED}
    found = apgd(Hill(), x, y, 0.5, generator=seeded(0), **options)
    fixed = pgd(Hill(), x, y, 0.5, generator=seeded(0), **options)
    assert (found - 0.3).abs().max() < 2.5 * 0.5 / 30 / 2  # half the length of a step of PGD
    assert (found - 0.3).abs().max() < (fixed - 0.3).abs().max()


@both_norms
def test_result_is_never_worse_than_the_start(norm):
    classifier, (x, y) = curved(), batch()
    for steps in (1, 2, 7):
        found = apgd(classifier, x, y, 0.3, norm=norm, steps=steps, random_start=False, bounds=UNBOUNDED)
        gained = attack_loss(classifier(found), y, "cross_entropy") - attack_loss(classifier(x), y, "cross_entropy")
        assert (gained >= 0).all()
        assert gained.mean() > 0


@both_norms
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 2.0)])
def test_result_lies_within_ball_and_bounds(norm, bounds):
    classifier, (x, y) = curved(), batch()
    epsilon = torch.linspace(0, 0.5, 16, dtype=torch.float64)
    found = apgd(classifier, x, y, epsilon, norm=norm, steps=7, bounds=bounds)
    assert_within(found, x, epsilon, ORDER[norm], bounds)
    assert not torch.equal(found, x)


def test_every_sample_is_attacked_for_itself():
    classifier, (x, y) = curved(), batch()
    options = {"steps": 12, "random_start": False, "bounds": UNBOUNDED}
    together = apgd(classifier, x, y, 0.4, **options)
    alone = [apgd(classifier, x[i : i + 1], y[i : i + 1], 0.4, **options) for i in range(16)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", ["cross_entropy", "dlr"])
def test_as_strong_as_the_authors_program(loss):
    """They start elsewhere and count rises otherwise, so losses and decisions are compared and not the points."""
    package = pytest.importorskip("pyautoattack.autopgd_base", reason="the extra autoattack is not installed")
    torch.manual_seed(0)
    classifier = nn.Sequential(nn.Linear(12, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 5)).double()
    with torch.no_grad():
        for part in (0, 2, 4):
            classifier[part].weight *= 4
    x = batch(size=200)[0]
    y = classifier(x).argmax(dim=1)
    name = "ce" if loss == "cross_entropy" else "dlr"
    theirs = package.APGDAttack(classifier, n_iter=100, norm="Linf", eps=0.03, loss=name, seed=0, device=x.device)
    theirs.init_hyperparam(x)
    _, fooled, best, _ = theirs.attack_single_run(x, y)
    found = apgd(classifier, x, y, 0.03, loss=loss, steps=100, bounds=(0.0, 1.0), generator=torch.Generator())
    logits = classifier(found).detach()
    assert float(attack_loss(logits, y, loss).mean()) == pytest.approx(float(best.mean()), rel=0.01)
    ours, theirs_fooled = int((logits.argmax(dim=1) != y).sum()), int((~fooled).sum())
    assert 20 < theirs_fooled < 180
    assert abs(ours - theirs_fooled) <= 2


@both_norms
def test_no_trace_is_left_and_the_generator_alone_decides(norm):
    classifier = nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 5)).double().train()
    x, y = batch()
    state = torch.get_rng_state()
    with unchanged(classifier):
        first, again, other = (
            apgd(classifier, x, y, 0.2, norm=norm, steps=3, bounds=UNBOUNDED, generator=seeded(seed))
            for seed in (0, 0, 1)
        )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert not first.requires_grad


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_no_samples_are_no_samples():
    found = apgd(curved(), torch.zeros(0, 12).double(), torch.zeros(0, dtype=torch.int64), 0.1, bounds=UNBOUNDED)
    assert found.shape == (0, 12)


class Broken(nn.Module):
    """Finite logits whose gradient is not, at a coordinate of zero."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, 0].abs().sqrt(), x[:, 1]], dim=1)


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"norm": "L1"}, "`norm` should be one of Linf, L2. Found 'L1'"),
        ({"steps": 0}, "`steps` should be at least 1. Found 0"),
        ({"loss": "hinge"}, "`loss` should be one of"),
        ({"loss": "kl", "random_start": False}, "`random_start` should be True with the loss 'kl'"),
        (
            {"loss": "kl", "target": torch.tensor([1, 1])},
            "`loss` should be cross_entropy, margin or dlr with a target",
        ),
        ({"target": torch.tensor([1])}, r"`target` should have shape \(2,\)"),
        ({"target": torch.tensor([1, 5])}, r"`target` should lie in \[0, 5\). Found values from 1 to 5"),
        ({"epsilon": -1.0}, "`epsilon` should be at least 0"),
        ({"x": torch.full((2, 12), math.nan)}, "`x` should be finite"),
    ],
)
def test_wrong_argument_is_named(changed, message):
    arguments = {"x": torch.rand(2, 12), "y": torch.tensor([0, 1]), "epsilon": 0.1, "bounds": UNBOUNDED} | changed
    with pytest.raises(ValueError, match=message):
        apgd(curved().float(), **arguments)


def test_gradients_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"`gradient of classifier\(x\)` should be finite. .* of 3 samples"):
        apgd(
            Broken(),
            torch.zeros(3, 2),
            torch.tensor([0, 1, 0]),
            0.1,
            loss="cross_entropy",
            bounds=UNBOUNDED,
            random_start=False,
        )
