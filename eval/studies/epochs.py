"""Tables of the epochs of a training, from its log: cosines of layers, losses, and what an epoch cost."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from training.gradient_log import COSINE, OPPOSED

CURVES = {
    "train_clean": "train_clean",
    "train_adversarial": "train_adversarial",
    "val_clean": "val_clean",
    "val_adversarial": "val_adversarial",
    "test_clean": "test_clean",
    "test_adversarial": "test_adversarial",
}
"""Columns of a training curve, by what they are called in the log."""
CONFLICT = {
    "train_mu": "mu",
    "train_cosine": "cosine",
    "train_clean_norm": "clean_norm",
    "train_adversarial_norm": "adversarial_norm",
    "train_gop_frequency": "gop_frequency",
}
"""The same of the conflict between clean and adversarial gradient."""
COST = {
    "epoch_steps_seconds": "seconds",
    "epoch_steps_peak_mb": "peak_mb",
    "epoch_seconds": "seconds_with_validation",
}
"""The same of the cost of an epoch."""


@dataclass(frozen=True)
class Course:
    """What happened over the epochs of a training.

    Attributes:
        kind: of its record.
        value: the number that stands for all of it.
        meaning: what that number is.
        table: with the column `epoch`.
    """

    kind: str
    value: float
    meaning: str
    table: pd.DataFrame


def courses(log: pd.DataFrame) -> Iterator[Course]:
    """What a log holds of its training's course.

    `layer_cosine` has a row for each epoch and parameter tensor, with the mean cosine of its clean and adversarial
    gradient and the share of steps in which it was negative, as `epoch`, `layer`, `cosine`, `opposed` (paper 2,
    Figs. 1, S3–S7). `conflict_course` has the conflict of all parameters together in each epoch (paper 3, Fig. 3),
    `training_curve` its mean losses (paper 2, Figs. 6, S2), `epoch_cost` its seconds and peak memory (paper 2,
    Fig. 8).

    Args:
        log: one row per epoch.
    """
    layers = _layers(log)
    if not layers.empty:
        last = layers[layers.epoch == layers.epoch.max()]
        yield Course("layer_cosine", float(last.cosine.mean()), "mean over layers in the last epoch", layers)
    conflict = _columns(log, CONFLICT)
    if "mu" in conflict:
        yield Course("conflict_course", float(conflict.mu.dropna().iloc[-1]), "μ in the last epoch", conflict)
    losses = _columns(log, CURVES)
    if not losses.empty:
        name = next(name for name in ("val_adversarial", "val_clean", *CURVES) if name in losses)
        yield Course("training_curve", float(losses[name].dropna().iloc[-1]), f"{name} of the last epoch", losses)
    cost = _columns(log, COST)
    if "seconds" in cost:
        yield Course("epoch_cost", float(cost.seconds.median()), "median seconds of an epoch's steps", cost)


def _columns(log: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """Some columns of a log, and the epochs in which one of them is known."""
    there = [name for name in names if name in log and log[name].notna().any()]
    return log.loc[log[there].notna().any(axis=1), ["epoch", *there]].rename(columns=names).reset_index(drop=True)


def _layers(log: pd.DataFrame) -> pd.DataFrame:
    """One row per epoch and layer, in the order of the log, which is that of the network."""
    cosines, opposed = _long(log, COSINE, "cosine"), _long(log, OPPOSED, "opposed")
    return cosines.merge(opposed, on=["epoch", "layer"], how="left")


def _long(log: pd.DataFrame, prefix: str, value: str) -> pd.DataFrame:
    names = [name for name in log if name.startswith(prefix)]
    long = log.melt("epoch", names, var_name="layer", value_name=value).dropna()
    long["layer"] = long["layer"].str.removeprefix(prefix)
    return long.sort_values("epoch", kind="stable").reset_index(drop=True)
