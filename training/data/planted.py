"""A small sign in every photograph, whose glyph is the class: natural images on which Δx is known."""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from alignment.contracts import check_labels
from generators import ExactResidual
from training.data.cifar import CIFAR10
from training.data.dataset import DataSet
from training.data.split import Split, SplitName
from training.seeds import generator_for

GLYPHS = (
    "####.....",
    "##..##...",
    "##....##.",
    "#.#.#.#..",
    "#.#..#.#.",
    "#..##..#.",
    "#..#.##..",
    ".##.#..#.",
    ".##..##..",
    ".#.##.#..",
)
"""Four of nine cells each, row by row; any two differ in four cells or in all eight that either has."""
GRID = 3
FRAME = 1
"""Pixels of ink around the cells."""
BYTES = 255


class Place(NamedTuple):
    """Where the signs of a batch are.

    Attributes:
        cell: side of a cell in pixels, `(B,)`.
        row: of the upper left corner, `(B,)`.
        column: the same.
    """

    cell: Int[Tensor, " B"]
    row: Int[Tensor, " B"]
    column: Int[Tensor, " B"]


class Planted(DataSet):
    """Photographs with a sign at a random place, of random size and colour; the class is the glyph on it.

    A sign is a square of one colour, darker by the contrast in the ink of frame and glyph, elsewhere lighter by it.
    All glyphs have as much ink, and so Δx is the exchange of the glyph: with another colour too the distance is
    larger, since to change it is orthogonal to that, and with another background it can only grow. To put the other
    sign somewhere else, or in another size, is to take away this one as well, frame included. That this costs more is
    no theorem; it was seen for samples of CIFAR-10 among all backgrounds, places, sizes and colours, see the tests.

    The exact residual finds the sign in an image, also in one that is changed a little.

    Args:
        glyphs: number of classes, from 2 to 10.
        contrast: of ink and ground to their mean, in steps of 1/255 of the legal range.
        cells: sides of a cell in pixels; a sign has three by three cells and a frame of one pixel.
        backgrounds: whose images are planted in; their labels are not used. None for CIFAR-10 in `size`.
        size: height and width of CIFAR-10's images.
        train_size: training samples, the first so many; None for all.
        batch_size: samples per training step, of each process where several train together.
        eval_batch_size: samples per batch where no step is taken.
        seed: of the order of the training samples.
        workers: processes that prepare batches.

    Raises:
        ValueError: if there are no such glyphs or contrast, or a sign is larger than an image.
        FileNotFoundError: if CIFAR-10's files are missing, when samples are first asked for.
    """

    def __init__(
        self,
        glyphs: int = 2,
        contrast: int = 40,
        cells: Sequence[int] = (2, 3),
        backgrounds: DataSet | None = None,
        size: int = 32,
        train_size: int | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 512,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, workers)
        if not 2 <= glyphs <= len(GLYPHS):
            raise ValueError(f"`glyphs` should lie in [2, {len(GLYPHS)}]. Found {glyphs}.")
        if not 1 <= contrast < BYTES / 2:
            raise ValueError(f"`contrast` should lie in [1, {BYTES // 2}], steps of 1/255. Found {contrast}.")
        self.backgrounds = backgrounds or CIFAR10(size=size)
        self.shape, self.bounds = self.backgrounds.shape, self.backgrounds.bounds
        room = (min(self.shape[1:]) - 2 * FRAME) // GRID
        if not cells or not all(1 <= cell <= room for cell in cells):
            raise ValueError(f"`cells` should lie in [1, {room}] for images of {self.shape}. Found {list(cells)}.")
        self.classes = tuple(f"glyph {number}" for number in range(glyphs))
        self.contrast, self.cells, self.train_size = contrast, tuple(cells), train_size
        self.name = f"Planted{'' if glyphs == 2 else f'-{glyphs}'} in {self.backgrounds.name} {self.shape[-1]}"
        self.exact_residual = ExactResidual(self.exchanged)

    @cached_property
    def signs(self) -> dict[int, Float[Tensor, "C side side"]]:
        """The sign of every class by the side of a cell: 1 for ground and −1 for ink."""
        return {
            cell: torch.stack([_sign(glyph, cell) for glyph in GLYPHS[: self.num_classes]]) for cell in self.cells
        }

    @property
    def amplitude(self) -> float:
        """The contrast in the data's own units."""
        low, high = self.bounds
        return self.contrast / BYTES * (high - low)

    def make_split(self, name: SplitName) -> Split:
        """The samples of a split."""
        images, labels, _ = self.planted(name)
        return Split(images, labels, self.bounds)

    def planted(self, name: SplitName) -> tuple[Tensor, Tensor, Place]:
        """The samples of a split in bytes, their classes, and where their signs are."""
        images = _bytes_of(self.backgrounds.split(name))
        if name == "train":
            images = images[: self.train_size]
        count, generator = len(images), generator_for("planted", name)
        labels = torch.randint(self.num_classes, (count,), generator=generator)
        place = self._places(count, generator)
        colour = torch.randint(self.contrast, BYTES + 1 - self.contrast, (count, len(images[0])), generator=generator)
        images = images.clone()
        for cell, signs in self.signs.items():
            chosen = (place.cell == cell).nonzero().flatten()
            painted = colour[chosen, :, None, None] + self.contrast * signs.long()[labels[chosen], None]
            images[_window(chosen, place, signs.shape[-1])] = painted.to(images.dtype).movedim(1, 3)
        return images, labels, place

    def _places(self, count: int, generator: torch.Generator) -> Place:
        """Any place at which a sign is whole."""
        cell = torch.tensor(self.cells)[torch.randint(len(self.cells), (count,), generator=generator)]
        side = GRID * cell + 2 * FRAME
        at = [(torch.rand(count, generator=generator) * (length - side + 1)).long() for length in self.shape[1:]]
        return Place(cell, *at)

    def exchanged(
        self, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B *shape"]:
        """Δx: the glyph of the sign in x exchanged for the target's, `(B, *shape)`."""
        check_labels(y, len(x), self.num_classes)
        check_labels(target, len(x), self.num_classes, "target")
        place, residual = self.found(x, y), torch.zeros_like(x)
        for cell, signs in self.signs.items():
            chosen = (place.cell == cell).nonzero().flatten()
            change = self.amplitude * (signs[target[chosen].cpu()] - signs[y[chosen].cpu()]).to(x)
            residual[_window(chosen, place, signs.shape[-1])] = change[..., None].expand(*change.shape, x.shape[1])
        return residual

    def found(self, x: Float[Tensor, "B channels height width"], y: Int[Tensor, " B"]) -> Place:
        """Where the sign of class y fits an image best, in the square of the distance with the best colour."""
        best, where = x.new_full((len(x),), torch.inf), []
        for cell, signs in self.signs.items():
            misfit = _misfit(x, self.amplitude * signs.to(x))[torch.arange(len(x)), y]
            least, index = misfit.flatten(1).min(dim=1)
            where.append((cell, least < best, index // misfit.shape[2], index % misfit.shape[2]))
            best = torch.minimum(best, least)
        place = [torch.zeros_like(y) for _ in Place._fields]
        for cell, better, row, column in where:
            found = (torch.full_like(y, cell), row, column)
            place = [torch.where(better, new, old) for new, old in zip(found, place, strict=True)]
        return Place(*place)


def _sign(glyph: str, cell: int) -> Float[Tensor, "side side"]:
    inked = torch.tensor([character == "#" for character in glyph]).reshape(GRID, GRID)
    inside = inked.repeat_interleave(cell, dim=0).repeat_interleave(cell, dim=1)
    return 1 - 2 * F.pad(inside, [FRAME] * 4, value=True).float()


def _misfit(x: Tensor, signs: Tensor) -> Float[Tensor, "B C rows columns"]:
    """Squares of the distance between every window of an image and every sign in the best colour."""
    side, flat = signs.shape[-1], x.reshape(-1, 1, *x.shape[2:])
    shifted = (signs - signs.mean(dim=(1, 2), keepdim=True))[:, None]
    total, squares = (F.conv2d(value, torch.ones_like(shifted[:1])) for value in (flat, flat.square()))
    misfit = (
        squares
        - total.square() / side**2
        - 2 * F.conv2d(flat, shifted)
        + shifted.square().sum(dim=(1, 2, 3))[:, None, None]
    )
    return misfit.unflatten(0, (-1, x.shape[1])).sum(dim=1)


def _window(chosen: Tensor, place: Place, side: int) -> tuple[Tensor, slice, Tensor, Tensor]:
    """The index of the windows of some images, whose values are `(chosen, side, side, channels)`."""
    within = torch.arange(side, device=chosen.device)
    rows = place.row[chosen, None, None] + within[:, None]
    columns = place.column[chosen, None, None] + within
    return chosen[:, None, None], slice(None), rows, columns


def _bytes_of(split: Split) -> Tensor:
    """The images of a split as bytes."""
    if split.images.dtype == torch.uint8:
        return split.images
    low, high = split.bounds
    return ((split.images - low) / (high - low) * BYTES).round().to(torch.uint8)
