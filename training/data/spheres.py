"""Two concentric spheres: the data set on which Δx, and with it the best robustness, is known."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from generators import ExactResidual, radial
from training.data.dataset import DataSet
from training.data.split import Batch, Split, SplitName
from training.seeds import derived_seed, generator_for

RADII = (1.0, 1.3)
BLOCK = 1000


class SphereSamples(Split):
    """Points drawn when they are asked for: sample i of an epoch is a function of seed, epoch and i alone.

    Args:
        size: number of samples.
        dimensions: of the space.
        seed: what the draws depend on.
        fresh: whether every epoch draws anew.
        device: where they are, after they were drawn on the CPU, so that they are the same everywhere.
    """

    def __init__(
        self, size: int, dimensions: int, seed: int | str, fresh: bool, device: torch.device | str = "cpu"
    ) -> None:
        self.size, self.dimensions, self.seed, self.fresh, self.device = size, dimensions, seed, fresh, device
        self.epoch = 0
        self._block: tuple[int, Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return self.size

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Points and their classes by indices."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        number, start = divmod(indices[0], BLOCK)
        if start + len(indices) <= BLOCK and [*indices] == [*range(indices[0], indices[0] + len(indices))]:
            points, labels = self._draw(number)
            return Batch(points[start:][: len(index)].clone(), labels[start:][: len(index)].clone(), index)
        x = torch.empty(len(index), self.dimensions, device=self.device)
        y = torch.empty(len(index), dtype=torch.int64, device=self.device)
        for number in (index // BLOCK).unique().tolist():
            chosen = (index // BLOCK == number).nonzero().squeeze(1).to(self.device)
            places = (index[index // BLOCK == number] % BLOCK).to(self.device)
            points, labels = self._draw(number)
            x[chosen], y[chosen] = points[places], labels[places]
        return Batch(x, y, index)

    def near(self, device: torch.device) -> "SphereSamples":
        """The same samples, sent there a block at a time."""
        return SphereSamples(self.size, self.dimensions, self.seed, self.fresh, device)

    def set_epoch(self, seed: int, epoch: int) -> None:
        """Draw the samples of another epoch from now on."""
        if self.fresh:
            self.seed, self.epoch, self._block = seed, epoch, None

    def order(self, seed: int, epoch: int) -> list[int]:
        """Fresh samples need no shuffling."""
        return list(range(self.size)) if self.fresh else super().order(seed, epoch)

    def _draw(self, number: int) -> tuple[Float[Tensor, "block dimensions"], Int[Tensor, " block"]]:
        if self._block is None or self._block[0] != number:
            generator = generator_for(self.seed, "spheres", self.epoch, number)
            labels = torch.randint(len(RADII), (BLOCK,), generator=generator)
            points = torch.randn(BLOCK, self.dimensions, generator=generator, dtype=torch.float64)
            points *= (torch.tensor(RADII, dtype=torch.float64)[labels] / points.norm(dim=1)).unsqueeze(1)
            self._block = number, points.float().to(self.device), labels.to(self.device)
        return self._block[1:]


class Spheres(DataSet):
    """Uniform on two spheres of radii 1.0 (class 0) and 1.3 (class 1): paper 1, section 2.1; Gilmer et al. 2018.

    Training samples are drawn afresh in every epoch; the 200 validation and 1,000 test samples are fixed.

    Args:
        dimensions: of the space; the paper's 500.
        train_size: samples drawn per epoch. The program of paper 1 draws 500,000 (the paper says 10,000,000), so that
            one of its epochs is fifty of the default's; compare epochs as samples seen.
        batch_size: samples per training step; the paper's 50.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the training samples.
        workers: processes that prepare batches.

    Raises:
        ValueError: for fewer than two dimensions.
    """

    bounds = (-float("inf"), float("inf"))
    classes = ("inner", "outer")
    exact_residual = ExactResidual(radial(RADII))

    def __init__(
        self,
        dimensions: int = 500,
        train_size: int = 10_000,
        batch_size: int = 50,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        if dimensions < 2:
            raise ValueError(f"`dimensions` should be at least 2. Found {dimensions}.")
        self.shape, self.train_size = (dimensions,), train_size
        self.name = "Spheres" if dimensions == 500 else f"Spheres{dimensions}"

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        if name == "train":
            return SphereSamples(self.train_size, self.shape[0], derived_seed(self.seed), fresh=True)
        size = {"validation": 200, "test": 1000}[name]
        return SphereSamples(size, self.shape[0], name, fresh=False)
