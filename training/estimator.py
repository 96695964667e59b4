"""The residual estimator of the alignment penalty, as a configuration names it."""

from collections.abc import Mapping
from typing import Any

from generators import ResidualEstimator
from generators.store import StoredResidual
from training.data import DataSet

Named = str | Mapping[str, Any]
FROM_EXAMPLES = ("auto", "nearest", "nearest-even", "nearest-odd")
"""Estimators that are built from the training examples, and cannot be misspelt once they are among these."""


def named_residual(given: Named) -> tuple[str, dict[str, Any]]:
    """Name and options of an estimator that is named as text, or as `{residual: …, options: {…}}`.

    Raises:
        ValueError: for other keys, or options of an estimator that is not read from a file and so takes none.

    Example:
        >>> named_residual({"residual": "cgan.ckpt", "options": {"method": "ours"}})
        ('cgan.ckpt', {'method': 'ours'})
    """
    if isinstance(given, str):
        return given, {}
    name, options = given.get("residual"), given.get("options") or {}
    if not isinstance(name, str) or not isinstance(options, Mapping) or given.keys() - {"residual", "options"}:
        raise ValueError(f"`residual` should be a name, or hold `residual` and `options`. Found {dict(given)}.")
    if options and not name.endswith((".ckpt", ".h5")):
        raise ValueError(f"`residual` {name!r} takes no options; only a file does. Found {dict(options)}.")
    return name, dict(options)


def estimator_for(data: DataSet, given: Named) -> ResidualEstimator:
    """The estimator, which must suit the training samples.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for an unknown name or option, a file that belongs to other data, or a store where training
            augments its images.
    """
    name, options = named_residual(given)
    try:
        estimator = data.residual(name, **options)
    except TypeError as error:
        raise ValueError(f"`residual` {name} does not take the options {options}. ({error})") from error
    if isinstance(estimator, StoredResidual) and data.augments:
        raise ValueError(
            "`residual` should not be a store where `data` is augmented, since a stored residual belongs to one "
            f"unaugmented image. Found {name}. Name the estimator's checkpoint, or leave out the augmentation."
        )
    return estimator


def check_residual(data: DataSet, given: Named) -> None:
    """Refuse, without building an index of examples, what is misspelt or does not fit.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: see `estimator_for`.
    """
    if named_residual(given)[0] not in FROM_EXAMPLES:
        estimator_for(data, given)
