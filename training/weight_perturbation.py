"""Adversarial weight perturbation (AWP) around any adversarial objective.

Wu et al. 2020, https://arxiv.org/abs/2004.05884.
"""

from collections.abc import Callable, Mapping
from functools import cache

import torch
import torch.distributed
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from alignment.logits import unwrapped
from generators.global_batch import portion_of
from training.balls import unit
from training.objective import takes_residual
from training.objectives import AdversarialObjective, Losses, Step, not_negative


class AWP:
    """The losses of an objective at weights moved against it: w + v with ‖v‖ = γ‖w‖, tensor by tensor.

    As published: x' is found at the true weights; v is one ascent step on the adversarial loss, in training mode;
    everything the objective needs, clean logits included, is then computed at w + v, and its gradient trains w.
    The true weights are never written to, and running statistics of normalisation see the second pass alone.

    Args:
        objective: whose adversarial loss is raised by v and then trained.
        gamma: γ ≥ 0, length of v relative to the weights; the paper has 0.01 with AT, its program 0.005 with TRADES.

    Raises:
        ValueError: if γ is below 0 or not finite.
    """

    def __init__(self, objective: AdversarialObjective, gamma: float = 0.01) -> None:
        self.objective, self.gamma = objective, not_negative(gamma, "gamma")
        self.names, self.takes_residual = objective.names, takes_residual(objective)

    def with_residual(self, residual: Float[Tensor, "B *shape"]) -> "AWP":
        """The same around the objective for one batch, where that needs Δ̂x."""
        return AWP(self.objective.with_residual(residual), self.gamma)  # type: ignore[attr-defined]

    def __call__(
        self,
        classifier: nn.Module,
        x: Tensor,
        y: Tensor,
        clean_logits: Callable[[], Tensor],
        *,
        bounds: tuple[float, float],
        generator: torch.Generator,
    ) -> Losses:
        """The losses of the objective at the moved weights; `clean_logits`, made at the true ones, are not used."""
        x = x.detach()
        perturbed = self.objective.perturbed(classifier, x, y, bounds=bounds, generator=generator)

        def losses_of(network: nn.Module, generator: torch.Generator) -> Losses:
            return self.objective.losses(Step(network, x, y, perturbed, cache(lambda: network(x)), generator))

        weights = perturbed_weights(classifier)
        buffers = {name: buffer.clone() for name, buffer in classifier.named_buffers()}
        # Both passes draw the same numbers; a CUDA graph could not hold a copy of the generator.
        copied = generator.clone_state() if self.objective.draws else generator
        loss = losses_of(Substituted(classifier, buffers), copied)["adversarial"]
        portion = portion_of(generator)
        shifts = worst_shifts(loss if portion is None else portion.weight * loss, weights, self.gamma)
        moved = {name: weight + shifts[name] for name, weight in weights.items()}
        return losses_of(Substituted(classifier, moved), generator)


class Substituted(nn.Module):
    """A module with some of its parameters and buffers replaced, for calling only; the module itself keeps its own.

    Args:
        module: whose forward pass is made.
        tensors: what replaces them, by name.
    """

    def __init__(self, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.module, self.tensors = module, dict(tensors)

    def forward(self, x: Tensor) -> Tensor:
        """The module's logits with the replaced tensors, see `alignment.logits.unwrapped`."""
        return unwrapped(functional_call(self.module, self.tensors, (x,)), len(x))


def perturbed_weights(classifier: nn.Module) -> dict[str, nn.Parameter]:
    """The trained parameters that AWP moves, by name: weights of two or more dimensions, no biases or scales.

    Raises:
        ValueError: if there are none.
    """
    weights = {
        name: parameter
        for name, parameter in classifier.named_parameters()
        if parameter.requires_grad and parameter.ndim > 1 and "weight" in name
    }
    if not weights:
        raise ValueError("`classifier` should have trained weights of two or more dimensions to perturb. Found none.")
    return weights


def worst_shifts(loss: Float[Tensor, ""], weights: Mapping[str, Tensor], gamma: float) -> dict[str, Tensor]:
    """Shifts v = γ‖w‖ · g/‖g‖ of every tensor, with g the gradient of the loss; zero where g is.

    Across processes the gradients are summed first, so that all processes move alike.

    Args:
        loss: a scalar computed from the weights.
        weights: w, by name.
        gamma: γ ≥ 0.

    Returns:
        v by name, each with the shape of its w, without a graph.
    """
    gradients = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for gradient in gradients:
            torch.distributed.all_reduce(gradient)
    return {
        name: gamma * torch.linalg.vector_norm(weight.detach()) * unit(gradient.unsqueeze(0)).squeeze(0)
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }
