"""A Lightning module whose losses have one gradient each, of which a combiner makes the one that is followed."""

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from generators.global_batch import Portion, averaged, weight_of
from training.combiners import Combiner, Gradients
from training.combining import check_combination, separate_gradients, with_gradient
from training.conflict import Conflict, conflict
from training.gradient_log import of_conflict, of_layers
from training.objective import Losses, Objective, observed_by
from training.penalty import Penalty
from training.steps_recorded import StepsRecorded

PenaltyTarget = Literal["clean", "adversarial", "own"]
"""The loss that penalties join where gradients are combined, or a gradient of its own for each."""


class StepsCombined(StepsRecorded):
    """Base of a classifier in training; a subclass makes the losses.

    Attributes:
        network: that is trained.
        objective: makes named losses of a batch.
        combiner: makes one gradient of one per loss; None for the sum.
        combiner_start: first epoch in which gradients are combined.
        penalties: beside the objective's losses.
        alignment_with: where they go.
        log_layers: whether the cosine of each layer is logged.
    """

    network: nn.Module
    objective: Objective
    combiner: Combiner | None
    combiner_start: int
    penalties: list[Penalty]
    alignment_with: PenaltyTarget
    log_layers: bool

    @property
    def combining(self) -> bool:
        """Whether this epoch's gradients are combined."""
        return self.combiner is not None and self.current_epoch >= self.combiner_start

    @property
    def watching(self) -> bool:
        """Whether this epoch's clean loss is there only so that its gradient is compared with the adversarial one."""
        names = getattr(self.objective, "names", ())
        return self.log_layers and not self.combining and "adversarial" in names and "clean" not in names

    def total(self, losses: Losses) -> Float[Tensor, ""]:
        """The sum of the losses, but for a clean one that is only watched and what the objective only measures."""
        without = {*observed_by(self.objective), *(["clean"] if self.watching else [])}
        return torch.stack([loss for name, loss in losses.items() if name not in without]).sum()

    def _check_combination(self, losses: Collection[str]) -> None:
        """Refuse a combiner that cannot work with losses of these names."""
        names = [penalty.name for penalty in self.penalties]
        check_combination(self.combiner, losses, names, self.alignment_with, type(self.objective).__name__)  # type: ignore[arg-type]

    def _joined(self, losses: Losses) -> Losses:
        """The losses that have a gradient of their own: penalties are added to the one that is named."""
        names = [penalty.name for penalty in self.penalties]
        losses = {name: loss for name, loss in losses.items() if name not in observed_by(self.objective)}
        joined = {name: loss for name, loss in losses.items() if name not in names}
        if self.combiner is not None:
            self._check_combination(joined)
        if self.alignment_with == "own" or not names:
            return losses
        return joined | {
            self.alignment_with: torch.stack([joined[self.alignment_with], *(losses[name] for name in names)]).sum()
        }

    def _combined(self, total: Tensor, losses: Losses, portion: Portion) -> Tensor:
        """The sum of the losses with the gradient that the combiner makes of theirs."""
        with torch.autocast(self.device.type, enabled=False):  # a backward pass is never made in mixed precision
            named, combined, measured = self._combination(losses)
        self._log(portion, self._said(measured, named))
        return with_gradient(total, list(named.values()), combined)

    def _combination(self, losses: Losses) -> tuple[dict[str, nn.Parameter], list[Tensor], Conflict | None]:
        """The weights that a loss reaches, their combined gradient, and how far the gradients disagree."""
        named, gradients = self._separate(self._joined(losses))
        both = gradients.keys() >= {"clean", "adversarial"}
        measured = conflict(gradients["clean"], gradients["adversarial"]) if both else None
        return named, self.combiner(gradients, measured), measured  # type: ignore[misc]

    def _separate(self, losses: Losses, *, keep_graph: bool = False) -> tuple[dict[str, nn.Parameter], Gradients]:
        """The weights that a loss reaches, and the gradient of each loss in them, averaged over processes."""
        trained = {name: weight for name, weight in self.network.named_parameters() if weight.requires_grad}
        named, gradients = separate_gradients(losses, trained, self._loss_scale(), keep_graph=keep_graph)
        if self.trainer.world_size > 1:
            gradients = {name: averaged(gradient, self.trainer) for name, gradient in gradients.items()}
        return named, gradients

    def _watched(self, losses: Losses) -> dict[str, Tensor]:
        """What is logged of the gradients where they are not combined, if asked; the graph is kept."""
        if not self.log_layers or not losses.keys() >= {"clean", "adversarial"}:
            return {}
        joined = self._joined(losses)
        with torch.autocast(self.device.type, enabled=False):
            named, found = self._separate({k: joined[k] for k in ("clean", "adversarial")}, keep_graph=True)
        measured = conflict(found["clean"], found["adversarial"])
        return of_conflict(measured, combined=False) | of_layers(measured, named)

    def gradients(
        self, total: Tensor, losses: Losses, weights: Sequence[Tensor]
    ) -> tuple[list[Tensor | None], dict[str, Tensor]]:
        """The gradient that a step follows in each of some weights, None where there is none, and what to log of it.

        Args:
            total: the sum of the losses.
            losses: by name; their graph is freed.
            weights: that are trained.
        """
        if not self.combining:
            watched = self._watched(losses)
            return list(torch.autograd.grad(total, weights, allow_unused=True)), watched
        named, combined, measured = self._combination(losses)
        found = {id(weight): gradient for weight, gradient in zip(named.values(), combined, strict=True)}
        return [found.get(id(weight)) for weight in weights], self._said(measured, named)

    def _log(self, portion: Portion, values: dict[str, Tensor]) -> None:
        """Log means over the samples of an epoch."""
        count, together = weight_of(portion.here), portion.processes > 1
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=count, sync_dist=together)

    def _loss_scale(self) -> Tensor | float:
        """What a loss is multiplied by under mixed precision in float16, so that gradients do not underflow."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return 1.0 if scaler is None else scaler.scale(torch.ones((), device=self.device))

    def _said(self, measured: Conflict | None, names: Iterable[str]) -> dict[str, Tensor]:
        """What is logged of combined gradients."""
        return of_conflict(measured, combined=True) | (of_layers(measured, names) if self.log_layers else {})
