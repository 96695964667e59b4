"""AWP: closed forms, a hand-made moved copy of the network, and what is left as it was found."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from jsonargparse import ArgumentParser
from torch import Tensor, nn

from tests.properties import unchanged
from training import AT, Strength
from training.objectives import CLP, MART, TRADES, AdversarialObjective, AvMixup, Losses, Objective, Step
from training.weight_perturbation import AWP, perturbed_weights, worst_shifts

UNBOUNDED = (-math.inf, math.inf)
EPSILON = Strength(0.1)
OBJECTIVES = {kind.__name__: kind(EPSILON, steps=2) for kind in (AT, TRADES, MART, CLP, AvMixup)}
each_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def curved(dtype: torch.dtype = torch.float64) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).to(dtype)


def normalised() -> nn.Module:
    """With batch normalisation and dropout, in training mode."""
    layers = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 4)
    return nn.Sequential(*layers).double().train()


def samples(size: int = 8) -> tuple[Tensor, Tensor]:
    return torch.randn(size, 6, dtype=torch.float64), torch.randint(4, (size,))


def refuse() -> Tensor:
    raise AssertionError("the clean logits of the true weights are not those of the moved ones")


def loss_of(awp: AWP, classifier: nn.Module, x: Tensor, y: Tensor, seed: int = 0) -> Tensor:
    (loss,) = awp(classifier, x, y, refuse, bounds=UNBOUNDED, generator=seeded(seed)).values()
    return loss


def moved_by_hand(objective, classifier, x, y, gamma: float) -> tuple[nn.Module, Tensor]:
    """A copy that trains as published: move its weights, then compute the loss."""
    network, generator = copy.deepcopy(classifier), seeded()
    perturbed = objective.perturbed(network, x, y, bounds=UNBOUNDED, generator=generator)
    proxy, draws = copy.deepcopy(network), generator.get_state()
    loss = objective.losses(Step(proxy, x, y, perturbed, lambda: proxy(x), generator))["adversarial"]
    loss.backward()
    generator.set_state(draws)
    for weight, twin in zip(network.parameters(), proxy.parameters(), strict=True):
        if weight.ndim > 1:
            weight.data += gamma * weight.data.norm() * twin.grad / twin.grad.norm()
    loss = objective.losses(Step(network, x, y, perturbed, lambda: network(x), generator))["adversarial"]
    return network, loss


@each_objective
@pytest.mark.parametrize("make", [curved, normalised])
def test_loss_and_gradient_are_those_of_a_copy_moved_by_hand(objective, make):
    classifier, (x, y) = make(), samples()
    torch.manual_seed(1)  # of dropout
    network, expected = moved_by_hand(objective, classifier, x, y, gamma=0.05)
    expected.backward()
    torch.manual_seed(1)
    loss = loss_of(AWP(objective, gamma=0.05), classifier, x, y)
    loss.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    for parameter, twin in zip(classifier.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, twin.grad, rtol=1e-9, atol=1e-12)
    for buffer, twin in zip(classifier.buffers(), network.buffers(), strict=True):
        torch.testing.assert_close(buffer, twin, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("objective", "passes"), [(AT(EPSILON, steps=2), 1), (TRADES(EPSILON, steps=2), 2)])
def test_running_statistics_see_the_training_passes_alone(objective, passes):
    classifier, (x, y) = normalised(), samples()
    loss_of(AWP(objective), classifier, x, y)
    assert int(classifier[1].num_batches_tracked) == passes


@each_objective
def test_classifier_is_left_as_found(objective):
    classifier, (x, y) = curved(), samples()
    with unchanged(classifier):
        loss_of(AWP(objective), classifier, x.requires_grad_(), y)


@each_objective
def test_training_leaves_weights_and_modes_bit_for_bit(objective):
    classifier, (x, y) = normalised(), samples()
    before = [parameter.detach().clone() for parameter in classifier.parameters()]
    classifier[1].eval()
    loss_of(AWP(objective), classifier, x.requires_grad_(), y).backward()
    assert x.grad is None
    assert all(torch.equal(a, b) for a, b in zip(before, classifier.parameters(), strict=True))
    assert [part.training for part in classifier] == [True, False, True, True, True]


class Inner(AdversarialObjective):
    """The inner product of the logits with fixed numbers: linear in the weights of a linear network."""

    def __init__(self, coefficients: Tensor) -> None:
        super().__init__(Strength(0.0), steps=1)
        self.coefficients = coefficients

    def losses(self, step: Step) -> Losses:
        return {"adversarial": (step.classifier(step.perturbed) * self.coefficients).sum()}


def test_loss_that_is_linear_in_the_weights_rises_by_its_closed_form():
    classifier, (x, y) = nn.Linear(6, 4, dtype=torch.float64), samples()
    coefficients = torch.randn(8, 4, dtype=torch.float64)
    slope = coefficients.T @ x
    loss = loss_of(AWP(Inner(coefficients), gamma=0.01), classifier, x, y)
    flat = (classifier(x) * coefficients).sum()
    torch.testing.assert_close(loss, flat + 0.01 * classifier.weight.norm() * slope.norm(), rtol=1e-12, atol=0)
    loss.backward()
    torch.testing.assert_close(classifier.weight.grad, slope)
    torch.testing.assert_close(classifier.bias.grad, coefficients.sum(dim=0))


@pytest.mark.parametrize("gamma", [0.0, 0.005, 0.5])
def test_every_weight_moves_by_its_share_along_its_gradient(gamma):
    classifier, (x, y) = normalised(), samples()
    weights = perturbed_weights(classifier)
    loss = F.cross_entropy(classifier(x), y)
    gradients = torch.autograd.grad(loss, list(weights.values()), retain_graph=True)
    shifts = worst_shifts(loss, weights, gamma)
    assert list(shifts) == ["0.weight", "4.weight"]
    for weight, shift, gradient in zip(weights.values(), shifts.values(), gradients, strict=True):
        torch.testing.assert_close(shift.norm(), gamma * weight.detach().norm(), rtol=1e-14, atol=0)
        torch.testing.assert_close(shift * gradient.norm(), gradient * shift.norm(), rtol=1e-12, atol=1e-16)


@each_objective
def test_moved_weights_raise_the_loss(objective):
    classifier, (x, y) = curved(), samples()
    still, moved = (loss_of(AWP(objective, gamma=gamma), classifier, x, y) for gamma in (0.0, 0.01))
    assert moved > still


@each_objective
def test_nothing_moves_without_gamma(objective):
    classifier, (x, y) = curved(), samples()
    generator = seeded()
    bare = objective(classifier, x, y, lambda: classifier(x), bounds=UNBOUNDED, generator=generator)["adversarial"]
    assert torch.equal(loss_of(AWP(objective, gamma=0.0), classifier, x, y), bare)


@pytest.mark.parametrize("scale", [1e-36, 1e-20, 1e20, 1e30])
def test_length_of_the_move_does_not_depend_on_the_scale_of_the_loss(scale):
    classifier = nn.Linear(6, 4)
    (shift,) = worst_shifts(classifier(torch.randn(3, 6)).sum() * scale, {"w": classifier.weight}, 0.01).values()
    torch.testing.assert_close(shift.norm(), 0.01 * classifier.weight.detach().norm())


def test_weight_without_influence_stays():
    used, unused = nn.Linear(6, 4), nn.Linear(6, 4)
    loss = used(torch.randn(3, 6)).sum() + 0 * used.weight.sum()
    shifts = worst_shifts(loss, {"used": used.weight, "unused": unused.weight}, 0.01)
    assert shifts["used"].any()
    assert torch.equal(shifts["unused"], torch.zeros(4, 6))


def test_biases_scales_frozen_weights_and_embeddings_do_not_move():
    classifier = normalised()
    classifier[0].requires_grad_(False)
    classifier.register_parameter("position", nn.Parameter(torch.zeros(1, 6)))
    assert list(perturbed_weights(classifier)) == ["4.weight"]


def test_frozen_network_with_trained_head_is_trained():
    classifier, (x, y) = curved(), samples()
    classifier[0].requires_grad_(False)
    loss_of(AWP(AT(EPSILON, steps=1)), classifier, x, y).backward()
    assert classifier[0].weight.grad is None
    assert classifier[2].weight.grad.any()


def test_shared_weights_move_together():
    shared = nn.Linear(6, 6)
    classifier, (x, y) = nn.Sequential(shared, nn.Tanh(), shared, nn.Linear(6, 4)).double(), samples()
    objective = AT(EPSILON, steps=1)
    _, expected = moved_by_hand(objective, classifier, x, y, gamma=0.05)
    torch.testing.assert_close(loss_of(AWP(objective, gamma=0.05), classifier, x, y), expected)


def test_randomness_comes_from_the_generator_alone():
    classifier, (x, y) = curved(), samples()
    awp, before = AWP(AvMixup(EPSILON, steps=1)), torch.get_rng_state()
    once, again, other = (loss_of(awp, classifier, x, y, seed) for seed in (0, 0, 1))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_loss_is_in_float32_under_mixed_precision():
    classifier, (x, y) = curved(torch.float32), samples()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(AWP(TRADES(EPSILON, steps=1)), classifier, x.float(), y)
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(parameter.grad.isfinite().all() for parameter in classifier.parameters())


def test_configuration_nests_an_objective():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--objective", type=Objective)
    inner = {"class_path": "training.objectives.TRADES", "init_args": {"epsilon": "8/255", "beta": 5.0}}
    chosen = {"class_path": "training.weight_perturbation.AWP", "init_args": {"objective": inner, "gamma": 0.005}}
    awp = parser.instantiate_classes(parser.parse_object({"objective": chosen})).objective
    assert isinstance(awp, AWP)
    assert isinstance(awp.objective, TRADES)
    assert (awp.gamma, awp.objective.beta, awp.objective.epsilon.written) == (0.005, 5.0, "8/255")


@pytest.mark.parametrize("gamma", [-0.01, math.nan, math.inf])
def test_wrong_gamma_is_named(gamma):
    with pytest.raises(ValueError, match=f"`gamma` should be finite and at least 0. Found {gamma}"):
        AWP(AT(EPSILON), gamma=gamma)


def test_network_without_trained_weights_is_refused():
    classifier, (x, y) = curved().requires_grad_(False), samples()
    with pytest.raises(ValueError, match="`classifier` should have trained weights of two or more dimensions"):
        loss_of(AWP(AT(EPSILON, steps=1)), classifier, x, y)


def test_two_processes_move_as_one(monkeypatch):
    classifier, (x, _) = curved(), samples()
    weights = perturbed_weights(classifier)

    def loss(inputs: Tensor) -> Tensor:
        return classifier(inputs).square().mean()

    expected = worst_shifts(loss(x), weights, 0.01)
    of_the_other = iter(torch.autograd.grad(loss(x[4:]), list(weights.values())))
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda gradient: gradient.add_(next(of_the_other)))
    torch.testing.assert_close(worst_shifts(loss(x[:4]), weights, 0.01), expected, rtol=1e-12, atol=1e-16)
