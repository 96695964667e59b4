"""Properties that answers must have, one function each, shared by the tests."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def assert_left_as_found(module: nn.Module, before: dict[str, Tensor], modes: list[bool]) -> None:
    """Weights, buffers, modes, gradients and hooks are what they were."""
    after = module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert [part.training for part in module.modules()] == modes
    assert all(parameter.grad is None and parameter.requires_grad for parameter in module.parameters())
    assert not any(part._forward_hooks or part._backward_hooks for part in module.modules())


def assert_within(adversarial: Tensor, x: Tensor, radius: Tensor, order: float, bounds: tuple[float, float]) -> None:
    """Every sample lies within its ball, to one part in a million in float64, and within the bounds."""
    size = torch.linalg.vector_norm((adversarial.double() - x.double()).flatten(1), ord=order, dim=1)
    assert (size <= radius.double() * (1 + 1e-6)).all(), (size / radius).max()
    assert adversarial.min() >= bounds[0]
    assert adversarial.max() <= bounds[1]


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """What happens inside leaves the module and the global random state as it found them."""
    before = {key: value.clone() for key, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    random_state = torch.get_rng_state()
    yield
    assert_left_as_found(module, before, modes)
    assert torch.equal(torch.get_rng_state(), random_state)
