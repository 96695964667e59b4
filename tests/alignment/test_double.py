"""Apple's MPS has no float64: what is computed in float64 falls back to the CPU there."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from alignment.double import double_device, exactly, has_double
from eval.attacks.adapter import UnitBox
from eval.attacks.random_streams import uniform
from eval.attacks.squares import _patterns
from eval.attacks.verdict import at_once, distance
from eval.robustness.judge import as_given
from generators.directions import Directions, lower_bounds
from generators.nearest import _Nearest
from generators.store import layout
from generators.store.layout import fingerprint
from training.balls import BALLS
from training.conflict import conflict
from training.recorded import RecordedTraining


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


class Training(nn.Module):
    """As much of a training as adding up needs."""

    def __init__(self) -> None:
        super().__init__()
        self.totals: dict[str, Tensor] = {}

    def add(self, value: Tensor) -> Tensor:
        RecordedTraining.add(self, {"loss": value.sum()}, 3)  # type: ignore[arg-type]
        return self.totals["loss"]


def draws(keys: Tensor) -> Tensor:
    return uniform(keys, range(1, 3), 4)


CALLS: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    "conflict": (lambda *g: conflict(list(g[:2]), list(g[2:])).mu, (X, RADIUS, X, RADIUS)),
    "fingerprint": (fingerprint, (X,)),
    "unit box": (UnitBox(-1.0, 2.0, (-1.0, 1.0)).enter, (X,)),
    "verdict": (lambda size, legal: at_once([size, legal]), (RADIUS, Y.bool())),
    "strengths": (lambda x: as_given(torch.full((3,), 0.1, dtype=torch.float64), x), (X,)),
    "no strengths": (lambda x: as_given(None, x), (X,)),
    "sums of a recorded training": (Training().add, (RADIUS,)),
    "patterns of the Square Attack": (lambda x: _patterns((3, 5), x), (X,)),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_computed_in_double_falls_back(name: str, as_in_production: None) -> None:
    call, given = CALLS[name]
    on_mps(call, *given)


def test_numbers_of_the_square_attack_lie_below_one_in_either_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = torch.arange(20_000)
    double = draws(keys)
    monkeypatch.setattr("eval.attacks.random_streams.has_double", lambda device: False)
    single = draws(keys)
    assert (double.dtype, single.dtype) == (torch.float64, torch.float32)
    torch.testing.assert_close(single.double(), double, rtol=0, atol=2**-24)
    for found in (double, single):
        assert 0 <= float(found.min()) < 1e-3
        assert 1 - 1e-3 < float(found.max()) < 1


def test_an_attack_is_given_strengths_of_its_own_precision() -> None:
    strength = torch.tensor([0.1, 0.2], dtype=torch.float64)
    limit, (given,) = as_given(strength, torch.zeros(2, 3))
    assert torch.equal(limit, strength)
    assert given.dtype == torch.float32
    given.zero_()
    assert torch.equal(limit, strength)


def test_neighbours_are_compared_in_double_on_the_cpu() -> None:
    examples = torch.rand(9, 4)
    directions = Directions(examples, 2)

    def compared(x: Tensor) -> None:
        queries, others = directions.centred(x), directions.centred(examples)
        lower_bounds(directions.sketch(queries), directions.sketch(others))
        _Nearest(queries).compare(others, torch.arange(9))

    on_mps(compared, X)
