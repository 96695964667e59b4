"""Residual estimators by name, and the nearest training example."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.contracts import check_counts
from generators import NearestExample
from generators.examples import rows_by_class
from training.data.split import Split, labels_of
from training.seeds import derived_seed

HALVES = {"nearest": slice(None), "nearest-even": slice(0, None, 2), "nearest-odd": slice(1, None, 2)}
"""Which training examples the nearest one is looked for among."""

OPTIONS = ("examples_per_class", "seed", "keep")
"""Of a search among training examples, see `nearest_example`."""

CONSENSUS = "consensus"
"""Of several estimators, see `training.consensus.consensus_of`."""
OF_CONSENSUS = ("judge", "limit")
"""What it takes besides."""


def named_residual(name: Any, options: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    """Name and options of a residual estimator, whichever way they are written.

    Args:
        name: a name or path, or `{"residual": …, "options": {…}}`, or `{"consensus": […], "judge": …}` of several of
            either, see `training.consensus.consensus_of`.
        options: further ones.

    Raises:
        ValueError: for another form, or options that the estimator does not take.

    Example:
        >>> named_residual({"residual": "cgan.ckpt", "options": {"method": "ours"}})
        ('cgan.ckpt', {'method': 'ours'})
        >>> named_residual({"consensus": ["nearest", "direct.ckpt"], "judge": "judge.ckpt"})
        ('consensus', {'members': ['nearest', 'direct.ckpt'], 'judge': 'judge.ckpt'})
    """
    given = dict(options or {})
    if isinstance(name, Mapping) and CONSENSUS in name:
        return CONSENSUS, _consensus({**name, **given})
    if isinstance(name, Mapping):
        inner = name.get("options") or {}
        if {*map(str, name)} - {"residual", "options"} or "residual" not in name or not isinstance(inner, Mapping):
            raise ValueError(f"`residual` should be a name, or hold `residual` and `options`. Found {dict(name)}.")
        name, given = name["residual"], {**inner, **given}
    if not isinstance(name, str):
        raise ValueError(f"`residual` should be a name or a path. Found {name!r}.")
    if given and name in ("auto", "exact"):
        raise ValueError(f"`options` should be left out for {name!r}. Found {', '.join(sorted(given))}.")
    if name in HALVES and (unknown := sorted({*map(str, given)} - {*OPTIONS})):
        raise ValueError(f"`options` of {name!r} should be among {', '.join(OPTIONS)}. Found {', '.join(unknown)}.")
    return name, given


def _consensus(given: Mapping[Any, Any]) -> dict[str, Any]:
    """What a consensus is made of, after a look at its form."""
    members = given[CONSENSUS]
    if unknown := sorted({*map(str, given)} - {CONSENSUS, *OF_CONSENSUS}):
        raise ValueError(
            f"`residual` of a consensus should hold {CONSENSUS}, {', '.join(OF_CONSENSUS)}. "
            f"Found {', '.join(unknown)}."
        )
    if isinstance(members, str) or not isinstance(members, Sequence) or len(members) < 2:
        raise ValueError(
            "`consensus` should be a list of at least two estimators, such as [nearest, direct.ckpt]. "
            f"Found {members!r}."
        )
    for member in members:
        named_residual(member)
    return {"members": [*members]} | {key: given[key] for key in OF_CONSENSUS if given.get(key) is not None}


class SplitExamples:
    """Samples of a split as examples, of which no more than a block is ever held in floating point.

    Args:
        split: in memory as bytes, or read when it is asked for.
        indices: of the samples, in order; all if not given.

    Raises:
        ValueError: if there are none.
    """

    def __init__(self, split: Split, indices: Int[Tensor, " N"] | None = None) -> None:
        self.split = split
        self.indices = torch.arange(len(split)) if indices is None else indices
        self.labels = labels_of(split)[self.indices]
        if not len(self.indices):
            raise ValueError("`split` should hold examples to look for the nearest one among. Found none.")

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return tuple(self.read(torch.tensor([0])).shape[1:])

    def read(self, rows: Int[Tensor, " R"]) -> Float[Tensor, "R *shape"]:
        """Samples in the data's own range."""
        return self.split.__getitems__(self.indices[rows].tolist()).x


def nearest_example(
    split: Split,
    name: str,
    *,
    examples_per_class: int | None = None,
    seed: int = 0,
    keep: str | Path | None = None,
) -> NearestExample:
    """The nearest example of the target class in a split, which is read in blocks and never held in floating point.

    Args:
        split: where it is looked for.
        name: one of `HALVES`, which says among which samples.
        examples_per_class: look among so many of each class alone, drawn at random; all if not given.
        seed: of that draw.
        keep: file in which what was found is kept, for the next measurement to find; none if not given.

    Raises:
        ValueError: if the split is empty, or `examples_per_class` is below 1.
    """
    indices = torch.arange(len(split))[HALVES[name]]
    told: dict[str, Any] = {}
    if examples_per_class is not None:
        check_counts(1, examples_per_class=examples_per_class)
        indices = indices[_drawn(labels_of(split)[indices], examples_per_class, seed)]
        told = {"examples_per_class": examples_per_class, "seed": seed}
        name = f"{name} of {examples_per_class} a class"
    estimator = NearestExample(SplitExamples(split, indices), keep=None if keep is None else Path(keep))
    estimator.name = name
    estimator.settings |= told
    return estimator


def _drawn(labels: Int[Tensor, " N"], count: int, seed: int) -> Int[Tensor, " K"]:
    """So many of each class, or all where there are fewer, in order; a class's own do not depend on the others."""
    drawn = []
    for c, rows in rows_by_class(labels).items():
        generator = torch.Generator().manual_seed(derived_seed(seed, "examples", c))
        drawn.append(rows[torch.randperm(len(rows), generator=generator)[:count]])
    return torch.cat(drawn).sort().values
