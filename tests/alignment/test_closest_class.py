from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from alignment import Candidates, alpha_dx, closest_class, linearised_radii
from alignment.candidates import recorded
from tests.alignment.classifiers import (
    BATCHES,
    SHAPES,
    Answer,
    Counted,
    Detached,
    hand_made,
    on_spheres,
    perfect_on_spheres,
    restless,
    smooth,
)
from tests.conftest import Linear
from tests.properties import unchanged

MEASURES = [linearised_radii, closest_class]


def naive_radii(classifier: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    jacobian = torch.autograd.functional.jacobian(lambda v: classifier(v).sum(0), x).flatten(2).movedim(0, 1)
    logits, sample = classifier(x).detach(), torch.arange(len(x))
    margins = (logits[sample, y].unsqueeze(1) - logits).abs()
    slopes = (jacobian[sample, y].unsqueeze(1) - jacobian).norm(dim=2)
    return (margins / slopes).scatter(1, y.unsqueeze(1), torch.inf)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_radii_of_a_linear_pair_add_up_to_distance_times_alignment(classes: int, linear: Linear) -> None:
    """Theorem 1."""
    classifier = linear(20, classes, torch.float64)
    x_i, x_j = torch.randn(2, 200, 20, dtype=torch.float64)
    i = torch.randint(classes, (200,))
    j = (i + torch.randint(1, classes, (200,))) % classes
    sample = torch.arange(200)
    rho_i = linearised_radii(classifier, x_i, i, signed=True)[sample, j]
    rho_j = linearised_radii(classifier, x_j, j, signed=True)[sample, i]
    alpha = alpha_dx(classifier, x_i, i, x_j - x_i, target=j)
    assert (rho_i < 0).any()
    torch.testing.assert_close(rho_i + rho_j, (x_j - x_i).norm(dim=1) * alpha, rtol=0, atol=1e-13)


def test_radii_of_the_hand_made_classifier() -> None:
    classifier, x = hand_made()
    leaving_true = linearised_radii(classifier, x, torch.tensor([0]))
    leaving_predicted = linearised_radii(classifier, x, torch.tensor([1]))
    assert leaving_true.tolist() == [pytest.approx([torch.inf, 5 / 128**0.5, 1 / 17, 4 / 481**0.5])]
    assert leaving_predicted.tolist() == [pytest.approx([5 / 128**0.5, torch.inf, 6 / 7, 1 / 25])]


def test_signed_radius_is_negative_where_a_class_already_wins() -> None:
    classifier, x = hand_made()
    radii = linearised_radii(classifier, x, torch.tensor([0]), signed=True)
    assert radii.tolist() == [pytest.approx([torch.inf, -5 / 128**0.5, 1 / 17, -4 / 481**0.5])]


def test_signed_form_prefers_the_winning_class_and_the_absolute_form_the_nearest() -> None:
    classifier, x = hand_made()
    assert closest_class(classifier, x, torch.tensor([0])).item() == 2
    assert closest_class(classifier, x, torch.tensor([0]), signed=True).item() == 1


def test_perfect_classifier_on_spheres_has_radius_015() -> None:
    x, y = on_spheres(10)
    radii = linearised_radii(perfect_on_spheres(), x, y).gather(1, 1 - y.unsqueeze(1))
    torch.testing.assert_close(radii, torch.full_like(radii, 0.15), rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", BATCHES)
def test_radii_match_the_full_jacobian(batch: int, shape: tuple[int, ...]) -> None:
    classifier = smooth(6, 5)
    x, y = torch.randn(batch, *shape, dtype=torch.float64), torch.arange(batch) % 5
    expected = naive_radii(classifier, x, y)
    torch.testing.assert_close(linearised_radii(classifier, x, y), expected, rtol=1e-12, atol=0)
    assert torch.equal(closest_class(classifier, x, y), expected.argmin(1))


def test_two_classes_need_no_gradient() -> None:
    classifier, y = Counted(smooth(6, 2)), torch.tensor([0, 1, 1])
    result = closest_class(classifier, torch.randn(3, 6, dtype=torch.float64), y)
    assert result.tolist() == [1, 0, 0]
    assert classifier.backwards == 0


@pytest.mark.parametrize(("candidates", "passes"), [(None, 6), (6, 6), (2, 2), (1, 1)])
def test_every_candidate_costs_one_backward_pass(candidates: int | None, passes: int) -> None:
    classifier = Counted(smooth(6, 7))
    x, y = torch.randn(3, 6, dtype=torch.float64), torch.tensor([0, 1, 6])
    linearised_radii(classifier, x, y, candidates=candidates)
    assert classifier.backwards == passes


@pytest.mark.parametrize(("classes", "passes", "kept"), [(10, 9, None), (25, 24, None), (26, 24, 24), (1000, 24, 24)])
def test_default_looks_at_all_of_few_classes_and_at_24_of_many(classes: int, passes: int, kept: int | None) -> None:
    classifier = Counted(smooth(6, classes))
    x, y = torch.randn(3, 6, dtype=torch.float64), torch.tensor([0, 1, 6])
    radii = linearised_radii(classifier, x, y)
    assert classifier.backwards == passes
    assert radii.isfinite().sum(1).tolist() == [passes] * 3
    assert recorded(None, classes) == kept


def test_all_of_many_classes_say_their_price_before_a_gradient_is_taken() -> None:
    classifier = Counted(smooth(6, 40))
    with pytest.raises(UserWarning, match=r"among all: 39 gradients a sample\. The default takes 24"):
        closest_class(classifier, torch.randn(2, 6, dtype=torch.float64), torch.tensor([0, 1]), candidates="all")
    assert classifier.backwards == 0


@pytest.mark.parametrize(
    ("candidates", "classes", "expected"),
    [(None, 25, None), ("all", 25, None), ("all", 26, "all"), (3, 10, 3), (24, 1000, 24), (30, 1000, 30)],
)
def test_record_says_how_many_candidates_there_were(
    candidates: Candidates, classes: int, expected: Candidates
) -> None:
    """None where every one of few classes is looked at, as in records from before there was a default."""
    assert recorded(candidates, classes) == expected


@pytest.mark.parametrize(("signed", "expected"), [(False, [0, 0, 1, 1]), (True, [0, 1, 0, 1])])
def test_candidates_are_the_classes_with_the_smallest_margins(signed: bool, expected: list[int]) -> None:
    classifier, x = hand_made()
    radii = linearised_radii(classifier, x, torch.tensor([0]), candidates=2, signed=signed)
    assert radii.isfinite().int().tolist() == [expected]


def test_candidates_of_a_correct_sample_are_the_largest_other_logits() -> None:
    classifier, x = smooth(6, 7), torch.randn(40, 6, dtype=torch.float64)
    ranked = classifier(x).argsort(dim=1, descending=True)
    radii = linearised_radii(classifier, x, ranked[:, 0], candidates=3)
    assert torch.equal(radii.isfinite().nonzero()[:, 1].reshape(40, 3), ranked[:, 1:4].sort(dim=1).values)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("everything", [4, "all"])
def test_all_other_classes_as_candidates_are_exact(everything: Candidates, signed: bool) -> None:
    classifier = smooth(6, 5)
    x, y = torch.randn(50, 6, dtype=torch.float64), torch.arange(50) % 5
    exact = linearised_radii(classifier, x, y, signed=signed)
    assert torch.equal(linearised_radii(classifier, x, y, signed=signed, candidates=everything), exact)


def among_all(classifier: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Of 30 classes, which says what it costs."""
    with pytest.warns(UserWarning, match="The closest of 30 classes is looked for among all: 29 gradients a sample"):
        return closest_class(classifier, x, y, candidates="all")


@pytest.mark.parametrize(("candidates", "share"), [(5, 0.97), (10, 0.99)])
def test_few_candidates_rarely_miss_the_class_closest_to_the_predicted_one(candidates: int, share: float) -> None:
    """Over 30 such networks, k = 5 agrees with the exact search for 99.5 % and k = 10 for 99.98 % of the samples."""
    classifier = nn.Sequential(nn.Linear(20, 64), nn.Tanh(), smooth(64, 30, torch.float32))
    x = torch.randn(400, 20)
    predicted = classifier(x).argmax(1)
    exact = among_all(classifier, x, predicted)
    assert (closest_class(classifier, x, predicted, candidates=candidates) == exact).double().mean() >= share


@pytest.mark.parametrize(("candidates", "share"), [(5, 0.97), (10, 0.99)])
def test_few_candidates_rarely_miss_the_class_closest_to_a_random_one(candidates: int, share: float) -> None:
    """Over 30 such networks, k = 5 agrees with the exact search for 99.97 % and k = 10 for all of the samples."""
    classifier = nn.Sequential(nn.Linear(20, 64), nn.Tanh(), smooth(64, 30, torch.float32))
    x, y = torch.randn(400, 20), torch.randint(30, (400,))
    exact = among_all(classifier, x, y)
    assert (closest_class(classifier, x, y, candidates=candidates) == exact).double().mean() >= share


def test_of_equally_close_classes_the_smallest_number_wins() -> None:
    # Every class is as far from class y as every other: logits and slopes are those of a simplex.
    classifier = Answer(lambda x: x)
    x = torch.zeros(4, 4)
    assert closest_class(classifier, x, torch.arange(4)).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("candidates", [None, 1])
def test_classifier_without_slope_never_returns_the_class_itself(signed: bool, candidates: int | None) -> None:
    classifier = Answer(lambda x: 0 * x + torch.tensor([1.0, 1.0, 3.0]))
    y = torch.arange(3)
    radii = linearised_radii(classifier, torch.zeros(3, 3), y, signed=signed, candidates=candidates)
    assert (closest_class(classifier, torch.zeros(3, 3), y, signed=signed, candidates=candidates) != y).all()
    assert (radii.gather(1, y.unsqueeze(1)) == torch.inf).all()
    assert (radii < torch.inf).sum(1).tolist() == [candidates or 2] * 3


@pytest.mark.parametrize("signed", [False, True])
def test_radii_that_overflow_are_the_largest_number(signed: bool) -> None:
    slopes, biases = torch.tensor([0, 1e-25, 2e-25]), torch.tensor([1e15, 0, 0])
    classifier = Answer(lambda x: x.sum(1, keepdim=True) * slopes + biases)
    radii = linearised_radii(classifier, torch.randn(1, 6), torch.tensor([0]), signed=signed)
    largest = torch.finfo(torch.float32).max
    assert radii.tolist() == [[torch.inf, largest, largest]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_radii_of_half_precision_are_single(dtype: torch.dtype) -> None:
    x, y = torch.randn(4, 3).to(dtype), torch.tensor([0, 1, 2, 0])
    radii, single = (linearised_radii(nn.Identity(), inputs, y) for inputs in (x, x.float()))
    assert radii.dtype == torch.float32
    assert torch.equal(radii, single)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("ambient", [nullcontext, torch.no_grad, torch.inference_mode])
def test_search_leaves_no_trace(measure: Callable[..., Tensor], ambient: Callable) -> None:
    classifier, x, y = restless(6, 3), torch.randn(8, 6), torch.arange(8) % 3
    with unchanged(classifier), ambient():
        result = measure(classifier, x, y)
    assert not result.requires_grad
    assert torch.equal(result, measure(classifier.eval(), x, y))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("ambient", [nullcontext, torch.inference_mode])
def test_tensors_made_in_inference_mode_are_searched_like_others(
    measure: Callable[..., Tensor], classes: int, ambient: Callable
) -> None:
    classifier, x, y = smooth(6, classes, torch.float32), torch.randn(8, 6), torch.arange(8) % classes
    with torch.inference_mode():
        made_inside = x.clone(), y.clone()
    with ambient():
        result = measure(classifier, *made_inside)
    assert torch.equal(result, measure(classifier, x, y))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range_are_refused(measure: Callable[..., Tensor], classes: int, label: int) -> None:
    y = torch.tensor([0, label])
    with pytest.raises(ValueError, match=rf"`y` should lie in \[0, {classes}\)"):
        measure(smooth(6, classes, torch.float32), torch.randn(2, 6), y)


@pytest.mark.parametrize("measure", MEASURES)
def test_labels_that_are_not_one_per_sample_are_refused(
    measure: Callable[..., Tensor], as_in_production: None
) -> None:
    with pytest.raises(ValueError, match=r"`y` should have shape \(2,\). Found \(1,\)"):
        measure(smooth(6, 3, torch.float32), torch.randn(2, 6), torch.tensor([0]))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("candidates", [0, -1, 3])
def test_impossible_numbers_of_candidates_are_refused(measure: Callable[..., Tensor], candidates: int) -> None:
    with pytest.raises(ValueError, match=rf"`candidates` should lie in \[1, 2\]. Found {candidates}\."):
        measure(smooth(6, 3, torch.float32), torch.randn(2, 6), torch.tensor([0, 1]), candidates=candidates)


@pytest.mark.parametrize("measure", MEASURES)
def test_logits_with_nan_are_refused(measure: Callable[..., Tensor]) -> None:
    x = torch.randn(2, 6)
    x[1, 2] = torch.nan
    with pytest.raises(ValueError, match=r"`classifier\(x\)` should be finite\. Found 3 NaN or infinite of 6 values"):
        measure(smooth(6, 3, torch.float32), x, torch.tensor([0, 1]))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("trainable", [False, True])
def test_classifier_without_a_graph_is_refused(measure: Callable[..., Tensor], trainable: bool) -> None:
    classifier = Detached(smooth(6, 3, torch.float32), trainable=trainable)
    with pytest.raises(ValueError, match="`classifier` should be differentiable"):
        measure(classifier, torch.randn(2, 6), torch.tensor([0, 1]))


@pytest.mark.parametrize("measure", MEASURES)
def test_classifier_with_one_output_is_refused(measure: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match=r"Found \([12], 1\)\. A binary network with one output is adapted"):
        measure(smooth(6, 1, torch.float32), torch.randn(2, 6), torch.tensor([0, 1]))


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize("measure", [closest_class, linearised_radii])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"x": torch.zeros(2, 6, dtype=torch.uint8)},
            "`x` should be a tensor of floating-point numbers. Found uint8",
        ),
        ({"y": torch.zeros(2)}, "`y` should be a tensor of int64, .* Found float32"),
        ({"y": torch.zeros(2, dtype=torch.int32)}, "`y` should be a tensor of int64, .* Found int32"),
    ],
)
def test_what_is_of_another_type_is_refused(measure: Callable[..., Tensor], changed: dict, message: str) -> None:
    arguments = {"x": torch.randn(2, 6), "y": torch.tensor([0, 1])} | changed
    with pytest.raises(ValueError, match=message):
        measure(smooth(6, 3, torch.float32), **arguments)


@pytest.mark.parametrize("root", [lambda x: x.abs().sum(1).sqrt(), lambda x: x[:, 0].sqrt()], ids=["NaN", "infinite"])
def test_gradients_that_are_not_finite_are_refused(root: Callable[[Tensor], Tensor]) -> None:
    steep = Answer(lambda x: torch.stack([root(x), x.sum(1), 2 * x.sum(1)], 1))
    with pytest.raises(ValueError, match=r"`gradient of classifier\(x\)` should be finite"):
        closest_class(steep, torch.zeros(2, 6), torch.tensor([0, 1]))


def test_no_samples_are_never_shown_to_the_classifier() -> None:
    def never(x: Tensor) -> Tensor:
        raise AssertionError

    x, y = torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64)
    assert closest_class(Answer(never), x, y).shape == (0,)
    assert linearised_radii(Answer(never), x, y).shape == (0, 0)


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize("candidates", [1.5, "two", "ALL"])
def test_candidates_that_are_no_number_are_refused(candidates: Any) -> None:
    with pytest.raises(ValueError, match=r"`candidates` should lie in \[1, 2\]. Found "):
        linearised_radii(torch.nn.Linear(3, 3), torch.zeros(1, 3), torch.tensor([0]), candidates=candidates)
