"""A large or a small square behind smooth noise: images on which Δx is known."""

import torch
from jaxtyping import Float
from kornia.filters import gaussian_blur2d
from torch import Tensor

from generators import ExactResidual, towards_prototypes
from training.data.dataset import DataSet
from training.data.split import Split, SplitName
from training.seeds import generator_for

SIZES = {"train": 10_000, "validation": 200, "test": 1_000}


class Squares(DataSet):
    """Images at −0.5 with a centred square at +0.5, small (class 0) or large (class 1), plus smooth noise.

    Paper 1, section 3.1: half-sides `int(int(size/2) · 0.8 · t)` with t = 0.5 and 0.8, which at 224 pixels are
    sides of 88 and 142; Gaussian noise smoothed with σ = 2.5 pixels and scaled to a standard deviation of 0.5
    per image. Samples are clipped to [−1, 1]. 10,000 / 200 / 1,000 samples, fixed, held in memory as float32
    (2 GB for training at 224 pixels, 41 MB at 32).

    Args:
        size: height and width in pixels; 224 is Squares, 32 is Squares32.
        train_size: training samples.
        batch_size: samples per training step; the paper's 12.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.

    Raises:
        ValueError: for a size at which the two squares cannot be told apart.
    """

    classes = ("small", "large")
    bounds = (-1.0, 1.0)

    def __init__(
        self,
        size: int = 224,
        train_size: int = SIZES["train"],
        batch_size: int = 12,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        if size < 8:
            raise ValueError(f"`size` should be at least 8 pixels. Found {size}.")
        self.shape, self.train_size = (1, size, size), train_size
        self.name = "Squares" if size == 224 else f"Squares{size}"
        self.prototypes = torch.stack([self._noiseless(size, share) for share in (0.5, 0.8)])
        self.exact_residual = ExactResidual(towards_prototypes(self.prototypes))

    @staticmethod
    def _noiseless(size: int, share: float) -> Float[Tensor, "1 size size"]:
        middle = size // 2
        half = int(middle * 0.8 * share)
        image = torch.full((1, size, size), -0.5)
        image[:, middle - half : middle + half, middle - half : middle + half] = 0.5
        return image

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        count = self.train_size if name == "train" else SIZES[name]
        labels = torch.randint(2, (count,), generator=generator_for("squares", name, "labels"))
        images = torch.empty(count, *self.shape)
        for number, start in enumerate(range(0, count, 100)):
            part = images[start : start + 100]
            generator = generator_for("squares", name, number)
            noise = torch.randn(100, *self.shape, generator=generator)[: len(part)]
            part.copy_(self.prototypes[labels[start : start + 100]] + _smooth(noise))
        return Split(images.clamp_(*self.bounds), labels, self.bounds)


def _smooth(noise: Float[Tensor, "B 1 size size"]) -> Float[Tensor, "B 1 size size"]:
    """White noise smoothed with σ = 2.5 pixels and scaled to a standard deviation of 0.5 per image."""
    # The kernel reaches four standard deviations, or as far as mirroring at the border allows.
    reach = min(10, noise.shape[-1] - 1)
    smooth = gaussian_blur2d(noise, (2 * reach + 1, 2 * reach + 1), (2.5, 2.5), "reflect")
    return 0.5 * smooth / smooth.std(dim=(1, 2, 3), keepdim=True)
