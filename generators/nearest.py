"""The nearest example of a class: the trivial rival of any estimator, among as many examples as there are."""

from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from alignment.contracts import check_finite
from generators.directions import Directions, lower_bounds
from generators.examples import Examples, HeldExamples, rows_by_class
from generators.found import Found, keys_of
from generators.progress import Stage, bar_of, stage

ROOM = 2**21
"""Numbers in a block of examples, or of queries: 16 MB in float64."""

BOUNDS = 2**20
"""Bounds that are computed at a time, at least."""

DIRECTIONS, SEEN = 128, 512
"""Directions along which all examples are compared, and examples from which they are made."""


class NearestExample:
    """The nearest example, in L2, of the target class among given examples; the trivial rival of any estimator.

    The search is exact. One pass over the examples, at first use, keeps a sketch of 129 numbers of each, whose
    distances never exceed those of the examples themselves (`generators.directions`); only examples whose bound does
    not rule them out are read again and compared, in float64. A query that is itself among the examples of the target
    class finds itself at distance 0. What was found for an input is remembered.

    Args:
        examples: inputs to choose from, `(N, *shape)`, kept in their own precision; or what reads them in blocks.
        labels: their classes, `(N,)` int64; left out where `examples` reads them.
        block: examples, and queries, per block; None for as many as fill 16 MB, at most 4,096.
        keep: file in which what was found is kept, for the next measurement to find; None for memory alone.

    Attributes:
        examples: see above.
        settings: how many examples there are.

    Raises:
        ValueError: if examples and labels differ in number, `block` is below 1, or later, on first use, if an example
            is not finite, or the file was kept for other examples.
    """

    name = "nearest example"

    def __init__(
        self,
        examples: Tensor | Examples,
        labels: Int[Tensor, " N"] | None = None,
        *,
        block: int | None = None,
        keep: Path | None = None,
    ) -> None:
        if isinstance(examples, Tensor):
            if labels is None:
                raise ValueError(f"`labels` should be one per example, {len(examples)}. Found None.")
            examples = HeldExamples(examples, labels)
        if block is not None and block < 1:
            raise ValueError(f"`block` should be at least 1. Found {block}.")
        self.examples, self.keep = examples, keep
        self.shape = torch.Size(examples.shape)
        self.settings: dict[str, Any] = {"examples": len(examples.labels)}
        self.block = block or min(4096, max(1, ROOM // max(1, self.shape.numel())))
        self._rows = rows_by_class(examples.labels)

    @property
    def digest(self) -> str:
        """A short text that differs when any example or class does."""
        return self._survey[0]

    def __call__(
        self, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B *shape"]:
        """Nearest example of the target class minus x, `(B, *shape)`.

        Raises:
            ValueError: if there is no example of a target class, or images have another shape.
        """
        if x.shape[1:] != self.shape:
            raise ValueError(
                f"`x` should hold samples of shape {tuple(self.shape)}, as the examples. Found {tuple(x.shape[1:])}."
            )
        check_finite(x, "x")
        for c in target.unique().tolist():
            if c not in self._rows:
                raise ValueError(
                    f"`target` should be among the classes with examples, {sorted(self._rows)}. Found {c}."
                )
        return self._examples_at(self.rows(x, target), x) - x

    def rows(self, x: Float[Tensor, "B *shape"], target: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """Number of the nearest example of the target class, on the CPU; looked up where it was found before."""
        keys, target = keys_of(x, target), target.cpu()
        rows = self._found.rows(keys)
        new = (rows < 0).nonzero().flatten()
        if len(new):
            rows[new] = self._search(x.flatten(1)[new.to(x.device)], target[new])
            self._found.add([keys[i] for i in new.tolist()], rows[new])
        return rows

    @cached_property
    def _found(self) -> Found:
        identity = {} if self.keep is None else self.settings | {"digest": self.digest, "format": 1}
        return Found(self.keep, identity)

    @cached_property
    def _directions(self) -> Directions:
        count = len(self.examples.labels)
        few = min(count, SEEN, max(1, 32 * ROOM // max(1, self.shape.numel())))
        rows = torch.linspace(0, count - 1, few).long().split(self.block)
        return Directions(torch.cat([self._checked(part) for part in rows]), DIRECTIONS)

    @cached_property
    def _survey(self) -> tuple[str, dict[int, Tensor]]:
        """The digest, and every example's sketch by class, from one pass over the examples."""
        digest, directions = sha256(), self._directions
        # Made at once: pieces between the large blocks that come and go would keep memory from being used again.
        sketches = torch.empty(len(self.examples.labels), directions.width, dtype=torch.float32)
        sizes = [len(rows) for rows in self._rows.values()]
        by_class = dict(zip(self._rows, sketches.split(sizes), strict=True))
        with stage(Stage("looking through examples", len(sketches), "example")) as seen, bar_of(seen) as bar:
            for c, rows in self._rows.items():
                digest.update(f"{c} {len(rows)}".encode())
                for part in torch.arange(len(rows)).split(self.block):
                    examples = self._checked(rows[part]).cpu().contiguous()
                    digest.update(examples.numpy().data)
                    by_class[c][part] = directions.sketch(directions.centred(examples)).float()
                    seen.done += len(part)
                    bar.update(len(part))
        return digest.hexdigest()[:16], by_class

    def _checked(self, rows: Tensor) -> Float[Tensor, "R D"]:
        examples = self.examples.read(rows).flatten(1)
        check_finite(examples, "examples")
        return examples

    def _examples_at(self, rows: Tensor, x: Tensor) -> Tensor:
        found = torch.empty_like(x)
        for part in torch.arange(len(rows)).split(self.block):
            found[part.to(x.device)] = self.examples.read(rows[part]).to(found)
        return found

    def _search(self, queries: Float[Tensor, "B D"], target: Tensor) -> Int[Tensor, " B"]:
        rows = torch.empty(len(queries), dtype=torch.int64)
        for c in target.unique().tolist():
            for part in (target == c).nonzero().flatten().split(self.block):
                rows[part] = self._search_class(self._directions.centred(queries[part.to(queries.device)]), c)
        return rows

    def _search_class(self, queries: Float64[Tensor, "B D"], c: int) -> Int[Tensor, " B"]:
        nearest, rows = _Nearest(queries), self._rows[c]
        own, sketches = self._directions.sketch(queries), self._survey[1][c]
        width = max(self.block, BOUNDS // len(own))
        self._compare(nearest, rows[_most_promising(own, sketches, width).unique()])
        for part in torch.arange(len(rows)).split(width):
            possible = lower_bounds(own, sketches[part]) <= nearest.distance.unsqueeze(1)
            self._compare(nearest, rows[part[possible.any(dim=0).cpu()]])
        return nearest.row.cpu()

    def _compare(self, nearest: "_Nearest", rows: Tensor) -> None:
        for part in rows.split(self.block) if len(rows) else ():
            nearest.compare(
                self._directions.centred(self.examples.read(part).flatten(1).to(nearest.queries.device)), part
            )


class _Nearest:
    """The nearest to each query of the examples that it was compared with; of equally near ones the first."""

    def __init__(self, queries: Float64[Tensor, "B D"]) -> None:
        self.queries, self.lengths = queries, queries.square().sum(dim=1)
        self.squared = torch.full_like(self.lengths, torch.inf)
        self.row = torch.zeros_like(self.lengths, dtype=torch.int64)

    @property
    def distance(self) -> Float64[Tensor, " B"]:
        """To the nearest one."""
        return self.squared.add(self.lengths).clamp(min=0).sqrt()

    def compare(self, examples: Float64[Tensor, "R D"], rows: Int[Tensor, " R"]) -> None:
        """Look at the examples of these numbers."""
        # ‖q − e‖² without ‖q‖², which does not change the order.
        squared = torch.addmm(examples.square().sum(1), self.queries, examples.T, alpha=-2)
        closest, where = squared.min(dim=1)
        row = rows.to(where.device)[where]
        better = (closest < self.squared) | ((closest == self.squared) & (row < self.row))
        self.squared = torch.where(better, closest, self.squared)
        self.row = torch.where(better, row, self.row)


def _most_promising(queries: Tensor, sketches: Tensor, width: int) -> Int[Tensor, " B"]:
    """Position of the example with the smallest bound, which is among the nearest or close to it, on the CPU."""
    least = torch.full_like(queries[:, 0], torch.inf)
    position = torch.zeros_like(least, dtype=torch.int64)
    for start in range(0, len(sketches), width):
        bound, where = lower_bounds(queries, sketches[start : start + width]).min(dim=1)
        position = torch.where(bound < least, where + start, position)
        least = torch.minimum(bound, least)
    return position.cpu()
