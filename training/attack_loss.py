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
    target: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, " B"]:
    """The loss an attack raises, per sample; larger means closer to, or further into, a wrong class.

    Args:
        logits: of the perturbed inputs, `(B, C)`.
        y: true classes, `(B,)`; "kl" does not look at them.
        loss: see `training.attacks.pgd`.
        reference: logits of the clean inputs, which "kl" needs, `(B, C)`.
        target: the one wrong class to go to, `(B,)`; None for any. Then "cross_entropy" is −CE(x', target), "margin"
            the lead of that logit, and "dlr" the targeted form of Croce and Hein 2020, Eq. 7.

    Raises:
        ValueError: for "dlr" with fewer than three classes, or four with a target, "kl" without a reference, or "kl"
            with a target.
    """
    loss = _chosen(loss, logits)
    if target is not None:
        return _towards(logits, y, loss, target)
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
    target: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, "B C"]:
    """∂ loss / ∂ logits of `attack_loss`, from which the network's backward pass goes on; arguments as there.

    The two that attacks use most have closed forms, which spare a GPU some twenty small kernels a step.
    """
    loss, true = _chosen(loss, logits), y.unsqueeze(1)
    if loss == "cross_entropy" and target is not None:
        return -_slope_of_entropy(logits, target)
    if loss == "margin" and logits.shape[1] == 2:
        return torch.ones_like(logits).scatter_(1, true, -1.0)
    if loss == "cross_entropy":
        return _slope_of_entropy(logits, y)
    variable = logits.detach().requires_grad_()
    return torch.autograd.grad(attack_loss(variable, y, loss, reference, target).sum(), variable)[0]


def _chosen(loss: Loss, logits: Tensor) -> Loss:
    """The loss that "auto" stands for."""
    if loss != "auto":
        return loss
    return "margin" if logits.shape[1] == 2 else "cross_entropy"


def _slope_of_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """The softmax less one at the class."""
    return logits.detach().softmax(dim=1).scatter_add_(1, classes.unsqueeze(1), -torch.ones_like(logits[:, :1]))


def _towards(logits: Tensor, y: Tensor, loss: Loss, target: Tensor) -> Tensor:
    """The loss of one wrong class."""
    if loss == "cross_entropy":
        return -F.cross_entropy(logits, target, reduction="none")
    if loss == "kl":
        raise ValueError("`loss` should be cross_entropy, margin or dlr with a target. Found 'kl'.")
    lead = pick(logits, target) - pick(logits, y)
    if loss == "margin":
        return lead
    if logits.shape[1] < 4:
        raise ValueError(f"`loss` 'dlr' with a target needs at least four classes. Found {logits.shape[1]}.")
    ranked = logits.sort(dim=1, descending=True).values
    return lead / (ranked[:, 0] - (ranked[:, 2] + ranked[:, 3]) / 2).clamp(min=1e-12)


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
