"""Targeted attacks: which class they go to, what they raise, and how far they come on linear models."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.apgd import apgd
from training.attack_loss import attack_loss, slope_in_logits
from training.attacks import targeted_pgd
from training.objectives import AT, TRADES
from training.strength import Strength
from training.targets import targets_of

UNBOUNDED = (-math.inf, math.inf)
LOGITS = torch.tensor([[4.0, 1.0, 2.0, 0.0], [1.0, 5.0, 3.0, 2.0]], dtype=torch.float64)
Y, TARGET = torch.tensor([0, 2]), torch.tensor([2, 1])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("margin", [-2.0, 2.0]),
        ("dlr", [-2 / 3.5, 2 / 3.5]),  # (2 − 4) / (4 − ½(1 + 0)) and (5 − 3) / (5 − ½(2 + 1))
        ("cross_entropy", [-math.log(math.exp(2) + math.exp(-1) + 1 + math.exp(-2)), None]),
    ],
)
def test_targeted_losses_have_their_closed_values(loss, expected):
    found = attack_loss(LOGITS, Y, loss, target=TARGET)
    for value, known in zip(found.tolist(), expected, strict=True):
        assert known is None or value == pytest.approx(known, rel=1e-12)
    if loss == "cross_entropy":
        torch.testing.assert_close(found, -F.cross_entropy(LOGITS, TARGET, reduction="none"))


@pytest.mark.parametrize("loss", ["margin", "dlr", "cross_entropy", "auto"])
def test_slope_of_a_targeted_loss_is_its_derivative(loss):
    logits = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    y, target = torch.arange(6) % 5, (torch.arange(6) + 2) % 5
    (expected,) = torch.autograd.grad(attack_loss(logits, y, loss, target=target).sum(), logits)
    torch.testing.assert_close(slope_in_logits(logits.detach(), y, loss, target=target), expected)


def test_targeted_dlr_needs_four_classes():
    with pytest.raises(ValueError, match=r"`loss` 'dlr' with a target needs at least four classes. Found 3"):
        attack_loss(torch.randn(2, 3), torch.tensor([0, 1]), "dlr", target=torch.tensor([1, 0]))


def test_random_targets_are_uniform_and_never_the_true_class(linear):
    y = torch.arange(5).repeat(400)
    found = targets_of(linear(3, 5), torch.zeros(2000, 3), y, "random", torch.Generator().manual_seed(0))
    assert (found != y).all()
    counts = torch.stack([((found - y) % 5 == step).sum() for step in range(1, 5)])
    assert counts.sum() == 2000
    assert (counts - 500).abs().max() < 80  # four standard deviations


def test_least_likely_target_is_the_wrong_class_with_the_smallest_logit():
    class Given(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return LOGITS

    generator = torch.Generator()
    assert targets_of(Given(), torch.zeros(2, 1), Y, "least_likely", generator).tolist() == [3, 0]
    assert targets_of(Given(), torch.zeros(2, 1), torch.tensor([3, 0]), "least_likely", generator).tolist() == [1, 3]


@pytest.mark.parametrize(("norm", "dual"), [("Linf", 1), ("L2", 2), ("L1", math.inf)])
def test_lead_of_the_target_rises_as_far_as_a_linear_model_allows(linear, norm, dual):
    """‖w_t − w_y‖ in the dual norm times ε; another class may well be nearer."""
    classifier, x = linear(8, 5, torch.float64), torch.randn(6, 8, dtype=torch.float64)
    y, target = torch.arange(6) % 5, (torch.arange(6) + 2) % 5
    options = {"norm": norm, "loss": "margin", "bounds": UNBOUNDED}
    found = [targeted_pgd(classifier, x, y, 0.3, target, steps=200, **options)]
    if norm != "L1":
        found.append(apgd(classifier, x, y, 0.3, target=target, steps=30, **options))
    slope = (classifier[1].weight[target] - classifier[1].weight[y]).detach()
    expected = 0.3 * torch.linalg.vector_norm(slope, ord=dual, dim=1)
    for points in found:
        gained = ((points - x) * slope).sum(dim=1)
        torch.testing.assert_close(gained, expected, rtol=2e-3, atol=0)


def test_targets_out_of_range_and_divergences_are_refused(linear):
    classifier, x, y = linear(8, 5), torch.randn(2, 8), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"`target` should lie in \[0, 5\). Found values from 1 to 7"):
        targeted_pgd(classifier, x, y, 0.3, torch.tensor([1, 7]), bounds=UNBOUNDED)
    with pytest.raises(ValueError, match=r"`loss` should be cross_entropy, margin or dlr with a target. Found 'kl'"):
        targeted_pgd(classifier, x, y, 0.3, torch.tensor([1, 0]), loss="kl", bounds=UNBOUNDED)


@pytest.mark.parametrize(
    ("solver", "target"),
    [("apgd", None), ("apgd", "random"), ("apgd", "least_likely"), ("pgd", "random"), ("pgd", "least_likely")],
)
def test_objective_trains_on_what_its_solver_finds(linear, solver, target):
    classifier, x, y = linear(8, 5), torch.rand(6, 8), torch.arange(6) % 5
    objective = AT(Strength(0.2), steps=4, loss="dlr", solver=solver, target=target)
    found = objective.perturbed(classifier, x, y, bounds=(0.0, 1.0), generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    aims = None if target is None else targets_of(classifier, x, y, target, generator)
    options = {"steps": 4, "loss": "dlr", "bounds": (0.0, 1.0), "generator": generator}
    if solver == "apgd":
        expected = apgd(classifier, x, y, 0.2, target=aims, **options)
    else:
        expected = targeted_pgd(classifier, x, y, 0.2, aims, **options)
    assert torch.equal(found, expected)


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (AT, {"solver": "fgsm"}, "`solver` should be one of pgd, apgd. Found 'fgsm'"),
        (AT, {"target": "second"}, "`target` should be one of None, random, least_likely. Found 'second'"),
        (AT, {"solver": "apgd", "norm": "L1"}, "`norm of APGD` should be one of Linf, L2. Found 'L1'"),
        (AT, {"solver": "apgd", "step_size": Strength(0.1)}, "`step_size` should be left out with APGD"),
        (TRADES, {"target": "random"}, "`loss` should be cross_entropy, margin or dlr with a target. Found 'kl'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(Strength(0.1), **options)
