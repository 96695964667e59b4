"""Any classifier, samples and resolution: radii are verified, in brackets, and closed as far as was asked."""

import math
from functools import partial

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from eval import critical_radii
from eval.robustness.keeping import Kept
from tests.any_input.profile import FEW
from training import pgd

BOUNDS = (-1.0, 1.0)


def linear(size: int, seed: int, scale: float) -> nn.Linear:
    torch.manual_seed(seed)
    classifier = nn.Linear(size, 3)
    with torch.no_grad():
        classifier.weight.mul_(scale)
    return classifier


@settings(FEW, max_examples=FEW.max_examples // 3)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 5)),
    st.integers(0, 99),
    st.sampled_from([1e-3, 1.0, 1e3]),
    st.sampled_from(["Linf", "L2"]),
    st.floats(0.1, 0.5),
    st.integers(2, 5),
)
def test_radii_are_those_of_examples_that_fool(
    shape: tuple[int, int], seed: int, scale: float, norm: str, resolution: float, batch_size: int
) -> None:
    size, count = shape
    classifier = linear(size, seed, scale)
    x = torch.rand(count, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    y = torch.arange(count) % 3
    kept = Kept()
    radii = critical_radii(
        classifier,
        [(x, y)],
        partial(pgd, steps=2),
        bounds=BOUNDS,
        norm=norm,
        resolution=resolution,
        batch_size=batch_size,
        keep=kept,
    )
    wrong = classifier(x).argmax(dim=1) != y
    assert torch.equal(radii.upper == 0, wrong)
    assert ((radii.upper <= radii.epsilon_max) | radii.upper.isinf()).all()
    found = radii.upper.isfinite()
    assert torch.equal(classifier(kept.x_adv).argmax(dim=1) != y, found)
    far = torch.linalg.vector_norm((kept.x_adv - x).double(), ord=math.inf if norm == "Linf" else 2, dim=1)
    torch.testing.assert_close(far[found], radii.upper[found], rtol=1e-5, atol=1e-7)
    closed = radii.upper - radii.lower <= resolution * radii.upper + 1e-6 * radii.epsilon_max
    assert (closed | ~found).all()
    low, high = radii.interval()
    assert low <= radii.epsilon50 <= high
