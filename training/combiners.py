"""Gradient combiners: from one gradient per named loss to the gradient of the step."""

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from alignment.contracts import check_number
from training.conflict import Conflict, Tensors, conflict, in_single, norms
from training.turning import check_goal, turned

Gradients = Mapping[str, list[Tensor]]


@runtime_checkable
class Combiner(Protocol):
    """Makes one gradient of the gradients of several losses.

    Half precision is computed in float32. A single gradient is returned as it is: there is nothing to combine.
    The gradients given are left unchanged. A combiner may have a method `check` that is given the names of the losses
    before training begins and refuses those that it cannot combine.

    Args:
        gradients: for each named loss one tensor per parameter; the same shapes for every loss.
        measured: what `conflict` says of the clean and the adversarial gradient, where it is already known.
    """

    def __call__(self, gradients: Gradients, measured: Conflict | None = None) -> list[Tensor]:
        """One tensor per parameter, of the shapes and types of the first gradient."""
        ...


class WeightedSum:
    """Σ weight · gradient, the vanilla combination of papers 2 and 3: (1 − λ) g_n + λ g_a.

    Paper 2's Case 1 is {"clean": 0.5, "adversarial": 0.5}, its Case 2 {"clean": 0.1, "adversarial": 0.9}.

    Args:
        weights: one finite number per loss, by the names of the losses.

    Raises:
        ValueError: if a weight is not finite.

    Example:
        >>> WeightedSum({"clean": 0.25, "adversarial": 0.75})(
        ...     {"clean": [torch.tensor([4.0, 0.0])], "adversarial": [torch.tensor([0.0, 4.0])]}
        ... )
        [tensor([1., 3.])]
    """

    def __init__(self, weights: dict[str, float]) -> None:
        for name, weight in weights.items():
            check_number(weight, f"weights[{name!r}]", "be finite", math.isfinite)
        self.weights = weights

    def __call__(self, gradients: Gradients, measured: Conflict | None = None) -> list[Tensor]:
        """The weighted sum.

        Raises:
            ValueError: if the gradients' names are not those of the weights, or their shapes differ.
        """
        first = _first(gradients)
        if len(gradients) == 1:
            return first
        self.check(gradients)
        _check_shapes(gradients)
        parts = [torch._foreach_mul(in_single(tensors), self.weights[name]) for name, tensors in gradients.items()]
        return _typed(_sum(parts), first)

    def check(self, losses: Collection[str]) -> None:
        """Refuse losses whose names are not those of the weights.

        Raises:
            ValueError: if they are not.
        """
        if set(losses) != self.weights.keys():
            raise ValueError(
                f"`weights` should name the losses {', '.join(sorted(losses))}. "
                f"Found {', '.join(sorted(self.weights))}."
            )


class _OfTwo(ABC):
    """A combiner of the clean and the adversarial gradient; further ones are added to the combination."""

    def __call__(self, gradients: Gradients, measured: Conflict | None = None) -> list[Tensor]:
        """The combination, plus every further gradient (such as the alignment penalty's) as it is.

        Raises:
            ValueError: if there are several gradients but not a clean and an adversarial one, or shapes differ.
        """
        first = _first(gradients)
        if len(gradients) == 1:
            return first
        self.check(gradients)
        _check_shapes(gradients)
        single = {name: in_single(tensors) for name, tensors in gradients.items()}
        clean, adversarial = single.pop("clean"), single.pop("adversarial")
        combined = self._combined(clean, adversarial, measured or conflict(clean, adversarial))
        return _typed(_sum([combined, *single.values()]), first)

    def check(self, losses: Collection[str]) -> None:
        """Refuse losses among which there is not a clean and an adversarial one.

        Raises:
            ValueError: if there is not.
        """
        if not {"clean", "adversarial"} <= set(losses):
            raise ValueError(
                f"The losses of {type(self).__name__} should be `clean`, `adversarial` and any further ones. "
                f"Found {', '.join(sorted(losses))}."
            )

    @abstractmethod
    def _combined(self, clean: list[Tensor], adversarial: list[Tensor], measured: Conflict) -> Tensors: ...


class AGR(_OfTwo):
    """Adaptive gradient reconstruction, separately for every parameter tensor: paper 2, Algorithm 1.

    With cs the cosine of a tensor's two gradients, the combination is, before it is clipped,

        cs < 0 :  g_a − ⟨g_a, g_n⟩ / ⟨g_n, g_n⟩ · g_n        (GOP, Eqs. 5–6)
        cs ≥ 0 :  cs · g_n + (1 − cs) · g_a                   (GICS, Eq. 7)

    which opposes neither gradient (Theorem 4.1). A tensor with a zero clean gradient keeps g_a.

    Args:
        clip_norm: C, the longest combination of a tensor, above 0; None for no clip. A single or a further gradient
            is not clipped.
        gop: project where the gradients oppose each other, rather than keep g_a.
        gics: interpolate where they do not, rather than keep g_a.

    Raises:
        ValueError: if `clip_norm` is not above 0.

    Example:
        >>> AGR(clip_norm=None)({"clean": [torch.tensor([2.0, 0.0])], "adversarial": [torch.tensor([-3.0, 4.0])]})
        [tensor([0., 4.])]
    """

    def __init__(self, clip_norm: float | None = 0.1, gop: bool = True, gics: bool = True) -> None:
        if clip_norm is not None:
            check_number(clip_norm, "clip_norm", "be above 0, or None for no clip", lambda length: length > 0)
        self.clip_norm, self.gop, self.gics = clip_norm, gop, gics

    def _combined(self, clean: list[Tensor], adversarial: list[Tensor], measured: Conflict) -> Tensors:
        cosines = measured.cosines
        opposed = cosines < 0  # never where the clean gradient is zero
        projection = -measured.inner_products / measured.clean_norms.square()
        of_clean = torch.where(opposed, projection * self.gop, cosines * self.gics)
        of_adversarial = torch.where(opposed, 1, 1 - cosines * self.gics)
        combined = _sum([_scaled(clean, of_clean), _scaled(adversarial, of_adversarial)])
        if self.clip_norm is None:
            return combined
        return _scaled(combined, 1 / (norms(combined) / self.clip_norm).clamp(min=1))


