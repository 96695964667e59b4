"""Objectives: closed forms on linear models, and what they ask of the classifier."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.properties import assert_within
from training import AT, Plain, Strength

UNBOUNDED = (-math.inf, math.inf)
DUAL = {"Linf": 1, "L2": 2}


class Recorder(nn.Module):
    """Remembers the mode and the input of every forward pass."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.modes: list[bool] = []
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        self.inputs.append(x.detach())
        return self.classifier(x)


def losses_of(objective, classifier, x, y, bounds=UNBOUNDED, seed=0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return objective(classifier, x, y, lambda: classifier(x), bounds=bounds, generator=generator)


def test_plain_is_the_cross_entropy_of_the_clean_inputs(linear):
    classifier, x, y = linear(6, 4), torch.randn(8, 6), torch.randint(4, (8,))
    (name, loss), *others = losses_of(Plain(), classifier, x, y).items()
    expected = -classifier(x).softmax(dim=1)[range(8), y].log().mean()
    torch.testing.assert_close(loss, expected)
    assert (name, others) == ("clean", [])


@pytest.mark.parametrize(("norm", "step_size"), [("Linf", None), ("L2", Strength(5.0))])
def test_adversarial_loss_has_its_closed_form_on_a_linear_model(linear, norm, step_size):
    classifier, x, y = linear(6, 2, torch.float64), torch.randn(8, 6).double(), torch.randint(2, (8,))
    losses = losses_of(AT(Strength("1/4"), norm=norm, step_size=step_size), classifier, x, y)
    weight, bias = classifier[1].weight[1] - classifier[1].weight[0], classifier[1].bias[1] - classifier[1].bias[0]
    lead = (2 * y - 1) * (x @ weight + bias) - 0.25 * torch.linalg.vector_norm(weight, ord=DUAL[norm])
    torch.testing.assert_close(losses["adversarial"], F.softplus(-lead).mean(), rtol=1e-5, atol=0)


@pytest.mark.usefixtures("as_in_production")
def test_strengths_may_be_written_as_fractions(linear):
    classifier, x, y = linear(6, 3), torch.randn(4, 6), torch.randint(3, (4,))
    written, numbers = (
        losses_of(AT(epsilon, step_size=step_size, steps=2), classifier, x, y)["adversarial"]
        for epsilon, step_size in (("8/255", "2/255"), (8 / 255, 2 / 255))
    )
    assert torch.equal(written, numbers)


def test_adversarial_training_names_its_loss_adversarial(linear):
    losses = losses_of(AT(Strength(0.1), steps=1), linear(6, 3), torch.randn(4, 6), torch.randint(3, (4,)))
    assert list(losses) == ["adversarial"]


def test_adversarial_loss_reaches_the_weights(linear):
    classifier = linear(6, 3)
    losses_of(AT(Strength(0.1), steps=1), classifier, torch.randn(4, 6), torch.randint(3, (4,)))[
        "adversarial"
    ].backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in classifier.parameters())


def test_attack_leaves_no_gradient_on_the_weights(linear):
    classifier = linear(6, 3)
    losses_of(AT(Strength(0.1), steps=3), classifier, torch.randn(4, 6), torch.randint(3, (4,)))
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_attack_sees_evaluation_mode_and_the_loss_sees_training_mode(linear):
    recorder = Recorder(linear(6, 3)).train()
    losses_of(AT(Strength(0.1), steps=4), recorder, torch.randn(4, 6), torch.randint(3, (4,)))
    assert recorder.modes == [False] * 4 + [True]


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_trained_inputs_lie_within_ball_and_bounds(linear, norm):
    recorder, x = Recorder(linear(6, 3)), torch.rand(16, 6)
    losses_of(AT(Strength("8/255"), norm=norm, steps=5), recorder, x, torch.randint(3, (16,)), bounds=(0.0, 1.0))
    order = math.inf if norm == "Linf" else 2
    assert_within(recorder.inputs[-1], x, torch.tensor(8 / 255), order, (0.0, 1.0))


def test_clean_logits_are_not_computed_when_they_are_not_needed(linear):
    def refuse() -> Tensor:
        raise AssertionError("nobody needs the clean logits")

    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(4, 6), torch.randint(3, (4,))
    AT(Strength(0.1), steps=1)(linear(6, 3), x, y, refuse, bounds=UNBOUNDED, generator=generator)


def test_randomness_comes_from_the_generator_alone(linear):
    classifier, x, y = linear(6, 3), torch.randn(4, 6), torch.randint(3, (4,))
    objective = AT(Strength(0.1), steps=1, step_size=Strength(0.001))
    before = torch.get_rng_state()
    once, again, other = (losses_of(objective, classifier, x, y, seed=seed)["adversarial"] for seed in (0, 0, 1))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("loss", ["margin", "cross_entropy", "dlr"])
def test_chosen_loss_is_what_the_attack_raises(linear, loss):
    from training import pgd

    recorder, x, y = Recorder(linear(6, 4)), torch.randn(8, 6), torch.randint(4, (8,))
    losses_of(AT(Strength(0.5), steps=2, loss=loss), recorder, x, y)
    generator = torch.Generator().manual_seed(0)
    expected = pgd(recorder.classifier, x, y, 0.5, steps=2, loss=loss, bounds=UNBOUNDED, generator=generator)
    assert torch.equal(recorder.inputs[-1], expected)
