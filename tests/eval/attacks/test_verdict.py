from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from eval.attacks.verdict import distance, predictions, verdict
from tests.eval.classifiers import Half
from tests.waits import waits

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


class Telling(Half):
    """A classifier that says in what precision it is asked to compute."""

    def __init__(self, broken: bool = False) -> None:
        super().__init__(torch.ones(2))
        self.broken, self.seen = broken, []

    def forward(self, x: Tensor) -> Tensor:
        cuda = torch.backends.cuda.matmul.allow_tf32, torch.is_autocast_enabled("cpu")
        self.seen.append((torch.backends.cudnn.allow_tf32, *cuda))
        if self.broken:
            raise KeyError("no logits")
        return super().forward(x)


@pytest.mark.parametrize("broken", [False, True])
def test_classifier_computes_in_true_float32_and_flags_are_put_back(broken: bool) -> None:
    classifier = Telling(broken)
    assert torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    try:
        with torch.autocast("cpu"), pytest.raises(KeyError) if broken else nullcontext():
            verdict(classifier, X, Y, X, torch.ones(1), norm="L2", bounds=(-1.0, 1.0))
        assert classifier.seen == [(False, False, False)]
        assert torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_unknown_logits_are_refused_with_their_number() -> None:
    x = torch.tensor([[0.5, 0.0], [0.1, 0.0]])
    unknown = Half(torch.full((2,), torch.nan))
    for call in (
        lambda: predictions(unknown, x),
        lambda: verdict(unknown, x, torch.ones(2).long(), x, torch.ones(2), norm="L2", bounds=(-1.0, 1.0)),
    ):
        with pytest.raises(ValueError, match=r"^`classifier\(x\)` should not hold NaN. Found 4\.$"):
            call()


def test_verdict_is_read_in_one_transfer() -> None:
    x, y, strength = X.expand(3, 2), Y.expand(3), torch.tensor([0.1, 0.6, 1.0])
    with waits() as found:
        judged = verdict(CLASSIFIER, x, y, x - 0.55, strength, norm="Linf", bounds=(-1.0, 1.0))
    # What is read after the transfer is on the CPU: the number of NaN.
    assert found == ["cpu", "aten::_local_scalar_dense"]
    assert judged.fooled.tolist() == [False, True, True]
