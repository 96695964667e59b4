"""Planted: a sign in every photograph, and the proof that its exchange is the closest point of the other class."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training.data import CIFAR10, DataSet, Planted, Split, SplitName
from training.data.planted import FRAME, GLYPHS, GRID


class Clouds(DataSet):
    """Smooth random colours, in place of photographs."""

    name, bounds, classes, shape = "clouds", (-1.0, 1.0), ("any",), (3, 16, 16)

    def make_split(self, name: SplitName) -> Split:
        generator = torch.Generator().manual_seed(len(name))
        coarse = torch.rand(20, 3, 4, 4, generator=generator)
        images = F.interpolate(coarse, size=16, mode="bicubic").clamp(0, 1)
        return Split((images * 255).round().to(torch.uint8), torch.zeros(20), self.bounds)


def planted(**options: Any) -> Planted:
    return Planted(backgrounds=Clouds(), cells=(1, 2), **options)


def test_all_glyphs_have_as_much_ink_and_differ_in_four_cells_or_all() -> None:
    inked = [{place for place, mark in enumerate(glyph) if mark == "#"} for glyph in GLYPHS]
    assert {len(glyph) for glyph in GLYPHS} == {GRID**2}
    assert {len(cells) for cells in inked} == {4}
    assert {len(a ^ b) for a, b in combinations(inked, 2)} == {4, 8}


@pytest.mark.parametrize("glyphs", [2, 10])
def test_a_sample_is_its_background_but_for_the_sign(glyphs: int) -> None:
    data = planted(glyphs=glyphs)
    images, labels, place = data.planted("test")
    before = data.backgrounds.split("test").images
    for number, image in enumerate(images):
        cell, row, column = (int(part[number]) for part in place)
        side = GRID * cell + 2 * FRAME
        window = (slice(None), slice(row, row + side), slice(column, column + side))
        changed = image[window].long()
        image[window] = before[number][window]
        assert torch.equal(image, before[number])
        colour = changed[:, 0, 0] + data.contrast  # the frame is ink
        sign = data.signs[cell][labels[number]].long()
        assert torch.equal(changed, colour[:, None, None] + data.contrast * sign)
    assert {*labels.tolist()} <= {*range(glyphs)}
    assert len({*labels.tolist()}) > 1


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_sign_is_found(noise: float) -> None:
    data = planted(glyphs=10)
    _, y, place = data.planted("test")
    batch = data.split("test").__getitems__(range(len(y)))
    found = data.found(batch.x + noise * torch.randn_like(batch.x), y)
    for part, wanted in zip(found, place, strict=True):
        assert torch.equal(part, wanted)


def test_the_exact_residual_makes_the_same_image_with_the_other_sign() -> None:
    data = planted(glyphs=10)
    images, y, place = data.planted("test")
    x, _, _ = data.split("test").__getitems__(range(len(y)))
    target = (y + 3) % 10
    moved = x + data.residual("exact")(x, y, target)
    for number, cell in enumerate(place.cell.tolist()):
        signs, row, column = data.signs[cell], place.row[number], place.column[number]
        rows, columns = (slice(start, start + signs.shape[-1]) for start in (row, column))
        change = (data.contrast * (signs[target[number]] - signs[y[number]])).to(torch.int64)
        images[number, :, rows, columns] = (images[number, :, rows, columns] + change).to(torch.uint8)
    torch.testing.assert_close(moved, 2 * images.float() / 255 - 1, rtol=0, atol=1e-6)
    assert float(moved.abs().max()) <= 1 + 1e-6
    assert torch.equal(data.residual("exact")(x, y, y), torch.zeros_like(x))


def test_another_colour_is_farther_away() -> None:
    """To change it is orthogonal to the exchange of a glyph, as all have as much ink."""
    data = planted(glyphs=10)
    for signs in data.signs.values():
        for a, b in combinations(signs, 2):
            assert float((a - b).sum()) == 0


def closest(data: Planted, image: Tensor, backgrounds: Tensor, target: int) -> float:
    """The least distance to images with the target's sign, over backgrounds, places, sizes and colours."""
    least = torch.inf
    for signs in data.signs.values():
        side = signs.shape[-1]
        shifted = signs[target] - signs[target].mean()
        apart = (image - backgrounds).square().sum(dim=1)
        # For every window: what the background costs outside of it, and the sign in the best legal colour within.
        outside = apart.sum(dim=(1, 2))[:, None, None] - side**2 * F.avg_pool2d(apart, side, stride=1)
        windows = image.unfold(1, side, 1).unfold(2, side, 1)
        within = (windows - data.contrast * shifted).flatten(3)
        low = data.contrast * (1 + float(signs[target].mean()))
        colour = within.mean(dim=3).clamp(low, low + 255 - 2 * data.contrast)
        inside = (within - colour[..., None]).square().sum(dim=3).sum(dim=0)
        least = min(least, float((outside + inside).sqrt().min()))
    return least


def check_closest(data: Planted, count: int) -> list[float]:
    """Of each sample how much farther than the exchange the best of all others is; the exchange is among them."""
    images, y, place = data.planted("test")
    before = data.backgrounds.split("test").images[:].double()
    margins = []
    for number in range(count):
        cell, row, column = (int(part[number]) for part in place)
        target = (int(y[number]) + 1 + number % (data.num_classes - 1)) % data.num_classes
        exchange = float((data.signs[cell][target] - data.signs[cell][y[number]]).norm()) * data.contrast * 3**0.5
        found = closest(data, images[number].double(), before, target)
        assert found == pytest.approx(exchange, rel=1e-6), (number, cell, row, column)
        # The true background is what makes it that close: without it all others are farther away.
        others = closest(data, images[number].double(), before[torch.arange(len(before)) != number], target)
        margins.append(others / exchange)
    return margins


@pytest.mark.parametrize("glyphs", [2, 10])
def test_the_exchange_is_the_closest_of_all_images_with_the_other_sign(glyphs: int) -> None:
    assert min(check_closest(planted(glyphs=glyphs), 20)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize("glyphs", [2, 10])
def test_it_is_in_photographs(glyphs: int, size: int, real_data: Path) -> None:
    data = Planted(glyphs, backgrounds=CIFAR10(str(real_data), size=size), cells=(1, 2) if size == 16 else (2, 3))
    assert min(check_closest(data, 12)) > 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"glyphs": 1}, r"`glyphs` should lie in \[2, 10\]. Found 1."),
        ({"glyphs": 11}, r"`glyphs` should lie in \[2, 10\]. Found 11."),
        ({"contrast": 0}, r"`contrast` should lie in \[1, 127\]"),
        ({"contrast": 128}, r"`contrast` should lie in \[1, 127\]"),
        ({"cells": (5,)}, r"`cells` should lie in \[1, 4\] for images of \(3, 16, 16\). Found \[5\]."),
        ({"cells": ()}, r"`cells` should lie in \[1, 4\]"),
        ({"cells": (0, 1)}, r"`cells` should lie in \[1, 4\]"),
    ],
)
def test_what_is_no_sign_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Planted(backgrounds=Clouds(), **({"cells": (1,)} | options))


def test_samples_are_the_same_every_time_and_whatever_the_batch() -> None:
    assert torch.equal(planted().split("train").images, planted(batch_size=3).split("train").images)
    assert len(planted(train_size=7).split("train")) == 7
