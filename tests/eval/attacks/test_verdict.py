import pytest
import torch
from torch import Tensor

from eval.attacks.verdict import distance, verdict
from tests.eval.classifiers import Half

CLASSIFIER = Half(torch.tensor([1.0, 0.0]))
X, Y = torch.tensor([[0.5, 0.0]]), torch.tensor([1])


def judged(adversarial: list[float], strength: float, bounds: tuple[float, float] = (-1.0, 1.0)) -> tuple:
    answer = verdict(
        CLASSIFIER, X, Y, torch.tensor([adversarial]), torch.tensor([strength]), norm="Linf", bounds=bounds
    )
    return bool(answer.fooled), bool(answer.rejected)


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


def test_answer_of_another_shape_is_refused(as_in_production: None) -> None:
    with pytest.raises(ValueError, match=r"The attack should answer shape \(1, 2\). Found \(1, 1\)"):
        verdict(CLASSIFIER, X, Y, torch.zeros(1, 1), torch.ones(1), norm="Linf", bounds=(-1.0, 1.0))
