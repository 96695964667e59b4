"""Projected gradient ascent on a loss, in chunks of steps between which samples may leave.

On a CUDA device a chunk is recorded as a graph and replayed: its steps work on fixed shapes and never wait. A sample
that is to leave stays where it is until the host, between two chunks, takes such samples out of the batch.
"""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.deferral import refuse_if
from alignment.gradients import as_variable, gradient_of
from training.active import Active
from training.attack_loss import Loss, slope_in_logits
from training.balls import column, unit
from training.climb import Climb
from training.graphs import may_record
from training.leaving import Leaving
from training.passes import CountPasses
from training.proposals import CheckedLogits
from training.recordings import Recording, counters_of, differs, recordings_of, state_of

FEW = 4
"""Steps; fewer are not worth recording."""

FILLED = 512
"""Samples, up to which a GPU hardly notices that a batch was filled up."""


@dataclass(frozen=True)
class Ascent:
    """Steps along the gradient of a loss.

    Args:
        logits: of the classifier.
        steps: κ.
        loss: what is raised, see `training.attacks.pgd`.
        momentum: μ of MI-FGSM.
        leave_when_fooled: whether a sample stays at its first misclassified iterate.
        leaving: when samples that stay are taken out of the batch.
    """

    logits: CheckedLogits
    steps: int
    loss: Loss
    momentum: float
    leave_when_fooled: bool
    leaving: Leaving = field(default_factory=Leaving)

    def __call__(self, climb: Climb) -> Float[Tensor, "B *shape"]:
        """Where it leads from a start, `(B, *shape)`.

        Raises:
            ValueError: if a gradient is not finite.
        """
        start = climb.point.clone() if self.may_record(climb) else climb.point
        way = _Way(self, climb)
        points = way.walked()
        if way.recordings is None or not way.doubtful():
            return points
        way.recordings.give_up("the classifier does not return the same as when it was recorded")
        again = Climb.started(climb.ball, climb.y, climb.stride, climb.reference, start, climb.target)
        return _Way(self, again).walked()

    def chunk(self, climb: Climb) -> Tensor:
        """As many steps as there are between two looks at who leaves, in place; returns the first logits."""
        first = self.step(climb)
        for _ in range(self.chunk_length - 1):
            self.step(climb)
        return first

    @property
    def chunk_length(self) -> int:
        """The largest number of steps that divides all and is at most what `leaving` says."""
        return next(
            size for size in range(min(self.leaving.every, max(self.steps, 1)), 0, -1) if self.steps % size == 0
        )

    @property
    def kind(self) -> tuple[Hashable, ...]:
        """What a recording of a chunk depends on."""
        return self.chunk_length, self.loss, self.momentum, self.leave_when_fooled

    def may_record(self, climb: Climb) -> bool:
        """Whether chunks are worth recording, and may be."""
        return self.steps >= FEW and may_record(climb.point.device)

    def step(self, climb: Climb) -> Float[Tensor, "B C"]:
        """One step, in place; returns the logits before it."""
        variable = as_variable(climb.point)
        logits = self.logits(variable)
        slope = slope_in_logits(logits.detach(), climb.y, self.loss, climb.reference, climb.target)
        gradient = gradient_of(logits, variable, along=slope)
        if self.leave_when_fooled:
            climb.fooled.logical_or_(logits.argmax(dim=1) != climb.y)
        if self.momentum:
            gradient = climb.direction.mul_(self.momentum).add_(unit(gradient, order=1.0))
        self._note_largest(gradient, climb)
        moved = climb.ball.step(climb.point, gradient, climb.stride)
        if self.leave_when_fooled:
            moved = torch.where(column(climb.fooled, moved), climb.point, moved)
        climb.point.copy_(moved)
        return logits.detach()

    def _note_largest(self, gradient: Tensor, climb: Climb) -> None:
        """Keep the largest entry, which shows at the end whether all were finite."""
        found = torch.linalg.vector_norm(gradient.flatten(1), ord=torch.inf, dim=1)
        if self.leave_when_fooled:
            found = torch.where(climb.fooled, 0, found)
        torch.maximum(climb.largest, found, out=climb.largest)


