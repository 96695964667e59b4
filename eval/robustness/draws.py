"""Random numbers of attacks that do not depend on who attacks which batch, or on how large other batches are."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from training.seeds import generator_for


class Draws:
    """A source of randomness for each batch, named by the round and the place of the batch's first sample in it.

    The batches that begin a round have one stream in common, which is that of all attacks on few samples.
    Of processes that deal out batches the first takes them all, so that no other needs to know how far the stream is.

    Args:
        name: parts of a seed.
        device: where numbers are drawn.
    """

    def __init__(self, *name: int | str, device: torch.device | str = "cpu") -> None:
        self.name, self.device = name, device
        self.stream = generator_for(*name, device=device)
        self.round, self.start = 0, 0
        self._open: dict[int, torch.Generator] = {}

    def begin_round(self) -> None:
        """Attack some samples, batch by batch."""
        self.round += 1

    def begin_batch(self, start: int) -> None:
        """Attack the batch that begins at this place of the round."""
        self.start = start
        self._open.clear()

    @contextmanager
    def at(self, offset: int) -> Iterator[torch.Generator]:
        """The source for what begins at an offset within the batch; after an error it is as it was before."""
        place = self.start + offset
        if place and place not in self._open:
            self._open[place] = generator_for(*self.name, "batch", self.round, place, device=self.device)
        source = self._open[place] if place else self.stream
        state = source.get_state()
        try:
            yield source
        except BaseException:
            source.set_state(state)
            raise
