"""The residual estimator of the alignment penalty, as a configuration names it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generators import ResidualEstimator
from generators.store import StoredResidual
from generators.store.filling import for_training
from training.data import DataSet
from training.data.residuals import CONSENSUS, named_residual

Named = str | Mapping[str, Any]
FROM_EXAMPLES = ("auto", "nearest", "nearest-even", "nearest-odd")
"""Estimators that are built from the training examples, and cannot be misspelt once they are among these."""


def estimator_for(data: DataSet, given: Named, path: Path | None = None) -> ResidualEstimator:
    """The estimator, which must suit the training samples; one that searches looks up what it has found before.

    Args:
        data: the data set.
        given: a name or path, or `{residual: …, options: {…}}`, or a consensus of such.
        path: file in which residuals that were searched for are kept; None for memory alone.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for an unknown name or option, a file that belongs to other data, or a store where training
            augments its images.
    """
    estimator = data.residual(given)
    if isinstance(estimator, StoredResidual) and data.augments:
        raise ValueError(
            "`residual` should not be a store where `data` is augmented, since a stored residual belongs to one "
            f"unaugmented image. Found {given}. Name the estimator's checkpoint, or leave out the augmentation."
        )
    return for_training(estimator, data.split("train"), augmented=data.augments, path=path)


def check_residual(data: DataSet, given: Named) -> None:
    """Refuse, without building an index of examples, what is misspelt or does not fit.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: see `estimator_for`.
    """
    name, options = named_residual(given)
    if name == CONSENSUS:
        for member in options["members"]:
            check_residual(data, member)
    elif name not in FROM_EXAMPLES:
        estimator_for(data, given)
