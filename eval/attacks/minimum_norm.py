"""Minimum-norm attacks from the package foolbox: Carlini–Wagner, DDN, FMN and DeepFool.

None takes a budget: each looks for the closest misclassified point. Whatever they return, what counts here is the
closest misclassified point that they ever showed to the classifier.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_counts, check_number
from eval.attacks.shown import Shown, ShownToFMN, closest_shown
from training.balls import Norm


def carlini_wagner(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    norm: Norm = "L2",
    steps: int = 300,
    search_steps: int = 6,
    step_size: float = 0.02,
    initial_const: float = 1.0,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """The attack of Carlini and Wagner in L2 (2017, https://arxiv.org/abs/1608.04644, section VI).

    Adam minimises ‖δ‖² + c·max(margin, 0) in the space of artanh, and c is searched for each sample. It takes at most
    `steps` · `search_steps` forward and backward passes, 1,800 by default, which end 1 % above the radius of a linear
    classifier in the median; foolbox's own defaults are 90,000.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`. It is left as it was found.
        x: inputs within the bounds, `(B, *shape)`.
        y: true classes, `(B,)` int64 in [0, C).
        norm: "L2".
        steps: of Adam for each c.
        search_steps: values of c tried, tenfold upwards until one fools, then bisected.
        step_size: of Adam.
        initial_const: the first c, for inputs mapped to [0, 1].
        bounds: lowest and highest legal value of an input. Where infinite, the attack moves in the range of the
            inputs and as far again on either side.
        generator: source of randomness; None for a fresh one. The global random state is put back.

    Returns:
        Misclassified inputs within the bounds, and x itself where it is misclassified already or none was found.

    Raises:
        ValueError: if foolbox is not installed, for labels that are no int64 or out of range, inputs that are no
            floating-point tensor, NaN or outside the bounds, logits or gradients that are not finite, a norm that the
            attack does not know, fewer than one step, or a step size or first c that is not above 0.
    """
    check_counts(1, steps=steps, search_steps=search_steps)
    check_number(step_size, "step_size", "be above 0", lambda value: value > 0)
    check_number(initial_const, "initial_const", "be above 0", lambda value: value > 0)
    attack = _attacks().L2CarliniWagnerAttack(
        steps=steps, binary_search_steps=search_steps, stepsize=step_size, initial_const=initial_const
    )
    return _closest({"L2": attack}, classifier, x, y, norm, bounds, generator)


def ddn(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    norm: Norm = "L2",
    steps: int = 300,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """Decoupled direction and norm, in L2 (Rony et al. 2019, https://arxiv.org/abs/1811.09600, Algorithm 1).

    The direction follows the gradient of cross-entropy; the norm shrinks by 5 % whenever the point is misclassified
    and grows by 5 % when not. One forward and one backward pass per step.

    Args:
        classifier: see `carlini_wagner`, as for everything that is not named here.
        x: inputs.
        y: true classes.
        norm: "L2".
        steps: of the gradient.
        bounds: lowest and highest legal value of an input.
        generator: source of randomness, used where a gradient is zero.

    Returns:
        Misclassified inputs, or x itself.

    Raises:
        ValueError: see `carlini_wagner`.
    """
    check_counts(1, steps=steps)
    return _closest({"L2": _attacks().DDNAttack(steps=steps)}, classifier, x, y, norm, bounds, generator)


def fmn(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    norm: Norm = "Linf",
    steps: int = 300,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """Fast minimum norm, in L∞, L2 and L1 (Pintor et al. 2021, https://arxiv.org/abs/2102.12827, Algorithm 1).

    Gradient steps on the margin alternate with projections to a ball that shrinks whenever the point is misclassified
    and grows when not. One forward and one backward pass per step.

    Three faults of foolbox 3.3.4 are mended here. In L2 it does not project at all. It aims at the boundary itself,
    so that a sample that nears it from within may never cross it. And it takes the gradient to be free to move in
    coordinates that lie at a bound, so that a step may come to nothing again and again.

    Args:
        classifier: see `carlini_wagner`, as for everything that is not named here.
        x: inputs.
        y: true classes.
        norm: in which the distance is to be small.
        steps: of the gradient.
        bounds: lowest and highest legal value of an input.
        generator: source of randomness.

    Returns:
        Misclassified inputs, or x itself.

    Raises:
        ValueError: see `carlini_wagner`.
    """
    attacks = _attacks()

    class L2(attacks.L2FMNAttack):  # type: ignore[name-defined,misc]
        def project(self, x: Any, x0: Any, epsilon: Any) -> Any:
            shift = x - x0
            length = shift.flatten(start=1).norms.l2(axis=-1)
            share = (epsilon / length.maximum(1e-12)).minimum(1)
            return x0 + shift * share.reshape((-1,) + (1,) * (x.ndim - 1))

    kinds: dict[Norm, Any] = {"Linf": attacks.LInfFMNAttack, "L2": L2, "L1": attacks.L1FMNAttack}
    check_counts(1, steps=steps)
    made = {known: kind(steps=steps) for known, kind in kinds.items()}
    return _closest(made, classifier, x, y, norm, bounds, generator, ShownToFMN)


def deepfool(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    *,
    norm: Norm = "L2",
    steps: int = 50,
    candidates: int = 10,
    overshoot: float = 0.02,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """DeepFool, in L2 and L∞ (Moosavi-Dezfooli et al. 2016, https://arxiv.org/abs/1511.04599, Algorithm 2).

    Steps to the closest boundary of the linearised classifier, until the point is misclassified. Fast and rough: a
    step takes one forward and one backward pass per candidate class, and few steps are needed.

    Args:
        classifier: see `carlini_wagner`, as for everything that is not named here.
        x: inputs.
        y: true classes.
        norm: "L2" or "Linf".
        steps: at most.
        candidates: classes considered, those of the largest logits, the true one included.
        overshoot: part of the way gone beyond the boundary.
        bounds: lowest and highest legal value of an input.
        generator: source of randomness, of which none is used.

    Returns:
        Misclassified inputs, or x itself.

    Raises:
        ValueError: see `carlini_wagner`.
    """
    check_counts(1, steps=steps)
    check_counts(2, candidates=candidates)
    check_number(overshoot, "overshoot", "be at least 0", lambda value: value >= 0)
    kinds: dict[Norm, Any] = {"L2": _attacks().L2DeepFoolAttack, "Linf": _attacks().LinfDeepFoolAttack}
    options = {"steps": steps, "candidates": candidates, "overshoot": overshoot}
    with _root_logger_as_found():
        return _closest(
            {known: kind(**options) for known, kind in kinds.items()}, classifier, x, y, norm, bounds, generator
        )


def _closest(
    attacks: dict[Norm, Any],
    classifier: nn.Module,
    x: Tensor,
    y: Tensor,
    norm: Norm,
    bounds: tuple[float, float],
    generator: torch.Generator | None,
    show: type[Shown] = Shown,
) -> Tensor:
    """The closest misclassified points that an attack of foolbox, one of each norm, shows to the classifier."""
    from foolbox.models.pytorch import PyTorchModel

    def run(shown: Shown, u: Tensor, y: Tensor) -> None:
        attacks[norm].run(PyTorchModel(shown, bounds=(0, 1), device=u.device), u, y)

    return closest_shown(
        run, classifier, x, y, norm=norm, norms=tuple(attacks), bounds=bounds, generator=generator, show=show
    )


@contextmanager
def _root_logger_as_found() -> Iterator[None]:
    """DeepFool logs to the root logger, which would give it a handler if it had none."""
    silent, root = logging.NullHandler(), logging.getLogger()
    root.addHandler(silent)
    try:
        yield
    finally:
        root.removeHandler(silent)


def _attacks() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # foolbox 3.3 takes a filter from a module that SciPy is about to rename.
            warnings.filterwarnings("ignore", "Please import `gaussian_filter`", DeprecationWarning)
            import foolbox.attacks
    except ImportError as error:
        raise ValueError(f"This attack needs foolbox: pip install 'alphadx[foolbox]'. Found: {error}") from error
    return foolbox.attacks
