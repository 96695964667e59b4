"""What an attack raises: a number per sample that is larger the closer to, or the further into, a wrong class."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from alignment.gradients import pick

Loss = Literal["auto", "cross_entropy", "margin", "dlr", "kl"]


def attack_loss(
    logits: Float[Tensor, "B C"],
    y: Int[Tensor, " B"],
    loss: Loss = "auto",
    reference: Float[Tensor, "B C"] | None = None,
) -> Float[Tensor, " B"]:
    """The loss an attack raises, per sample; larger means closer to, or further into, a wrong class.

    Args:
        logits: of the perturbed inputs, `(B, C)`.
        y: true classes, `(B,)`; "kl" does not look at them.
        loss: see `training.attacks.pgd`.
        reference: logits of the clean inputs, which "kl" needs, `(B, C)`.

    Raises:
        ValueError: for "dlr" with fewer than three classes, or "kl" without a reference.
    """
    if loss == "auto":
        loss = "margin" if logits.shape[1] == 2 else "cross_entropy"
    if loss == "cross_entropy":
        return F.cross_entropy(logits, y, reduction="none")
    if loss == "kl":
        return _divergence(logits, reference)
    margin = logits.scatter(1, y.unsqueeze(1), -torch.inf).amax(dim=1) - pick(logits, y)
    return margin if loss == "margin" else _scaled(margin, logits)


def slope_in_logits(
    logits: Float[Tensor, "B C"],
    y: Int[Tensor, " B"],
    loss: Loss = "auto",
    reference: Float[Tensor, "B C"] | None = None,
) -> Float[Tensor, "B C"]:
    """∂ loss / ∂ logits of `attack_loss`, from which the network's backward pass goes on; arguments as there.

    The two that attacks use most have closed forms, which spare a GPU some twenty small kernels a step.
    """
    if loss == "auto":
        loss = "margin" if logits.shape[1] == 2 else "cross_entropy"
    true = y.unsqueeze(1)
    if loss == "margin" and logits.shape[1] == 2:
        return torch.ones_like(logits).scatter_(1, true, -1.0)
    if loss == "cross_entropy":
        return logits.detach().softmax(dim=1).scatter_add_(1, true, -torch.ones_like(logits[:, :1]))
    variable = logits.detach().requires_grad_()
    return torch.autograd.grad(attack_loss(variable, y, loss, reference).sum(), variable)[0]


def _divergence(logits: Tensor, reference: Tensor | None) -> Tensor:
    """KL(p ‖ q) from the softmax of the reference to that of the logits."""
    if reference is None:
        raise ValueError("`loss` 'kl' needs the logits of the clean inputs as `reference`. Found None.")
    clean, perturbed = reference.log_softmax(dim=1), logits.log_softmax(dim=1)
    return F.kl_div(perturbed, clean, reduction="none", log_target=True).sum(dim=1)


def _scaled(margin: Tensor, logits: Tensor) -> Tensor:
    """The margin by the difference of the first and the third logit (Croce and Hein 2020, Eq. 6)."""
    if logits.shape[1] < 3:
        raise ValueError(f"`loss` 'dlr' needs at least three classes. Found {logits.shape[1]}.")
    ranked = logits.sort(dim=1, descending=True).values
    return margin / (ranked[:, 0] - ranked[:, 2]).clamp(min=1e-12)
