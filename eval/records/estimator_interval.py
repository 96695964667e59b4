"""An interval of α_Δx over samples and estimators of Δx, from without to with a correction for their errors.

The error of an estimator turns its residuals away from Δx, and so lowers |α_Δx|: of Δ̂x_k = Δx + e_k, with errors e_k
that are orthogonal to Δx, to one another and to the gradient, α_k = ρ_k α and mean sim(Δ̂x_k, Δ̂x_l) = ρ_k ρ_l, with
ρ_k = sim(Δ̂x_k, Δx). Then α = √(α_k α_l / mean sim(Δ̂x_k, Δ̂x_l)), Spearman's correction for attenuation (1904,
https://doi.org/10.2307/1412159). An error that leans to the gradient makes it too large, and α_Δx without correction
is too small, so that the truth is looked for between both.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from eval.records.intervals import LEVEL, UNSURE, Interval

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
        return _ratio(self.dots @ weights, np.sqrt(squared.clip(0)), np.nan)

    def of_members(self) -> Float64[np.ndarray, "N K"]:
        """Cosines of each estimator's residuals to the gradient; 0 where they are zero."""
        return _ratio(self.dots, self._lengths, 0.0)

    def mutual(self) -> Float64[np.ndarray, "N K K"]:
        """Cosines between the residuals of estimators; 0 where one is zero."""
        return _ratio(self.gram, self._lengths[:, :, None] * self._lengths[:, None, :], 0.0)

    @property
    def _lengths(self) -> Float64[np.ndarray, "N K"]:
        return np.sqrt(np.einsum("nkk->nk", self.gram))


def interval_over_estimators(
    parts: Parts, weights: Float64[np.ndarray, " K"], resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """95 % percentile bootstrap of α_Δx over samples and estimators, from without to with the correction.

    Each time as many estimators as there are, and so many samples, are drawn with replacement. α_Δx is that of the
    consensus of those estimators, with their weights, on those samples, and `corrected` that of their pairs. The low
    end is a quantile of the lower of the two, the high end of the higher one. Where an estimator alone was drawn
    there is no pair; of two that is so in half of all times, so that the interval reaches what each says.

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
    alphas = samples @ parts.of_members() / count
    mutual = np.einsum("rn,nkl->rkl", samples, parts.mutual(), optimize=True) / count
    ends = np.full((2, resamples), np.nan)
    for times in np.unique(drawn, axis=0):
        chosen = (drawn == times).all(axis=1)
        plain = _means(parts.cosines(times * weights), samples[chosen])
        without_error = corrected(alphas[chosen], mutual[chosen], times)
        ends[:, chosen] = np.fmin(plain, without_error), np.fmax(plain, without_error)
    if np.isnan(ends).all():
        return UNSURE
    tail = (1 - LEVEL) / 2
    return float(np.nanquantile(ends[0], tail)), float(np.nanquantile(ends[1], 1 - tail))


def corrected(
    alphas: Float64[np.ndarray, "R K"], mutual: Float64[np.ndarray, "R K K"], times: Int[np.ndarray, " K"]
) -> Float64[np.ndarray, " R"]:
    """α_Δx without what errors of estimators take from it: the mean over pairs of √(α_k α_l / sim_kl), at most 1.

    With the sign of α_k + α_l, and 0 where α_k and α_l have different ones; ±1 where the estimators do not agree, and
    so say nothing of what they miss.

    Args:
        alphas: mean cosine of each estimator to the gradient.
        mutual: mean cosine of each pair.
        times: how often each estimator counts.

    Returns:
        In [−1, 1]; NaN without a pair of two estimators.
    """
    pairs = [*combinations(np.flatnonzero(times), 2)]
    if not pairs:
        return np.full(len(alphas), np.nan)
    found = [_of_pair(alphas[:, k], alphas[:, n], mutual[:, k, n]) for k, n in pairs]
    return np.average(found, axis=0, weights=[times[k] * times[n] for k, n in pairs])


def _of_pair(a: Float64[np.ndarray, " R"], b: Float64[np.ndarray, " R"], agreement: np.ndarray) -> np.ndarray:
    squared = _ratio((a * b).clip(0), agreement.clip(0), 1.0)
    return np.sign(a + b) * np.sqrt(squared.clip(0, 1))


def _ratio(above: np.ndarray, below: np.ndarray, otherwise: float) -> Float64[np.ndarray, "..."]:
    """Of two arrays, and another number where one would divide by zero."""
    return np.divide(above, below, out=np.full_like(above, otherwise), where=below > 0)


def _means(cosines: Float64[np.ndarray, " N"], samples: np.ndarray) -> Float64[np.ndarray, " R"]:
    """Over the samples of each drawing that have a cosine."""
    known = ~np.isnan(cosines)
    weighed = samples[:, known]
    return _ratio(weighed @ cosines[known], weighed.sum(axis=1).astype(np.float64), np.nan)
