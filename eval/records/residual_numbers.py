"""Numbers of a residual estimator, with their intervals and what they are of each sample."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment import cosine_similarity
from alignment.similarity import scaled_norm
from eval.records.energy import energy_to_classes
from eval.records.intervals import UNSURE, Interval, mean_interval, share_interval
from eval.robustness.median import median_interval
from training.data import Batch


class Found(NamedTuple):
    """One number.

    Attributes:
        value: the number; NaN where no sample has it.
        interval: 95 % interval over samples.
        columns: of the table per sample.
        invalid: samples that were left out.
        details: what else a reader should know.
        forward_passes: of a judge, in samples.
    """

    value: float
    interval: Interval
    columns: Mapping[str, Tensor] = {}
    invalid: int = 0
    details: Mapping[str, Any] = {}
    forward_passes: int = 0


def norm(residual: Float[Tensor, "N *shape"]) -> Found:
    """Median ‖Δ̂x‖₂."""
    length = residual.flatten(1).norm(dim=1)
    return Found(float(length.median()), median_interval(length.numpy(), length.numpy()), {"norm": length})


def similarity(residual: Float[Tensor, "N *shape"], exact: Float[Tensor, "N *shape"]) -> Found:
    """Mean sim(Δx, Δ̂x) over samples where both have a direction."""
    cosine, valid = cosine_similarity(residual, exact)
    chosen = cosine[valid].double()
    columns = {"cosine": cosine, "valid": valid}
    return Found(float(chosen.mean()), mean_interval(chosen.numpy()), columns, int((~valid).sum()))


def target_share(judged: Int[Tensor, " N"], target: Int[Tensor, " N"]) -> Found:
    """Share of x̂' that a judge takes for the class that it should be of."""
    hits = judged == target
    interval = share_interval(int(hits.sum()), len(hits))
    return Found(float(hits.double().mean()), interval, {"judged": judged}, forward_passes=len(hits))


def length_ratio(residual: Float[Tensor, "N *shape"], nearest: Float[Tensor, "N *shape"]) -> Found:
    """Median ‖Δ̂x‖₂ / ‖x_nearest − x‖₂, over samples that are no example of the target class themselves.

    The nearest example is a point of the class, and so Δx is never longer: a ratio above 1 is too long for certain.
    """
    return _median_ratio(residual, nearest)


def cycle(residual: Float[Tensor, "N *shape"], back: Float[Tensor, "N *shape"]) -> Found:
    """Median ‖x̂'' − x‖₂ / ‖x̂' − x‖₂, where x̂'' is led back from x̂' to the class of x.

    0 for an exact residual wherever x is the closest point of its own class to x', as on Spheres; 1 for one that does
    not come back at all. Samples that are not moved are left out.

    Args:
        residual: Δ̂x from x to the target class.
        back: from x̂' = x + Δ̂x to the class of x.
    """
    return _median_ratio(residual + back, residual)


def energy(whole: Batch, residual: Tensor, target: Tensor, nearest: Tensor | None, seed: int) -> Found:
    """Energy distance of x̂' to real samples of the target class, with that of nearest examples in the details."""
    found = energy_to_classes(whole.x + residual, target, whole.x, whole.y, seed)
    told: dict[str, Any] = {}
    if nearest is not None:
        beside = energy_to_classes(whole.x + nearest, target, whole.x, whole.y, seed)
        told = {"nearest": beside.value, "nearest_interval": [*beside.interval]}
    return Found(found.value, found.interval, {}, len(whole.y) - found.used, told)


def _median_ratio(above: Tensor, below: Tensor) -> Found:
    lengths = scaled_norm(below)
    valid = lengths > 0
    ratio = scaled_norm(above) / torch.where(valid, lengths, 1.0)
    chosen = ratio[valid].numpy()
    columns = {"ratio": ratio, "valid": valid}
    if not len(chosen):
        return Found(float("nan"), UNSURE, columns, len(valid))
    return Found(float(ratio[valid].median()), median_interval(chosen, chosen), columns, int((~valid).sum()))
