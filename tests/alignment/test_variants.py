"""Variants of the alignment penalty: closed forms, and that each becomes the plain one where it should."""

import pytest
import torch
from torch import Tensor, nn

from alignment import alignment_penalty, closest_class
from alignment.closest_class import closest_classes, linearised_radii
from alignment.variants import lenient_alignment_penalty, pixel_weights, weighted_alignment_penalty
from tests.alignment.classifiers import SHAPES, Answer, Counted, hand_made, smooth
from tests.conftest import Linear


def batch_of(size: int, classes: int, shape: tuple[int, ...] = (6,)) -> tuple[Tensor, Tensor, Tensor]:
    x, residual = torch.randn(2, size, *shape, dtype=torch.float64)
    return x, torch.arange(size) % classes, residual


def several(size: int, classes: int, count: int) -> tuple[nn.Module, Tensor, Tensor, Tensor, Tensor]:
    """A classifier, inputs, labels, `count` other classes of each, and residuals to them."""
    x, y, _ = batch_of(size, classes)
    targets = torch.stack([(y + 1 + k) % classes for k in range(count)], dim=1)
    return smooth(6, classes), x, y, targets, torch.randn(size, count, 6, dtype=torch.float64)


def by_class(classifier: nn.Module, x: Tensor, y: Tensor, residuals: Tensor, targets: Tensor) -> Tensor:
    """The cosine of every sample with every of its classes, one plain penalty of one sample at a time."""

    def alone(i: int, k: int) -> Tensor:
        one = slice(i, i + 1)
        return -alignment_penalty(classifier, x[one], y[one], residuals[one, k], target=targets[one, k])

    rows = [[alone(i, k) for k in range(targets.shape[1])] for i in range(len(x))]
    return torch.stack([torch.stack(row) for row in rows])


def weights_of(penalty: Tensor, classifier: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(penalty, list(classifier.parameters()), materialize_grads=True))


def test_lenient_is_minus_the_mean_of_the_best_cosine_and_so_is_its_gradient() -> None:
    classifier, x, y, targets, residuals = several(7, 5, 3)
    penalty = lenient_alignment_penalty(classifier, x, y, residuals, targets)
    naive = -by_class(classifier, x, y, residuals, targets).amax(dim=1).mean()
    torch.testing.assert_close(penalty, naive, rtol=0, atol=1e-14)
    for found, expected in zip(weights_of(penalty, classifier), weights_of(naive, classifier), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_lenient_of_one_class_is_the_plain_penalty() -> None:
    classifier, x, y, targets, residuals = several(5, 4, 1)
    lenient = lenient_alignment_penalty(classifier, x, y, residuals, targets)
    assert torch.equal(lenient, alignment_penalty(classifier, x, y, residuals[:, 0], target=targets[:, 0]))


def test_of_more_classes_the_penalty_is_never_higher() -> None:
    classifier, x, y, targets, residuals = several(9, 6, 4)
    found = [
        lenient_alignment_penalty(classifier, x, y, residuals[:, :k], targets[:, :k]).item() for k in range(1, 5)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


def test_a_class_without_a_direction_is_never_the_best() -> None:
    """Its cosine is 0, which would be above that of a class that is opposed."""
    classifier, x = hand_made()
    y, targets = torch.tensor([0]), torch.tensor([[2, 1]])
    opposed = torch.tensor([8.0, -15.0], dtype=torch.float64)  # ∇(logit_2 − logit_0) = (−8, 15)
    residuals = torch.stack([opposed, torch.zeros_like(opposed)]).unsqueeze(0)
    penalty = lenient_alignment_penalty(classifier, x, y, residuals, targets)
    assert penalty.item() == pytest.approx(1.0, abs=1e-15)
    nothing = lenient_alignment_penalty(classifier, x, y, 0 * residuals, targets)
    assert nothing.item() == 0


def test_nan_reaches_the_lenient_penalty() -> None:
    classifier, x, y, targets, residuals = several(4, 4, 2)
    residuals[1, 1, 0] = torch.nan
    assert lenient_alignment_penalty(classifier, x, y, residuals, targets).isnan()


def test_lenient_makes_one_forward_pass() -> None:
    classifier, x, y, targets, residuals = several(4, 4, 3)
    counted = Counted(classifier)
    logits = counted(x.requires_grad_())
    alone = lenient_alignment_penalty(classifier, x, y, residuals, targets)
    assert torch.equal(alone, lenient_alignment_penalty(counted, x, y, residuals, targets, logits=logits))
    assert counted.forwards == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, t: (r, t[:, 0]), r"`targets` should have shape \(4, K\) with K ≥ 1. Found \(4,\)"),
        (lambda r, t: (r[:, :1], t), r"`residuals` should have the shape .* \(4, 2, 6\). Found \(4, 1, 6\)"),
        (lambda r, t: (r, t + 9), r"`targets` should lie in \[0, 4\)"),
    ],
)
def test_residuals_that_do_not_go_with_the_classes_are_refused(change, message, as_in_production: None) -> None:
    classifier, x, y, targets, residuals = several(4, 4, 2)
    with pytest.raises(ValueError, match=message):
        lenient_alignment_penalty(classifier, x, y, *change(residuals, targets))


