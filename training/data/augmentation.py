"""Random crops, flips, rotations, cutout and erasing of training images, on the device where they are used."""

import torch
from jaxtyping import Float
from torch import Tensor

from alignment.contracts import check_number

ERASED = (0.02, 0.4)
"""Smallest and largest part of an image that is erased, in paper 2's program."""
ASPECT = (0.3, 1 / 0.3)
"""Smallest and largest ratio of the sides of what is erased, as Zhong et al. 2020 have it."""


class Augmentation:
    """Moves every image of a batch by random parameters of its own; what is uncovered gets the lowest legal value.

    Papers 2 and 3 train with crop, flip and cutout, and with crop, flip and rotation. What paper 2's program does as
    cutout is `erasing`: `augmentation: {class_path: training.data.Augmentation, init_args: {crop: 4, erasing: 0.5}}`
    in YAML.

    Args:
        crop: pixels of padding on each side before a crop of the image's own size; 0 for none.
        flip: mirror left and right, with probability ½.
        rotation: largest angle in degrees, to either side; 0 for none.
        cutout: side in pixels of a square around a random pixel, cut off at the border (DeVries and Taylor 2017,
            arXiv:1708.04552), which gets the lowest legal value; 0 for none.
        erasing: probability with which a rectangle of 2 to 40 % of an image gets one random legal value, the same in
            all channels (random erasing, Zhong et al. 2020, arXiv:1708.04896, in grey); 0 for none.

    Raises:
        ValueError: for a negative value, a rotation above 180 degrees, or a probability above 1.
    """

    def __init__(
        self, crop: int = 4, flip: bool = True, rotation: float = 0.0, cutout: int = 0, erasing: float = 0.0
    ) -> None:
        for argument, value in (("crop", crop), ("cutout", cutout)):
            if value < 0:
                raise ValueError(f"`{argument}` should be at least 0. Found {value}.")
        if not 0 <= rotation <= 180:
            raise ValueError(f"`rotation` should lie in [0, 180]. Found {rotation}.")
        check_number(erasing, "erasing", "lie in [0, 1]", lambda value: 0 <= value <= 1)
        self.crop, self.flip, self.rotation, self.cutout, self.erasing = crop, flip, rotation, cutout, erasing

    def __call__(
        self, x: Float[Tensor, "B channels height width"], *, bounds: tuple[float, float], seed: int
    ) -> Float[Tensor, "B channels height width"]:
        """Augmented images, within the bounds.

        Args:
            x: images within `bounds`, on any device; left as they are.
            bounds: lowest and highest legal value of an input.
            seed: on which all randomness depends; the global one is put back.
        """
        from kornia.augmentation import RandomCrop, RandomHorizontalFlip, RandomRotation

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
            if self.erasing:
                grey = low + (high - low) * torch.rand(len(x), 1, 1, 1, dtype=x.dtype).to(x.device)
                x = torch.where(_rectangles(x, self.erasing), grey, x)
        return x.clamp(low, high)


def _squares(x: Tensor, side: int) -> Tensor:
    """Which pixels lie in a square around a random pixel of each image, `(B, 1, height, width)`."""
    within = []
    for size, layout in ((x.shape[-2], (1, 1, -1, 1)), (x.shape[-1], (1, 1, 1, -1))):
        start = torch.randint(size, (len(x), 1, 1, 1)).to(x.device) - side // 2
        place = torch.arange(size, device=x.device).reshape(layout)
        within.append((start <= place) & (place < start + side))
    return within[0] & within[1]


def _rectangles(x: Tensor, probability: float) -> Tensor:
    """Which pixels lie in a random rectangle, of those images that have one, `(B, 1, height, width)`."""
    from kornia.augmentation import RandomErasing

    # kornia erases to one value for all images, so a mask is erased.
    erase = RandomErasing(scale=ERASED, ratio=ASPECT, value=1.0, p=probability)
    return erase(torch.zeros_like(x[:, :1])) > 0
