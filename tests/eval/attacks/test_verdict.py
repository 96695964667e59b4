import pytest
import torch
from torch import Tensor

from eval.attacks.verdict import distance, verdict
from tests.eval.classifiers import Half

CLASSIFIER = Half(torch.tensor([1.0, 0.0]))
X, Y = torch.tensor([[0.5, 0.0]]), torch.tensor([1])


def judged(adversarial: list[float], strength: float, bounds: tuple[float, float] = (-1.0, 1.0)) -> tuple:
    found = verdict(
        CLASSIFIER, X, Y, torch.tensor([adversarial]), torch.tensor([strength]), norm="Linf", bounds=bounds
    )
    return bool(found.fooled), bool(found.rejected)


@pytest.mark.parametrize(
    ("adversarial", "strength", "expected"),
    [
        ([-0.1, 0.0], 0.6, (True, False)),
        ([0.1, 0.0], 0.6, (False, False)),
        ([-0.1, 0.0], 0.599, (False, True)),
        ([-0.1, 0.0], 0.6 * (1 - 9e-7), (True, False)),
        ([-1.1, 0.0], 2.0, (False, True)),
        ([float("nan"), 0.0], 2.0, (False, True)),
        ([-float("inf"), 0.0], float("inf"), (False, True)),
    ],
    ids=["fooled", "correct", "too far", "within tolerance", "out of bounds", "NaN", "infinite"],
)
def test_only_what_keeps_the_rules_counts(adversarial: list[float], strength: float, expected: tuple) -> None:
    assert judged(adversarial, strength) == expected


def test_unbounded_data_has_no_bounds_to_break() -> None:
    assert judged([-7.0, 0.0], 8.0, (-float("inf"), float("inf"))) == (True, False)


@pytest.mark.parametrize(("norm", "expected"), [("Linf", 4.0), ("L2", 5.0)])
def test_distance_is_that_of_the_norm(norm: str, expected: float) -> None:
    assert distance(torch.tensor([[3.0, -4.0]]), torch.zeros(1, 2), norm).item() == expected


def test_distance_is_computed_in_double_precision() -> None:
    a: Tensor = torch.full((1, 10_000), 1e-4)
    assert distance(a, torch.zeros_like(a), "L2").item() == pytest.approx(float(torch.tensor(1e-4)) * 100, rel=1e-12)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "The attack should return a tensor. Found NoneType"),
        ((X, X), "The attack should return a tensor. Found tuple"),
        (X.numpy(), "The attack should return a tensor. Found ndarray"),
        (X.long(), "The attack should return floating-point numbers. Found torch.int64"),
        (X[0], r"The attack should return shape \(1, 2\). Found \(2,\)"),
        (X[:0], r"The attack should return shape \(1, 2\). Found \(0, 2\)"),
    ],
)
def test_what_is_no_input_is_refused_in_a_sentence(as_in_production: None, returned: object, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{message}\.$"):
        verdict(CLASSIFIER, X, Y, returned, torch.ones(1), norm="Linf", bounds=(-1.0, 1.0))


def test_another_precision_is_judged_as_the_classifier_sees_it() -> None:
    found = verdict(CLASSIFIER, X, Y, X.double() - 0.6, torch.ones(1), norm="Linf", bounds=(-1.0, 1.0))
    assert found.fooled.item()
    # In float64 just beyond the boundary at 0; in float32, which the classifier gets, on it, where class 0 is told.
    beyond = torch.tensor([[1e-50, 0.0]], dtype=torch.float64)
    assert verdict(CLASSIFIER, X, Y, beyond, torch.ones(1), norm="Linf", bounds=(-1.0, 1.0)).fooled.item()


def test_graph_of_the_attack_is_left_behind() -> None:
    shift = torch.full((1, 2), -0.6, requires_grad=True)
    found = verdict(CLASSIFIER, X, Y, X + shift, torch.ones(1), norm="Linf", bounds=(-1.0, 1.0))
    assert not found.distance.requires_grad


def test_empty_batch_is_judged_without_the_classifier() -> None:
    class Never(Half):
        def forward(self, x: Tensor) -> Tensor:
            raise AssertionError

    x, none = torch.zeros(0, 2), torch.zeros(0)
    found = verdict(Never(torch.ones(2)), x, none.long(), x, none, norm="L2", bounds=(-1.0, 1.0))
    assert [len(part) for part in found] == [0, 0, 0]
