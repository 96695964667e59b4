import pytest
import torch

from alignment.contracts import check_choice, check_finite, check_labels, check_same_shape


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


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^`u` should have the shape of `v`, \(2, 3\). Found \(3, 2\)\.$"):
        check_same_shape(torch.zeros(3, 2), torch.zeros(2, 3), "u", "v")


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^`of` should be one of true, predicted. Found 'false'\.$"):
        check_choice("false", ("true", "predicted"), "of")


def test_what_is_right_passes() -> None:
    check_finite(torch.tensor([torch.finfo(torch.float32).max]), "x")
    check_labels(torch.tensor([0, 2]), 2, 3)
    check_labels(torch.zeros(0, dtype=torch.int64), 0, 3)
    check_same_shape(torch.zeros(2, 3), torch.zeros(2, 3), "u", "v")
    check_choice("true", ("true", "predicted"), "of")
