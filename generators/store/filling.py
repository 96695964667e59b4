"""A store that fills itself: what a training step asks for is computed on first use and never again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.contracts import check_finite, check_range, check_same_shape
from generators.files import write_whole
from generators.residuals import ResidualEstimator
from generators.store.layout import FORMAT, check_identity, decoded, encoded, fingerprint
from generators.store.reading import ResidualsOfSamples, refuse_others
from generators.store.writing import Samples

CHEAP = 2
"""Images that a generator may draw per residual in every training step."""


def for_training(
    estimator: ResidualEstimator, samples: Samples, *, augmented: bool, path: Path | None = None
) -> ResidualEstimator:
    """What training should ask: an estimator that searches is kept from searching twice, any other is as it is.

    Args:
        estimator: asked in every step.
        samples: of the training split.
        augmented: whether a step sees other images than those.
        path: see `SelfFillingResidual`.

    Raises:
        ValueError: for an estimator that searches where images are augmented, so that no residual is needed twice.
    """
    passes = passes_of(estimator)
    if passes <= CHEAP:
        return estimator
    if augmented:
        raise ValueError(
            f"`residual` should not be a {estimator.name} of {passes} generator passes where `data` is augmented: no "
            f"image comes twice, so that every epoch would cost {passes * len(samples):,} passes. Leave out the "
            "augmentation, name an estimator of fewer passes, or train a generator that draws residuals directly."
        )
    return SelfFillingResidual(estimator, samples, path=path)


def passes_of(estimator: ResidualEstimator) -> int:
    """Images that a generator draws for one residual, at most; 0 for an estimator that does not search."""
    return int(getattr(estimator, "passes", 0))


class SelfFillingResidual:
    """A residual estimator that computes the residual of a sample to a class on first use and looks it up afterwards.

    Residuals are kept in float16 as in a store. A run that is resumed needs the same file, to end where an
    uninterrupted one does: a search ends in other last bits beside other images.

    Args:
        estimator: what computes them.
        samples: of the split that it will be asked about.
        path: file, for one process, in which residuals are kept as well and found again; None for memory alone.

    Attributes:
        name: of the estimator.
        settings: of the estimator.
        digest: of the estimator.

    Raises:
        ValueError: if the file holds residuals of something else.
    """

    def __init__(self, estimator: ResidualEstimator, samples: Samples, *, path: Path | None = None) -> None:
        self.estimator, self.samples, self.path = estimator, samples, path
        self.name, self.settings, self.digest = estimator.name, estimator.settings, estimator.digest
        self._kept: dict[tuple[int, int], np.void] = {}
        self._layout = _layout(tuple(samples.__getitems__([0]).x.shape[1:]))
        if path is not None:
            self._open(path)

    @property
    def pairs(self) -> int:
        """Pairs of a sample and a class whose residual is known."""
        return len(self._kept)

    @property
    def cost(self) -> str:
        """A sentence that says beforehand what computing will cost, in generator passes."""
        passes, count = passes_of(self.estimator), len(self.samples)
        return (
            f"The {self.name} takes up to {passes} generator passes for a sample and a class: up to "
            f"{passes * count:,} for {count:,} samples, once for each class that becomes a sample's closest."
        )

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """Refused.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "A residual that is kept is found by the index of its sample. Ask `at(indices)` for an estimator of a "
            "batch, or `generators.store.for_samples`."
        )

    def at(self, indices: Int[Tensor, " B"]) -> ResidualsOfSamples:
        """The estimator for the samples with these indices in the split.

        Raises:
            ValueError: if there are no such samples.
        """
        indices = indices.cpu()
        check_range(indices, len(self.samples), "indices", ", the samples")
        return ResidualsOfSamples(self, indices)

    def of_samples(
        self,
        indices: Int[Tensor, " B"],
        x: Float[Tensor, "B *shape"],
        y: Int[Tensor, " B"],
        target: Int[Tensor, " B"],
    ) -> Float[Tensor, "B *shape"]:
        """The residuals of these samples, after a look at whether they are those at the indices.

        Raises:
            ValueError: if x are not the samples at the indices, or the estimator returns another shape or NaN.
        """
        pairs = [*zip(indices.tolist(), target.tolist(), strict=True)]
        new = torch.tensor([pair not in self._kept for pair in pairs], dtype=torch.bool)
        if new.any():
            self._check_unaugmented(indices[new], x[new.to(x.device)])
            self._compute(indices[new], *(part[new.to(part.device)] for part in (x, y, target)))
        rows = np.array([self._kept[pair] for pair in pairs], dtype=self._layout)
        refuse_others(x, torch.from_numpy(rows["fingerprint"].copy()), indices, "the samples at the indices")
        return _residuals(rows).to(x)

    def _check_unaugmented(self, indices: Tensor, x: Tensor) -> None:
        own = fingerprint(self.samples.__getitems__(indices.tolist()).x)[0]
        refuse_others(x, own, indices, "the samples at the indices")

    def _compute(self, indices: Tensor, x: Tensor, y: Tensor, target: Tensor) -> None:
        residual = self.estimator(x, y, target).detach()
        check_same_shape(residual, x, "residual", "x")
        check_finite(residual, "residual")
        values, scale = encoded(residual.float().cpu())
        rows = np.empty(len(indices), dtype=self._layout)
        parts = {"index": indices, "target": target, "fingerprint": fingerprint(x)[0], "scale": scale}
        for name, part in (parts | {"values": values}).items():
            rows[name] = part.cpu().numpy()
        self._keep(rows)
        if self.path is not None:
            with self.path.open("ab") as file:
                file.write(rows.tobytes())

    def _keep(self, rows: np.ndarray) -> None:
        self._kept |= {(int(row["index"]), int(row["target"])): row for row in rows}

    def _open(self, path: Path) -> None:
        """Find what an earlier run computed; a killed one may have left the beginning of a row."""
        beside = path.with_name(f"{path.name}.json")
        identity: dict[str, Any] = {"estimator": self.name, "settings": self.settings, "weights": self.digest}
        identity = json.loads(json.dumps(identity | {"samples": len(self.samples), "format": FORMAT}))
        if beside.exists():
            check_identity(path, json.loads(beside.read_text(encoding="utf-8")), identity)
        else:
            write_whole(beside, json.dumps(identity))
        path.touch()
        whole = path.stat().st_size // self._layout.itemsize
        with path.open("r+b") as file:
            file.truncate(whole * self._layout.itemsize)
        self._keep(np.fromfile(path, dtype=self._layout))


def _layout(shape: tuple[int, ...]) -> np.dtype:
    """A row of the file: little-endian, without padding."""
    return np.dtype(
        [("index", "<i8"), ("target", "<i8"), ("fingerprint", "<f8"), ("scale", "<f4"), ("values", "<f2", shape)]
    )


def _residuals(rows: np.ndarray) -> Float[Tensor, "B *shape"]:
    return decoded(torch.from_numpy(rows["values"].copy()), torch.from_numpy(rows["scale"].copy()))
