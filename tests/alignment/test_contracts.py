from typing import Any

import numpy as np
import pytest
import torch

from alignment.contracts import (
    check_bounds,
    check_choice,
    check_classifier,
    check_counts,
    check_finite,
    check_floating,
    check_gradient,
    check_inputs,
    check_label_form,
    check_labels,
    check_number,
    check_same_shape,
)

NO_FLOATS = [
    (torch.zeros(2, 3, dtype=torch.int64), "int64"),
    (torch.zeros(2, 3, dtype=torch.uint8), "uint8"),
    (torch.zeros(2, 3, dtype=torch.bool), "bool"),
    (np.zeros((2, 3), dtype=np.float32), "ndarray"),
    ([[0.0, 1.0]], "list"),
    (None, "NoneType"),
]
NO_LABELS = [
    (torch.zeros(2), "float32"),
    (torch.zeros(2, dtype=torch.bool), "bool"),
    (torch.zeros(2, dtype=torch.int32), "int32"),
    (np.zeros(2, dtype=np.int64), "ndarray"),
    ([0, 1], "list"),
]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_values_that_are_not_finite_are_counted(bad: float) -> None:
    with pytest.raises(ValueError, match=r"^`x` should be finite. Found 2 NaN or infinite of 6 values\.$"):
        check_finite(torch.tensor([[0, bad, 1], [bad, 2, 3]]), "x")


@pytest.mark.parametrize("labels", [[-1, 0], [0, 3]])
def test_labels_outside_the_classes_are_refused(labels: list[int]) -> None:
    low, high = labels
    with pytest.raises(ValueError, match=rf"^`target` should lie in \[0, 3\). Found values from {low} to {high}\.$"):
        check_labels(torch.tensor(labels), 2, 3, "target")


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 1), ()])
def test_labels_that_are_not_one_per_sample_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^`y` should have shape \(2,\). Found \("):
        check_labels(torch.zeros(shape, dtype=torch.int64), 2, 3)


@pytest.mark.parametrize(("labels", "found"), NO_LABELS)
def test_labels_of_another_type_are_refused(as_in_production: None, labels: Any, found: str) -> None:
    for check in (lambda: check_labels(labels, 2, 3), lambda: check_label_form(labels, 2)):
        with pytest.raises(ValueError, match=rf"^`y` should be a tensor of int64, .*\. Found {found}\.$"):
            check()


@pytest.mark.parametrize(("value", "found"), NO_FLOATS)
def test_what_is_no_floating_point_tensor_is_refused(as_in_production: None, value: Any, found: str) -> None:
    for check in (lambda: check_floating(value, "x"), lambda: check_inputs(value, (-1.0, 1.0))):
        with pytest.raises(ValueError, match=rf"^`x` should be a tensor of floating-point numbers. Found {found}\.$"):
            check()


@pytest.mark.parametrize(
    ("x", "bounds", "message"),
    [
        (torch.tensor([[0.0, 1.5]]), (-1.0, 1.0), r"`x` should lie within `bounds` \(-1.0, 1.0\). Found .* 0 to 1.5"),
        (torch.tensor([[0.0, -0.5]]), (0.0, 1.0), r"`x` should lie within `bounds` .* from -0.5 to 0\."),
        (torch.tensor([[0.0, torch.nan]]), (0.0, 1.0), "`x` should be finite. Found 1 NaN or infinite of 2 values"),
        (torch.zeros(1, 2), (1.0, 1.0), r"`bounds` should be \(low, high\) with low < high. Found \(1.0, 1.0\)"),
        (torch.zeros(1, 2), (torch.nan, 1.0), r"`bounds` should be \(low, high\)"),
    ],
)
def test_inputs_that_cannot_be_used_are_refused(x: Any, bounds: tuple[float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_inputs(x, bounds)


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (0, "`steps` should be at least 1. Found 0"),
        (-3, "Found -3"),
        (2.5, "`steps` should be a whole number. Found 2.5"),
    ],
)
def test_counts_that_are_too_small_or_no_counts_are_refused(count: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_counts(1, queries=1, steps=count)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_gradients_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"^`gradient of classifier\(x\)` should be finite. Found 1 NaN or"):
        check_gradient(torch.tensor([[0.0, bad]]))


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^`u` should have the shape of `v`, \(2, 3\). Found \(3, 2\)\.$"):
        check_same_shape(torch.zeros(3, 2), torch.zeros(2, 3), "u", "v")


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^`of` should be one of true, predicted. Found 'false'\.$"):
        check_choice("false", ("true", "predicted"), "of")


def test_what_is_right_passes() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        check_inputs(torch.zeros(2, 3, dtype=dtype), (0.0, 1.0))
    check_inputs(torch.full((1, 2), 1e30), (-torch.inf, torch.inf))
    check_inputs(torch.zeros(0, 3), (0.0, 1.0))
    check_counts(1, steps=1, queries=np.int64(7))
    check_finite(torch.tensor([torch.finfo(torch.float32).max]), "x")
    check_labels(torch.tensor([0, 2]), 2, 3)
    check_labels(torch.zeros(0, dtype=torch.int64), 0, 3)
    check_same_shape(torch.zeros(2, 3), torch.zeros(2, 3), "u", "v")
    check_choice("true", ("true", "predicted"), "of")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (torch.tensor(0.5), r"a batch, \(B, \*shape\). Found a single number"),
        (torch.eye(3).to_sparse(), "a dense tensor. Found torch.sparse_coo"),
        (torch.zeros(2, 3, device="meta"), "a dense tensor. Found one without values, on the device meta"),
    ],
)
def test_what_is_no_batch_of_values_is_refused(value: torch.Tensor, found: str) -> None:
    with pytest.raises(ValueError, match=rf"^`x` should be {found}\.$"):
        check_floating(value, "x")


@pytest.mark.parametrize("bounds", [None, 1.0, "ab", ("0", "1"), (0,), (0, 1, 2), (None, 1), (1, 0), (0, torch.nan)])
@pytest.mark.usefixtures("as_in_production")
def test_what_is_no_interval_is_refused(bounds: Any) -> None:
    with pytest.raises(ValueError, match=r"^`bounds` should be \(low, high\) with low < high. Found "):
        check_bounds(bounds)


@pytest.mark.parametrize("bounds", [(0, 1), [0.0, 1.0], torch.tensor([0.0, 1.0]), np.array([0, 1])])
@pytest.mark.usefixtures("as_in_production")
def test_an_interval_may_be_held_by_anything(bounds: Any) -> None:
    check_bounds(bounds)


@pytest.mark.parametrize(
    ("value", "found"),
    [("0.5", "'0.5'"), (None, "None"), (2.0, "2.0"), (torch.nan, "nan"), (torch.zeros(2), "tensor")],
)
def test_what_is_no_right_number_is_refused(value: Any, found: str) -> None:
    with pytest.raises(ValueError, match=rf"^`p` should lie in \(0, 1\). Found {found}"):
        check_number(value, "p", "lie in (0, 1)", lambda share: 0 < share < 1)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), torch.tensor(0.5)])
def test_a_right_number_passes_in_any_form(value: Any) -> None:
    check_number(value, "p", "lie in (0, 1)", lambda share: 0 < share < 1)


@pytest.mark.parametrize(("classifier", "found"), [(None, "NoneType"), (torch.sum, "builtin_function_or_method")])
def test_what_is_no_module_is_refused(classifier: Any, found: str) -> None:
    with pytest.raises(ValueError, match=rf"^`classifier` should be a torch.nn.Module. Found {found}\.$"):
        check_classifier(classifier)
