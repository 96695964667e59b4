"""The residual estimator of the alignment penalty, as a configuration names it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.utilities import rank_zero_info

from generators import ResidualEstimator
from generators.descriptions import check_fits
from generators.store import SelfFillingResidual, StoredResidual
from generators.store.filling import for_training
from training.data import DataSet
from training.data.residuals import CONSENSUS, named_residual
from training.objective import takes_residual

if TYPE_CHECKING:
    from training.classifier import Classifier

Named = str | Mapping[str, Any]
FROM_EXAMPLES = ("auto", "nearest", "nearest-even", "nearest-odd")
"""Estimators that are built from the training examples, and cannot be misspelt once they are among these."""


def estimator_of_training(module: "Classifier") -> ResidualEstimator | None:
    """The estimator that a training needs; None if it needs none, and one that is named must exist all the same.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if data do not fit the classifier, or are no DataSet where residuals are needed; see also
            `estimator_for`.
    """
    data = module.trainer.datamodule  # type: ignore[attr-defined]
    needed = _who_needs_it(module)
    if not isinstance(data, DataSet):
        if needed is not None:
            raise ValueError(
                f"{needed} needs residuals, and so a DataSet of training.data as the trainer's datamodule. "
                f"Found {type(data).__name__}."
            )
        return None
    check_fits(module.description, "The Classifier", num_classes=data.num_classes, bounds=data.bounds)
    if needed is None:
        check_residual(data, module.residual)
        return None
    estimator = estimator_for(data, module.residual, _file_of(module))
    if isinstance(estimator, SelfFillingResidual):
        rank_zero_info(estimator.cost)
    return estimator


def _who_needs_it(module: "Classifier") -> str | None:
    """What of a training needs residuals, as a message calls it; None if nothing does."""
    if takes_residual(module.objective):
        return f"`objective` {type(module.objective).__name__}"
    names = [type(penalty).__name__ for penalty in module.penalties if penalty.takes_residual]
    if "Alignment" in names:
        return "`alignment_weight` above 0"
    return f"`penalty` {names[0]}" if names else None


def _file_of(module: "Classifier") -> Path | None:
    """Where residuals that are searched for are kept: beside the checkpoints, for a run that is resumed."""
    folder = getattr(module.trainer.checkpoint_callback, "dirpath", None)
    return None if folder is None else Path(folder) / f"residuals-{module.global_rank}"


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
