import pickle
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.functional import cosine_similarity

from alignment import AlphaDx, AlphaX, alpha_dx, alpha_dx_other_classes, alpha_x
from alignment.similarity import Similarity
from generators import ExactResidual, radial
from tests.alignment.classifiers import (
    BATCHES,
    SHAPES,
    Answer,
    Counted,
    Detached,
    hand_made,
    on_spheres,
    one_logit,
    perfect_on_spheres,
    restless,
    smooth,
)
from tests.conftest import Linear
from tests.properties import unchanged
from tests.waits import waits

EXACT_ON_SPHERES = ExactResidual(radial((1.0, 1.3)))


def reversed_image(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """A residual that depends on everything, and is zero for images of class 1."""
    return x.flatten(1).flip(1).reshape(x.shape) * ((1 - y) * (2 + target)).reshape(-1, *[1] * (x.ndim - 1))


def ones(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
    return torch.ones_like(x)


class Generator(nn.Module):
    """An estimator with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        return self.layer(x)


MEASURES = {
    "alpha_dx": lambda classifier, x, y: alpha_dx(classifier, x, y, ones),
    "alpha_x": alpha_x,
    "alpha_x of the closest": lambda classifier, x, y: alpha_x(classifier, x, y, of="closest_to_true"),
    "other classes": lambda classifier, x, y: alpha_dx_other_classes(classifier, x, y, ones),
    "AlphaDx": lambda classifier, x, y: AlphaDx(ones)(classifier, x, y),
    "AlphaX": lambda classifier, x, y: AlphaX()(classifier, x, y),
}
every_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES.keys())
LABELLED = {
    "alpha_dx to a target": lambda classifier, x, y: alpha_dx(classifier, x, y, ones, target=torch.ones_like(y)),
    **{name: MEASURES[name] for name in ("alpha_dx", "alpha_x of the closest", "other classes")},
}
every_labelled_measure = pytest.mark.parametrize("measure", LABELLED.values(), ids=LABELLED.keys())


@pytest.mark.parametrize(
    ("of", "expected"),
    [("closest_to_true", 15 / 17), ("closest_to_predicted", 7 / 25), ("true", -4 / 5), ("predicted", -12 / 13)],
)
def test_alpha_dx_of_the_hand_made_classifier(of: str, expected: float) -> None:
    classifier, x = hand_made()
    upwards = torch.tensor([[0, 2]], dtype=torch.float64)
    assert alpha_dx(classifier, x, torch.tensor([0]), upwards, target=torch.tensor([2]), of=of).item() == (
        pytest.approx(expected, abs=1e-15)
    )


@pytest.mark.parametrize(
    ("of", "expected"),
    [("closest_to_true", 8 / 17), ("closest_to_predicted", 24 / 25), ("true", 3 / 5), ("predicted", 5 / 13)],
)
def test_alpha_x_of_the_hand_made_classifier(of: str, expected: float) -> None:
    classifier, x = hand_made()
    assert alpha_x(classifier, x, torch.tensor([0]), of=of).item() == pytest.approx(expected, abs=1e-15)


def test_defaults_are_the_forms_of_the_paper() -> None:
    classifier, x = hand_made()
    assert alpha_dx(classifier, x, torch.tensor([0]), ones) == alpha_dx(
        classifier, x, torch.tensor([0]), ones, of="closest_to_true"
    )
    assert alpha_x(classifier, x) == alpha_x(classifier, x, torch.tensor([0]), of="predicted")


def test_perfect_classifier_on_spheres_is_perfectly_aligned() -> None:
    x, y = on_spheres(20)
    alpha = alpha_dx(perfect_on_spheres(), x, y, EXACT_ON_SPHERES)
    torch.testing.assert_close(alpha, torch.ones_like(alpha), rtol=0, atol=1e-14)


def test_on_spheres_both_metrics_agree_in_size_when_they_differentiate_the_same() -> None:
    classifier, (x, y) = smooth(30, 2), on_spheres(50)
    dx, of_x = alpha_dx(classifier, x, y, EXACT_ON_SPHERES), alpha_x(classifier, x, y, of="closest_to_true")
    assert dx.min() < 0 < dx.max()
    torch.testing.assert_close(dx.abs(), of_x, rtol=0, atol=1e-14)


def test_on_spheres_both_metrics_agree_as_published_for_a_network_with_one_output() -> None:
    network, (x, y) = smooth(30, 1), on_spheres(50)
    classifier = Answer(lambda inputs: one_logit(network(inputs).squeeze(1)))
    dx, of_x = alpha_dx(classifier, x, y, EXACT_ON_SPHERES), alpha_x(classifier, x)
    torch.testing.assert_close(dx.abs(), of_x, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", BATCHES)
def test_alpha_dx_matches_one_sample_at_a_time(batch: int, shape: tuple[int, ...]) -> None:
    classifier = smooth(6, 4)
    x, y = torch.randn(batch, *shape, dtype=torch.float64), 2 * (torch.arange(batch) % 2)
    target = (y + 1) % 4
    unit, expected = torch.eye(4, dtype=torch.float64), []
    for image, own, other in zip(x, y, target, strict=True):
        slope = torch.func.grad(lambda v, w=unit[other] - unit[own]: (classifier(v[None]) @ w).squeeze())(image)
        residual = reversed_image(image[None], own[None], other[None])
        expected.append(cosine_similarity(residual.flatten(), slope.flatten(), dim=0))
    result = alpha_dx(classifier, x, y, reversed_image, target=target)
    torch.testing.assert_close(result, torch.stack(expected).detach(), rtol=0, atol=1e-14)


def test_estimator_is_asked_for_the_closest_class() -> None:
    classifier, x = hand_made()
    asked = []

    def estimator(*arguments: Tensor) -> Tensor:
        asked.append(arguments)
        return torch.ones_like(arguments[0])

    alpha_dx(classifier, x, torch.tensor([0]), estimator)
    assert [tensor.tolist() for tensor in asked.pop()] == [[[1, 0]], [0], [2]]


def test_alignment_has_no_graph_to_the_estimator() -> None:
    classifier, x, y = smooth(6, 2, torch.float32), torch.randn(2, 6), torch.tensor([0, 1])
    assert not alpha_dx(classifier, x, y, Generator()).requires_grad


def test_named_target_takes_the_place_of_the_closest_class() -> None:
    classifier, x = hand_made()
    y, target = torch.tensor([0]), torch.tensor([3])
    towards_target = (classifier.weight[3] - classifier.weight[0]).detach().unsqueeze(0)
    assert alpha_dx(classifier, x, y, towards_target, target=target).item() == pytest.approx(1, abs=1e-15)


def test_residual_of_two_classes_needs_no_target() -> None:
    classifier, x, y = smooth(6, 2), torch.randn(4, 6, dtype=torch.float64), torch.tensor([0, 1, 0, 1])
    residual = torch.randn_like(x)
    assert torch.equal(alpha_dx(classifier, x, y, residual), alpha_dx(classifier, x, y, residual, target=1 - y))


def test_other_classes_are_the_mean_over_all_but_the_true_one(linear: Linear) -> None:
    classifier, x, y = linear(6, 4, torch.float64), torch.randn(8, 6, dtype=torch.float64), torch.arange(8) % 4
    weight, expected = classifier[1].weight.detach(), []
    for i in range(8):
        others = [c for c in range(4) if c != y[i]]
        residuals = [reversed_image(x[i : i + 1], y[i : i + 1], torch.tensor([c]))[0] for c in others]
        expected.append(cosine_similarity(torch.stack(residuals), weight[others] - weight[y[i]]).mean())
    result = alpha_dx_other_classes(classifier, x, y, reversed_image)
    torch.testing.assert_close(result, torch.stack(expected), rtol=0, atol=1e-14)


def test_other_classes_of_two_are_the_closest_one() -> None:
    classifier, x, y = smooth(6, 2), torch.randn(4, 6, dtype=torch.float64), torch.tensor([0, 1, 0, 1])
    assert torch.equal(
        alpha_dx_other_classes(classifier, x, y, reversed_image), alpha_dx(classifier, x, y, reversed_image)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_measured_in_single(dtype: torch.dtype, linear: Linear) -> None:
    classifier, x, y = linear(6, 3, dtype), torch.randn(4, 6).to(dtype), torch.tensor([0, 1, 2, 0])
    dx, of_x = alpha_dx(classifier, x, y, ones), alpha_x(classifier, x, y, of="true")
    assert dx.dtype == of_x.dtype == torch.float32
    expected = cosine_similarity(x.float(), classifier[1].weight.detach().float()[y]).abs()
    torch.testing.assert_close(of_x, expected, rtol=0, atol=3e-7)


@every_measure
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("ambient", [nullcontext, torch.no_grad, torch.inference_mode])
def test_measuring_leaves_no_trace(measure: Callable[..., Tensor], classes: int, ambient: Callable) -> None:
    classifier, x, y = restless(6, classes), torch.randn(8, 6), torch.arange(8) % classes
    with unchanged(classifier), ambient():
        result = measure(classifier, x, y)
    assert not result.requires_grad
    assert torch.equal(result, measure(classifier.eval(), x, y))


@every_measure
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("ambient", [nullcontext, torch.inference_mode])
def test_tensors_made_in_inference_mode_are_measured_like_others(
    measure: Callable[..., Tensor], classes: int, ambient: Callable
) -> None:
    classifier, x, y = smooth(6, classes, torch.float32), torch.randn(8, 6), torch.arange(8) % classes
    with torch.inference_mode():
        made_inside = x.clone(), y.clone()
    with ambient():
        result = measure(classifier, *made_inside)
    assert torch.equal(result, measure(classifier, x, y))


@every_measure
def test_inputs_with_nan_are_refused(measure: Callable[..., Tensor]) -> None:
    x = torch.randn(2, 6)
    x[1, 2] = torch.nan
    with pytest.raises(ValueError, match=r"`x` should be finite\. Found 1 NaN or infinite of 12 values"):
        measure(smooth(6, 3, torch.float32), x, torch.tensor([0, 1]))


@every_measure
def test_logits_with_nan_are_refused(measure: Callable[..., Tensor]) -> None:
    classifier = Answer(lambda x: x.log())
    with pytest.raises(ValueError, match=r"`classifier\(x\)` should be finite. Found 2 NaN or infinite of 6 values"):
        measure(classifier, torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, -1.0]]), torch.tensor([0, 1]))


@every_measure
def test_gradients_with_nan_are_refused(measure: Callable[..., Tensor]) -> None:
    classifier = Answer(lambda x: torch.stack([x.abs().sum(1).sqrt(), x.sum(1)], 1))
    with pytest.raises(ValueError, match=r"`gradient of classifier\(x\)` should be finite\. Found 12 NaN"):
        measure(classifier, torch.zeros(2, 6), torch.tensor([0, 1]))


@every_measure
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("trainable", [False, True])
def test_classifiers_without_a_graph_are_refused(
    measure: Callable[..., Tensor], classes: int, trainable: bool
) -> None:
    classifier = Detached(smooth(6, classes, torch.float32), trainable=trainable)
    with pytest.raises(ValueError, match="`classifier` should be differentiable"):
        measure(classifier, torch.randn(2, 6), torch.tensor([0, 1]))


@every_measure
def test_classifiers_with_one_output_are_refused(measure: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match=r"Found \(2, 1\)\. A binary network with one output is adapted"):
        measure(smooth(6, 1, torch.float32), torch.randn(2, 6), torch.tensor([0, 1]))


@every_labelled_measure
@pytest.mark.parametrize("classes", [2, 3])
def test_labels_out_of_range_are_refused(measure: Callable[..., Tensor], classes: int) -> None:
    with pytest.raises(ValueError, match=rf"`y` should lie in \[0, {classes}\). Found values from 0 to 7"):
        measure(smooth(6, classes, torch.float32), torch.randn(2, 6), torch.tensor([0, 7]))


def test_image_is_not_compared_with_the_gradient_of_a_class_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"should lie in \[0, 3\). Found values from 0 to 7"):
        alpha_x(smooth(6, 3, torch.float32), torch.randn(2, 6), torch.tensor([0, 7]), of="true")


def test_targets_out_of_range_are_refused() -> None:
    y, target = torch.tensor([0, 0]), torch.tensor([1, 7])
    with pytest.raises(ValueError, match=r"`target` should lie in \[0, 3\). Found values from 1 to 7"):
        alpha_dx(smooth(6, 3, torch.float32), torch.randn(2, 6), y, ones, target=target)


@every_labelled_measure
def test_labels_that_are_not_one_per_sample_are_refused(
    measure: Callable[..., Tensor], as_in_production: None
) -> None:
    with pytest.raises(ValueError, match=r"`y` should have shape \(2,\). Found \(1,\)"):
        measure(smooth(6, 3, torch.float32), torch.randn(2, 6), torch.tensor([0]))


def test_targets_that_are_not_one_per_sample_are_refused(as_in_production: None) -> None:
    y, target = torch.tensor([0, 0]), torch.tensor([1])
    with pytest.raises(ValueError, match=r"`target` should have shape \(2,\). Found \(1,\)"):
        alpha_dx(smooth(6, 3, torch.float32), torch.randn(2, 6), y, ones, target=target)


def test_residuals_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`residual` should have the shape of `x`, \(2, 6\). Found \(2, 5\)"):
        alpha_dx(smooth(6, 2, torch.float32), torch.randn(2, 6), torch.tensor([0, 1]), torch.ones(2, 5))


def test_residuals_with_nan_are_refused() -> None:
    residual = torch.full((2, 6), torch.nan)
    with pytest.raises(ValueError, match=r"`residual` should be finite\. Found 12"):
        alpha_dx(smooth(6, 2, torch.float32), torch.randn(2, 6), torch.tensor([0, 1]), residual)


def test_residuals_must_say_which_class_they_point_to() -> None:
    with pytest.raises(ValueError, match=r"`target` should name the class .* 3 classes .* Found None"):
        alpha_dx(smooth(6, 3, torch.float32), torch.randn(2, 6), torch.tensor([0, 1]), torch.ones(2, 6))


@pytest.mark.parametrize("of", ["true", "closest_to_true"])
def test_labels_must_be_given_where_they_are_needed(of: str) -> None:
    with pytest.raises(ValueError, match=f"`y` should be given when `of` is '{of}'. Found None"):
        alpha_x(smooth(6, 3, torch.float32), torch.randn(2, 6), of=of)


def test_unknown_forms_are_refused(as_in_production: None) -> None:
    with pytest.raises(ValueError, match=r"`of` should be one of closest_to_true, .* Found 'loss'"):
        alpha_x(smooth(6, 3, torch.float32), torch.randn(2, 6), of="loss")


def batches(*sizes: int) -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(size, 6, dtype=torch.float64), torch.randint(3, (size,))) for size in sizes]


def pointing_up(x: Tensor, *_: Tensor) -> Tensor:
    return torch.tensor([0.0, 1.0], dtype=x.dtype).expand_as(x)


@pytest.mark.parametrize(
    ("of", "by_residual", "by_image"),
    [
        ("closest_to_true", (15 / 17, 0.5**0.5), (8 / 17, 0.5**0.5)),
        ("closest_to_predicted", (7 / 25, 7 / 25), (24 / 25, 24 / 25)),
        ("true", (-4 / 5, -4 / 5), (3 / 5, 3 / 5)),
        ("predicted", (-12 / 13, -12 / 13), (5 / 13, 5 / 13)),
    ],
)
def test_signed_form_leaves_a_misclassified_sample_for_the_winner(
    of: str, by_residual: tuple[float, float], by_image: tuple[float, float]
) -> None:
    """c̃ of the hand-made point is 2 by the absolute radius and 1 by the signed one; nothing else changes."""
    classifier, x = hand_made()
    y = torch.tensor([0])
    for signed, along, beside in zip((False, True), by_residual, by_image, strict=True):
        options = {"of": of, "signed": signed}
        assert float(alpha_dx(classifier, x, y, pointing_up, **options)) == pytest.approx(along, abs=1e-12)
        assert float(alpha_x(classifier, x, y, **options)) == pytest.approx(beside, abs=1e-12)
        assert float(AlphaDx(pointing_up, **options)(classifier, x, y)) == pytest.approx(along, abs=1e-12)
        assert float(AlphaX(**options)(classifier, x, y)) == pytest.approx(beside, abs=1e-12)


def test_metric_is_the_mean_over_valid_samples_of_uneven_batches() -> None:
    classifier, metric, parts = smooth(6, 3), AlphaDx(reversed_image), batches(7, 1, 4)
    for x, y in parts:
        metric.update(classifier, x, y)
    x, y = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    valid = y != 1
    expected = alpha_dx(classifier, x, y, reversed_image)[valid].mean()
    torch.testing.assert_close(metric.compute(), expected, rtol=0, atol=1e-15)
    assert (metric.valid, metric.invalid) == (valid.sum(), (~valid).sum())
    assert metric.invalid > 0


def test_images_of_zeros_count_as_invalid() -> None:
    classifier, metric, ((x, y),) = smooth(6, 3), AlphaX(), batches(5)
    x[:2] = 0
    metric.update(classifier, x, y)
    torch.testing.assert_close(metric.compute(), alpha_x(classifier, x[2:]).mean(), rtol=0, atol=1e-15)
    assert (metric.valid, metric.invalid) == (3, 2)


def test_metric_without_valid_samples_is_nan() -> None:
    metric = AlphaX()
    metric.update(smooth(6, 3), torch.zeros(4, 6, dtype=torch.float64))
    assert metric.compute().isnan()
    assert metric.invalid == 4


def test_calling_a_metric_returns_the_mean_of_the_batch_and_adds_it() -> None:
    classifier, metric, parts = smooth(6, 3), AlphaX(), batches(5, 2)
    for x, _ in parts:
        torch.testing.assert_close(metric(classifier, x), alpha_x(classifier, x).mean(), rtol=0, atol=1e-15)
    assert metric.valid == 7


def test_similarity_of_a_metric_is_per_sample_and_adds_nothing() -> None:
    classifier, metric, ((x, y),) = smooth(6, 3), AlphaDx(reversed_image), batches(5)
    value, valid = metric.similarity(classifier, x, y)
    assert torch.equal(value, alpha_dx(classifier, x, y, reversed_image))
    assert torch.equal(valid, y != 1)
    assert (metric.valid, metric.invalid) == (0, 0)


def test_sums_are_kept_in_double_precision() -> None:
    metric = AlphaX()
    metric.update(smooth(6, 3, torch.float32), torch.randn(5, 6))
    assert metric.total.dtype == metric.compute().dtype == torch.float64


@pytest.mark.parametrize("of", ["closest_to_true", "closest_to_predicted", "true", "predicted"])
def test_metrics_pass_their_form_on(of: str) -> None:
    classifier, x = hand_made()
    y = torch.tensor([0])
    assert AlphaX(of=of)(classifier, x, y) == alpha_x(classifier, x, y, of=of).double()
    assert AlphaDx(ones, of=of)(classifier, x, y) == alpha_dx(classifier, x, y, ones, of=of).double()


def test_alpha_dx_among_a_thousand_classes_takes_25_gradients() -> None:
    classifier, x = Counted(smooth(6, 1000)), torch.randn(3, 6, dtype=torch.float64)
    alpha_dx(classifier, x, torch.arange(3), reversed_image)
    assert classifier.backwards == 25


def test_candidates_are_passed_on() -> None:
    classifier, x = hand_made()
    with pytest.raises(ValueError, match=r"`candidates` should lie in \[1, 3\]. Found 4"):
        AlphaX(of="closest_to_true", candidates=4)(classifier, x, torch.tensor([0]))


def test_weights_of_an_estimator_are_no_part_of_the_metric() -> None:
    metric = AlphaDx(Generator())
    assert list(metric.modules()) == [metric]
    assert not metric.state_dict()


@pytest.mark.parametrize(
    "metric",
    [AlphaDx(reversed_image), AlphaDx(ExactResidual(radial((1.0, 1.3, 2.0)))), AlphaX(of="true")],
    ids=["AlphaDx", "AlphaDx of Spheres", "AlphaX"],
)
def test_metric_survives_pickling(metric: AlphaDx | AlphaX) -> None:
    classifier, ((x, y), (more_x, more_y)) = smooth(6, 3), batches(4, 3)
    metric.update(classifier, x, y)
    copy = pickle.loads(pickle.dumps(metric))
    for either in (metric, copy):
        either.update(classifier, more_x, more_y)
    assert copy.valid + copy.invalid == 7
    assert torch.equal(copy.compute(), metric.compute())


def sums_of_both(rank: int, folder: Path, metric: AlphaDx) -> tuple[Tensor, Tensor, Tensor]:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2, timeout=timedelta(minutes=2)
    )
    try:
        mean = metric.compute()
        with metric.sync_context():
            return mean, metric.valid.clone(), metric.invalid.clone()
    finally:
        distributed.destroy_process_group()


def be_the_other_process(index: int, folder: Path, metric: AlphaDx) -> None:
    torch.save(sums_of_both(1 + index, folder, metric), folder / "result.pt")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_two_processes_with_uneven_shares_return_what_one_does(tmp_path: Path) -> None:
    classifier, (first, second, third) = smooth(6, 3), batches(5, 3, 8)
    shares = [[first, third], [second], [first, second, third]]
    ours, theirs, alone = metrics = [AlphaDx(reversed_image) for _ in shares]
    for metric, share in zip(metrics, shares, strict=True):
        for x, y in share:
            metric.update(classifier, x, y)
    # Forked, because a fresh process spends seconds on its imports. Gradients are taken before, because
    # autograd refuses to work in a fork where there is a GPU.
    other = multiprocessing.start_processes(
        be_the_other_process, args=(tmp_path, theirs), join=False, start_method="fork"
    )
    here = sums_of_both(0, tmp_path, ours)
    other.join()
    for mean, valid, invalid in (here, torch.load(tmp_path / "result.pt")):
        torch.testing.assert_close(mean, alone.compute(), rtol=0, atol=1e-15)
        assert (valid, invalid) == (alone.valid, alone.invalid)


class Never(torch.nn.Module):
    """A classifier that should not be asked."""

    def forward(self, x: Tensor) -> Tensor:
        raise AssertionError


def test_no_samples_are_never_shown_to_the_classifier() -> None:
    x, y, never = torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64), Never()
    metric = AlphaDx(reversed_image)
    metric.update(never, x, y)
    assert (int(metric.valid), int(metric.invalid)) == (0, 0)
    assert alpha_dx(never, x, y, reversed_image).shape == (0,)
    assert alpha_dx_other_classes(never, x, y, reversed_image).shape == (0,)
    assert alpha_x(never, x, y, of="closest_to_true").shape == (0,)


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"x": torch.zeros(2, 6, dtype=torch.int64)},
            "`x` should be a tensor of floating-point numbers. Found int64",
        ),
        ({"x": torch.zeros(2, 6).numpy()}, "`x` should be a tensor of floating-point numbers. Found ndarray"),
        ({"y": torch.zeros(2)}, "`y` should be a tensor of int64, the numbers of classes. Found float32"),
        ({"y": torch.zeros(2, dtype=torch.int32)}, "`y` should be a tensor of int64, .* Found int32"),
        ({"y": torch.zeros(2, dtype=torch.bool)}, "`y` should be a tensor of int64, .* Found bool"),
        ({"y": torch.zeros(2).numpy()}, "`y` should be a tensor of int64, .* Found ndarray"),
        ({"y": torch.zeros(3, dtype=torch.int64)}, r"`y` should have shape \(2,\)"),
        ({"y": torch.tensor([0, 3])}, r"`y` should lie in \[0, 3\)"),
        ({"of": "predikted"}, "`of` should be one of"),
    ],
)
def test_arguments_are_refused_in_the_words_of_the_attacks(changed: dict[str, Any], message: str) -> None:
    arguments = {"x": torch.randn(2, 6), "y": torch.tensor([0, 1]), "of": "closest_to_true"} | changed
    classifier = smooth(6, 3, torch.float32)
    for measure in (alpha_x, partial(alpha_dx, residual=lambda x, y, target: torch.ones_like(x))):
        with pytest.raises(ValueError, match=message):
            measure(classifier, **arguments)


def test_figures_are_computed_in_true_float32() -> None:
    class Telling(torch.nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((torch.backends.cudnn.allow_tf32, torch.is_autocast_enabled("cpu")))
            return super().forward(x)

    seen: list[tuple[bool, bool]] = []
    classifier, x, y = Telling(4, 2), torch.rand(3, 4), torch.tensor([0, 1, 0])
    with torch.autocast("cpu"):
        alpha_dx(classifier, x, y, torch.rand(3, 4))
        alpha_x(classifier, x)
    assert seen
    assert set(seen) == {(False, False)}
    assert torch.backends.cudnn.allow_tf32


def test_a_metric_is_read_only_when_it_is_computed() -> None:
    """Adding what was found makes no GPU wait."""
    metric, similarity = AlphaX(), Similarity(torch.rand(4), torch.tensor([True, True, False, True]))
    with waits() as found:
        for _ in range(3):
            metric._add(similarity)
    assert not found
    assert (int(metric.valid), int(metric.invalid)) == (9, 3)
