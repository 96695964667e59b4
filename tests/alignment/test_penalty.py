from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from alignment import alignment_penalty, alpha_dx
from tests.alignment.classifiers import BATCHES, SHAPES, Answer, Counted, Detached, hand_made, restless, smooth
from tests.conftest import Linear


def batch_of(size: int, classes: int, shape: tuple[int, ...] = (6,)) -> tuple[Tensor, Tensor, Tensor]:
    x, residual = torch.randn(2, size, *shape, dtype=torch.float64)
    return x, torch.arange(size) % classes, residual


def gradients(penalty: Tensor, classifier: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(penalty, list(classifier.parameters()), materialize_grads=True))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", BATCHES)
def test_penalty_is_minus_the_mean_alignment(size: int, shape: tuple[int, ...], classes: int) -> None:
    classifier, (x, y, residual) = smooth(6, classes), batch_of(size, classes, shape)
    penalty = alignment_penalty(classifier, x, y, residual)
    expected = -alpha_dx(classifier, x, y, lambda *_: residual).mean()
    torch.testing.assert_close(penalty.detach(), expected, rtol=0, atol=1e-15)


def test_samples_without_a_direction_are_left_out() -> None:
    classifier, (x, y, residual) = smooth(6, 2), batch_of(5, 2)
    residual[:2] = 0
    penalty = alignment_penalty(classifier, x, y, residual)
    rest = alignment_penalty(classifier, x[2:], y[2:], residual[2:])
    torch.testing.assert_close(penalty, rest, rtol=0, atol=1e-15)
    for all_of_them, only_the_rest in zip(gradients(penalty, classifier), gradients(rest, classifier), strict=True):
        torch.testing.assert_close(all_of_them, only_the_rest, rtol=0, atol=1e-15)


@pytest.mark.parametrize("where", ["x", "residual"])
def test_nan_reaches_the_penalty_and_its_gradient(where: str) -> None:
    classifier, (x, y, residual) = smooth(6, 2), batch_of(4, 2)
    (x if where == "x" else residual)[1, 2] = torch.nan
    penalty = alignment_penalty(classifier, x, y, residual)
    assert penalty.isnan()
    assert gradients(penalty, classifier)[0].isnan().any()


def test_batch_without_any_direction_costs_nothing(linear: Linear) -> None:
    classifier, (x, y, residual) = linear(6, 2, torch.float64), batch_of(3, 2)
    nn.init.zeros_(classifier[1].weight)
    for direction in (residual, 0 * residual):
        penalty = alignment_penalty(classifier, x, y, direction)
        assert penalty.item() == 0
        assert all((gradient == 0).all() for gradient in gradients(penalty, classifier))


def test_closed_form_of_a_linear_classifier(linear: Linear) -> None:
    classifier, (x, _, residual) = linear(6, 2, torch.float64), batch_of(8, 2)
    y = torch.zeros(8, dtype=torch.int64)
    slope = (classifier[1].weight[1] - classifier[1].weight[0]).detach()
    unit, units = slope / slope.norm(), residual / residual.norm(dim=1, keepdim=True)
    cosines = units @ unit
    by_slope = -(units - cosines.unsqueeze(1) * unit).mean(0) / slope.norm()

    penalty = alignment_penalty(classifier, x, y, residual)
    by_weight, by_bias = gradients(penalty, classifier)
    assert penalty.item() == pytest.approx(-cosines.mean().item(), abs=1e-15)
    torch.testing.assert_close(by_weight, torch.stack([-by_slope, by_slope]), rtol=0, atol=1e-15)
    assert by_bias.tolist() == [0, 0]


@pytest.mark.parametrize("activation", [torch.tanh, softplus])
@pytest.mark.parametrize("classes", [2, 4])
def test_gradient_matches_finite_differences(classes: int, activation: Callable[[Tensor], Tensor]) -> None:
    x, y, residual = batch_of(4, classes)

    def penalty(first: Tensor, second: Tensor) -> Tensor:
        classifier = Answer(lambda inputs: activation(inputs @ first) @ second)
        return alignment_penalty(classifier, x, y, residual)

    first, second = torch.randn(6, 5, dtype=torch.float64), torch.randn(5, classes, dtype=torch.float64)
    weights = (first.requires_grad_(), second.requires_grad_())
    assert torch.autograd.gradcheck(penalty, weights, atol=1e-8, rtol=1e-6)


def test_following_the_gradient_aligns() -> None:
    classifier, (x, y, residual) = smooth(6, 2), batch_of(16, 2)
    optimiser = torch.optim.Adam(classifier.parameters(), lr=0.03)
    before = alpha_dx(classifier, x, y, residual).mean()
    for _ in range(50):
        optimiser.zero_grad()
        alignment_penalty(classifier, x, y, residual).backward()
        optimiser.step()
    assert before < 0.3
    assert alpha_dx(classifier, x, y, residual).mean() > 0.8


@pytest.mark.parametrize("classes", [2, 4])
def test_known_logits_change_nothing(classes: int) -> None:
    classifier, (x, y, residual) = restless(6, classes).double(), batch_of(8, classes)
    classifier[4].p = 0.0
    alone = alignment_penalty(classifier, x, y, residual)
    x.requires_grad_()
    shared = alignment_penalty(classifier, x, y, residual, logits=classifier(x))
    assert torch.equal(shared, alone)
    for one, other in zip(gradients(shared, classifier), gradients(alone, classifier), strict=True):
        assert torch.equal(one, other)


