"""The penalty on the length of ∇ℓ: closed forms on linear classifiers, and what it shares with L_α."""

import pytest
import torch
from torch import Tensor, nn

from alignment import gradient_norm_penalty, input_gradient
from tests.alignment.classifiers import SHAPES, Answer, Counted, hand_made, restless, smooth
from tests.conftest import Linear


def batch_of(size: int, classes: int, shape: tuple[int, ...] = (6,)) -> tuple[Tensor, Tensor]:
    return torch.randn(size, *shape, dtype=torch.float64), torch.arange(size) % classes


@pytest.mark.parametrize("shape", SHAPES)
def test_penalty_is_the_mean_norm_of_the_gradient_of_the_loss(shape: tuple[int, ...]) -> None:
    classifier, (x, y) = smooth(6, 2), batch_of(5, 2, shape)
    expected = input_gradient(classifier, x, 1 - y, y).flatten(1).norm(dim=1).mean()
    torch.testing.assert_close(gradient_norm_penalty(classifier, x, y).detach(), expected, rtol=1e-14, atol=0)


def test_closed_form_of_a_linear_classifier(linear: Linear) -> None:
    """‖w_1 − w_0‖ for every sample, whose gradient is the unit vector along it."""
    classifier, (x, y) = linear(6, 2, torch.float64), batch_of(8, 2)
    slope = (classifier[1].weight[1] - classifier[1].weight[0]).detach()
    penalty = gradient_norm_penalty(classifier, x, y)
    by_weight, by_bias = torch.autograd.grad(penalty, list(classifier.parameters()), materialize_grads=True)
    assert penalty.item() == pytest.approx(slope.norm().item(), rel=1e-14)
    unit = slope / slope.norm()
    torch.testing.assert_close(by_weight, torch.stack([-unit, unit]), rtol=0, atol=1e-14)
    assert by_bias.tolist() == [0, 0]


@pytest.mark.parametrize(("signed", "expected"), [(False, 17.0), (True, 128**0.5)])
def test_penalty_is_of_the_closest_class_in_both_forms(signed: bool, expected: float) -> None:
    classifier, x = hand_made()
    penalty = gradient_norm_penalty(classifier, x, torch.tensor([0]), signed=signed)
    assert penalty.item() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("classes", [2, 4])
def test_gradient_matches_finite_differences(classes: int) -> None:
    x, y = batch_of(4, classes)

    def penalty(first: Tensor, second: Tensor) -> Tensor:
        return gradient_norm_penalty(Answer(lambda inputs: (inputs @ first).tanh() @ second), x, y)

    first, second = torch.randn(6, 5, dtype=torch.float64), torch.randn(5, classes, dtype=torch.float64)
    assert torch.autograd.gradcheck(penalty, (first.requires_grad_(), second.requires_grad_()), atol=1e-8, rtol=1e-6)


def test_following_the_gradient_shortens_without_turning() -> None:
    """A linear classifier's slope only shrinks: each step takes it the learning rate times two nearer to zero."""
    classifier, (x, y) = nn.Linear(6, 2, dtype=torch.float64), batch_of(4, 2)
    before = (classifier.weight[1] - classifier.weight[0]).detach()
    gradient_norm_penalty(classifier, x, y).backward()
    with torch.no_grad():
        classifier.weight -= 0.1 * classifier.weight.grad
    after = (classifier.weight[1] - classifier.weight[0]).detach()
    torch.testing.assert_close(after, before * (1 - 0.2 / before.norm()), rtol=1e-12, atol=0)


def test_gradient_of_zero_is_not_moved(linear: Linear) -> None:
    classifier, (x, y) = linear(6, 2, torch.float64), batch_of(3, 2)
    nn.init.zeros_(classifier[1].weight)
    penalty = gradient_norm_penalty(classifier, x, y)
    penalty.backward()
    assert penalty.item() == 0
    assert (classifier[1].weight.grad == 0).all()


def test_known_logits_and_targets_save_passes_and_change_nothing() -> None:
    classifier, (x, y) = smooth(6, 4), batch_of(5, 4)
    target = (y + 1) % 4
    alone = gradient_norm_penalty(classifier, x, y, target=target)
    counted = Counted(classifier)
    shared = gradient_norm_penalty(counted, x, y, target=target, logits=counted(x.requires_grad_()))
    assert torch.equal(alone, shared)
    assert counted.forwards == 1


def test_classifier_is_used_in_the_mode_it_is_in() -> None:
    classifier, (x, y) = restless(6, 2).double().eval(), batch_of(8, 2)
    evaluated = gradient_norm_penalty(classifier, x, y)
    assert evaluated != gradient_norm_penalty(classifier.train(), x, y)
    assert classifier.training


def test_no_samples_are_never_shown_to_the_classifier() -> None:
    counted = Counted(smooth(6, 3))
    penalty = gradient_norm_penalty(
        counted, torch.zeros(0, 6, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
    )
    penalty.backward()
    assert float(penalty.detach()) == 0
    assert counted.forwards == 0


def test_known_logits_need_an_input_that_asks_for_a_gradient() -> None:
    classifier, (x, y) = smooth(6, 2), batch_of(3, 2)
    with pytest.raises(ValueError, match="`x` should ask for a gradient when `logits` is given"):
        gradient_norm_penalty(classifier, x, y, logits=classifier(x))
