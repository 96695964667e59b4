"""α_Δx by a consensus of residual estimators, with an interval that includes them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from alignment import AlphaDx
from alignment.double import exactly
from eval.records.cosines import in_batches
from eval.records.intervals import LEVEL, UNSURE, Interval
from eval.records.outcome import Outcome, outcomes_of
from generators import Consensus, for_samples, mutual_cosine
from training.data import Batch

OVER = "interval_over"
"""Where a record says what its interval is over, if not samples alone."""
SAMPLES_AND_ESTIMATORS = "samples and estimators"
RESAMPLES = 2000


class Parts(NamedTuple):
    """Of each sample, what the cosine of any mean of the residuals to the gradient follows from.

    Attributes:
        dots: ⟨Δ̂x_k, ∇ℓ⟩ / ‖∇ℓ‖ of each estimator, `(N, K)`.
        gram: ⟨Δ̂x_k, Δ̂x_l⟩, `(N, K, K)`.
    """

    dots: Float64[np.ndarray, "N K"]
    gram: Float64[np.ndarray, "N K K"]

    def cosines(self, weights: Float64[np.ndarray, " K"]) -> Float64[np.ndarray, " N"]:
        """Of Σ_k w_k Δ̂x_k to the gradient; NaN where the mean is zero."""
        squared = np.einsum("nkl,k,l->n", self.gram, weights, weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(squared > 0, self.dots @ weights / np.sqrt(squared), np.nan)


def consensus_alignment(
    consensus: Consensus, options: Mapping[str, Any], classifier: nn.Module, batches: Iterable[Batch]
) -> Outcome:
    """α_Δx by the consensus, with an interval over samples and estimators.

    Args:
        consensus: of estimators.
        options: of `alignment.AlphaDx`.
        classifier: that is measured.
        batches: of samples.

    Returns:
        The mean cosine over samples that have a direction; per sample the cosine, that of each estimator, and their
        mutual cosine. In the details α_Δx by each estimator and the mean mutual cosine.
    """
    names = _names(consensus)

    def measured(batch: Batch) -> tuple[Tensor, ...]:
        return _of_batch(consensus, options, classifier, batch)

    value, valid, members, mutual, gram = (part.cpu() for part in in_batches(batches, measured, classifier))
    kept = valid.bool()
    lengths = gram.diagonal(dim1=1, dim2=2).sqrt()
    parts = Parts((members * lengths)[kept].numpy(), gram[kept].numpy())
    columns = {f"cosine_{name}": members[:, number] for number, name in enumerate(names)}
    frame = outcomes_of(batches, cosine=value, valid=kept, **columns, mutual_cosine=mutual)
    chosen = value[kept]
    details = {
        OVER: SAMPLES_AND_ESTIMATORS,
        "alpha_by_estimator": dict(zip(names, members[kept].mean(dim=0).tolist(), strict=True)),
        "mutual_cosine": float(mutual[kept].mean()),
    }
    interval = interval_over_estimators(parts, np.array(consensus.weights))
    return Outcome(float(chosen.mean()), frame, interval, int((~kept).sum()), details)


def interval_over_estimators(
    parts: Parts, weights: Float64[np.ndarray, " K"], resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """95 % percentile bootstrap of α_Δx over samples and estimators, both drawn with replacement.

    Each time as many estimators are drawn as there are, and so many samples; α_Δx is that of the consensus of those
    estimators, with their weights, on those samples. Two estimators are drawn twice the same one in half of all
    times, so that the interval reaches from one to the other; of K it does for the extreme ones up to K = 3.

    Args:
        parts: of the samples.
        weights: of the estimators.
        resamples: drawings.
        seed: of the drawings.

    Returns:
        Low and high end; NaN below two samples.
    """
    count, members = parts.dots.shape
    if count < 2:
        return UNSURE
    random = np.random.default_rng(seed)
    drawn = random.multinomial(members, np.full(members, 1 / members), resamples)
    samples = random.multinomial(count, np.full(count, 1 / count), resamples)
    found = np.full(resamples, np.nan)
    for times in np.unique(drawn, axis=0):
        chosen = (drawn == times).all(axis=1)
        found[chosen] = _means(parts.cosines(times * weights), samples[chosen])
    if np.isnan(found).all():
        return UNSURE
    low, high = np.nanquantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _means(cosines: Float64[np.ndarray, " N"], samples: np.ndarray) -> Float64[np.ndarray, " R"]:
    """Over the samples of each drawing that have a cosine."""
    known = ~np.isnan(cosines)
    with np.errstate(invalid="ignore"):
        return samples[:, known] @ cosines[known] / samples[:, known].sum(axis=1)


def _of_batch(
    consensus: Consensus, options: Mapping[str, Any], classifier: nn.Module, batch: Batch
) -> tuple[Tensor, ...]:
    """Cosine and validity of the consensus, cosines of its members, their mutual cosine and products."""
    asked: Any = for_samples(consensus, batch.indices)
    found: list[Tensor] = []

    def mean(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        found[:] = asked.of_members(x, y, target)  # asked once: they may search
        return consensus.mean(torch.stack(found))

    def member(number: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        return lambda x, y, target: found[number]

    whole = AlphaDx(mean, **options).similarity(classifier, batch.x, batch.y)
    by_member = [AlphaDx(member(number), **options) for number in range(len(found))]
    members = [metric.similarity(classifier, batch.x, batch.y).value for metric in by_member]
    flat = exactly(torch.stack(found)).flatten(2).transpose(0, 1)
    gram = flat @ flat.transpose(1, 2)
    columns = [exactly(column) for column in (whole.value, whole.valid, torch.stack(members, dim=1))]
    return *columns, exactly(mutual_cosine(torch.stack(found))), gram


def _names(consensus: Consensus) -> list[str]:
    """Of the estimators; those of one name are told apart by their number."""
    names = [member.name for member in consensus.members]
    return [
        f"{name} {names[: number + 1].count(name)}" if names.count(name) > 1 else name
        for number, name in enumerate(names)
    ]
