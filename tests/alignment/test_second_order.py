"""A network without second derivatives is named when the penalty is computed, with the remedy, and not later."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from alignment import alignment_penalty, alpha_dx
from tests.alignment.classifiers import smooth


class Attention(nn.Module):
    """One head over four tokens of two features."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(2, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x.unflatten(1, (4, 2))).unsqueeze(1)
        return self.head(F.scaled_dot_product_attention(tokens, tokens, tokens).squeeze(1).mean(dim=1))


class Rounded(torch.autograd.Function):
    """A function of torch's older kind that forbids a second derivative."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.round(decimals=3)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


class Once(nn.Module):
    """A network with such a function before its nonlinearity."""

    def __init__(self) -> None:
        super().__init__()
        self.below, self.above = nn.Linear(8, 8), nn.Sequential(nn.Tanh(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.above(Rounded.apply(self.below(x)))


def problem() -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(4, 8), torch.arange(4) % 2, torch.ones(4, 8)


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (Attention, "Found none of ScaledDotProduct.*: run attention within .*SDPBackend.MATH.*`fused_attn = False`"),
        (
            lambda: nn.Sequential(nn.Linear(8, 4), nn.Hardsigmoid(), nn.Linear(4, 3)),
            r"Found none of hardsigmoid: put a module that returns F.relu6\(x \+ 3\) / 6 in the place",
        ),
        (
            lambda: torch.compile(smooth(8, 3, torch.float32), backend="aot_eager"),
            "Found none of CompiledFunction: pass the module that was given to torch.compile",
        ),
        (
            Once,
            "`classifier` should have second derivatives.* Found none of a function marked as once differentiable",
        ),
    ],
    ids=["fused attention", "hardsigmoid", "torch.compile", "once differentiable"],
)
def test_missing_second_derivative_is_named_with_its_remedy(classifier, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        alignment_penalty(classifier(), *problem())


def test_remedy_for_attention_works() -> None:
    classifier = Attention()
    with sdpa_kernel(SDPBackend.MATH):
        alignment_penalty(classifier, *problem()).backward()
    assert float(classifier.embed.weight.grad.abs().sum()) > 0


def test_measuring_needs_no_second_derivative() -> None:
    x, y, residual = problem()
    assert alpha_dx(Attention(), x, y, residual, target=1 - y).shape == (4,)
