"""A device that holds values but no float64, as Apple's MPS, for whole calls: a CPU stands in for it.

Its tensors are wrappers around tensors on the CPU. Their device is "meta", for which a CPU can make backward passes,
and which is taken for a device without float64 meanwhile.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from alignment import double
from generators.global_batch import SharedGenerator

DEVICE = torch.device("meta")
PLAIN_GENERATOR = torch.Generator


class _There(Tensor):
    """A tensor on the device."""

    __module__ = "torch"  # by which foolbox knows a tensor
    values: Tensor
    is_meta = False  # it has values

    @staticmethod
    def __new__(cls, values: Tensor) -> "_There":
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined,no-any-return]
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=DEVICE,
        )

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def tolist(self) -> Any:
        """Its numbers, which torch does not read of wrappers."""
        return self.values.tolist()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"There({self.values!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with _Device():
            return func(*args, **(kwargs or {}))


class _Device(TorchDispatchMode):
    """Does on the CPU what is to be done on the device, and refuses float64 and tensors of two devices."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        tensors = [value for value in tree_leaves((args, given)) if isinstance(value, Tensor)]
        here = any(isinstance(value, _There) for value in tensors)
        named = given.get("device")
        if named is not None:
            given["device"] = torch.device("cpu") if named.type == DEVICE.type else named
        ends_there = named.type == DEVICE.type if named is not None else here
        if not here and not ends_there:
            return func(*args, **given)
        plain, options = tree_map(_values, (args, given))
        found = func(*plain, **options)
        made = [value for value in tree_leaves(found) if isinstance(value, Tensor)]
        if torch.float64 in [value.dtype for value in (made if here or ends_there else [])]:
            raise TypeError(f"Cannot hold float64 on MPS: {func}")
        _check_places(func, tensors)
        if not ends_there:
            return found
        wrapped = tree_map(lambda value: _There(value) if isinstance(value, Tensor) else value, found)
        return return_and_correct_aliasing(func, args, kwargs or {}, wrapped)


def _values(value: Any) -> Any:
    return value.values if isinstance(value, _There) else value


def _check_places(func: Any, tensors: list[Tensor]) -> None:
    """Tensors of both places meet where one is copied, or is one number, or indices lie on the CPU."""
    if func.name().split(".")[0] in ("aten::copy_", "aten::index", "aten::index_put_", "aten::index_put"):
        return
    strange = [value for value in tensors if not isinstance(value, _There) and value.ndim]
    if strange and len(strange) < len(tensors):
        raise RuntimeError(f"Expected all tensors to be on the same device: {func}")


def there(value: Any) -> Any:
    """A tensor, or a module with its weights and buffers, on the device."""
    if isinstance(value, Tensor):
        return value.to(DEVICE)
    for part in value.modules():
        for name, weight in [*part.named_parameters(recurse=False)]:
            part.register_parameter(name, nn.Parameter(weight.detach().to(DEVICE), weight.requires_grad))
        for name, buffer in [*part.named_buffers(recurse=False)]:
            setattr(part, name, buffer.to(DEVICE))
    return value


class _AnyGenerator(type(torch.Generator)):  # type: ignore[misc]
    """While `_Generator` stands for all generators, all are its instances."""

    def __instancecheck__(cls, value: object) -> bool:
        return issubclass(type(value), PLAIN_GENERATOR)


class _Generator(torch.Generator, metaclass=_AnyGenerator):
    """One on the CPU, wherever it is to draw."""

    def __new__(cls, device: Any = "cpu") -> "_Generator":
        return super().__new__(cls, "cpu")


def _made(make: Callable[..., Tensor], *given: Any, device: Any = None, **options: Any) -> Tensor:
    """What torch makes of numbers, which it would forget on the device meta."""
    if device is not None and torch.device(device).type == DEVICE.type:
        return make(*given, **options).to(DEVICE)
    return make(*given, device=device, **options)


def _autocast(make: Callable[..., Any], device_type: str, **options: Any) -> Any:
    """That of the CPU."""
    return make("cpu" if device_type == DEVICE.type else device_type, **options)


def _shared(make: Callable[..., Any], cls: Any, device: Any, *given: Any) -> Any:
    """One on the CPU, wherever it is to draw."""
    return make(cls, "cpu", *given)


@contextmanager
def a_device_without_double() -> Iterator[None]:
    """Within, `there` puts tensors on a device that has no float64."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(double, "WITHOUT", (*double.WITHOUT, DEVICE.type))
        patch.setattr(torch, "Generator", _Generator)
        patch.setattr(torch, "autocast", partial(_autocast, torch.autocast))
        patch.setattr(SharedGenerator, "__new__", partial(_shared, SharedGenerator.__new__))
        for name in ("tensor", "as_tensor"):
            patch.setattr(torch, name, partial(_made, getattr(torch, name)))
        with on_device():
            yield


def on_device() -> TorchDispatchMode:
    """What a thread enters that works on the device; `a_device_without_double` does it for its own."""
    return _Device()


def on_both(call: Callable[[Callable[[Any], Any]], Any]) -> tuple[Any, Any]:
    """What a call finds on the CPU and on the device, of tensors that it puts there."""
    plain = call(lambda value: value)
    with a_device_without_double():
        found = tree_map(lambda value: value.cpu() if isinstance(value, Tensor) else value, call(there))
    return plain, found
