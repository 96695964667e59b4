"""The order in which an epoch visits the samples of a split."""

from collections.abc import Iterator
from itertools import cycle, islice

from torch.utils.data import DistributedSampler

from training.data.split import Split


class Share(DistributedSampler[int]):
    """One process's part of a split in order, each sample in one process alone.

    Args:
        split: that is dealt out, of at least as many samples as there are processes.
        rank: of the process.
        processes: how many there are.
    """

    def __init__(self, split: Split, rank: int, processes: int) -> None:
        super().__init__(split, num_replicas=processes, rank=rank, shuffle=False)
        self.mine = range(rank, len(split), processes)

    def __iter__(self) -> Iterator[int]:
        return iter(self.mine)

    def __len__(self) -> int:
        return len(self.mine)


class EpochOrder(DistributedSampler[int]):
    """Visits a split in an order that depends on seed and epoch alone, so that a resumed run repeats it.

    Several processes deal the order out among them in turn, as cards: their k-th batches together are the k-th batch
    of one process with as many times the batch size. Lightning leaves a distributed sampler as it is.
    """

    def __init__(self, split: Split, seed: int, rank: int = 0, processes: int = 1) -> None:
        super().__init__(split, num_replicas=processes, rank=rank)
        self.split, self.seed = split, seed
        self.done = 0

    def skip(self, samples: int) -> None:
        """Leave out the first samples of this process in this epoch, without loading them: they were trained on."""
        self.done = samples

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch."""
        if epoch != self.epoch:
            self.done = 0
        super().set_epoch(epoch)
        self.split.set_epoch(self.seed, epoch)

    def __iter__(self) -> Iterator[int]:
        order = self.split.order(self.seed, self.epoch)
        even = islice(cycle(order), self.total_size)  # as long for every process
        return islice(even, self.rank + self.done * self.num_replicas, None, self.num_replicas)
