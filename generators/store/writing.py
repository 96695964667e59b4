"""Fill a store, alone or together with other processes."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import h5py
import torch
from filelock import Timeout

from generators.files import put_in_place, write_reserved, write_whole
from generators.locks import lock
from generators.residuals import ResidualEstimator
from generators.store.layout import FORMAT, check_identity, encoded, fingerprint
from generators.store.reading import StoredResidual

HDF5 = "v110"
"""Oldest version of HDF5 that can read a store; its index takes 50 bytes per chunk less than the first one's."""
CHUNK = 2**13
"""Bytes of residuals that are compressed, and read, together: with more a store is smaller, and single samples are
slower to read. A residual of more bytes is a chunk of its own."""
PACKED = {"compression": "gzip", "compression_opts": 4, "shuffle": True}


@runtime_checkable
class Samples(Protocol):
    """The samples of a split, as data sets hand them out."""

    def __len__(self) -> int: ...

    def __getitems__(self, indices: Sequence[int]) -> Any:
        """A batch with images `x` and true classes `y`."""
        ...


class Block(NamedTuple):
    """Pairs that are computed, written and locked together."""

    target: int
    indices: list[int]


class ResidualStore:
    """Fills a store.

    Each block of pairs is computed by whoever locks it first and appears as a file of its own under `PATH.parts`,
    whole or not at all; when all are there, one process puts them together and removes them. Any number of processes,
    on one machine or on several with a common file system, may therefore fill the same store, and any of them may be
    killed: what is there is never computed again.

    Args:
        path: of the store.
        estimator: whose residuals are stored.
        samples: of the split.
        data: name of the data set.
        split: name of the split.
        classes: to point to.
        limit: only that many samples, the first ones; None for all.
        batch: samples in a block, which the estimator is asked at once.

    Attributes:
        identity: what the store is of: names of data set and split, number of samples, a digest of images and
            classes, the classes pointed to, name, settings and digest of the estimator, and the format of the file.

    Raises:
        ValueError: if `batch` or `limit` is below 1, there is no sample, or classes are repeated, none at all, or
            every sample's own.
    """

    def __init__(
        self,
        path: str | Path,
        estimator: ResidualEstimator,
        samples: Samples,
        *,
        data: str,
        split: str,
        classes: Sequence[int],
        limit: int | None = None,
        batch: int = 512,
    ) -> None:
        for argument, value in (("batch", batch), ("limit", limit)):
            if value is not None and value < 1:
                raise ValueError(f"`{argument}` should be at least 1. Found {value}.")
        if not classes or len({*classes}) < len(classes):
            raise ValueError(f"`classes` should be one or more different ones. Found {list(classes)}.")
        if not len(samples):
            raise ValueError("`samples` should hold at least one sample. Found none.")
        self.path = Path(path)
        self.parts = self.path.with_name(f"{self.path.name}.parts")
        self.estimator, self.samples, self.batch = estimator, samples, batch
        self._read_samples(min(len(samples), limit or len(samples)))
        self.identity: dict[str, Any] = {
            "data": data,
            "split": split,
            "samples": len(self.labels),
            "digest": self.digest,
            "classes": list(classes),
            "estimator": estimator.name,
            "settings": json.loads(json.dumps(estimator.settings)),
            "weights": estimator.digest,
            "format": FORMAT,
        }
        self.blocks = [
            Block(target, indices)
            for target in classes
            for start in range(0, len(self.labels), batch)
            if (indices := (start + (self.labels[start : start + batch] != target).nonzero().flatten()).tolist())
        ]
        self.pairs = sum(len(block.indices) for block in self.blocks)
        if not self.pairs:
            raise ValueError(f"`classes` should not be the only class of all samples. Found {list(classes)}.")

    @property
    def filled(self) -> int:
        """Pairs that are stored so far."""
        written = {part.name for part in self.parts.glob("*.h5")}
        if self.path.exists():
            return self.pairs
        return sum(len(block.indices) for block in self.blocks if self._part(block).name in written)

    def fill(
        self, device: str | torch.device = "cpu", progress: Callable[[int], object] = lambda filled: None
    ) -> "StoredResidual":
        """Compute what is missing, wait for what others compute, and open the store; nothing if it is finished.

        Args:
            device: where images go, and with them the estimator.
            progress: is told the number of pairs stored, by whomever, whenever a block has been added.

        Raises:
            ValueError: if the file, or its unfinished parts, hold other residuals or were begun with another `batch`;
                or if the estimator returns another shape, or NaN or infinite values.
            OSError: if the disk is full; nothing is lost, and filling can go on when there is space.
        """
        self._claim()
        for timeout in (0, -1):  # first what nobody works at, then what others have not finished or have left undone
            for block in self.blocks:
                if not self._has(block):
                    self._alone(self._part(block).stem, partial(self._fill_block, block, device), timeout)
                    progress(self.filled)
        if not self.path.exists():
            self._alone("store", self._put_together)
        shutil.rmtree(self.parts, ignore_errors=True)
        return StoredResidual(self.path, self.identity)

    def fill_part(self, number: int, device: str | torch.device = "cpu") -> None:
        """Compute one of `blocks`, unless it is there, waiting for a process that works at it.

        Args:
            number: of the block.
            device: where images go, and with them the estimator.

        Raises:
            ValueError: as `fill`.
            OSError: as `fill`.
        """
        self._claim()
        block = self.blocks[number]
        if not self._has(block):
            self._alone(self._part(block).stem, partial(self._fill_block, block, device))

    @property
    def missing(self) -> list[int]:
        """Numbers of the blocks that are not stored yet."""
        return [number for number, block in enumerate(self.blocks) if not self._has(block)]

    def _read_samples(self, count: int) -> None:
        # Written in place: small tensors kept between large ones that are freed would leave memory in pieces.
        found = sha256()
        self.labels = torch.empty(count, dtype=torch.int64)
        self.fingerprints = torch.empty(count, dtype=torch.float64)
        for start in range(0, count, self.batch):
            rows = range(start, min(start + self.batch, count))
            batch = self.samples.__getitems__(rows)
            found.update(batch.x.contiguous().numpy().tobytes())
            self.labels[rows.start : rows.stop] = batch.y
            self.fingerprints[rows.start : rows.stop] = fingerprint(batch.x)[0]
        self.shape = tuple(batch.x.shape[1:])
        found.update(self.labels.numpy().tobytes())
        self.digest = found.hexdigest()[:16]

    def _claim(self) -> None:
        """Find that what is there belongs to this store, or begin it."""
        if self.path.exists():
            StoredResidual(self.path, self.identity)
        else:
            self.parts.mkdir(parents=True, exist_ok=True)
            self._alone("identity", self._claim_parts)

    def _claim_parts(self) -> None:
        file, expected = self.parts / "identity.json", self.identity | {"batch": self.batch}
        if file.exists():
            check_identity(self.parts, json.loads(file.read_text(encoding="utf-8")), expected)
        else:
            write_whole(file, json.dumps(expected))

    def _alone(self, name: str, work: Callable[[], None], timeout: int = -1) -> None:
        """Do some work while no other process does it; leave it to one that takes longer than that, in seconds."""
        try:
            with lock(self.parts / f"{name}.lock", wait=timeout != 0):
                work()
        except Timeout:
            pass
        except FileNotFoundError:
            if not self.path.exists():  # else another process has finished, and removed the parts and their locks
                raise

    def _fill_block(self, block: Block, device: str | torch.device) -> None:
        if not self._has(block):
            write_whole(self._part(block), self._computed(block, device))

    def _has(self, block: Block) -> bool:
        # In this order: parts are removed only after the store is there.
        return self._part(block).exists() or self.path.exists()

    def _part(self, block: Block) -> Path:
        return self.parts / f"class{block.target}_sample{block.indices[0]}.h5"

    def _computed(self, block: Block, device: str | torch.device) -> bytes:
        """The HDF5 file of a block."""
        batch = self.samples.__getitems__(block.indices)
        x, y = batch.x.to(device), batch.y.to(device)
        residual = self.estimator(x, y, torch.full_like(y, block.target)).detach().float().cpu()
        should = f"The estimator {self.estimator.name!r} should return"
        if residual.shape != x.shape:
            raise ValueError(f"{should} the shape of x, {tuple(x.shape)}. Found {tuple(residual.shape)}.")
        finite = residual.flatten(1).isfinite().all(dim=1).tolist()
        if not all(finite):
            index = block.indices[finite.index(False)]
            raise ValueError(
                f"{should} finite residuals. Found NaN or infinite values for sample {index} and class "
                f"{block.target}."
            )
        values, scale = encoded(residual)
        content = BytesIO()
        with h5py.File(content, "w", libver=HDF5) as file:
            _create_arrays(file, len(values), self.shape)
            file["residual"][:], file["scale"][:] = values.numpy(), scale.numpy()
        return content.getvalue()

    def _put_together(self) -> None:
        if self.path.exists():
            return
        whole, empty = self.parts / "store.tmp", self._empty()
        # Compressed again in other neighbourhoods, residuals may need a little more. The space is taken beforehand,
        # because HDF5 crashes on a full disk.
        needed = len(empty) + int(1.1 * sum(self._part(block).stat().st_size for block in self.blocks))
        write_reserved(whole, empty, needed)
        with h5py.File(whole, "r+", libver=HDF5, locking=False) as file:
            start = 0
            for block in self.blocks:
                stop = start + len(block.indices)
                with h5py.File(self._part(block), "r", locking=False) as part:
                    file["residual"][start:stop] = part["residual"][:]
                    file["scale"][start:stop] = part["scale"][:]
                start = stop
        put_in_place(whole, self.path)

    def _empty(self) -> bytes:
        """The HDF5 file of the store but for its residuals."""
        content = BytesIO()
        with h5py.File(content, "w", libver=HDF5) as file:
            for key, value in self.identity.items():
                file.attrs[key] = json.dumps(value)
            file.create_dataset("label", data=self.labels.numpy(), **PACKED)
            file.create_dataset("fingerprint", data=self.fingerprints.numpy(), **PACKED)
            _create_arrays(file, self.pairs, self.shape)
        return content.getvalue()


def _create_arrays(file: h5py.File, pairs: int, shape: tuple[int, ...]) -> None:
    rows = min(pairs, max(1, CHUNK // (2 * math.prod(shape))))
    file.create_dataset("residual", (pairs, *shape), "float16", chunks=(rows, *shape), **PACKED)
    file.create_dataset("scale", (pairs,), "float32", chunks=(min(pairs, CHUNK),), **PACKED)