def test_known_logits_save_the_forward_pass() -> None:
    classifier, (x, y, residual) = Counted(smooth(6, 2)), batch_of(3, 2)
    logits = classifier(x.requires_grad_())
    alignment_penalty(classifier, x, y, residual, logits=logits)
    assert classifier.forwards == 1


def test_known_logits_can_still_be_used_for_the_classification_loss() -> None:
    classifier, (x, y, residual) = smooth(6, 3), batch_of(4, 3)
    logits = classifier(x.requires_grad_())
    loss = nn.functional.cross_entropy(logits, y)
    together = gradients(loss + alignment_penalty(classifier, x, y, residual, logits=logits), classifier)
    entropy = gradients(nn.functional.cross_entropy(classifier(x), y), classifier)
    penalty = gradients(alignment_penalty(classifier, x, y, residual), classifier)
    for whole, one, other in zip(together, entropy, penalty, strict=True):
        torch.testing.assert_close(whole, one + other, rtol=0, atol=1e-15)


def test_known_logits_need_an_input_that_asks_for_a_gradient() -> None:
    classifier, (x, y, residual) = smooth(6, 2), batch_of(3, 2)
    with pytest.raises(ValueError, match="`x` should ask for a gradient when `logits` is given"):
        alignment_penalty(classifier, x, y, residual, logits=classifier(x))


def test_residual_is_a_constant() -> None:
    classifier, (x, y, residual) = smooth(6, 2), batch_of(3, 2)
    alignment_penalty(classifier, x, y, residual.requires_grad_()).backward()
    assert residual.grad is None
    assert classifier[1].weight.grad is not None


def test_estimator_is_a_constant_too() -> None:
    classifier, (x, y, _) = smooth(6, 2), batch_of(3, 2)
    generator, results = nn.Linear(6, 6, dtype=torch.float64), []

    def estimator(*arguments: Tensor) -> Tensor:
        results.append(generator(arguments[0]))
        return results[0]

    alignment_penalty(classifier, x, y, estimator).backward()
    assert not results[0].requires_grad
    assert classifier[1].weight.grad is not None


def test_classifier_is_used_in_the_mode_it_is_in() -> None:
    classifier, (x, y, residual) = restless(6, 2).double().eval(), batch_of(8, 2)
    evaluated = alignment_penalty(classifier, x, y, residual)
    assert not any(part.training for part in classifier.modules())
    trained = alignment_penalty(classifier.train(), x, y, residual)
    assert all(part.training for part in classifier.modules())
    assert evaluated != trained


def test_penalty_leaves_no_gradients_behind() -> None:
    classifier, (x, y, residual) = smooth(6, 3), batch_of(4, 3)
    alignment_penalty(classifier, x, y, residual)
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert not x.requires_grad


@pytest.mark.parametrize("trainable", [False, True])
def test_classifier_without_a_graph_is_refused(trainable: bool) -> None:
    x, y, residual = batch_of(2, 2)
    with pytest.raises(ValueError, match="`classifier` should be differentiable"):
        alignment_penalty(Detached(smooth(6, 2), trainable=trainable), x, y, residual)


def test_classifier_with_one_output_is_refused() -> None:
    x, y, residual = batch_of(2, 2)
    with pytest.raises(ValueError, match=r"Found \(2, 1\)\. A binary network with one output is adapted"):
        alignment_penalty(smooth(6, 1), x, y, residual)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range_are_refused(classes: int, label: int) -> None:
    x, _, residual = batch_of(2, 2)
    with pytest.raises(ValueError, match=rf"`y` should lie in \[0, {classes}\)"):
        alignment_penalty(smooth(6, classes), x, torch.tensor([0, label]), residual)


def test_residuals_of_another_shape_are_refused() -> None:
    x, y, _ = batch_of(2, 2)
    with pytest.raises(ValueError, match=r"`residual` should have the shape of `x`, \(2, 6\). Found \(2, 5\)"):
        alignment_penalty(smooth(6, 2), x, y, torch.ones(2, 5))


@pytest.mark.parametrize("shared", [False, True])
def test_no_samples_cost_nothing_and_are_never_shown_to_the_classifier(shared: bool) -> None:
    classifier = smooth(6, 3)
    x, y = torch.zeros(0, 6, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
    counted = Counted(classifier)
    penalty = alignment_penalty(counted, x, y, x, logits=classifier(x) if shared else None)
    penalty.backward()
    assert float(penalty.detach()) == 0
    assert counted.forwards == 0


@pytest.mark.usefixtures("as_in_production")
def test_labels_and_inputs_of_another_type_are_refused() -> None:
    x, y, residual = batch_of(2, 2)
    with pytest.raises(ValueError, match=r"`y` should be a tensor of int64, .* Found float64"):
        alignment_penalty(smooth(6, 2), x, y.double(), residual)
    with pytest.raises(ValueError, match=r"`x` should be a tensor of floating-point numbers. Found int64"):
        alignment_penalty(smooth(6, 2), x.long(), y, residual)


def up(x: Tensor, *_: Tensor) -> Tensor:
    """A residual that points along the second axis, whatever the class."""
    return torch.tensor([0.0, 1.0], dtype=x.dtype).expand_as(x)


@pytest.mark.parametrize(("signed", "expected"), [(False, -15 / 17), (True, -(0.5**0.5))])
def test_closest_class_of_a_misclassified_sample_has_two_forms(signed: bool, expected: float) -> None:
    """Of the hand-made point, ∇ℓ is (−8, 15) by the absolute radius and (−8, 8), of the winner, by the signed one."""
    classifier, x = hand_made()
    penalty = alignment_penalty(classifier, x, torch.tensor([0]), up, signed=signed)
    assert penalty.item() == pytest.approx(expected, abs=1e-12)
