"""A denoiser of one noise level: `(x + σ n, class) → E[x]`, preconditioned so that its network sees unit variance."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice
from generators.networks.film import FilmUNet
from generators.networks.residual_mlp import ResidualMLP
from generators.networks.unet import UNet

BODIES = {"film": FilmUNet, "mlp": ResidualMLP, "unet": UNet}


class DenoisingNetwork(nn.Module):
    """D(x | c) = c_skip x + c_out F(c_in x, c): Karras et al. 2022 (arXiv 2206.00364), Eq. 7 and Table 1, at one σ.

    With deviation s of the data, `c_skip = s² / (σ² + s²)`, `c_out = σ s / √(σ² + s²)` and `c_in = 1 / √(σ² + s²)`.
    F is one of the networks that draw residuals and starts at zero, where D is the best denoiser of independent
    values around 0 with that deviation.

    Args:
        shape: of one input.
        num_classes: C. Class C, one more than the data has, stands for "any class".
        bounds: lowest and highest legal value of an input.
        sigma: σ, standard deviation of the noise, in the units of the data.
        deviation: s, of the values of the data.
        body: F, "film" or "unet" for images, or "mlp" for vectors.
        body_options: what that network takes.

    Raises:
        ValueError: if `sigma` or `deviation` is not positive and finite, or there is no such body.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int,
        bounds: tuple[float, float],
        *,
        sigma: float,
        deviation: float = 0.5,
        body: str = "unet",
        body_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("sigma", sigma), ("deviation", deviation)):
            if not (isinstance(value, int | float) and 0 < value < math.inf):
                raise ValueError(f"`{name}` should be a positive number. Found {value!r}.")
        check_choice(body, tuple(BODIES), "body")
        self.shape, self.num_classes, self.sigma = tuple(shape), num_classes, float(sigma)
        together = sigma**2 + deviation**2
        self.skip, self.out, self.into = deviation**2 / together, sigma * deviation / together**0.5, together**-0.5
        self.body = BODIES[body](shape, num_classes + 1, bounds, **(body_options or {}))

    def forward(self, x: Float[Tensor, "B *shape"], c: Int[Tensor, " B"]) -> Float[Tensor, "B *shape"]:
        """D(x | c), `(B, *shape)`; c in [0, C], where C is any class."""
        return self.skip * x + self.out * self.body(self.into * x, c, c)
