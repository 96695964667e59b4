"""Several residual estimators heard together: their weighted mean, and how far they agree."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import combinations
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment import cosine_similarity
from alignment.contracts import check_same_shape
from generators.residuals import ResidualEstimator
from generators.store.filling import passes_of
from generators.store.reading import for_samples

DIGITS = 3
"""Of weights after the point, so that another machine, which rounds otherwise, finds the same ones."""


class Consensus:
    """The weighted mean of what several estimators return: Δ̂x = Σ_k w_k Δ̂x_k, with weights that sum to 1.

    What the estimators have in common adds up, and errors that they do not share average out. Their agreement, sample
    by sample, is `mutual_cosine`: an uncertainty that is found without truth, and blind to errors that all share.

    Args:
        members: the estimators, at least two.
        weights: one each, not negative, of which only ratios matter; see `rated_weights`. None for equal ones.

    Attributes:
        members: see above.
        weights: they sum to 1.

    Raises:
        ValueError: if there are fewer estimators, or the weights are not one each, are negative or all 0.
    """

    def __init__(self, members: Sequence[ResidualEstimator], weights: Sequence[float] | None = None) -> None:
        if len(members) < 2:
            raise ValueError(f"`members` should be at least two estimators. Found {len(members)}.")
        given = [1.0] * len(members) if weights is None else [*weights]
        if len(given) != len(members) or not all(weight >= 0 for weight in given) or not sum(given) > 0:
            raise ValueError(
                f"`weights` should be one for each of {len(members)} estimators, not negative and not all 0. "
                f"Found {given}."
            )
        self.members = tuple(members)
        self.weights = tuple(weight / sum(given) for weight in given)
        self.name = f"consensus of {', '.join(member.name for member in members)}"

    @property
    def settings(self) -> dict[str, Any]:
        """Those of the members, and the weights."""
        told = [{"name": member.name, "settings": member.settings} for member in self.members]
        return {"members": told, "weights": [round(weight, DIGITS) for weight in self.weights]}

    @property
    def digest(self) -> str:
        """Of those of the members."""
        return sha256(" ".join(member.digest for member in self.members).encode()).hexdigest()[:16]

    @property
    def passes(self) -> int:
        """Images that generators draw for one residual, at most."""
        return sum(map(passes_of, self.members))

    def at(self, indices: Int[Tensor, " B"]) -> "Consensus":
        """The same for the samples with these indices, which stores among the members need."""
        return Consensus([for_samples(member, indices) for member in self.members], self.weights)

    def of_members(
        self, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "K B *shape"]:
        """What each of the estimators returns.

        Raises:
            ValueError: if one returns another shape than that of x.
        """
        found = [member(x, y, target) for member in self.members]
        for member, residual in zip(self.members, found, strict=True):
            check_same_shape(residual, x, f"residual by {member.name}", "x")
        return torch.stack([residual.to(x) for residual in found])

    def mean(self, residuals: Float[Tensor, "K B *shape"]) -> Float[Tensor, "B *shape"]:
        """The weighted mean of what the estimators return."""
        weights = torch.tensor(self.weights, dtype=residuals.dtype, device=residuals.device)
        return torch.tensordot(weights, residuals, dims=1)

    def __call__(
        self, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B *shape"]:
        """Δ̂x(x, target), `(B, *shape)`."""
        return self.mean(self.of_members(x, y, target))


def mutual_cosine(residuals: Float[Tensor, "K B *shape"]) -> Float[Tensor, " B"]:
    """How far estimators agree: the mean, over their pairs, of the cosine between what they return, per sample.

    1 where all point the same way. Of K ≥ 2 estimators with independent errors it is the mean product of two cosines
    to the truth. A residual of zero agrees with nothing, and counts as 0.

    Args:
        residuals: of each estimator, at least two.

    Raises:
        ValueError: if there are fewer.

    Example:
        >>> mutual_cosine(torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]], [[3.0, 0.0]]]))
        tensor([0.3333])
    """
    if len(residuals) < 2:
        raise ValueError(f"`residuals` should be of at least two estimators. Found {len(residuals)}.")
    pairs = [cosine_similarity(a, b).value for a, b in combinations(residuals, 2)]
    return torch.stack(pairs).mean(dim=0)


def rated_weights(shares: Sequence[float], lengths: Sequence[float]) -> list[float]:
    """Weights w_k ∝ s_k / d_k of estimators, by what a judge says of each; they sum to 1.

    s_k is the share of x̂'_k that the judge takes for the target class, and d_k = median ‖Δ̂x_k‖₂. α_Δx knows only the
    direction of a residual, and in a mean of vectors the longest would be heard most: divided by d_k each estimator
    is heard in proportion to s_k, the part of its residuals that lead where they should. The length of the mean is
    then Σ s_k / Σ (s_k / d_k), at most, a harmonic mean that is closer to the short ones, as Δx is the shortest
    vector that leads to the class. What is short because it fools the judge gains no more than its share, and none
    before a judge that was trained against attacks.

    Args:
        shares: in [0, 1], one per estimator.
        lengths: not negative, one per estimator; one that does not move samples has no weight.

    Raises:
        ValueError: if there are not as many, they lie outside these ranges, or no estimator reaches the class.

    Example:
        >>> rated_weights([1.0, 0.5], [2.0, 1.0])
        [0.5, 0.5]
    """
    if len(shares) != len(lengths) or not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"`shares` should lie in [0, 1], one for each of {len(lengths)} lengths. Found {[*shares]}.")
    if not all(0 <= length < float("inf") for length in lengths):
        raise ValueError(f"`lengths` should be finite and not negative. Found {[*lengths]}.")
    rates = [share / length if length else 0.0 for share, length in zip(shares, lengths, strict=True)]
    if not sum(rates):
        raise ValueError(
            "`shares` should be above 0 for one estimator at least: before this judge none leads a sample to the "
            f"class that it should be of. Found {[*shares]}, of lengths {[*lengths]}."
        )
    return [rate / sum(rates) for rate in rates]
