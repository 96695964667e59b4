"""A batch that several processes share: whose samples are where, how much they count, and what is drawn for them.

A batch of one process is dealt out to several as cards are: process r of n has its samples r, r + n, r + 2n, … What
is drawn for samples is drawn by every process for the whole batch, and each keeps its own rows, so that a sample
meets the same numbers however many processes there are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Portion:
    """One process's part of a batch.

    Attributes:
        total: samples of the whole batch.
        rank: of the process.
        processes: that share the batch.
    """

    total: int
    rank: int = 0
    processes: int = 1

    @property
    def here(self) -> int:
        """Samples of this process; 0 where the batch has fewer than there are processes."""
        return len(range(self.rank, self.total, self.processes))

    @property
    def weight(self) -> float:
        """What a mean over the samples here is multiplied by, so that the mean over processes is that of all."""
        return self.processes * self.here / self.total

    def rows(self, count: int, draw: Callable[[int], Tensor]) -> Tensor:
        """Random rows for samples of this process, out of those for all.

        Args:
            count: of the samples; where they are not all that are here, their rows depend on `processes`.
            draw: from a number of samples to as many rows.
        """
        if self.processes == 1:
            return draw(count)
        total = self.total if count == self.here else count * self.processes
        return draw(total)[self.rank :: self.processes]

    def mapped(self, x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        """The samples of this process, changed by what draws a random change for each sample of a batch.

        Args:
            x: of this process, `(B, *shape)`.
            change: from a batch to another.
        """
        if self.processes == 1 or len(x) != self.here:
            return change(x)
        whole = x.new_zeros(self.total, *x.shape[1:])
        whole[self.rank :: self.processes] = x
        return change(whole)[self.rank :: self.processes]


class SharedGenerator(torch.Generator):
    """A random generator that is the same in all processes, and knows which rows of what it draws are for this one.

    Args:
        device: where it draws.
        portion: of the batch that it draws for.
    """

    portion: Portion

    def __new__(cls, device: torch.device | str, portion: Portion) -> "SharedGenerator":
        """Generators of torch are made here."""
        generator = super().__new__(cls, device)  # type: ignore[call-arg]
        generator.portion = portion
        return generator

    def clone_state(self) -> "SharedGenerator":
        """Another one that draws the same."""
        copied = SharedGenerator(self.device, self.portion)
        copied.set_state(self.get_state())
        return copied


def portion_of(generator: torch.Generator) -> Portion | None:
    """The part of a batch that a generator draws for; None for one that is not shared."""
    return getattr(generator, "portion", None)


def drawn(count: int, generator: torch.Generator, draw: Callable[[int], Tensor]) -> Tensor:
    """Random rows for some samples, those of this process alone where a generator is shared.

    Args:
        count: of the samples.
        generator: that `draw` draws from.
        draw: from a number of samples to as many rows.

    Example:
        >>> def rows(rank, processes):
        ...     generator = SharedGenerator("cpu", Portion(4, rank, processes)).manual_seed(0)
        ...     return drawn(4 // processes, generator, lambda count: torch.rand(count, 2, generator=generator))
        >>> bool((rows(1, 2) == rows(0, 1)[1::2]).all())
        True
    """
    portion = portion_of(generator)
    return draw(count) if portion is None else portion.rows(count, draw)


def portion_of_step(trainer: Any, count: int, index: int) -> Portion:
    """This process's part of a training batch.

    Args:
        trainer: of Lightning.
        count: samples that it was given.
        index: of the batch in the epoch.
    """
    if trainer.world_size == 1:
        return Portion(count)
    known = getattr(getattr(trainer.train_dataloader, "sampler", None), "portion", None)
    # Any other order has as many samples in every process, as Lightning sees to.
    return known(index) if known else Portion(count * trainer.world_size, trainer.global_rank, trainer.world_size)


def weight_of(samples: int) -> Any:
    """How much a logged mean over some samples counts; no whole number, since Lightning rounds means of those."""
    return float(samples)


def averaged(values: Sequence[Tensor], trainer: Any) -> list[Tensor]:
    """Means of some tensors over the processes of a trainer, in one exchange."""
    flat = torch.cat([value.flatten() for value in values])
    whole: Tensor = trainer.strategy.reduce(flat, reduce_op="mean")
    parts = whole.split([value.numel() for value in values])
    return [part.view_as(like) for part, like in zip(parts, values, strict=True)]
