"""What an attack leaves behind on a classifier: put right where that can be, refused where it cannot.

Modes, gradients, hooks, and tensors or submodules that were exchanged for others are put back. A tensor that was
written to cannot be, without a copy of the model: its version counter shows it after the call, and its checksum, at
the end, what version counters do not see (`weight.data`, the statistics of a batch norm).
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

BOOKS = tuple(name for name, value in vars(nn.Module()).items() if isinstance(value, dict))
"""The dictionaries of every module: its parameters, buffers, submodules and hooks."""

WORDS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}
"""Integers by their width in bytes."""


def checksum(tensor: Tensor) -> Int[Tensor, ""]:
    """Sum of a tensor's bits as integers, which does not depend on the order of summation; on its device."""
    if tensor.layout != torch.strided or tensor.is_meta:
        return torch.zeros((), dtype=torch.int64)
    flat = tensor.detach().reshape(-1)
    size, start = flat.element_size(), flat.storage_offset() * flat.element_size()
    width = next(width for width in WORDS if len(flat) * size % width == start % width == 0)
    return flat.view(WORDS[width]).sum(dtype=torch.int64)


def checksums(tensors: Iterable[Tensor]) -> list[int]:
    """Checksums of several tensors, read from each device at once."""
    sums = [checksum(tensor) for tensor in tensors]
    found = {device: torch.stack([s for s in sums if s.device == device]) for device in {s.device for s in sums}}
    read = {device: iter(values.tolist()) for device, values in found.items()}
    return [next(read[s.device]) for s in sums]


@dataclass
class State:
    """A parameter or buffer as it was found.

    Attributes:
        tensor: the object itself.
        data: another view of its memory, which keeps that memory alive.
        version: how often it had been written to; 0 for tensors that were made in inference mode and do not count.
        checksum: of its bits.
        requires_grad: whether it asked for a gradient.
    """

    tensor: Tensor
    data: Tensor
    version: int
    checksum: int
    requires_grad: bool

    @classmethod
    def of(cls, tensor: Tensor, checksum: int) -> "State":
        """A tensor as it is."""
        return cls(tensor, tensor.data, _version(tensor), checksum, tensor.requires_grad)

    def exchanged(self) -> bool:
        """Whether the tensor shows other memory, which is then put right."""
        if self.tensor.dtype == self.data.dtype and self.tensor.data_ptr() == self.data.data_ptr():
            return False
        self.tensor.data = self.data
        return True

    def moved_on(self) -> bool:
        """Whether its version counter did."""
        before, self.version = self.version, _version(self.tensor)
        return self.version != before


def states(classifier: nn.Module) -> dict[str, State]:
    """All parameters and buffers of a classifier as they are, by name."""
    named = dict([*classifier.named_parameters(), *classifier.named_buffers()])
    sums = checksums(named.values())
    return {name: State.of(tensor, bits) for (name, tensor), bits in zip(named.items(), sums, strict=True)}


class Watch:
    """A classifier as it was found, held against what it is after each call of an attack.

    Args:
        classifier: that attacks are given.
        before: its parameters and buffers before it was evaluated for the first time. What it writes to itself, as a
            counter of calls, is no attack's doing and not watched.
    """

    def __init__(self, classifier: nn.Module, before: Mapping[str, State]) -> None:
        now = states(classifier)
        self.own = {name for name in now if name not in before or _changed(before[name], now[name])}
        self.states = {name: state for name, state in now.items() if name not in self.own}
        parts = [*classifier.named_modules()]
        self.modes = [(name, part, part.training) for name, part in parts if hasattr(part, "training")]
        self.books = [(name, part, book, self._entries(name, part, book)) for name, part in parts for book in BOOKS]

    @contextmanager
    def over(self, attack: Callable[..., Tensor]) -> Iterator[None]:
        """Watch one call of an attack.

        Warns:
            UserWarning: if it left something changed that was put right.

        Raises:
            ValueError: if it wrote to a parameter or a buffer.
        """
        gradients = [(state.tensor, state.tensor.grad) for state in self.states.values() if state.tensor.is_leaf]
        for tensor, _ in gradients:
            tensor.grad = None
        try:
            yield
        finally:
            found = self._put_right()
            for tensor, gradient in gradients:
                tensor.grad = gradient
        self._refuse(attack, {name: state for name, state in self.states.items() if state.moved_on()})
        if found:
            warnings.warn(f"The attack {_name(attack)} changed {_listed(found)}, which was put right.", stacklevel=3)

    def end(self, attack: Callable[..., Tensor]) -> None:
        """Look for what no version counter has seen.

        Raises:
            ValueError: if a parameter or a buffer is not what it was.
        """
        self._refuse(attack, self.states)

    def _refuse(self, attack: Callable[..., Tensor], suspected: Mapping[str, State]) -> None:
        """Refuse tensors whose bits differ. Where none is suspected, no device is waited for."""
        found = checksums(state.data for state in suspected.values())
        pairs = zip(suspected.items(), found, strict=True)
        changed = [_plain(name) for (name, state), bits in pairs if bits != state.checksum]
        if changed:
            raise ValueError(
                "`attack` should leave the classifier's parameters and buffers as they are. Found that "
                f"{_name(attack)} wrote to {_listed(changed)}: load the classifier anew."
            )

    def _put_right(self) -> list[str]:
        """Undo what can be undone, and say what that was."""
        found = []
        for name, part, book, entries in self.books:
            if not _same(self._entries(name, part, book), entries):
                found.append(f"{book.strip('_').replace('_', ' ')} of {_plain(name)}")
                self._restore(name, part, book, entries)
        for name, part, training in self.modes:
            if part.training != training:
                found.append(f"mode of {_plain(name)}")
                part.training = training
        for name, state in self.states.items():
            if state.exchanged():
                found.append(f"memory of {_plain(name)}")
            if state.tensor.requires_grad != state.requires_grad:
                found.append(f"requires_grad of {_plain(name)}")
                state.tensor.requires_grad_(state.requires_grad)
        return found

    def _entries(self, name: str, part: nn.Module, book: str) -> dict[Any, Any]:
        """What stands in a dictionary of a module, but for what the classifier itself writes there."""
        return {key: value for key, value in vars(part).get(book, {}).items() if f"{name}.{key}" not in self.own}

    def _restore(self, name: str, part: nn.Module, book: str, entries: dict[Any, Any]) -> None:
        current = vars(part)[book]
        own = {key: value for key, value in current.items() if f"{name}.{key}" in self.own}
        current.clear()
        current.update(entries | own)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _changed(before: State, now: State) -> bool:
    return before.tensor is not now.tensor or before.checksum != now.checksum


def _same(left: dict[Any, Any], right: dict[Any, Any]) -> bool:
    return left.keys() == right.keys() and all(left[key] is right[key] for key in left)


def _plain(name: str) -> str:
    """The name that the caller's classifier has for a part, without the counter that is put around it."""
    return name.removeprefix("classifier").removeprefix(".") or "the classifier"


def _name(attack: Callable[..., Tensor]) -> str:
    while isinstance(attack, partial):
        attack = attack.func
    return getattr(attack, "__name__", type(attack).__name__)


def _listed(names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
