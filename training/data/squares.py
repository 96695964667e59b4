"""A large or a small square behind smooth noise: images on which Δx is known."""

import math
from dataclasses import asdict, dataclass, replace

import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from torch import Tensor

from generators import ExactResidual, towards_prototypes
from training.data.dataset import DataSet
from training.data.split import Split, SplitName
from training.seeds import generator_for

SIZES = {"train": 10_000, "validation": 200, "test": 1_000}


@dataclass(frozen=True)
class Noise:
    """White noise, smoothed, scaled per image and clipped.

    Attributes:
        blur: standard deviation of the Gaussian kernel, in pixels.
        deviation: standard deviation of an image's noise, before it is clipped.
        limit: largest magnitude, to which it is clipped; infinite for none.

    Raises:
        ValueError: if any is not positive, or the first two are infinite.
    """

    blur: float
    deviation: float
    limit: float = math.inf

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0 or (name != "limit" and math.isinf(value)):
                raise ValueError(f"`{name}` of the noise should be positive and finite. Found {value}.")

    def __call__(self, white: Float[Tensor, "B 1 size size"]) -> Float[Tensor, "B 1 size size"]:
        """The noise that white noise becomes; beyond its border the image goes on as in a mirror."""
        smooth = torch.from_numpy(gaussian_filter(white.numpy(), self.blur, axes=(2, 3)))
        scaled = self.deviation * smooth / smooth.std(dim=(1, 2, 3), keepdim=True)
        return scaled.clamp_(-self.limit, self.limit)


COARSE = Noise(blur=2.5, deviation=0.5)
"""Of Squares, and of any size without noise of its own."""
NOISE = {32: Noise(blur=1.0, deviation=0.25, limit=0.5)}
"""Of sizes with noise of their own: Squares32's is finer and fainter, in the program of paper 1."""


class Squares(DataSet):
    """Images at −0.5 with a centred square at +0.5, small (class 0) or large (class 1), plus smooth noise.

    Paper 1, section 3.1: half-sides `int(int(size/2) · 0.8 · t)` with t = 0.5 and 0.8, which at 224 pixels are
    sides of 88 and 142; Gaussian noise smoothed with σ = 2.5 pixels and scaled to a standard deviation of 0.5
    per image. Squares32 has the noise of the paper's program for that size: σ = 1, a standard deviation of 0.25,
    clipped to ±0.5, so that its images lie within [−1, 1]. 10,000 / 200 / 1,000 samples, fixed, held in memory as
    float32 (2 GB for training at 224 pixels, 41 MB at 32).

    Two things differ from the paper's own Squares. Its samples of 224 pixels are never clipped: 16 % of their pixels
    lie outside [−1, 1], to which ours are clipped when they are made, so that an attack starts within its bounds; the
    noise has then a standard deviation of 0.433. And class −1 of its Table S1 is the *large* square, where our class 0
    is the small one; nothing depends on that but the order in which classes are named.

    Args:
        size: height and width in pixels; 224 is Squares, 32 is Squares32.
        train_size: training samples.
        blur: σ of the noise in pixels; None for the paper's at this size.
        deviation: standard deviation of the noise of an image; None for the paper's at this size.
        limit: magnitude to which the noise is clipped, infinite for none; None for the paper's at this size.
        batch_size: samples per training step; the paper's 12.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.

    Raises:
        ValueError: for a size at which the two squares cannot be told apart, or noise that is none.
    """

    classes = ("small", "large")
    bounds = (-1.0, 1.0)

    def __init__(
        self,
        size: int = 224,
        train_size: int = SIZES["train"],
        blur: float | None = None,
        deviation: float | None = None,
        limit: float | None = None,
        batch_size: int = 12,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        if size < 8:
            raise ValueError(f"`size` should be at least 8 pixels. Found {size}.")
        self.shape, self.train_size = (1, size, size), train_size
        self.noise = self._noise(size, {"blur": blur, "deviation": deviation, "limit": limit})
        self.name = "Squares" if size == 224 else f"Squares{size}"
        self.prototypes = torch.stack([self._noiseless(size, share) for share in (0.5, 0.8)])
        self.exact_residual = ExactResidual(towards_prototypes(self.prototypes))

    def _noise(self, size: int, given: dict[str, float | None]) -> Noise:
        """The noise; what it is, and not how it was asked for, is part of the identity."""
        noise = replace(
            NOISE.get(size, COARSE), **{name: value for name, value in given.items() if value is not None}
        )
        self.arguments |= asdict(noise)
        return noise

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
            part.copy_(self.prototypes[labels[start : start + 100]] + self.noise(noise))
        return Split(images.clamp_(*self.bounds), labels, self.bounds)
