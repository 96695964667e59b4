"""Image files of every kind that PIL reads: bits, channels, alpha, orientation, sizes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets.folder import default_loader
from torchvision.transforms.v2.functional import pil_to_tensor

from tests.training.data.pictures import deep_png
from training.data.images import FileSplit, Preparation, looked_at
from training.data.split import from_bytes

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (6, 6), dtype=np.uint16)
COLOURS = RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8)


def read(path: Path, bounds: tuple[float, float] = (0.0, 1.0), **changes: Any) -> torch.Tensor:
    """One input as a split of files makes it."""
    options = {"size": 6, "resize": 6, "interpolation": "bilinear", "channels": 3, "levels": None} | changes
    return FileSplit([(str(path), 0)], Preparation(**options, bounds=bounds))[0].x[0]


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_of_grey_are_read_without_loss(tmp_path, ending, channels):
    Image.fromarray(DEEP).save(tmp_path / f"a.{ending}")
    x = read(tmp_path / f"a.{ending}", channels=channels)
    assert x.shape == (channels, 6, 6)
    expected = torch.from_numpy(DEEP.astype(np.float32)).div(65535).expand(channels, 6, 6)
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-7)


def test_a_radiograph_of_twelve_bits_is_not_all_white(tmp_path):
    Image.fromarray(DEEP // 16).save(tmp_path / "a.png")
    x = read(tmp_path / "a.png", bounds=(-1.0, 1.0), levels=4095)
    assert torch.equal(((x[0] + 1) / 2 * 4095).round().int(), torch.from_numpy((DEEP // 16).astype(np.int32)))
    with pytest.raises(ValueError, match=r"a.png: images should lie in \[0, 255\].*as `levels`"):
        read(tmp_path / "a.png", levels=255)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_of_sixteen_bits_of_colour_and_alpha_the_upper_eight_are_read_and_said(tmp_path, channels):
    pixels = RNG.integers(0, 65536, (6, 6, channels), dtype=np.uint16)
    deep_png(tmp_path / "a.png", pixels)
    x = read(tmp_path / "a.png").mul(255).round().int()
    colour = pixels[..., :3] if channels > 2 else pixels[..., :1].repeat(3, axis=2)
    assert torch.equal(x, torch.from_numpy((colour >> 8).astype(np.int32)).permute(2, 0, 1))
    assert "colours in 16 bits, of which the upper 8 are read" in " ".join(looked_at_in(tmp_path, "a.png"))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_sixteen_bits_are_resized_within_the_bounds(tmp_path, interpolation):
    Image.fromarray(np.where(DEEP > 32767, 65535, 0).astype(np.uint16)).save(tmp_path / "a.png")
    x = read(tmp_path / "a.png", size=20, resize=20, interpolation=interpolation)
    assert (x.min(), x.max()) == (0, 1)


def palette() -> Image.Image:
    return Image.fromarray(COLOURS).quantize(5)


@pytest.mark.parametrize(
    ("image", "ending"),
    [
        (Image.fromarray(COLOURS), "bmp"),
        (Image.fromarray(COLOURS), "webp"),
        (Image.fromarray(COLOURS), "jpg"),
        (Image.fromarray(COLOURS[..., 0]), "png"),
        (Image.fromarray(COLOURS[..., 0] > 99), "png"),
        (palette(), "png"),
        (Image.fromarray(COLOURS).convert("CMYK"), "tif"),
        (Image.fromarray(COLOURS).convert("CMYK"), "jpg"),
        (Image.fromarray(RNG.integers(0, 256, (6, 6, 4), dtype=np.uint8)), "png"),
        (Image.fromarray(RNG.integers(0, 256, (6, 6, 2), dtype=np.uint8)), "png"),
    ],
)
def test_eight_bits_are_read_as_torchvision_reads_them(tmp_path, image, ending):
    path = tmp_path / f"a.{ending}"
    image.save(path)
    expected = pil_to_tensor(default_loader(str(path)))
    assert torch.equal(read(path), from_bytes(expected, (0.0, 1.0)))
    grey = pil_to_tensor(Image.open(path).convert("L"))
    assert torch.equal(read(path, channels=1), from_bytes(grey, (0.0, 1.0)))


def test_orientation_is_passed_over_as_torchvision_does_unless_it_is_asked_for(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=exif)
    lying = read(tmp_path / "a.png")
    assert torch.equal(lying.mul(255).round().byte(), torch.from_numpy(COLOURS).permute(2, 0, 1))
    assert torch.equal(read(tmp_path / "a.png", upright=True), lying.rot90(-1, (1, 2)))
    assert "EXIF orientation, which torchvision passes over; `upright` decides" in looked_at_in(tmp_path, "a.png")[0]


def looked_at_in(folder: Path, name: str) -> tuple[str, ...]:
    return looked_at([str(folder / name)], None)[1]


def test_floating_point_is_taken_as_it_is_and_refused_outside_the_bounds(tmp_path):
    pixels = RNG.random((6, 6), dtype=np.float32)
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    Image.fromarray(pixels * 2).save(tmp_path / "b.tif")
    assert torch.equal(read(tmp_path / "a.tif", channels=1)[0], torch.from_numpy(pixels))
    with pytest.raises(ValueError, match=r"b.tif: images should lie within \(0.0, 1.0\)"):
        read(tmp_path / "b.tif")


def test_images_of_several_depths_share_a_batch(tmp_path):
    Image.fromarray(DEEP).save(tmp_path / "a.png")
    Image.fromarray(COLOURS).save(tmp_path / "b.png")
    files = [(str(tmp_path / "a.png"), 0), (str(tmp_path / "b.png"), 1)]
    split = FileSplit(files, Preparation(6, 6, "bilinear", 3, None, (-1.0, 1.0)))
    both = split.__getitems__([0, 1]).x
    assert torch.equal(both, torch.cat([split[0].x, split[1].x]))


def test_shorter_side_is_resized_before_the_middle_is_kept(tmp_path):
    Image.fromarray(RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    from torchvision.transforms.v2.functional import center_crop, resize

    expected = center_crop(resize(pil_to_tensor(Image.open(tmp_path / "a.png")), [20], antialias=True), [16, 16])
    assert torch.equal(read(tmp_path / "a.png", size=16, resize=20).mul(255).round().byte(), expected)


def test_what_is_looked_at_says_channels_and_what_is_taken(tmp_path):
    Image.fromarray(COLOURS[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(COLOURS).save(tmp_path / "colour.png")
    Image.fromarray(RNG.integers(0, 256, (6, 6, 4), dtype=np.uint8)).save(tmp_path / "alpha.png")
    Image.fromarray(DEEP // 16).save(tmp_path / "deep.png")
    (tmp_path / "broken.png").write_bytes(b"")
    channels = {name: looked_at([str(tmp_path / f"{name}.png")], None)[0] for name in ("grey", "colour", "deep")}
    assert channels == {"grey": 1, "colour": 3, "deep": 1}
    assert looked_at([str(tmp_path / f"{name}.png") for name in ("grey", "colour", "broken")], None) == (3, ())
    assert "alpha channel, which is left out" in looked_at_in(tmp_path, "alpha.png")[0]
    assert f"reach {DEEP.max() // 16} of 65535" in looked_at_in(tmp_path, "deep.png")[0]
    assert looked_at([str(tmp_path / "deep.png")], 4095) == (1, ())
    assert looked_at([], None) == (3, ())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, "`size` should be at least 1 pixel. Found 0"),
        ({"size": 8, "resize": 7}, "`resize` should be at least `size`, 8. Found 7"),
        ({"levels": 0}, "`levels` should be at least 1. Found 0"),
        ({"bounds": (0.0, np.inf)}, "need finite `bounds`"),
        ({"bounds": (1.0, 0.0)}, "`bounds` should be a lowest value and a higher one"),
    ],
)
def test_impossible_preparation_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.png", **changes)
