"""Minimum-norm attacks from the package adv-lib: FMN, DDN, PDGD, PDPGD, ALMA and σ-zero.

None takes a budget: each looks for the closest misclassified point. Whatever they return, what counts here is the
closest misclassified point that they ever showed to the classifier.
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_counts, check_number
from eval.attacks.adversarial_library_import import attacks_of_adv_lib
from eval.attacks.shown import Shown, ShownLarge, ShownToALMA, ShownToFMN, ShownToFMNInL0, closest_shown
from training.balls import ORDER, Distance

EVERY_DISTANCE: tuple[Distance, ...] = ("Linf", "L2", "L1", "L0")
SPARSE_PROXIMAL = 23
"""What adv-lib calls the proximal operator of the L⅔ quasi-norm, with which it makes perturbations small in L0."""


def fmn_advlib(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    norm: Distance = "Linf",
    steps: int = 300,
    first_step: float = 1.0,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """Fast minimum norm, in L∞, L2, L1 and L0 (Pintor et al. 2021, https://arxiv.org/abs/2102.12827, Algorithm 1).

    As `eval.attacks.minimum_norm.fmn`, with the library's own projections: in L2 each step ends on the sphere and not
    within it. What is mended there is mended here. One forward and one backward pass per step.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`. It is left as it was found.
        x: inputs within the bounds, `(B, *shape)`.
        y: true classes, `(B,)` int64 in [0, C).
        norm: in which the distance is to be small; L0 counts coordinates, so that a pixel of three colours is three.
        steps: of the gradient.
        first_step: length in L2 of the first step, for inputs mapped to [0, 1]; the last is a hundredth of it.
        bounds: lowest and highest legal value of an input. Where infinite, the attack moves in the range of the
            inputs and as far again on either side.
        generator: source of randomness; None for a fresh one. The global random state is put back.

    Returns:
        Misclassified inputs within the bounds, and x itself where it is misclassified already or none was found.

    Raises:
        ValueError: if adv-lib is not installed, for labels that are no int64 or out of range, inputs that are no
            floating-point tensor, NaN or outside the bounds, logits or gradients that are not finite, a norm that the
            attack does not know, or options out of range.
    """
    check_counts(1, steps=steps)
    check_number(first_step, "first_step", "be above 0 and finite", lambda value: 0 < value < math.inf)
    options = {"norm": _order(norm), "steps": steps, "α_init": first_step}
    show = ShownToFMNInL0 if norm == "L0" else ShownToFMN
    return _closest("fmn", options, classifier, x, y, norm, EVERY_DISTANCE, bounds, generator, show)


def ddn_advlib(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    norm: Distance = "L2",
    steps: int = 300,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """Decoupled direction and norm, in L2 (Rony et al. 2019, https://arxiv.org/abs/1811.09600, Algorithm 1).

    By its first author; the grey levels to which it rounds by default are left out. One forward and one backward pass
    per step.

    Args:
        classifier: see `fmn_advlib`, as for everything that is not named here.
        x: inputs.
        y: true classes.
        norm: "L2".
        steps: of the gradient.
        bounds: lowest and highest legal value of an input.
        generator: source of randomness, used where a gradient is zero.

    Returns:
        Misclassified inputs, or x itself.

    Raises:
        ValueError: see `fmn_advlib`.
    """
    check_counts(1, steps=steps)
    return _closest("ddn", {"steps": steps, "levels": None}, classifier, x, y, norm, ("L2",), bounds, generator)


def pdgd(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    norm: Distance = "L2",
    steps: int = 500,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """Primal-dual gradient descent, in L2 (Matyasko and Chau 2021, https://arxiv.org/abs/2106.01538, Algorithm 1).

    Adam descends the Lagrangian λ₀‖δ‖₂ + λ₁ softplus(margin) in δ while λ ascends it. Tiny logits are scaled up,
    since Adam finds nothing where gradients are below 1e-8. One forward and one backward pass per step.

    Args:
        classifier: see `fmn_advlib`, as for everything that is not named here.
        x: inputs.
        y: true classes.
        norm: "L2".
        steps: of the gradient; at least 2.
        bounds: lowest and highest legal value of an input.
        generator: source of randomness, of which none is used.

    Returns:
        Misclassified inputs, or x itself.

    Raises:
        ValueError: see `fmn_advlib`.
    """
    check_counts(2, steps=steps)
    return _closest("pdgd", {"num_steps": steps}, classifier, x, y, norm, ("L2",), bounds, generator, ShownLarge)


def pdpgd(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    norm: Distance = "Linf",
    steps: int = 500,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """Primal-dual proximal gradient descent (Matyasko and Chau 2021, https://arxiv.org/abs/2106.01538, Algorithm 2).

    As `pdgd`, with the proximal operator of the norm in place of its gradient; for L0 that of L⅔. One forward and one
    backward pass per step.

    Args:
        classifier: see `fmn_advlib`, as for everything that is not named here.
        x: inputs.
        y: true classes.
        norm: in which the distance is to be small.
        steps: of the gradient; at least 2.
        bounds: lowest and highest legal value of an input.
        generator: source of randomness, of which none is used.

    Returns:
        Misclassified inputs, or x itself.

    Raises:
        ValueError: see `fmn_advlib`.
    """
    check_counts(2, steps=steps)
    proximal = SPARSE_PROXIMAL if norm == "L0" else None
    options = {"norm": _order(norm), "num_steps": steps, "proximal_operator": proximal}
    return _closest("pdpgd", options, classifier, x, y, norm, EVERY_DISTANCE, bounds, generator, ShownLarge)


def alma(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    norm: Distance = "L2",
    steps: int = 1000,
    learning_rate: float = 0.03,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """Augmented Lagrangian method, in L2 (Rony et al. 2021, https://arxiv.org/abs/2011.11857, Algorithm 1).

    RMSProp descends ‖δ‖ + a penalty of the difference-of-logits ratio, whose multiplier and weight follow what is
    left of the constraint. One forward and one backward pass per step. Of two classes, for which the ratio does not
    exist, half the margin in units of its first value stands in its place. Its form in L1 is left out:
    it depends on a search for the first step that does not end where too few coordinates have a gradient.

    Args:
        classifier: see `fmn_advlib`, as for everything that is not named here.
        x: inputs.
        y: true classes.
        norm: "L2".
        steps: of the gradient.
        learning_rate: of the first step, for inputs mapped to [0, 1]; it ends at a hundredth of that. With the
            library's own 0.1 it ends far beyond the boundary on Spheres.
        bounds: lowest and highest legal value of an input.
        generator: source of randomness, of which none is used.

    Returns:
        Misclassified inputs, or x itself.

    Raises:
        ValueError: see `fmn_advlib`.
    """
    check_counts(1, steps=steps)
    check_number(learning_rate, "learning_rate", "be above 0 and finite", lambda value: 0 < value < math.inf)
    options = {"distance": "l2", "num_steps": steps, "lr_init": learning_rate}
    return _closest("alma", options, classifier, x, y, norm, ("L2",), bounds, generator, ShownToALMA)


def sigma_zero(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    norm: Distance = "L0",
    steps: int = 1000,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """σ-zero, in L0 (Cinà et al. 2024, https://arxiv.org/abs/2402.01879, Algorithm 1).

    Adam descends the margin and a smooth count of changed coordinates, and small changes are set to zero. One forward
    and one backward pass per step.

    Args:
        classifier: see `fmn_advlib`, as for everything that is not named here.
        x: inputs.
        y: true classes.
        norm: "L0", which counts coordinates, so that a pixel of three colours is three.
        steps: of the gradient.
        bounds: lowest and highest legal value of an input.
        generator: source of randomness, of which none is used.

    Returns:
        Misclassified inputs, or x itself.

    Raises:
        ValueError: see `fmn_advlib`.
    """
    check_counts(1, steps=steps)
    return _closest("sigma_zero", {"num_steps": steps}, classifier, x, y, norm, ("L0",), bounds, generator)


def _order(norm: Distance) -> float:
    """The p of a norm; one that there is not is refused later, with the norms that an attack knows."""
    return ORDER.get(norm, math.nan)


def _closest(
    name: str,
    options: dict[str, Any],
    classifier: nn.Module,
    x: Tensor,
    y: Tensor,
    norm: Distance,
    norms: tuple[Distance, ...],
    bounds: tuple[float, float],
    generator: torch.Generator | None,
    show: type[Shown] = Shown,
) -> Tensor:
    """The closest misclassified points that an attack of adv-lib shows to the classifier."""
    attack, spare = getattr(attacks_of_adv_lib(), name), show.spare

    def run(shown: Shown, u: Tensor, labels: Tensor) -> None:
        attack(shown, torch.cat([u, u[:spare]]), torch.cat([labels, labels[:spare]]), **options)

    return closest_shown(
        run,
        classifier,
        x,
        y,
        norm=norm,
        norms=norms,
        bounds=bounds,
        generator=generator,
        show=show,
    )
