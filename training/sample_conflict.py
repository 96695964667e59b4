"""How far the clean and the adversarial gradient of each single sample disagree, in the weights of a network."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from training.conflict import cosine_of, in_single, summable
from training.networks.batch_norm import FrozenBatchNorm
from training.weight_perturbation import Substituted

SampleLoss = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
"""From a network, x `(1, *shape)`, x' of the same shape and y `(1,)` to a scalar loss, with the passes it needs."""


class SampleConflict(NamedTuple):
    """Inner products and norms of the two gradients of each sample, all weights as one vector, in float64.

    A zero gradient has no direction: its cosine is 0.
    """

    inner_products: Float64[Tensor, " B"]
    clean_norms: Float64[Tensor, " B"]
    adversarial_norms: Float64[Tensor, " B"]

    @property
    def cosines(self) -> Float64[Tensor, " B"]:
        """φᵢ = cos(g_n, g_a) of each sample, in [-1, 1]."""
        return cosine_of(self.inner_products, self.clean_norms * self.adversarial_norms)

    @property
    def mus(self) -> Float64[Tensor, " B"]:
        """μᵢ = ‖g_n‖ ‖g_a‖ (1 − cos(g_n, g_a)) of each sample: paper 3, section 3."""
        return self.clean_norms * self.adversarial_norms * (1 - self.cosines)


def sample_conflict(
    network: nn.Module,
    losses: tuple[SampleLoss, SampleLoss],
    x: Float[Tensor, "B *shape"],
    perturbed: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    at_once: int = 16,
) -> SampleConflict:
    """Measure it by per-sample gradients, which are exact, of which so many are held at a time.

    Args:
        network: in the mode that it is trained in; only weights that ask for a gradient count.
        losses: the clean and the adversarial one of one sample.
        x: inputs.
        perturbed: x'.
        y: true classes.
        at_once: samples whose gradients are held at a time, at least 1.

    Raises:
        ValueError: if the network normalises over a batch, so that no sample has a gradient of its own.
    """
    check_by_sample(network)
    weights = {name: weight.detach() for name, weight in network.named_parameters() if weight.requires_grad}

    def gradients(*sample: Tensor) -> list[dict[str, Tensor]]:
        found = [torch.func.grad(lambda w, of=of: of(Substituted(network, w), *sample)) for of in losses]
        return [gradient(weights) for gradient in found]

    # A gradient may underflow in half precision; and the training draws, on the CPU, as if nothing were measured.
    with torch.autocast(x.device.type, enabled=False), torch.random.fork_rng(devices=[]):
        parts = zip(x.split(at_once), perturbed.split(at_once), y.split(at_once), strict=True)
        found = [_products(*(list(one.values()) for one in of_samples(gradients, *part))) for part in parts]
    return SampleConflict(*(torch.cat(column) for column in zip(*found, strict=True)))


def of_samples(function: Callable[..., Any], *batch: Tensor) -> Any:
    """What a function of batches of one returns for each sample, as tensors of one dimension more.

    A network that draws, as dropout does, draws anew for each.
    """

    def of_sample(*sample: Tensor) -> Any:
        return function(*(part.unsqueeze(0) for part in sample))

    return torch.func.vmap(of_sample, randomness="different")(*batch)


def check_by_sample(network: nn.Module) -> None:
    """Refuse a network in which the logits of a sample in training depend on the others of its batch.

    Raises:
        ValueError: if it normalises over a batch with the statistics of that batch.
    """
    for name, part in network.named_modules():
        if isinstance(part, _BatchNorm) and not isinstance(part, FrozenBatchNorm) and _of_batch(part):
            raise ValueError(
                f"`network` should have no batch normalisation, since a sample has no gradient of its own under it. "
                f"Found {type(part).__name__} as {name!r}. Take a network without it, or one in which it is frozen, "
                "such as `batch_norm: frozen` of the ResNets here."
            )


def _of_batch(part: _BatchNorm) -> bool:
    """Whether it takes its statistics from the batch."""
    return part.training or part.running_mean is None


def _products(clean: list[Tensor], adversarial: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Per sample ⟨g_n, g_a⟩, ‖g_n‖ and ‖g_a‖ of gradients `(B, *shape of a weight)`."""
    clean, adversarial = (summable(in_single(gradients)) for gradients in (clean, adversarial))
    pairs = zip(clean, adversarial, strict=True)
    inner = torch.stack([(g_n * g_a).flatten(1).sum(dim=1, dtype=torch.float64) for g_n, g_a in pairs])
    return inner.sum(dim=0), _norms(clean), _norms(adversarial)


def _norms(gradients: list[Tensor]) -> Float64[Tensor, " B"]:
    lengths = [torch.linalg.vector_norm(g.flatten(1), dim=1, dtype=torch.float64) for g in gradients]
    return torch.linalg.vector_norm(torch.stack(lengths), dim=0)
