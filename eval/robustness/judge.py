"""Attacks propose, and a judge decides: on copies that no attack saw, with a classifier that none has changed."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from alignment.contracts import check_counts
from alignment.double import double_device
from eval.attacks.protocols import Attack, MinimumNormAttack
from eval.attacks.verdict import verdict
from eval.robustness.passes import CountPasses
from eval.robustness.samples import gathered, pairs
from eval.robustness.tampering import Watch, states
from training.attacks import Norm


class Judged(NamedTuple):
    """What became of some samples, on the CPU, and what the attack returned for them, where it ran."""

    fooled: Bool[Tensor, " K"]
    size: Float[Tensor, " K"]
    adversarial: Float[Tensor, "K *shape"]


class Judge:
    """Samples, the classifier they are shown to, and what attacks do to both.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        batches: of inputs and true classes, and perhaps more.
        norm: of the ball, passed on to attacks; None where strength is no distance.
        bounds: lowest and highest legal value of an input, passed on to attacks.
        batch_size: samples per call of an attack.

    Raises:
        ValueError: for samples that `gathered` refuses, or a batch size below 1.
    """

    def __init__(
        self,
        classifier: nn.Module,
        batches: Iterable[Any],
        norm: Norm | None,
        bounds: tuple[float, float],
        batch_size: int,
    ) -> None:
        check_counts(1, batch_size=batch_size)
        self.norm, self.bounds, self.batch_size, self.rejected = norm, bounds, batch_size, 0
        self.classifier = CountPasses(classifier)
        found = states(self.classifier)
        shown = list(pairs(batches))
        place = next((p.device for p in classifier.parameters()), None)
        self.device = place or next((x.device for x, _ in shown if isinstance(x, Tensor)), torch.device("cpu"))
        self.samples = gathered(self.classifier, shown, bounds, batch_size, self.device)
        self.correct = self.samples.logits.argmax(dim=1) == self.samples.y
        self.watch = Watch(self.classifier, found)

    def parts(self, which: Int[Tensor, " K"]) -> Sequence[Int[Tensor, " P"]]:
        """Some samples in batches, of which none is empty."""
        return which.split(self.batch_size) if len(which) else ()

    def shown(self, part: Int[Tensor, " K"]) -> tuple[Float[Tensor, "K *shape"], Int[Tensor, " K"]]:
        """Copies of inputs and true classes of some samples, where the classifier is."""
        return self.samples.x[part].to(self.device), self.samples.y[part].to(self.device)

    def judged(
        self,
        attack: Attack | MinimumNormAttack,
        part: Int[Tensor, " K"],
        strength: Tensor | None,
        generator: torch.Generator,
    ) -> Judged:
        """What an attack makes of a batch of samples, at a strength per sample, or without one."""
        given = () if strength is None else (strength.to(self.device, self.samples.x.dtype, copy=True),)
        with self.watch.over(attack):
            adversarial = attack(
                self.classifier, *self.shown(part), *given, norm=self.norm, bounds=self.bounds, generator=generator
            )
        limit = torch.full((len(part),), torch.inf, dtype=torch.float64) if strength is None else strength
        fooled, size, rejected = verdict(
            self.classifier,
            *self.shown(part),
            adversarial,
            limit.to(double_device(self.device)),
            norm=self.norm,
            bounds=self.bounds,
        )
        self.rejected += int(rejected.sum())
        return Judged(fooled.cpu(), size.cpu(), adversarial)
