"""A denoiser: `(x + σ n, class) → E[x]`, preconditioned so that its network sees unit variance."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice
from generators.networks.film import FilmUNet
from generators.networks.residual_mlp import ResidualMLP
from generators.networks.unet import UNet

ROUNDING = 1e-6
"""By this part a noise level may lie beyond the ends of a range."""
BODIES = {"film": FilmUNet, "mlp": ResidualMLP, "unet": UNet}


class DenoisingNetwork(nn.Module):
    """D(x | c; σ) = c_skip x + c_out F(c_in x, c, σ): Karras et al. 2022 (arXiv 2206.00364), Eq. 7 and Table 1.

    With deviation s of the data, `c_skip = s² / (σ² + s²)`, `c_out = σ s / √(σ² + s²)` and `c_in = 1 / √(σ² + s²)`.
    F is one of the networks that draw residuals and starts at zero, where D is the best denoiser of independent
    values around 0 with that deviation.

    Args:
        shape: of one input.
        num_classes: C. Class C, one more than the data has, stands for "any class".
        bounds: lowest and highest legal value of an input.
        sigma: σ, standard deviation of the noise, in the units of the data; or the lowest and the highest that it is
            made for, of which the "film" body is told.
        deviation: s, of the values of the data.
        body: F, "film" or "unet" for images, or "mlp" for vectors.
        body_options: what that network takes.

    Attributes:
        sigma: σ, and of a range the geometric middle.
        levels: the lowest and the highest σ.

    Raises:
        ValueError: if `sigma` or `deviation` is not positive and finite, a range is none, or asked of another body
            than "film", there is no such body, or `body_options` say otherwise of the noise.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int,
        bounds: tuple[float, float],
        *,
        sigma: float | Sequence[float],
        deviation: float = 0.5,
        body: str = "unet",
        body_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not (isinstance(deviation, int | float) and 0 < deviation < math.inf):
            raise ValueError(f"`deviation` should be a positive number. Found {deviation!r}.")
        check_choice(body, tuple(BODIES), "body")
        self.shape, self.num_classes, self.deviation = tuple(shape), num_classes, float(deviation)
        self.levels = levels_of(sigma)
        self.sigma = math.sqrt(math.prod(self.levels)) if self.told else self.levels[0]
        if self.told and body != "film":
            raise ValueError(
                f"`sigma` should be one number, unless the network is film, not {body!r}. Found {sigma!r}."
            )
        options = dict(body_options or {})
        if options.get("noise", self.told) != self.told:
            raise ValueError(
                "`body_options` should leave out noise, which the body is told where `sigma` is a range and nowhere "
                f"else. Found {options['noise']!r}."
            )
        told = {"noise": True} if self.told else {}
        self.body = BODIES[body](shape, num_classes + 1, bounds, **{**options, **told})

    @property
    def told(self) -> bool:
        """Whether it is made for several noise levels."""
        return self.levels[0] < self.levels[1]

    def scales(self, sigma: Any) -> tuple[Any, Any, Any]:
        """c_skip, c_out and c_in of Karras et al. 2022, Table 1, of a number or of a tensor of them."""
        together = sigma**2 + self.deviation**2
        return self.deviation**2 / together, sigma * self.deviation / together**0.5, together**-0.5

    def forward(
        self, x: Float[Tensor, "B *shape"], c: Int[Tensor, " B"], sigma: Float[Tensor, " B"] | float | None = None
    ) -> Float[Tensor, "B *shape"]:
        """D(x | c; σ), `(B, *shape)`; c in [0, C], where C is any class.

        Args:
            x: inputs with noise.
            c: their classes.
            sigma: σ of all, or, of a network of a range, of each, which is not checked; None for the attribute of
                that name.

        Raises:
            ValueError: if σ is a number that the network was not made for, or a tensor and it is made for one alone.
        """
        if isinstance(sigma, Tensor) and self.told:
            each = sigma.reshape(-1, *[1] * len(self.shape))
            return self._moved(x, c, each, (sigma,))
        level = self.sigma if sigma is None else self._checked(sigma)
        return self._moved(x, c, level, (x.new_full((len(x),), level),) if self.told else ())

    def _moved(self, x: Tensor, c: Tensor, sigma: Tensor | float, told: tuple[Tensor, ...]) -> Tensor:
        skip, out, into = self.scales(sigma)
        moved: Tensor = skip * x + out * self.body(into * x, c, c, *told)
        return moved

    def _checked(self, sigma: Tensor | float) -> float:
        """A noise level, unless the network was made for others; ends of a range may be missed by rounding."""
        low, high = self.levels
        rounding = ROUNDING if self.told else 0.0
        if isinstance(sigma, int | float) and low * (1 - rounding) <= sigma <= high * (1 + rounding):
            return float(sigma)
        made_for = f"lie in [{low}, {high}]" if self.told else f"be {low}"
        raise ValueError(f"`sigma` should {made_for}, for which the denoiser is made. Found {sigma}.")


def levels_of(sigma: float | Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest noise level of what a user writes.

    Raises:
        ValueError: if they are not positive and finite, or no range.
    """
    both = tuple(sigma) if isinstance(sigma, Sequence) else (sigma, sigma)
    if len(both) == 2 and all(isinstance(level, int | float) and 0 < level < math.inf for level in both):
        low, high = float(both[0]), float(both[1])
        if low <= high:
            return low, high
    raise ValueError(f"`sigma` should be a positive number, or the lowest and the highest one. Found {sigma!r}.")
