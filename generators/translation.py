"""x → noise → x̂' with another class: the flow of a denoiser up from one class and down to another."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_counts
from generators.denoiser import level_for, made_levels
from generators.direct import DirectResidual

DRAWS = 2
"""Of noise, and as many of its opposite, by which a denoiser tells two classes apart."""


class Translation(DirectResidual):
    """Δ̂x = x̂' − x, where x̂' shares its noise with x: Su et al. 2023, arXiv 2203.08382 (dual diffusion bridges).

    The flow `dx/dσ = (x − D(x | c; σ)) / σ` (Song et al. 2021; Karras et al. 2022, Eq. 1 and 3) carries samples of
    class c to their noisy forms and back. Up with class y to σ, x loses what it has of its class and less of all that
    is larger than the noise; down with the target, it is given what the target has. Of two Gaussian classes of one
    covariance the whole way, to a σ far above all deviations, is the optimal transport from one to the other. What is
    lost on the way up and down with class y itself is no change of class: it is subtracted,
    `Δ̂x = x̂'(target) − x̂'(y)`.

    With guidance w each step down follows `D(x | t) + w (D(x | t) − D(x | y))` (Ho and Salimans 2022, arXiv
    2207.12598, with the class that is left in place of any class). Of several w each sample takes the least by which
    x̂' is of the target class before the denoiser itself, see `odds`: the smallest change that does, as in diffusion
    counterfactuals (Augustin et al. 2022, arXiv 2210.11841), but without a classifier.

    Args:
        generator: a denoiser of a range of noise levels, see `generators.networks.DenoisingNetwork`; kept in
            evaluation mode, and moved to the device of what it is asked.
        sigma: highest σ of the way, above the denoiser's lowest, from which it starts; the higher, the more of x may
            change. None for the denoiser's highest.
        steps: of Heun's method, each way, equal in log σ; two passes each.
        guidance: w, or several in rising order; a sample that none of them leads to its target takes the last.
        batch: samples per pass.

    Raises:
        ValueError: if the denoiser is of one σ alone or made for others, `sigma` is its lowest, `steps` is below 1,
            `guidance` is negative, not finite, empty or does not rise, or `batch` is below 1.
    """

    name = "translation"

    def __init__(
        self,
        generator: nn.Module,
        *,
        sigma: float | None = None,
        steps: int = 8,
        guidance: float | Sequence[float] = 0.0,
        batch: int = 512,
    ) -> None:
        super().__init__(generator, batch=batch)
        low, high = made_levels(generator)
        if low == high:
            raise ValueError(f"`generator` should be a denoiser of a range of σ. Found one of {low} alone.")
        check_counts(1, steps=steps)
        ladder = [*guidance] if isinstance(guidance, Sequence) else [guidance]
        numbers = all(isinstance(w, int | float) and 0 <= w < math.inf for w in ladder)
        if not (ladder and numbers and all(lower < higher for lower, higher in pairwise(ladder))):
            raise ValueError(
                f"`guidance` should be 0 or more, or several such numbers that rise. Found {guidance!r}."
            )
        self.ladder = [float(w) for w in ladder]
        self.sigma = level_for(generator, high if sigma is None else sigma)
        if self.sigma == low:
            raise ValueError(f"`sigma` should be above {low}, where the way starts. Found {sigma}.")
        self.levels = [low * (self.sigma / low) ** (step / steps) for step in range(steps + 1)]
        told = self.ladder if len(self.ladder) > 1 else self.ladder[0]
        self.settings = {"sigma": self.sigma, "steps": steps, "guidance": told}

    def drawn(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """Of one batch: the way down with the target, less the way down with class y."""
        noisy = flow(self.generator, x, y, self.levels)
        downwards = self.levels[::-1]
        back = flow(self.generator, noisy, y, downwards)
        found, missing = torch.zeros_like(x), torch.arange(len(x), device=x.device)
        for guidance in self.ladder:
            own, asked = y[missing], target[missing]
            led = flow(self.generator, noisy[missing], asked, downwards, own, guidance)
            found[missing] = led - back[missing]
            if guidance == self.ladder[-1]:
                break
            missing = missing[odds(self.generator, x[missing] + found[missing], own, asked) <= 0]
            if not len(missing):
                break
        return found


@torch.no_grad()
def flow(
    denoiser: nn.Module,
    x: Float[Tensor, "B *shape"],
    c: Int[Tensor, " B"],
    levels: Sequence[float],
    left: Int[Tensor, " B"] | None = None,
    guidance: float = 0.0,
) -> Float[Tensor, "B *shape"]:
    """Samples carried along `dx/dσ = (x − D(x | c; σ)) / σ` by Heun's method, Karras et al. 2022, Algorithm 1.

    Args:
        denoiser: D, of a range of noise levels.
        x: samples at the first level.
        c: their classes, C for any.
        levels: σ, one after the other.
        left: classes to lead away from.
        guidance: w, see `Translation`.

    Returns:
        The samples at the last level.
    """

    def slope(x: Tensor, sigma: float) -> Tensor:
        denoised: Tensor = denoiser(x, c, sigma)
        if left is not None and guidance:
            denoised = denoised + guidance * (denoised - denoiser(x, left, sigma))
        return (x - denoised) / sigma

    for now, then in pairwise(levels):
        first = slope(x, now)
        second = slope(x + (then - now) * first, then)
        x = x + (then - now) * (first + second) / 2
    return x


@torch.no_grad()
def odds(
    denoiser: nn.Module, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """By how much a denoiser restores x better as the target than as y: a part of `log p(x | target) − log p(x | y)`.

    `E_n [‖D(x + σ n | y; σ) − x‖² − ‖D(x + σ n | target; σ) − x‖²] / 2 σ²` at the denoiser's own σ, a term of the
    bound by which a diffusion model classifies (Li et al. 2023, arXiv 2303.16203). Noise is the same for all samples,
    and each drawn one is taken with its opposite.

    Args:
        denoiser: D.
        x: samples.
        y: classes.
        target: other classes.

    Returns:
        Above 0 where the target is the better one, `(B,)`.
    """
    made_for: Any = denoiser
    sigma = float(made_for.sigma)
    drawn = torch.randn(DRAWS, *x.shape[1:], generator=torch.Generator().manual_seed(0)).to(x)

    def error(noise: Tensor, c: Tensor) -> Tensor:
        return (denoiser(x + sigma * noise, c, sigma) - x).flatten(1).square().sum(dim=1)

    gained = [error(noise, y) - error(noise, target) for noise in torch.cat([drawn, -drawn])]
    return torch.stack(gained).mean(dim=0) / (2 * sigma**2)
