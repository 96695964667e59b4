"""Attacks propose, and a judge decides: on copies that no attack saw, with a classifier that none has changed."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from eval.attacks.protocols import Attack, MinimumNormAttack
from eval.attacks.verdict import verdict
from eval.robustness.batching import Batching, BatchSize
from eval.robustness.keeping import Kept
from eval.robustness.samples import gathered, pairs
from eval.robustness.tampering import Watch, states
from generators.progress import Stage, stage
from training.attacks import Norm
from training.passes import CountPasses


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
        batch_size: samples per call of an attack, see `Batching`.
        keep: takes the adversarial examples, where they are wanted.

    Raises:
        ValueError: for samples that `gathered` refuses, or a batch size that `Batching` does.
    """

    def __init__(
        self,
        classifier: nn.Module,
        batches: Iterable[Any],
        norm: Norm | None,
        bounds: tuple[float, float],
        batch_size: BatchSize,
        keep: Kept | None = None,
    ) -> None:
        self.batching, self.keep = Batching(batch_size, classifier), keep
        self.norm, self.bounds, self.rejected = norm, bounds, 0
        self.classifier = CountPasses(classifier)
        found = states(self.classifier)
        shown = list(pairs(batches))
        place = next((p.device for p in classifier.parameters()), None)
        self.device = place or next((x.device for x, _ in shown if isinstance(x, Tensor)), torch.device("cpu"))
        self.samples = gathered(self.classifier, shown, bounds, self.batching, self.device)
        self.correct = (self.samples.logits.argmax(dim=1) == self.samples.y).cpu()
        self.watch = Watch(self.classifier, found)
        if keep is not None:
            keep.begin(self.samples.x, self.correct)

    def parts(self, which: Int[Tensor, " K"]) -> Sequence[Int[Tensor, " P"]]:
        """Some samples in batches, of which none is empty."""
        return which.split(self.batching.size) if len(which) else ()

    def each_once(self, attacked: Callable[[Int[Tensor, " P"]], None]) -> None:
        """Do something once for all samples that are classified correctly, in batches, counted for whoever looks."""
        wrong = len(self.samples) - int(self.correct.sum())
        with stage(Stage(unit="sample", total=len(self.samples), done=wrong)) as looked_at:
            for part in self.parts(self.correct.nonzero().squeeze(1)):
                attacked(part)
                looked_at.done += len(part)

    def shown(self, part: Int[Tensor, " K"]) -> tuple[Float[Tensor, "K *shape"], Int[Tensor, " K"]]:
        """Copies of inputs and true classes of some samples, where the classifier is."""
        x, y = (values[part.to(values.device)] for values in (self.samples.x, self.samples.y))
        return x.to(self.device), y

    def each(self, part: Int[Tensor, " K"], measured: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """A number for each of some samples, at least one, of copies of its input and true class; on the device."""
        return torch.cat(self.batching.over(part, lambda rows: measured(*self.shown(rows))))

    def judged(
        self,
        attack: Attack | MinimumNormAttack,
        part: Int[Tensor, " K"],
        strength: Tensor | None,
        generator: torch.Generator,
        **each: Tensor,
    ) -> Judged:
        """What an attack makes of some samples, at least one, at a strength per sample, or without one.

        A batch that does not fit into memory is attacked in halves, see `Batching.over`. Nothing is returned, and
        nothing is to be undone, before all samples are judged.

        Args:
            attack: see `eval.attacks.protocols`.
            part: numbers of the samples.
            strength: one number per sample, `(K,)`; None for an attack that takes none.
            generator: of the attack's randomness.
            each: further options of the attack, with one entry per sample.
        """

        def run(rows: Tensor) -> Judged:
            at = None if strength is None else strength[rows]
            options: dict[str, Any] = {name: values[rows.to(values.device)] for name, values in each.items()}
            return self._judged(partial(attack, **options) if options else attack, part[rows], at, generator)

        found = self.batching.over(torch.arange(len(part)), run, generator)
        judged = found[0] if len(found) == 1 else Judged(*map(torch.cat, zip(*found, strict=True)))
        if self.keep is not None:
            self.keep.note(part, *judged)
        return judged

    def _judged(
        self, attack: Attack | MinimumNormAttack, part: Tensor, strength: Tensor | None, generator: torch.Generator
    ) -> Judged:
        """The same for one batch."""
        # All that the verdict needs goes to a GPU before the attack, for which a transfer would wait.
        x, y = self.shown(part)
        limit = torch.full((len(part),), torch.inf, dtype=torch.float64) if strength is None else strength
        limit = limit.to(self.device)
        given = () if strength is None else (limit.to(x.dtype, copy=True),)
        with self.watch.over(attack):
            adversarial = attack(
                self.classifier, x.clone(), y.clone(), *given, norm=self.norm, bounds=self.bounds, generator=generator
            )
        fooled, size, rejected = verdict(
            self.classifier, x, y, adversarial, limit, norm=self.norm, bounds=self.bounds
        )
        self.rejected += int(rejected.sum())
        return Judged(fooled, size, adversarial)
