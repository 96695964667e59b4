"""Attacks propose, and a judge decides: on copies that no attack saw, with a classifier that none has changed."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from alignment.double import double_device
from eval.attacks.protocols import Attack, MinimumNormAttack
from eval.attacks.verdict import verdict
from eval.robustness.batching import Batching, BatchSize
from eval.robustness.dealing import dealt, to_send
from eval.robustness.draws import Draws
from eval.robustness.keeping import Kept
from eval.robustness.samples import gathered
from eval.robustness.tampering import Watch, states
from eval.robustness.together import agreed
from generators.progress import Stage, stage
from training.attacks import Distance
from training.passes import CountPasses

Result = TypeVar("Result")


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
        norm: Distance | None,
        bounds: tuple[float, float],
        batch_size: BatchSize,
        keep: Kept | None = None,
    ) -> None:
        self.batching, self.keep = Batching(batch_size, classifier), keep
        self.norm, self.bounds, self.rejected = norm, bounds, 0
        self.classifier = CountPasses(classifier)
        found = states(self.classifier)
        place = next((p.device for p in classifier.parameters()), None)
        self.samples = gathered(self.classifier, batches, bounds, self.batching, place)
        self.device = self.samples.y.device
        self.correct = (self.samples.logits.argmax(dim=1) == self.samples.y).cpu()
        self.watch = Watch(self.classifier, found)
        if keep is not None:
            keep.begin(self.samples.all(), self.correct)

    def dealt(
        self,
        which: Int[Tensor, " K"],
        work: Callable[[Int[Tensor, " P"]], Result],
        draws: Draws | None = None,
    ) -> Iterator[tuple[Int[Tensor, " P"], Result]]:
        """Do something for some samples, in batches of which none is empty, which processes deal out.

        Args:
            which: numbers of the samples.
            work: of a batch, by its places in `which`; what it returns goes to all processes.
            draws: the randomness that it takes.

        Yields:
            Places in `which`, and what was found there, in their order.
        """
        rows = torch.arange(len(which)).split(self.batching.size) if len(which) else ()

        def done(places: Tensor) -> tuple[Result, int, int]:
            rejected = self.rejected
            if draws is not None:
                draws.begin_batch(int(places[0]))
            result = work(places)
            rejected, self.rejected = self.rejected - rejected, rejected
            return result, rejected, self.batching.size

        if draws is not None:
            draws.begin_round()
        for places, (result, rejected, size) in zip(rows, dealt(rows, done, self.classifier), strict=True):
            self.rejected += rejected
            self.batching.size = min(size, self.batching.size)
            yield places, result

    def each_once(self, attacked: Callable[[Tensor], Judged], draws: Draws) -> Iterator[tuple[Tensor, Judged]]:
        """Attack all samples that are classified correctly once, in batches, counted for whoever looks."""
        correct = self.correct.nonzero().squeeze(1)
        wrong = len(self.samples) - len(correct)
        with stage(Stage(unit="sample", total=len(self.samples), done=wrong)) as looked_at:
            for places, judged in self.dealt(correct, lambda rows: attacked(correct[rows]), draws):
                part = correct[places]
                self.note(part, judged)
                yield part, judged
                looked_at.done += len(part)

    def shown(self, part: Int[Tensor, " K"]) -> tuple[Float[Tensor, "K *shape"], Int[Tensor, " K"]]:
        """Copies of inputs and true classes of some samples, where the classifier is."""
        return self.samples.source.inputs(part).to(self.device), self.samples.y[part.to(self.samples.y.device)]

    def each(
        self, which: Int[Tensor, " K"], measured: Callable[[Tensor, Tensor], Tensor]
    ) -> Iterator[tuple[Int[Tensor, " P"], Tensor]]:
        """A number for each of some samples, of copies of its input and true class, batch by batch."""

        def work(rows: Tensor) -> Tensor:
            found = self.batching.over(which[rows], lambda part: measured(*self.shown(part)))
            return to_send(torch.cat(found))

        return ((which[rows], found) for rows, found in self.dealt(which, work))

    def judged(
        self,
        attack: Attack | MinimumNormAttack,
        part: Int[Tensor, " K"],
        strength: Tensor | None,
        draws: Draws,
        **each: Tensor,
    ) -> Judged:
        """What an attack makes of some samples, at least one, at a strength per sample, or without one.

        A batch that does not fit into memory is attacked in halves, see `Batching.over`. Nothing is returned, and
        nothing is to be undone, before all samples are judged.

        Args:
            attack: see `eval.attacks.protocols`.
            part: numbers of the samples.
            strength: one number per sample, `(K,)`; None for an attack that takes none.
            draws: the attack's randomness.
            each: further options of the attack, with one entry per sample.
        """

        def run(rows: Tensor) -> Judged:
            at = None if strength is None else strength[rows]
            options: dict[str, Any] = {name: values[rows.to(values.device)] for name, values in each.items()}
            with draws.at(int(rows.numpy()[0])) as generator:  # rows never lie on a GPU
                return self._judged(partial(attack, **options) if options else attack, part[rows], at, generator)

        found = self.batching.over(torch.arange(len(part)), run)
        return found[0] if len(found) == 1 else Judged(*map(torch.cat, zip(*found, strict=True)))

    def sent(self, judged: Judged) -> Judged:
        """What other processes should know: adversarial examples only where they are kept."""
        wanted = judged.adversarial if self.keep is not None else judged.adversarial[:0]
        return judged._replace(adversarial=to_send(wanted))

    def note(self, part: Int[Tensor, " K"], judged: Judged) -> None:
        """Keep adversarial examples, where they are wanted."""
        if self.keep is not None:
            self.keep.note(part, *judged)

    def end(self, attack: Callable[..., Tensor]) -> None:
        """Refuse an attack that has changed the classifier, in whichever process it did."""
        agreed(lambda: self.watch.end(attack))

    def _judged(
        self, attack: Attack | MinimumNormAttack, part: Tensor, strength: Tensor | None, generator: torch.Generator
    ) -> Judged:
        """What an attack makes of one batch that fits into memory, judged at its strengths."""
        # All that the verdict needs goes to a GPU before the attack, for which a transfer would wait.
        x, y = self.shown(part)
        limit = torch.full((len(part),), torch.inf, dtype=torch.float64) if strength is None else strength
        limit = limit.to(double_device(self.device))
        given = () if strength is None else (limit.to(self.device, x.dtype, copy=True),)
        with self.watch.over(attack):
            adversarial = attack(
                self.classifier, x.clone(), y.clone(), *given, norm=self.norm, bounds=self.bounds, generator=generator
            )
        fooled, size, rejected = verdict(
            self.classifier, x, y, adversarial, limit, norm=self.norm, bounds=self.bounds
        )
        self.rejected += int(rejected.sum())
        return Judged(fooled, size, adversarial)
