from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import Tensor, nn

from alignment import differentiable, evaluating, input_gradient, logits_of
from alignment.gradients import as_variable, gradient_of, pick
from tests.alignment.classifiers import BATCHES, SHAPES, Answer, Detached, restless, smooth
from tests.conftest import Linear
from tests.properties import unchanged

Ambient = Callable[[], AbstractContextManager[None]]


def test_evaluation_mode_ends_with_the_block() -> None:
    module = restless(4, 3)
    with unchanged(module), evaluating(module):
        assert not any(part.training for part in module.modules())


def test_evaluation_mode_ends_with_an_error() -> None:
    module = restless(4, 3)
    with unchanged(module), pytest.raises(KeyError), evaluating(module):
        raise KeyError


@pytest.mark.parametrize("ambient", [nullcontext, torch.no_grad, torch.inference_mode])
def test_gradients_are_possible_everywhere(ambient: Ambient) -> None:
    x = torch.ones(2)
    with ambient(), differentiable():
        variable = as_variable(x)
        (gradient,) = torch.autograd.grad(variable.square().sum(), variable)
    assert gradient.tolist() == [2, 2]


def test_variable_made_of_an_inference_tensor_can_be_differentiated() -> None:
    with torch.inference_mode():
        x = torch.ones(2)
    variable = as_variable(x)
    assert torch.autograd.grad(variable.square().sum(), variable)[0].tolist() == [2, 2]


def test_variable_leaves_the_tensor_alone() -> None:
    x = torch.ones(2)
    assert as_variable(x).requires_grad
    assert not x.requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_logits_have_at_least_single_precision(dtype: torch.dtype) -> None:
    logits = logits_of(nn.Identity(), torch.ones(2, 3, dtype=dtype))
    assert logits.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (lambda x: x[:, :1], r"\(2, 1\)"),
        (lambda x: x[:, 0], r"\(2,\)"),
        (lambda x: x[:1], r"\(1, 4\)"),
        (lambda x: x.reshape(2, 2, 2), r"\(2, 2, 2\)"),
        (lambda x: (x, x), r"tuple of \(2, 4\), \(2, 4\)"),
    ],
)
def test_what_is_no_logits_is_refused(output: Callable[[Tensor], object], found: str) -> None:
    with pytest.raises(ValueError, match=rf"logits of shape \(2, C\) with C ≥ 2\. Found {found}\. .*OneLogit"):
        logits_of(Answer(output), torch.zeros(2, 4))


def test_score_without_a_graph_is_refused() -> None:
    with pytest.raises(ValueError, match="`classifier` should be differentiable with respect to its input"):
        gradient_of(torch.ones(2), torch.ones(2, 3, requires_grad=True))


def test_gradient_has_a_graph_only_when_asked() -> None:
    x = torch.randn(2, 3, requires_grad=True)
    score = x.pow(3).sum(1)
    assert not gradient_of(score, x, keep=True).requires_grad
    (second,) = torch.autograd.grad(gradient_of(score, x, create_graph=True).sum(), x)
    torch.testing.assert_close(second, 6 * x.detach())


def test_pick_takes_one_class_per_sample() -> None:
    assert pick(torch.arange(6.0).reshape(2, 3), torch.tensor([2, 0])).tolist() == [2, 3]


def test_gradient_of_a_linear_classifier_is_its_weight(linear: Linear) -> None:
    classifier = linear(6, 4)
    weight = classifier[1].weight.detach()
    x, plus, minus = torch.randn(3, 2, 3), torch.tensor([0, 1, 3]), torch.tensor([2, 2, 0])
    assert torch.equal(input_gradient(classifier, x, plus).flatten(1), weight[plus])
    assert torch.equal(input_gradient(classifier, x, plus, minus).flatten(1), weight[plus] - weight[minus])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", BATCHES)
def test_gradient_matches_finite_differences(batch: int, shape: tuple[int, ...]) -> None:
    classifier, step = smooth(6, 3), 1e-5
    x, plus, minus = torch.randn(batch, *shape, dtype=torch.float64), torch.arange(batch) % 3, torch.arange(batch) % 2
    sample = torch.arange(batch)

    def score(shift: Tensor) -> Tensor:
        logits = classifier(x + shift.reshape(shape))
        return (logits[sample, plus] - logits[sample, minus]).detach()

    steps = step * torch.eye(6, dtype=torch.float64)
    expected = torch.stack([(score(h) - score(-h)) / (2 * step) for h in steps], dim=1).reshape(x.shape)
    torch.testing.assert_close(input_gradient(classifier, x, plus, minus), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("ambient", [nullcontext, torch.no_grad, torch.inference_mode])
def test_gradient_leaves_no_trace(ambient: Ambient) -> None:
    classifier, x, y = restless(6, 3), torch.randn(8, 6), torch.arange(8) % 3
    with unchanged(classifier), ambient():
        gradient = input_gradient(classifier, x, y)
    assert not gradient.requires_grad
    assert x.grad is None
    assert torch.equal(gradient, input_gradient(classifier.eval(), x, y))


@pytest.mark.parametrize("ambient", [nullcontext, torch.inference_mode])
def test_gradient_at_tensors_made_in_inference_mode_is_that_at_others(ambient: Ambient) -> None:
    classifier, x = smooth(6, 3, torch.float32), torch.randn(2, 6)
    plus, minus = torch.tensor([0, 1]), torch.tensor([2, 0])
    with torch.inference_mode():
        made_inside = x.clone(), plus.clone(), minus.clone()
    with ambient():
        gradient = input_gradient(classifier, *made_inside)
    assert torch.equal(gradient, input_gradient(classifier, x, plus, minus))


@pytest.mark.parametrize("name", ["plus", "minus"])
@pytest.mark.parametrize("label", [-1, 3])
def test_classes_out_of_range_are_refused(name: str, label: int) -> None:
    classes = {"plus": torch.tensor([0, 1]), "minus": torch.tensor([1, 2])} | {name: torch.tensor([1, label])}
    with pytest.raises(ValueError, match=rf"`{name}` should lie in \[0, 3\)"):
        input_gradient(smooth(6, 3, torch.float32), torch.randn(2, 6), **classes)


@pytest.mark.parametrize("trainable", [False, True])
def test_classifier_that_detaches_its_input_is_refused(trainable: bool) -> None:
    classifier = Detached(smooth(6, 3, torch.float32), trainable=trainable)
    with pytest.raises(ValueError, match="Found logits without a graph"):
        input_gradient(classifier, torch.randn(2, 6), torch.tensor([0, 1]))


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": torch.zeros(2, 3).numpy()}, "`x` should be a tensor of floating-point numbers. Found ndarray"),
        (
            {"x": torch.zeros(2, 3, dtype=torch.uint8)},
            "`x` should be a tensor of floating-point numbers. Found uint8",
        ),
        ({"plus": None}, "`plus` should be a tensor of int64.* Found NoneType"),
        ({"minus": torch.zeros(2)}, "`minus` should be a tensor of int64.* Found float32"),
        ({"classifier": None}, "`classifier` should be a torch.nn.Module. Found NoneType"),
        ({"x": torch.full((2, 3), torch.nan)}, "`x` should be finite. Found 6 NaN"),
        ({"classifier": Answer(torch.sqrt)}, r"`gradient of classifier\(x\)` should be finite"),
    ],
)
def test_input_gradient_names_what_cannot_be_used(changed: dict, message: str) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    arguments = {"classifier": network, "x": torch.zeros(2, 3), "plus": torch.zeros(2, dtype=torch.int64)} | changed
    with pytest.raises(ValueError, match=message):
        input_gradient(**arguments)
