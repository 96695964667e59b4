"""Residuals of training samples that are found once for all, and looked up at every step without waiting."""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.residuals import residuals_of
from generators import DirectResidual, ExactResidual, NearestExample
from training.data import DataSet
from training.data.split import Split, sent

if TYPE_CHECKING:
    from training.classifier import Classifier

BLOCK, MOST_BYTES = 1024, 2**31
"""Samples whose residuals are found at a time, and the memory that those of all may take."""

SEARCHED_BEFORE = ("cuda",)
"""Kinds of device that would wait for a search in a step; a CPU searches when it must."""
MOST_SEARCHES = 2**16
"""Searches for a nearest example that are made before a training with several classes, of which it needs a part."""


class KnownResiduals:
    """The residual of every training sample to the other class, of two classes.

    Args:
        residuals: on the device of the steps.
    """

    def __init__(self, residuals: Float[Tensor, "N *shape"]) -> None:
        self.residuals = residuals

    def __call__(
        self, indices: Int[Tensor, " B"], x: Float[Tensor, "B *shape"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B *shape"]:
        """Those of some samples, `(B, *shape)`.

        Args:
            indices: of the samples in the training split.
            x: the samples.
            target: the other classes.
        """
        return self.residuals[sent(indices, x.device)]


class KnownNearest:
    """The nearest example of every other class to every training sample.

    Args:
        examples: on the device of the steps, `(M, *shape)`.
        rows: which of them it is by sample and class, there too, `(N, C)`.
    """

    def __init__(self, examples: Float[Tensor, "M *shape"], rows: Int[Tensor, "N C"]) -> None:
        self.examples, self.rows = examples, rows

    def __call__(
        self, indices: Int[Tensor, " B"], x: Float[Tensor, "B *shape"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B *shape"]:
        """Nearest examples minus x, see `KnownResiduals`."""
        return self.examples[self.rows[sent(indices, x.device), target]] - x


def known_residuals(module: "Classifier") -> KnownResiduals | KnownNearest | None:
    """Residuals that steps can look up; None where they must ask the estimator.

    They can where the estimator finds the same for a sample at every step, images are not augmented, and the device
    has ample room; and, of more than two classes, where few searches find all.
    """
    data: DataSet = module.trainer.datamodule  # type: ignore[attr-defined]
    estimator = module.estimator
    if not isinstance(estimator, ExactResidual | NearestExample | DirectResidual) or data.augments:
        return None
    split = data.split("train")
    if type(split) is not Split or split.images.numel() * 4 > MOST_BYTES:
        return None
    if data.num_classes > 2:
        if isinstance(estimator, NearestExample):
            return _nearest(estimator, split, data.num_classes, module.device)
        return None
    place = module.device if isinstance(estimator, DirectResidual) else torch.device("cpu")  # a network there is fast
    parts = [split.__getitems__(part.tolist()) for part in torch.arange(len(split)).split(BLOCK)]
    given = [(part.x.to(place), part.y.to(place)) for part in parts]
    return KnownResiduals(torch.cat([residuals_of(estimator, x, y, 1 - y) for x, y in given]).to(module.device))


def _nearest(estimator: NearestExample, split: Split, classes: int, device: torch.device) -> KnownNearest | None:
    if device.type not in SEARCHED_BEFORE:
        return None
    count = len(estimator.examples.labels)
    if len(split) * classes > MOST_SEARCHES or count * split.images[0].numel() * 4 > MOST_BYTES:
        return None
    present = estimator.examples.labels.unique().tolist()
    rows = torch.zeros(len(split), classes, dtype=torch.int64)
    for part in torch.arange(len(split)).split(BLOCK):
        x = split.__getitems__(part.tolist()).x
        for c in present:
            rows[part, c] = estimator.rows(x, torch.full((len(x),), c))
    if len(present) < classes:
        return None  # which the estimator says when such a class is asked for
    return KnownNearest(estimator.examples.read(torch.arange(count)).to(device), rows.to(device))
