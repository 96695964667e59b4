"""Apple's MPS has no float64: what is computed in float64 falls back to the CPU there."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from alignment.double import double_device, exactly, has_double
from eval.attacks.adapter import UnitBox
from eval.attacks.verdict import distance
from generators.directions import Directions, lower_bounds
from generators.nearest import _Nearest
from generators.store import layout
from generators.store.layout import fingerprint
from training.balls import BALLS
from training.conflict import conflict


class WithoutDouble(TorchDispatchMode):
    """What MPS does: an operation there that takes or makes float64 is refused."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, made)):
            if isinstance(value, Tensor) and value.device.type == "mps" and value.dtype == torch.float64:
                raise TypeError(f"Cannot hold float64 on MPS: {func}")
        return made


def on_mps(call: Callable[..., Any], *tensors: Tensor) -> Any:
    """A call with tensors of these forms, without values, on a device that has no float64."""
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), WithoutDouble():
            return call(*(torch.empty(tensor.shape, dtype=tensor.dtype, device="mps") for tensor in tensors))
    finally:
        layout._direction.cache_clear()  # of what has no values


X, RADIUS, Y = torch.zeros(3, 4), torch.zeros(3), torch.zeros(3, dtype=torch.int64)


@pytest.mark.parametrize(("name", "double"), [("cpu", True), ("cuda", True), ("cuda:1", True), ("mps", False)])
def test_every_device_but_mps_has_double(name: str, double: bool) -> None:
    device = torch.device(name)
    assert has_double(device) is double
    assert double_device(device) == (device if double else torch.device("cpu"))


def test_values_are_kept_exactly_where_they_are() -> None:
    x = torch.rand(5)
    assert torch.equal(exactly(x), x.double())
    assert exactly(x.double()).dtype == torch.float64


def test_the_test_would_notice() -> None:
    with pytest.raises(TypeError, match="Cannot hold float64 on MPS"):
        on_mps(Tensor.double, X)
    assert on_mps(exactly, X).device.type == "cpu"


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_distance_is_computed_without_double_on_the_device(norm: Any) -> None:
    assert on_mps(lambda a, b: distance(a, b, norm), X, X).dtype == torch.float64


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_balls_keep_points_on_their_device(norm: Any) -> None:
    def kept(x: Tensor, radius: Tensor) -> Tensor:
        ball = BALLS[norm](x, radius, (-1.0, 1.0))
        return ball.projected(ball.step(x, x, radius))

    found = on_mps(kept, X, RADIUS)
    assert (found.device.type, found.dtype) == ("mps", torch.float32)


CALLS: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    "conflict": (lambda *g: conflict(list(g[:2]), list(g[2:])).mu, (X, RADIUS, X, RADIUS)),
    "fingerprint": (fingerprint, (X,)),
    "unit box": (UnitBox(-1.0, 2.0, (-1.0, 1.0)).enter, (X,)),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_computed_in_double_falls_back(name: str, as_in_production: None) -> None:
    call, given = CALLS[name]
    on_mps(call, *given)


def test_neighbours_are_compared_in_double_on_the_cpu() -> None:
    examples = torch.rand(9, 4)
    directions = Directions(examples, 2)

    def compared(x: Tensor) -> None:
        queries, others = directions.centred(x), directions.centred(examples)
        lower_bounds(directions.sketch(queries), directions.sketch(others))
        _Nearest(queries).compare(others, torch.arange(9))

    on_mps(compared, X)
