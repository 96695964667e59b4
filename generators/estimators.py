"""A residual estimator from the file that holds it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from alignment.contracts import check_choice
from generators.checkpoints import holds_generator, load_generator
from generators.denoiser import ScoreDifference
from generators.descriptions import check_fits
from generators.direct import DirectResidual
from generators.projection import LatentProjection
from generators.residuals import ResidualEstimator
from generators.store import StoredResidual
from generators.translation import Translation

METHODS: dict[str, Callable[..., ResidualEstimator]] = {"difference": ScoreDifference, "translation": Translation}
"""What is made of a denoiser, by name."""


def by_denoiser(generator: nn.Module, *, method: str = "difference", **options: Any) -> ResidualEstimator:
    """An estimator of a denoiser: its difference between two classes, or the translation from one to the other.

    Args:
        generator: the denoiser.
        method: "difference" or "translation".
        options: what `ScoreDifference` or `Translation` takes.

    Raises:
        ValueError: if there is no such method.
    """
    check_choice(method, tuple(METHODS), "method")
    return METHODS[method](generator, **options)


ESTIMATORS: dict[str, Callable[..., ResidualEstimator]] = {
    "direct": DirectResidual,
    "conditional": LatentProjection,
    "denoiser": by_denoiser,
}
"""What is made of a generator, by its kind."""


def load_estimator(
    path: str | Path,
    *,
    data: str,
    shape: Sequence[int],
    num_classes: int,
    bounds: tuple[float, float] | None = None,
    **options: Any,
) -> ResidualEstimator:
    """The estimator that a checkpoint of a generator (.ckpt) or a store of residuals (.h5) holds.

    Args:
        path: of the file.
        data: name of the data set it should belong to.
        shape: of one image.
        num_classes: C.
        bounds: lowest and highest legal value, in whose units a generator was trained; None not to look at them.
        options: what `DirectResidual`, `LatentProjection`, `StoredResidual` or `by_denoiser` take besides.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is of another kind, was made for another data set, image size, number of classes
            or other bounds, or its estimator does not take the options.
    """
    path = Path(path)
    if path.suffix == ".h5":
        return _made(StoredResidual, path, path, {"data": data}, **options)
    generator, found = load_generator(path)
    check_fits(found, path, data=data, shape=shape, num_classes=num_classes, bounds=bounds)
    return _made(ESTIMATORS[found["kind"]], path, generator, **options)


def holds_estimator(path: str | Path) -> bool:
    """Whether a file is a store of residuals or the checkpoint of a generator."""
    return Path(path).suffix == ".h5" or holds_generator(path)


def _made(make: Callable[..., ResidualEstimator], path: Path, *given: Any, **options: Any) -> ResidualEstimator:
    try:
        return make(*given, **options)
    except TypeError as error:
        raise ValueError(f"The estimator of {path} does not take these options: {error}.") from error