def test_closest_classes_come_in_the_order_of_their_radii() -> None:
    classifier, x = hand_made()
    y = torch.tensor([0])
    radii = linearised_radii(classifier, x, y)
    found = closest_classes(classifier, x, y, count=3)
    assert found.tolist() == [[2, 3, 1]]  # 1/17, 4/√481, 5/√128
    assert radii.gather(1, found).diff(dim=1).gt(0).all()
    assert closest_classes(classifier, x, y, count=7).tolist() == found.tolist()
    assert closest_class(classifier, x, y).tolist() == [2]


def test_too_few_candidates_for_the_closest_classes_are_refused() -> None:
    classifier, x = hand_made()
    with pytest.raises(
        ValueError, match=r"`candidates` should be at least the 3 classes that are asked for\. Found 2"
    ):
        closest_classes(classifier, x, torch.tensor([0]), count=3, candidates=2)


@pytest.mark.parametrize("shape", SHAPES)
def test_weight_one_gives_back_the_plain_penalty(shape: tuple[int, ...]) -> None:
    classifier, (x, y, residual) = smooth(6, 3), batch_of(5, 3, shape)
    plain = alignment_penalty(classifier, x, y, residual)
    assert torch.equal(weighted_alignment_penalty(classifier, x, y, residual, power=0.0), plain)
    even = residual.sign()  # its pixels are of one size, and so all weights 1, whatever the power
    torch.testing.assert_close(
        weighted_alignment_penalty(classifier, x, y, even, power=3.0, threshold=1.0),
        alignment_penalty(classifier, x, y, even),
        rtol=0,
        atol=1e-15,
    )


def test_closed_form_of_the_weighted_cosine(linear: Linear) -> None:
    """Δ̂x = (2, 1), ∇ℓ = (3, 4): w = (1, ½), and 6 + ½·4 over √(4 + ½) · √(9 + ½·16)."""
    classifier = linear(2, 2, torch.float64)
    with torch.no_grad():
        classifier[1].weight.copy_(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    x, y = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0])
    residual = torch.tensor([[2.0, 1.0]], dtype=torch.float64)
    penalty = weighted_alignment_penalty(classifier, x, y, residual)
    assert penalty.item() == pytest.approx(-8 / (4.5 * 17) ** 0.5, rel=1e-14)


def test_where_the_mask_is_the_gradient_may_be_anything() -> None:
    """A gradient that is 100 off where Δ̂x is small, and along it elsewhere, is fully aligned; plainly it is not."""
    x, y = torch.zeros(1, 4, dtype=torch.float64), torch.tensor([0])
    residual = torch.tensor([[1.0, -2.0, 0.01, 0.0]], dtype=torch.float64)
    slope = residual + torch.tensor([[0.0, 0.0, 100.0, -100.0]], dtype=torch.float64)
    classifier = Answer(lambda z: torch.stack([0 * z[:, 0], (z * slope).sum(dim=1)], dim=1))
    masked = weighted_alignment_penalty(classifier, x, y, residual, power=0.0, threshold=0.1)
    assert masked.item() == pytest.approx(-1.0, abs=1e-15)
    assert alignment_penalty(classifier, x, y, residual).item() > -0.1


def test_the_scale_of_a_residual_changes_no_weight() -> None:
    residual = torch.randn(3, 2, 4, dtype=torch.float64)
    weights = pixel_weights(residual, power=2.0, threshold=0.3)
    torch.testing.assert_close(pixel_weights(-1e-9 * residual, power=2.0, threshold=0.3), weights, rtol=1e-12, atol=0)
    assert weights.flatten(1).amax(dim=1).tolist() == [1, 1, 1]
    assert ((weights == 0) == (residual.abs() < 0.3 * residual.abs().amax(dim=(1, 2), keepdim=True))).all()
    assert pixel_weights(torch.zeros(2, 3)).tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"power": -1.0}, "`power` should be finite and at least 0. Found -1.0"),
        ({"threshold": 1.5}, r"`threshold` should lie in \[0, 1\]. Found 1.5"),
    ],
)
def test_weights_that_are_none_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pixel_weights(torch.ones(1, 2), **options)


@pytest.mark.parametrize("kind", ["lenient", "weighted"])
def test_gradient_of_a_variant_matches_finite_differences(kind: str) -> None:
    x, y, residual = batch_of(3, 4)
    targets, residuals = torch.stack([(y + 1) % 4, (y + 2) % 4], dim=1), torch.stack([residual, x.flip(0)], dim=1)

    def penalty(first: Tensor, second: Tensor) -> Tensor:
        classifier = Answer(lambda inputs: (inputs @ first).tanh() @ second)
        if kind == "lenient":
            return lenient_alignment_penalty(classifier, x, y, residuals, targets)
        return weighted_alignment_penalty(classifier, x, y, residual, target=targets[:, 0])

    first, second = torch.randn(6, 3, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(penalty, (first.requires_grad_(), second.requires_grad_()), atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("kind", ["lenient", "weighted"])
def test_no_samples_are_never_shown_to_the_classifier(kind: str) -> None:
    counted, x, y = Counted(smooth(6, 3)), torch.zeros(0, 6, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
    if kind == "lenient":
        penalty = lenient_alignment_penalty(counted, x, y, x.new_zeros(0, 2, 6), y.new_zeros(0, 2))
    else:
        penalty = weighted_alignment_penalty(counted, x, y, x)
    penalty.backward()
    assert (float(penalty.detach()), counted.forwards) == (0, 0)