class CAAT(_OfTwo):
    """Conflict-aware adversarial training, over all parameters as one vector: paper 3, Eq. 4.

    With φ = cos(g_n, g_a), the combination is g_n where φ > γ, and otherwise

        g_a + ‖g_a‖ ( γ √(1 − φ²) − φ √(1 − γ²) ) / ( ‖g_n‖ √(1 − γ²) ) · g_n,

    which has the cosine γ with g_n. Its length is ‖g_a‖ √(1 − φ²) / √(1 − γ²), so it is zero for exactly opposite
    gradients and for a zero g_a. Where g_n is zero it is g_a. For γ = 1, the limit of the direction, it is g_n.

    Args:
        gamma: γ, the goal of the cosine, in [0, 1].

    Raises:
        ValueError: if γ is not in [0, 1].

    Example:
        >>> CAAT(gamma=0.6)({"clean": [torch.tensor([2.0, 0.0])], "adversarial": [torch.tensor([-3.0, 4.0])]})
        [tensor([3., 4.])]
    """

    def __init__(self, gamma: float = 0.8) -> None:
        self.gamma = check_goal(gamma)

    def _combined(self, clean: list[Tensor], adversarial: list[Tensor], measured: Conflict) -> Tensors:
        if self.gamma == 1:
            return [gradient.clone() for gradient in clean]
        lengths = measured.clean_norm, measured.adversarial_norm
        of_clean, of_adversarial = turned(measured.cosine, *lengths, self.gamma)
        return _sum([_scaled(clean, of_clean), _scaled(adversarial, of_adversarial)])


class TorchJD:
    """Any aggregator of TorchJD, such as PCGrad, MGDA, CAGrad or UPGrad: https://torchjd.org.

    It is given the matrix of the gradients, losses × parameters, in at least float32; its rows are the losses by name
    in alphabetical order. An aggregator may wait for the device, and may draw from the global random state, as PCGrad
    does, which matters with more than two losses.

    Args:
        aggregator: from a matrix `(losses, parameters)` to a vector `(parameters,)`; an object of
            `torchjd.aggregation`, which the extra `torchjd` installs.
    """

    def __init__(self, aggregator: nn.Module) -> None:
        self.aggregator = aggregator

    def __call__(self, gradients: Gradients, measured: Conflict | None = None) -> list[Tensor]:
        """The aggregated gradient.

        Raises:
            ValueError: if shapes differ.
        """
        first = _first(gradients)
        if len(gradients) == 1:
            return first
        _check_shapes(gradients)
        rows = [torch.cat([tensor.flatten() for tensor in in_single(gradients[name])]) for name in sorted(gradients)]
        parts = self.aggregator(torch.stack(rows)).split([tensor.numel() for tensor in first])
        return _typed([part.reshape(tensor.shape) for part, tensor in zip(parts, first, strict=True)], first)


def _first(gradients: Gradients) -> list[Tensor]:
    if not isinstance(gradients, Mapping) or not gradients:
        found = "none" if isinstance(gradients, Mapping) else type(gradients).__name__
        raise ValueError(f"`gradients` should be a dict of one list of tensors per loss. Found {found}.")
    return next(iter(gradients.values()))


def _check_shapes(gradients: Gradients) -> None:
    expected = [tuple(tensor.shape) for tensor in _first(gradients)]
    for name, tensors in gradients.items():
        found = [tuple(tensor.shape) for tensor in tensors]
        if found != expected:
            raise ValueError(
                f"`gradients` should have the same shapes for every loss, {expected}. Found {found} for {name!r}."
            )


def _scaled(gradients: Tensors, factors: Tensor) -> Tensors:
    """Every tensor times its own factor, or all times one."""
    factors = factors.to(gradients[0].dtype)  # of one type, as the multi-tensor kernel of a GPU wants it
    if factors.ndim == 0:
        return torch._foreach_mul(gradients, factors)
    return torch._foreach_mul(gradients, factors.unbind())


def _sum(parts: Sequence[Tensors]) -> Tensors:
    """The sum of all, which takes the place of the first."""
    total, *others = parts
    for part in others:
        torch._foreach_add_(total, part)
    return total


def _typed(combined: Tensors, like: list[Tensor]) -> list[Tensor]:
    return [tensor.to(original.dtype) for tensor, original in zip(combined, like, strict=True)]
