"""What a search has found, so that it need not search again."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from generators.files import write_whole
from generators.store.layout import check_identity

ROOM = 2**18
"""Searches that are remembered where there is no file."""

ROW = np.dtype([("key", "V16"), ("row", "<i8")])
"""Of the file."""


class Found:
    """Which example was nearest to an input, by the input's own bytes: it need not be known where the input is from.

    Args:
        path: file, for one process at a time, in which they are kept as well and found again; None for memory alone,
            where no more than `ROOM` are kept.
        identity: of the examples; asked for once the file is opened.

    Raises:
        ValueError: if the file is of other examples.
    """

    def __init__(self, path: Path | None, identity: Mapping[str, Any]) -> None:
        self.path = path
        self._rows: dict[bytes, int] = {}
        if path is not None:
            self._open(path, dict(identity))

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, keys: list[bytes]) -> Int[Tensor, " B"]:
        """Numbers of the examples, −1 where none is known."""
        return torch.tensor([self._rows.get(key, -1) for key in keys], dtype=torch.int64)

    def add(self, keys: list[bytes], rows: Int[Tensor, " B"]) -> None:
        """Keep what was found."""
        if self.path is not None:
            written = np.array([*zip(keys, rows.tolist(), strict=True)], dtype=ROW)
            with self.path.open("ab") as file:
                file.write(written.tobytes())
        elif len(self) + len(keys) > ROOM:
            return
        self._rows |= zip(keys, rows.tolist(), strict=True)

    def _open(self, path: Path, identity: dict[str, Any]) -> None:
        """Find what an earlier process found; a killed one may have left the beginning of a row."""
        beside = path.with_name(f"{path.name}.json")
        if beside.exists():
            check_identity(path, json.loads(beside.read_text(encoding="utf-8")), identity)
        else:
            write_whole(beside, json.dumps(identity))
        path.touch()
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // ROW.itemsize * ROW.itemsize)
        known = np.fromfile(path, dtype=ROW)
        self._rows |= zip(map(bytes, known["key"]), known["row"].tolist(), strict=True)


def keys_of(x: Float[Tensor, "B *shape"], target: Int[Tensor, " B"]) -> list[bytes]:
    """16 bytes per input and target class, equal where both are."""
    # Cloned, since a tensor with a dimension of size 1 may pass for contiguous with any stride there.
    whole = x.detach().cpu().clone(memory_format=torch.contiguous_format)
    images = whole.view(torch.uint8).reshape(len(x), -1) if x.numel() else whole
    heads = [f"{x.dtype} {c}".encode() for c in target.tolist()]
    return [_hashed(head, image) for head, image in zip(heads, images, strict=True)]


def _hashed(head: bytes, image: Tensor) -> bytes:
    found = blake2b(head, digest_size=16)
    found.update(image.numpy().data)
    return found.digest()