class _Way:
    """One ascent of one batch."""

    def __init__(self, ascent: Ascent, climb: Climb) -> None:
        self.ascent, self.count = ascent, len(climb)
        self.recordings = recordings_of(ascent.logits.classifier) if ascent.may_record(climb) else None
        self.climb = climb if self.recordings is None or self.recordings.reason else self._filled(climb)
        self.active = Active(self.climb.point)
        self.state: Hashable = None
        self.shown: Tensor | None = None
        self.counters: list[CountPasses] = []
        if self.recordings is not None:
            self.counters = counters_of(ascent.logits.classifier)
            self.state = state_of(ascent.logits.classifier)
            self.shown = self._plain()  # so that the first logits are checked outside of a recording
        self.broken = torch.zeros((), dtype=torch.int64, device=climb.y.device)
        self.doubt: Tensor | None = None

    def walked(self) -> Float[Tensor, "B *shape"]:
        """Where the samples end."""
        length = self.ascent.chunk_length
        for _ in range(0, self.ascent.steps, length):
            self._chunk()
            if self.ascent.leave_when_fooled and not self._let_leave():
                break
        self._count_broken()
        if self.doubt is None:
            refuse_broken(self.broken)
        return self.active.end(self.climb.point)[: self.count]

    def _filled(self, climb: Climb) -> Climb:
        """A small batch filled up with samples that stay to a size that others have too: each is recorded anew."""
        size = self.ascent.leaving.size(self.count)
        if not self.count < size <= FILLED:
            return climb
        rows = torch.arange(size, device=climb.y.device)
        filled = climb[rows % self.count]
        filled.fooled.copy_(rows >= self.count)
        return filled

    def doubtful(self) -> bool:
        """Whether a replay did not do what the classifier does, so that the result does not count."""
        if self.doubt is None:
            return False
        doubt, broken = torch.stack([self.doubt.to(self.broken), self.broken]).tolist()
        if not doubt:
            refuse_broken(torch.tensor(broken))
        return bool(doubt)

    def _count_broken(self) -> None:
        self.broken += (~self.climb.largest[: self.count].isfinite()).sum()

    def _plain(self) -> Tensor:
        with torch.no_grad():
            return self.ascent.logits(self.climb.point)

    def _chunk(self) -> None:
        """Some steps: replayed, or plainly."""
        if self.recordings is None:
            self.ascent.chunk(self.climb)
            return
        key = (self.state, *self.ascent.kind, *self.climb.kind)
        with self._uncounted():  # to record is not to do
            recording = self.recordings.find(key, self.ascent.chunk, self.climb)
        if recording is None:
            self.recordings.taken_plainly(key, self.ascent.chunk, self.climb)
            self.shown = None
            return
        self._replay(recording)

    def _replay(self, recording: Recording) -> None:
        """A replay, whose first logits should be those of a plain call."""
        passes = len(self.climb) * self.ascent.chunk_length
        for counter in self.counters:
            counter.add(passes, passes)
        if self.climb is recording.climb:
            recording.replay()
            return
        plain = self._plain() if self.shown is None else self.shown
        recording.climb.load(self.climb)
        self.climb = recording.climb
        recording.replay()
        self.shown, doubt = None, differs(recording.logits, plain)
        self.doubt = doubt if self.doubt is None else self.doubt | doubt

    @contextmanager
    def _uncounted(self) -> Iterator[None]:
        """Take back what is counted within."""
        before = [(counter.forward_passes, counter.backward_passes) for counter in self.counters]
        yield
        for counter, (forward, backward) in zip(self.counters, before, strict=True):
            counter.forward_passes, counter.backward_passes = forward, backward

    def _let_leave(self) -> bool:
        """Take samples that stay where they are out of the batch; whether any are left."""
        rows = self.ascent.leaving.rows(~self.climb.fooled)
        if rows is not None:
            self.active.leave(rows, self.climb.point)
            self._count_broken()
            self.climb = self.climb[rows]
            self.climb.largest.zero_()
        return len(self.climb) > 0


def refuse_broken(samples: Tensor) -> None:
    """Refuse gradients that were not finite: at the end, since to look at every step would make a GPU wait.

    Args:
        samples: how many had such a gradient.

    Raises:
        ValueError: if there is one.
    """
    refuse_if(
        samples,
        lambda found: (
            f"`gradient of classifier(x)` should be finite. Found NaN or infinite values in those of {found} samples."
        ),
    )
