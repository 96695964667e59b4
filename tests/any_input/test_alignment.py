"""Any finite inputs, labels and residuals: alphas lie in [−1, 1] and penalties are finite, or a sentence says why."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from alignment import alignment_penalty, alpha_dx
from tests.any_input.profile import FEW

SCALES = (1e-30, 1e-8, 1e-3, 1.0, 1e3, 1e8)


@st.composite
def problems(draw: st.DrawFn) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """A small classifier, inputs, labels, and residuals of any scale."""
    size, count, classes = draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(2, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 9)))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    x, residual = (torch.randn(count, size, generator=generator, dtype=dtype) for _ in range(2))
    torch.manual_seed(draw(st.integers(0, 9)))
    classifier = nn.Sequential(nn.Linear(size, 5), nn.Tanh(), nn.Linear(5, classes)).to(dtype)
    with torch.no_grad():
        classifier[2].weight.mul_(draw(st.sampled_from(SCALES)))
    y = torch.randint(classes, (count,), generator=generator)
    return classifier, x, y, residual * draw(st.sampled_from(SCALES))


@FEW
@given(problems())
def test_alpha_is_a_cosine_and_as_good_at_any_scale(problem: tuple[nn.Module, Tensor, Tensor, Tensor]) -> None:
    classifier, x, y, residual = problem
    try:
        found = alpha_dx(classifier, x, y, residual)
    except ValueError as error:
        assert "should" in str(error)
        return
    assert not found.abs().gt(1 + 1e-6).any()  # NaN where there is no direction
    turned = alpha_dx(classifier, x, y, -residual)
    torch.testing.assert_close(turned, -found, atol=1e-6, rtol=1e-5, equal_nan=True)


@FEW
@given(problems())
def test_the_penalty_and_its_gradient_are_finite(problem: tuple[nn.Module, Tensor, Tensor, Tensor]) -> None:
    classifier, x, y, residual = problem
    try:
        penalty = alignment_penalty(classifier, x, y, residual)
    except ValueError as error:
        assert "should" in str(error)
        return
    gradients = torch.autograd.grad(penalty, [*classifier.parameters()], allow_unused=True)
    assert abs(float(penalty.detach())) <= 1 + 1e-6
    assert all(g is None or torch.isfinite(g).all() for g in gradients)
