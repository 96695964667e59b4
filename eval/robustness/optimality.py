"""How near an attack's radii come to the smallest that any attack found: AttackBench's local optimality."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray


def optimality(radii: Mapping[str, ArrayLike]) -> dict[str, float]:
    """The local optimality of several attacks on one classifier (Cinà et al. 2024, https://arxiv.org/abs/2404.19460).

    Let A_a(ε) be the accuracy under attack a at ε, the share of its radii above ε, and A⋆ the lower envelope of all
    attacks, whose radii are r⋆ = minₐ r_a sample by sample. Up to ε₀, where A⋆ ends,

        ξ_a = 1 − ∫₀^ε₀ (A_a − A⋆) dε / ∫₀^ε₀ (A(0) − A⋆) dε.

    The area between the curves is taken relative to that above the envelope, below which no attack comes: ξ is 1 for
    an attack that is best on every sample and 0 for one that fools nothing below ε₀. Since ∫₀^ε₀ A_a dε is the mean
    of min(r_a, ε₀), it is reckoned exactly, and not along a grid or by trapezia. A sample that no attack fooled says
    nothing, and ε₀ is the largest radius of the others.

    Args:
        radii: of the same samples in the same order, `(N,)` each, by the name of the attack: 0 where a sample is
            misclassified already, which adds nothing, and infinite where the attack found nothing.

    Returns:
        ξ in [0, 1] by the name of the attack; NaN for all where the envelope has one radius at most, so that the
        area above it is 0.

    Raises:
        ValueError: if there is no attack, or the radii are of different numbers of samples or of none, are NaN, or
            below 0.

    Example:
        >>> optimality({"near": [0.0, 1.0, 2.0, 4.0], "far": [0.0, 2.0, 2.0, 6.0]})
        {'near': 1.0, 'far': 0.8}
    """
    found = _checked(radii)
    best = np.minimum.reduce([*found.values()])
    correct = np.maximum.reduce([*found.values()]) > 0
    end = max(best[np.isfinite(best)], default=0.0)
    nearest = best.clip(max=end)
    above = float((end - nearest)[correct].sum())
    if above == 0:
        return dict.fromkeys(found, math.nan)
    between = {name: float((values.clip(max=end) - nearest)[correct].sum()) for name, values in found.items()}
    return {name: 1 - area / above for name, area in between.items()}


def _checked(radii: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float64]]:
    """The radii as float64, one array of the same length per attack."""
    found = {name: np.asarray(values, dtype=np.float64) for name, values in radii.items()}
    if not found:
        raise ValueError("`radii` should hold those of one attack at least. Found none.")
    shapes = {name: values.shape for name, values in found.items()}
    if len({*shapes.values()}) > 1 or any(len(shape) != 1 or not shape[0] for shape in shapes.values()):
        raise ValueError(f"`radii` should have one shape (N,), N ≥ 1, for all attacks. Found {shapes}.")
    for name, values in found.items():
        if not (values >= 0).all():
            raise ValueError(f"`radii` should be at least 0. Found {values[~(values >= 0)][0]} under {name}.")
    return found
