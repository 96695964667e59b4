"""What a training logs of its clean and adversarial gradient: paper 2, Figs. 1, S3–S7; paper 3, Fig. 3."""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from training.conflict import Conflict
from training.weight_perturbation import Substituted

COSINE, OPPOSED = "cosine/", "opposed/"
"""How the names begin under which each layer's cosine is logged, and the share of steps in which it is negative."""


def of_conflict(measured: Conflict | None, *, combined: bool) -> dict[str, Tensor]:
    """The conflict μ and its factors (paper 3), and the GOP frequency (paper 2) where gradients are combined.

    Args:
        measured: None where there is no clean or no adversarial gradient.
        combined: whether the step follows a combination of them.
    """
    if measured is None:
        return {}
    found = {
        "train_mu": measured.mu,
        "train_cosine": measured.cosine,
        "train_clean_norm": measured.clean_norm,
        "train_adversarial_norm": measured.adversarial_norm,
    }
    if combined:
        found["train_gop_frequency"] = measured.opposed
    return {name: value.float() for name, value in found.items()}


def of_layers(measured: Conflict | None, names: Iterable[str]) -> dict[str, Tensor]:
    """The cosine of every parameter tensor (paper 2, Definition 3.1), and whether it is negative.

    Args:
        measured: None where there is no clean or no adversarial gradient.
        names: of the tensors.
    """
    if measured is None:
        return {}
    pairs = [*zip(names, measured.cosines.float(), strict=True)]
    return {f"{COSINE}{name}": value for name, value in pairs} | {
        f"{OPPOSED}{name}": (value < 0).float() for name, value in pairs
    }


def watched_clean_loss(
    network: nn.Module, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], clean_logits: Callable[[], Tensor]
) -> Float[Tensor, ""]:
    """CE(x, y) with a graph, of which the training notices nothing: no running statistics, no draws on the CPU.

    Args:
        network: in training mode.
        x: inputs.
        y: true classes.
        clean_logits: as `training.objective.Objective` is given them, cached; used if they have been made.
    """
    if clean_logits.cache_info().currsize:  # type: ignore[attr-defined]
        return F.cross_entropy(clean_logits(), y)
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with torch.random.fork_rng(devices=[]):
        return F.cross_entropy(Substituted(network, buffers)(x), y)
