"""Gradients of the mean cross-entropy in a classifier's parameters, and how fast they turn with the inputs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int
from torch import Tensor, nn

from alignment.gradients import as_variable, differentiable, evaluating, logits_of
from eval.robustness.batching import Batching
from training.weight_perturbation import Substituted

Result = TypeVar("Result")


@dataclass(frozen=True)
class ParameterGradients:
    """Of a classifier in evaluation mode, so that no statistics move; it is left as it was found.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        y: true classes of the samples, `(N,)`.

    Raises:
        ValueError: if no parameter is trained.
    """

    classifier: nn.Module
    y: Int[Tensor, " N"]

    def __post_init__(self) -> None:
        if not self.weights:
            raise ValueError("`classifier` should have parameters that ask for a gradient. Found none.")

    @property
    def weights(self) -> list[Tensor]:
        """Those that are trained."""
        return [weight for weight in self.classifier.parameters() if weight.requires_grad]

    def mean(self, x: Float[Tensor, "N *shape"]) -> list[Tensor]:
        """∇_w of the mean loss over all samples, one tensor per parameter."""
        return _summed(self._over(lambda rows: self._in_weights(self._share(x, rows)[0])))

    def of_each(self, x: Float[Tensor, "N *shape"]) -> Float[Tensor, "N P"]:
        """∇_w of the loss of every sample, as one vector each, on the CPU."""
        found = []
        with evaluating(self.classifier), differentiable():
            for image, label in zip(x.split(1), self.y.split(1), strict=True):
                gradient = self._in_weights(F.cross_entropy(logits_of(self.classifier, image), label))
                found.append(torch.cat([part.flatten() for part in gradient]).cpu())
        return torch.stack(found)

    def largest_curvature(
        self, x: Float[Tensor, "N *shape"], generator: torch.Generator, iterations: int = 100, tolerance: float = 1e-3
    ) -> Float64[Tensor, ""]:
        """λ_max of Hᵀ H, with H the derivative of the mean loss's gradient in all inputs: paper 3, Eq. 11.

        By power iteration, which comes from below; it ends when λ grows by less than the tolerance, relative.
        """
        moved = torch.randn(x.shape, generator=generator).to(x)
        found = torch.zeros((), dtype=torch.float64)
        for _ in range(iterations):
            turned = self._turned_by(x, moved / torch.linalg.vector_norm(moved))
            before, found = found, torch.stack([part.cpu().double().square().sum() for part in turned]).sum()
            if found <= before * (1 + tolerance):
                break
            moved = self._back(x, turned)
        return torch.maximum(found, before)

    def _turned_by(self, x: Tensor, moved: Tensor) -> list[Tensor]:
        """H v: the change of the gradient where the inputs are moved along v."""

        def of(rows: Tensor) -> list[Tensor]:
            loss, variable = self._share(x, rows)
            (slope,) = torch.autograd.grad(loss, variable, create_graph=True)
            return self._in_weights((slope * moved[rows]).sum())

        return _summed(self._over(of))

    def _back(self, x: Tensor, turned: Sequence[Tensor]) -> Tensor:
        """Hᵀ u, of the shape of the inputs."""

        def of(rows: Tensor) -> Tensor:
            loss, variable = self._share(x, rows)
            slopes = self._in_weights(loss, create_graph=True)
            along = torch.stack([(slope * part).sum() for slope, part in zip(slopes, turned, strict=True)]).sum()
            return torch.autograd.grad(along, variable)[0]

        return torch.cat(self._over(of))

    def _share(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """What some samples have in the mean loss, and their inputs as a variable."""
        variable = as_variable(x[rows])
        losses = F.cross_entropy(logits_of(self.classifier, variable), self.y[rows], reduction="sum")
        return losses / len(x), variable

    def _in_weights(self, value: Tensor, create_graph: bool = False) -> list[Tensor]:
        return [*torch.autograd.grad(value, self.weights, create_graph=create_graph, materialize_grads=True)]

    def _over(self, of: Callable[[Tensor], Result]) -> list[Result]:
        """What a function finds for batches of samples, in halves where they do not fit into memory."""
        with evaluating(self.classifier), differentiable():
            return Batching("auto").over(torch.arange(len(self.y), device=self.y.device), of)


def _summed(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [torch.stack(tensors).sum(dim=0) for tensors in zip(*parts, strict=True)]


class Moved(Substituted):
    """A module with weights moved, for calling only; its parameters are the moved ones, the module's own stay.

    Args:
        module: whose forward pass is made.
        step: what is added to its weights, by name.
    """

    def __init__(self, module: nn.Module, step: Mapping[str, Tensor]) -> None:
        weights = dict(module.named_parameters())
        moved = {name: (weights[name].detach() + change).requires_grad_() for name, change in step.items()}
        super().__init__(module, moved)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """The moved weights."""
        return iter(self.tensors.values())  # type: ignore[arg-type]
