"""The classifiers that judge residual estimators: whether x̂' is of the class that it should be of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from eval.records.quantity import Quantity
from generators.checkpoints import digest as weights_digest
from training import load_classifier
from training.data import DataSet

TARGET_SHARE = "residual_target_share"

Judges = nn.Module | Mapping[str, nn.Module] | None
"""One classifier, or several by name; None for no judge."""
Named = str | Path | Sequence[str | Path] | Mapping[str, str | Path] | None
"""Checkpoints of judges: one, a list, or by name, such as `{plain: a.ckpt, adversarially trained: b.ckpt}`."""


def load_judge(checkpoint: str | Path, data: DataSet) -> nn.Module:
    """The classifier that judges estimators of a data set.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint of ours, or was made for other inputs or classes.
    """
    fits: dict[str, Any] = {"num_classes": data.num_classes, "shape": data.shape, "bounds": data.bounds}
    return load_classifier(checkpoint=checkpoint, **fits)


def load_judges(given: Named, data: DataSet) -> Judges:
    """The classifiers that judge estimators of a data set; those of a list are called by a digest of their weights.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if there is none in the list, or one does not fit, see `load_judge`.
    """
    if given is None:
        return None
    if isinstance(given, str | Path):
        return load_judge(given, data)
    if not given:
        raise ValueError("`judge` should name at least one checkpoint. Found none.")
    if isinstance(given, Mapping):
        return {str(name): load_judge(checkpoint, data) for name, checkpoint in given.items()}
    loaded = [load_judge(checkpoint, data) for checkpoint in given]
    return {weights_digest(judge)[:6]: judge for judge in loaded}


def judged_by(judges: Judges, settings: Mapping[str, Any]) -> dict[Quantity, nn.Module]:
    """The target share before each judge, as a quantity of its own; one judge alone has no name in it.

    Args:
        judges: see `Judges`.
        settings: that all of an estimator's numbers share.
    """
    if judges is None:
        return {}
    if isinstance(judges, nn.Module):
        return {Quantity(TARGET_SHARE, settings={**settings, "judge": weights_digest(judges)}): judges}
    told = {name: {"judge": name, "judge_digest": weights_digest(judge)} for name, judge in judges.items()}
    return {Quantity(TARGET_SHARE, settings={**settings, **told[name]}): judge for name, judge in judges.items()}
