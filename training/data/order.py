"""The order in which an epoch visits the samples of a split."""

from collections.abc import Iterator
from math import ceil

from torch.utils.data import DistributedSampler

from generators.global_batch import Portion
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
    of one process with as many times the batch size. Lightning leaves a distributed sampler as it is. All have as
    many batches: where a last one has fewer samples than there are processes, a process without one repeats a
    sample, which `portion` does not count.

    Args:
        split: that is visited.
        seed: of the order.
        rank: of the process.
        processes: how many there are.
        batch_size: of each process.
    """

    def __init__(self, split: Split, seed: int, rank: int = 0, processes: int = 1, batch_size: int = 1) -> None:
        super().__init__(split, num_replicas=processes, rank=rank)
        self.split, self.seed, self.batch_size = split, seed, batch_size
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

    def portion(self, index: int) -> Portion:
        """This process's part of the batch of that number."""
        shared = self.num_replicas * self.batch_size
        return Portion(min(shared, len(self.split) - index * shared), self.rank, self.num_replicas)

    def __len__(self) -> int:
        mine = len(range(self.rank, len(self.split), self.num_replicas))
        return max(mine, (self.batches - 1) * self.batch_size + 1)

    @property
    def batches(self) -> int:
        """How many there are, in every process."""
        return ceil(len(self.split) / (self.num_replicas * self.batch_size))

    def __iter__(self) -> Iterator[int]:
        order = self.split.order(self.seed, self.epoch)
        mine = order[self.rank :: self.num_replicas]
        mine += order[: len(self) - len(mine)]
        return iter(mine[self.done :])
