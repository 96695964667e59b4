"""The ImageNet generator of the package pytorch-pretrained-biggan as one of ours; paper 1 takes biggan-deep-256."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import interpolate, one_hot

from generators.projection import LatentProjection


class BigGAN(nn.Module):
    """`(z, class) → image` from a BigGAN-deep, resized and mapped to bounds, for `LatentProjection`.

    Example:
        LatentProjection(BigGAN.pretrained("biggan-deep-256", shape=(3, 224, 224)), regularization=0.03)

    Args:
        network: a `pytorch_pretrained_biggan.BigGAN`.
        shape: of one image, `(3, height, width)`, as the classifier takes it.
        bounds: lowest and highest value of an image; the network's own are [−1, 1].
        truncation: in (0, 1], which the network looks its batch-norm statistics up with; 1 for z ~ N(0, 1).

    Raises:
        ValueError: for a shape that is no colour image.
    """

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        bounds: tuple[float, float] = (-1.0, 1.0),
        truncation: float = 1.0,
    ) -> None:
        super().__init__()
        if len(shape) != 3 or shape[0] != 3:
            raise ValueError(f"`shape` should be (3, height, width). Found {tuple(shape)}.")
        config: Any = network.config
        self.network, self.shape, self.bounds, self.truncation = network, tuple(shape), bounds, truncation
        self.latent_size: int = config.z_dim
        self.num_classes: int = config.num_classes

    @classmethod
    def pretrained(cls, name: str = "biggan-deep-256", **options: Any) -> "BigGAN":
        """The published weights, from a folder, the package's cache, or fetched by it; options as of the class."""
        try:
            from pytorch_pretrained_biggan import BigGAN as Published
        except ImportError as error:
            raise ImportError("Published BigGANs need `pip install alphadx[biggan]`.") from error
        return cls(Published.from_pretrained(name), **options)

    def forward(self, z: Float[Tensor, "B latent"], target: Int[Tensor, " B"]) -> Float[Tensor, "B 3 height width"]:
        """Images of the classes `target`, within bounds."""
        image = self.network(z, one_hot(target, self.num_classes).to(z), self.truncation)
        image = interpolate(image, size=self.shape[1:], mode="bilinear", antialias=True, align_corners=False)
        low, high = self.bounds
        return low + (high - low) * (image + 1) / 2


def projection_of(
    name: str,
    *,
    shape: Sequence[int],
    num_classes: int,
    bounds: tuple[float, float],
    weights: str | None = None,
    **options: Any,
) -> LatentProjection:
    """Residuals to ImageNet's classes by projection onto a published BigGAN, as in paper 1, section A.7.

    Args:
        name: such as biggan-deep-256.
        shape: of one image.
        num_classes: of the data; those of ImageNet in the order of their identifiers, as folders of images have them.
        bounds: of the data.
        weights: folder with the network's `config.json` and `pytorch_model.bin`; None for the package's cache.
        options: what `LatentProjection` takes.

    Raises:
        ValueError: if the data have other classes than the network, or no colours.
        ImportError: if the package is not installed.
    """
    drawing = BigGAN.pretrained(weights or name, shape=shape, bounds=bounds)
    if drawing.num_classes != num_classes:
        raise ValueError(
            f"`residual` {name!r} draws {drawing.num_classes} classes, as the data should have. Found {num_classes}."
        )
    projection = LatentProjection(drawing.eval().requires_grad_(False), **options)
    projection.name = name
    return projection
