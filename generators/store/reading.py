"""Read a store, by the index of a sample."""

import json
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import h5py
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from alignment.contracts import check_range
from generators.descriptions import check_format
from generators.residuals import ResidualEstimator
from generators.store.layout import FORMAT, check_complete, check_identity, decoded, fingerprint


@runtime_checkable
class BySample(ResidualEstimator, Protocol):
    """An estimator that must know which samples of a split it is asked about."""

    def at(self, indices: Tensor) -> ResidualEstimator:
        """The estimator for the samples with these indices in the split, `(B,)` int64."""
        ...

    def of_samples(self, indices: Tensor, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """What that estimator returns."""
        ...


class StoredResidual:
    """Reads a store: a residual estimator that must know which samples of the split it is asked about.

    Args:
        path: of the store.
        expected: what the store should be of, all or part of `ResidualStore.identity`; None for whatever it is.
        memory: bytes up to which all residuals are read into memory at first use; more are read from the file in
            every batch.

    Attributes:
        identity: see `ResidualStore`.
        name: of the estimator whose residuals they are.
        settings: of that estimator.
        digest: of its weights.
        classes: which residuals point to.
        shape: of one sample.
        pairs: residuals in the store.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no store, or one of something else than expected.

    Example:
        >>> stored = StoredResidual("projected.h5", {"data": "MNIST"})  # doctest: +SKIP
        >>> stored.at(batch.indices)(batch.x, batch.y, target)  # doctest: +SKIP
    """

    def __init__(self, path: str | Path, expected: Mapping[str, Any] | None = None, *, memory: int = 2**30) -> None:
        self.path, self.memory = Path(path), memory
        if not self.path.exists():
            raise FileNotFoundError(_missing(self.path))
        try:
            with self._opened() as file:
                self.identity: dict[str, Any] = {key: json.loads(value) for key, value in file.attrs.items()}
                self.labels = torch.from_numpy(file["label"][:])
                self.fingerprints = torch.from_numpy(file["fingerprint"][:])
                self.scale = torch.from_numpy(file["scale"][:])
                self.pairs, *shape = file["residual"].shape
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise ValueError(f"{path} cannot be read as a store of residuals. ({error})") from error
        check_format(self.identity.get("format"), FORMAT, self.path)
        check_complete(self.path, self.identity)
        check_identity(self.path, self.identity, expected or {})
        self.shape, self.classes = tuple(shape), self.identity["classes"]
        self.name, self.settings = self.identity["estimator"], self.identity["settings"]
        self.digest = self.identity["weights"]
        # Where the residual of a sample (row) to a class (column) lies; −1 for its own class.
        other = torch.tensor(self.classes)[:, None] != self.labels
        self._places = torch.where(other, other.flatten().cumsum(0).view_as(other) - 1, -1).T

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """Refused.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"A stored residual is found by the index of its sample. Ask `at(indices)` of the store {self.path} for "
            "an estimator of a batch, or `generators.store.for_samples`."
        )

    def at(self, indices: Int[Tensor, " B"]) -> "ResidualsOfSamples":
        """The estimator for the samples with these indices in the split.

        Raises:
            ValueError: if there are no such samples.
        """
        indices = indices.cpu()
        check_range(indices, len(self.labels), "indices", f", the samples stored in {self.path}")
        return ResidualsOfSamples(self, indices)

    def of_samples(
        self,
        indices: Int[Tensor, " B"],
        x: Float[Tensor, "B *shape"],
        y: Int[Tensor, " B"],
        target: Int[Tensor, " B"],
    ) -> Float[Tensor, "B *shape"]:
        """The residuals of these samples, after a look at whether they are those at the indices."""
        whose = f"the samples of the {self.identity['split']} split of {self.identity['data']} at the indices"
        if x.shape != (len(indices), *self.shape):
            expected = (len(indices), *self.shape)
            raise ValueError(f"`x` should be {whose}, of shape {expected}. Found {tuple(x.shape)}.")
        refuse_others(x, self.fingerprints[indices], indices, f"{whose}, as {self.path} was filled with")
        refuse(
            y.cpu() != self.labels[indices],
            f"`y` should be the classes of {whose}. Found others at the indices",
            indices,
        )
        return self.read(indices, target.cpu()).to(x.device)

    def read(self, indices: Int[Tensor, " B"], target: Int[Tensor, " B"]) -> Float[Tensor, "B *shape"]:
        """The residuals of samples to classes, float32; all on the CPU.

        Raises:
            ValueError: if a target is its sample's own class or not among the stored ones.
        """
        match = target[:, None] == torch.tensor(self.classes)
        refuse(
            ~match.any(dim=1),
            f"`target` should be among the classes in {self.path}, {self.classes}. Found",
            target,
        )
        places = self._places[indices, match.long().argmax(dim=1)]
        refuse(places < 0, "`target` should differ from `y`. Found a sample's own class at the indices", indices)
        if self.pairs * math.prod(self.shape) * 2 <= self.memory:
            values = self._values[places]
        else:
            ordered, back = places.unique(return_inverse=True)
            with self._opened() as file:
                values = torch.from_numpy(file["residual"][ordered.numpy()])[back]
        return decoded(values, self.scale[places])

    @cached_property
    def _values(self) -> Tensor:
        with self._opened() as file:
            return torch.from_numpy(file["residual"][:])

    def _opened(self) -> h5py.File:
        # A finished store never changes, and locks are what HDF5 lacks on some network file systems.
        return h5py.File(self.path, "r", locking=False)


class ResidualsOfSamples:
    """The estimator for the samples of one batch, see `BySample.at`."""

    def __init__(self, source: BySample, indices: Int[Tensor, " B"]) -> None:
        self.source, self.indices = source, indices
        self.name, self.settings, self.digest = source.name, source.settings, source.digest

    def __call__(
        self, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B *shape"]:
        """Δ̂x(x, target), `(B, *shape)` float32.

        Raises:
            ValueError: if x or y are not the samples at the indices (augmented, in another order, of another split),
                or a target is its sample's own class or not among the stored ones.
        """
        return self.source.of_samples(self.indices, x, y, target)


def _missing(path: Path) -> str:
    """What to say of a store that is not there, or not there yet."""
    if path.with_name(f"{path.name}.parts").exists():
        return (
            f"{path}: this store of residuals is still being filled, or its filling was stopped. Wait, or start the "
            "same `alphadx residuals` again, which goes on where it stopped."
        )
    return f"{path}: no such store of residuals. Fill one with `alphadx residuals`."


def for_samples(estimator: ResidualEstimator, indices: Int[Tensor, " B"]) -> ResidualEstimator:
    """The estimator for the samples of a batch: `at(indices)` of one asked by sample, and any other as it is."""
    chosen: Any = estimator
    return chosen.at(indices) if is_by_sample(estimator) else estimator


def is_by_sample(estimator: ResidualEstimator) -> bool:
    """Whether an estimator, or one that it is made of, knows residuals of samples alone, and of no other input."""
    return isinstance(estimator, BySample) or any(map(is_by_sample, getattr(estimator, "members", ())))


def moved_together(
    augment: Callable[[Tensor], Tensor], x: Float[Tensor, "B *shape"], residual: Float[Tensor, "B *shape"]
) -> tuple[Float[Tensor, "B *shape"], Float[Tensor, "B *shape"]]:
    """Images and x̂' = x + Δ̂x under the same augmentation, the second again as a residual.

    Args:
        augment: returns the same for the same images, and moves the i-th image of any batch alike, as
            `partial(training.data.Augmentation(…), bounds=…, seed=…)` does.
        x: unaugmented images.
        residual: their residuals.

    Returns:
        The augmented images, and the residuals that lead from them to the augmented x̂'. An augmentation that clamps
        to bounds clamps x̂' too.
    """
    moved = augment(x)
    return moved, augment(x + residual) - moved


def refuse_others(
    x: Float[Tensor, "B *shape"], fingerprints: Float64[Tensor, " B"], indices: Int[Tensor, " B"], whose: str
) -> None:
    """Refuse images whose fingerprints are not those of the samples at the indices."""
    found, tolerance = fingerprint(x)
    refuse(
        ~((found - fingerprints.to(found.device)).abs() <= tolerance).cpu(),
        f"`x` should be {whose}: a stored residual belongs to one unaugmented image. "
        "Found other images at the indices",
        indices,
    )


def refuse(bad: Tensor, message: str, shown: Tensor) -> None:
    """Raise an error that ends with the first few of what is bad."""
    if bad.any():
        few = ", ".join(map(str, shown[bad][:3].tolist()))
        raise ValueError(f"{message} {few}{', …' if bad.sum() > 3 else '.'}")
