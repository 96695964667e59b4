"""What lets attacks of other libraries work here: inputs in [0, 1], and nothing left changed behind them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from alignment.double import exactly
from alignment.gradients import differentiable, evaluating, logits_of
from eval.attacks.finite import FiniteGradients
from training.seeds import generator_or_fresh


@contextmanager
def isolated(classifier: nn.Module, generator: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """Lend a classifier and the global random state to an attack, and take both back as they were.

    Inside, the classifier is in evaluation mode, its parameters ask for no gradient (the attacks call `backward`,
    which would fill their `.grad`), gradients are allowed, and the random state is seeded.

    Args:
        classifier: to be attacked.
        generator: source of the seed; None for a fresh one.
        device: on which the attack draws random numbers.
    """
    parameters = [parameter for parameter in classifier.parameters() if parameter.requires_grad]
    gpus = [device] if device.type == "cuda" else []
    with evaluating(classifier), differentiable(), torch.random.fork_rng(devices=gpus):
        seed = _seed(generator)
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        try:
            for parameter in parameters:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter in parameters:
                parameter.requires_grad_()


def _seed(generator: torch.Generator | None) -> int:
    generator = generator_or_fresh(generator)
    return int(torch.randint(2**31, (), generator=generator, device=generator.device))


@dataclass(frozen=True)
class UnitBox:
    """The affine map between the data's own range and [0, 1].

    Attributes:
        low: becomes 0.
        width: low + width becomes 1.
        bounds: lowest and highest legal value of an input.
    """

    low: float
    width: float
    bounds: tuple[float, float]

    @classmethod
    def around(cls, x: Tensor, bounds: tuple[float, float], room: Callable[[], float]) -> "UnitBox":
        """The legal range; where it has no end, the box ends `room` beyond the furthest input."""
        low = float(x.min()) - room() if bounds[0] == -torch.inf else bounds[0]
        high = float(x.max()) + room() if bounds[1] == torch.inf else bounds[1]
        return cls(low, high - low, bounds)

    def enter(self, x: Float[Tensor, "B *shape"]) -> Float[Tensor, "B *shape"]:
        """In [0, 1], float32."""
        return ((exactly(x) - self.low) / self.width).clamp(0, 1).float().to(x.device)

    def leave(self, u: Float[Tensor, "B *shape"], like: Tensor) -> Float[Tensor, "B *rest"]:
        """In the data's own range, in shape and precision of the data."""
        x = u.to(like.dtype) * self.width + self.low
        # Rounding is taken back without a part in the gradient: that of clamp is 0 at a bound, where many pixels lie.
        x = x + (x.detach().clamp(*self.bounds) - x.detach())
        return x.reshape(len(u), *like.shape[1:])


class Boxed(nn.Module):
    """A classifier of inputs in [0, 1].

    Args:
        classifier: from `(B, *shape)` in the data's own range to logits. It does not become a part of this module, so
            that a library that moves its model to another device does not move the classifier.
        box: the map from [0, 1].
        like: any batch of the data's own shape and precision.

    Attributes:
        gradients: that were taken; on a GPU what called the library has to `check` them.
    """

    def __init__(self, classifier: Callable[[Tensor], Any], box: UnitBox, like: Tensor) -> None:
        super().__init__()
        self.classify: Callable[[Tensor], Tensor] = lambda x: logits_of(classifier, x).float()
        self.box, self.like, self.gradients = box, like, FiniteGradients(like.device)
        self.eval()

    def point(self, u: Float[Tensor, "B *shape"]) -> Float[Tensor, "B *rest"]:
        """The input of the classifier that a point of the box stands for."""
        return self.box.leave(u, self.like)

    def forward(self, u: Float[Tensor, "B *shape"]) -> Float[Tensor, "B C"]:
        """Logits in float32.

        Raises:
            ValueError: if a gradient is asked for and the logits have no graph to the input, or, once it is taken, if
                it is not finite; on a GPU `gradients.check` refuses that.
        """
        x = self.point(u)
        if x.requires_grad:
            x.register_hook(self.gradients.note)
        logits = self.classify(x)
        if torch.is_grad_enabled() and u.requires_grad and not logits.requires_grad:
            raise ValueError(
                "`classifier` should be differentiable with respect to its input. Found logits without a graph to it."
            )
        return logits
