"""Random crops, flips, rotations and cutout of training images, on the device where they are used."""

import torch
from jaxtyping import Float
from kornia.augmentation import RandomCrop, RandomHorizontalFlip, RandomRotation
from torch import Tensor


class Augmentation:
    """Moves every image of a batch by random parameters of its own; what is uncovered gets the lowest legal value.

    Papers 2 and 3 train with crop, flip and cutout, and with crop, flip and rotation. In YAML:
    `augmentation: {class_path: training.data.Augmentation, init_args: {crop: 4, flip: true, cutout: 16}}`.

    Args:
        crop: pixels of padding on each side before a crop of the image's own size; 0 for none.
        flip: mirror left and right, with probability ½.
        rotation: largest angle in degrees, to either side; 0 for none.
        cutout: side in pixels of a square around a random pixel, cut off at the border (DeVries and Taylor 2017,
            arXiv:1708.04552); 0 for none.

    Raises:
        ValueError: for a negative value, or a rotation above 180 degrees.
    """

    def __init__(self, crop: int = 4, flip: bool = True, rotation: float = 0.0, cutout: int = 0) -> None:
        for argument, value in (("crop", crop), ("cutout", cutout)):
            if value < 0:
                raise ValueError(f"`{argument}` should be at least 0. Found {value}.")
        if not 0 <= rotation <= 180:
            raise ValueError(f"`rotation` should lie in [0, 180]. Found {rotation}.")
        self.crop, self.flip, self.rotation, self.cutout = crop, flip, rotation, cutout

    def __call__(
        self, x: Float[Tensor, "B channels height width"], *, bounds: tuple[float, float], seed: int
    ) -> Float[Tensor, "B channels height width"]:
        """Augmented images, within the bounds.

        Args:
            x: images within `bounds`, on any device; left as they are.
            bounds: lowest and highest legal value of an input.
            seed: on which all randomness depends; the global one is put back.
        """
        low, high = bounds
        # kornia draws from the global generator of the CPU, whatever the device.
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.default_generator.manual_seed(seed)
            if self.crop:
                height, width = x.shape[-2:]
                x = RandomCrop((height, width), padding=self.crop, fill=low)(x)
            if self.flip:
                x = RandomHorizontalFlip()(x)
            if self.rotation:
                x = RandomRotation(self.rotation, p=1.0)(x - low) + low  # it fills with zeros
            if self.cutout:
                x = x.masked_fill(_squares(x, self.cutout), low)
        return x.clamp(low, high)


def _squares(x: Tensor, side: int) -> Tensor:
    """Which pixels lie in a square around a random pixel of each image, `(B, 1, height, width)`."""
    within = []
    for size, layout in ((x.shape[-2], (1, 1, -1, 1)), (x.shape[-1], (1, 1, 1, -1))):
        start = torch.randint(size, (len(x), 1, 1, 1)).to(x.device) - side // 2
        place = torch.arange(size, device=x.device).reshape(layout)
        within.append((start <= place) & (place < start + side))
    return within[0] & within[1]
