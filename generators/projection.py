"""Find the image of a class that a conditional generator draws closest to x; paper 1, section 2.3.2, Eqs. 14–16."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, cast, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Adam

from alignment.contracts import check_choice, check_finite, check_labels
from alignment.gradients import evaluating
from generators.bounded_lbfgs import Evaluation, minimise
from generators.checkpoints import digest

Method = Literal["paper", "ours"]
Difference = Literal["image", "pair"]
Loss = Callable[..., tuple[Tensor, Tensor]]
"""`(z, rows, weight=λ_Regz) → (loss, gradient)` per row of z; `rows` are the numbers of the pairs they belong to."""

FREE_STEPS, STEPS = 600, 150
"""The paper's Adam steps with λ_Regz = 0 and with λ_Regz."""


class LatentGenerator(Protocol):
    """What a conditional generator is, besides a module: `(z, class) → image`, and what it draws."""

    latent_size: int
    num_classes: int
    shape: tuple[int, ...]
    bounds: tuple[float, float]

    def __call__(self, z: Tensor, target: Tensor) -> Tensor:
        """Images `(B, *shape)` of latent vectors `(B, latent_size)` and classes `(B,)` int64."""
        ...


class Projection(NamedTuple):
    """What a search ended with, per pair of image and class."""

    z: Float[Tensor, "B latent"]
    image: Float[Tensor, "B *shape"]
    """G(z, c)."""
    loss: Float[Tensor, " B"]
    """L_proj at z."""
    passes: Int[Tensor, " B"]
    """Images that the generator drew for it, whether or not a gradient was taken."""


class LatentProjection:
    """Δ̂x from a search in the latent space of a conditional generator.

    Any module will do that draws `(z, class) → image` and has `latent_size`, `num_classes`, `shape` and `bounds`.

    The difference "image" is the paper's, `G(z*, c̃) − x` of Eq. 16: what the generator cannot draw is part of it. In
    the difference "pair", `G(z, c̃) − G(z, y)` with the z that draws x best as its own class, that part cancels; what
    x + Δ̂x has beyond the bounds is cut off. There the search starts at the guess of a generator with an encoder.

    Args:
        generator: draws `(z, class) → image`.
        method: how z is searched for, see `project`.
        difference: "image" or "pair"; None for "image" with the paper's search and "pair" with ours.
        regularization: λ_Regz; the paper's is 1.5 for MNIST, else 0.03.
        learning_rate: of the paper's Adam; its is 0.2 for MNIST and Squares32, else 0.1.
        regularized_learning_rate: of its second Adam, which takes the steps with λ_Regz; None for the same.
        free_steps: of the first Adam, with λ_Regz = 0.
        regularized_steps: of the second.
        passes: images that our search may draw per pair; 1 for the encoder's guess as it is. None for 1 in a "pair"
            of a generator with an encoder, else 150.
        batch: pairs searched for at once.

    Raises:
        ValueError: for an unknown method or difference, a negative λ_Regz or number of steps, or a learning rate that
            is not positive.
    """

    name = "projection"

    def __init__(
        self,
        generator: nn.Module,
        *,
        method: Method = "paper",
        difference: Difference | None = None,
        regularization: float = 0.03,
        learning_rate: float = 0.1,
        regularized_learning_rate: float | None = None,
        free_steps: int = FREE_STEPS,
        regularized_steps: int = STEPS,
        passes: int | None = None,
        batch: int = 512,
    ) -> None:
        difference = difference or ("image" if method == "paper" else "pair")
        check_choice(method, get_args(Method), "method")
        check_choice(difference, get_args(Difference), "difference")
        if not regularization >= 0:
            raise ValueError(f"`regularization` should not be negative. Found {regularization}.")
        self.generator, self.difference, self.batch = generator, difference, batch
        guesses = difference == "pair" and getattr(generator, "encoder", None) is not None
        self.encoder: Any = generator.encoder if guesses and method == "ours" else None
        self.search: dict[str, Any] = {"method": method, "regularization": regularization}
        if method == "paper":
            second = learning_rate if regularized_learning_rate is None else regularized_learning_rate
            self.search |= {"learning_rate": learning_rate, "regularized_learning_rate": second}
            self.search |= {"free_steps": free_steps, "regularized_steps": regularized_steps}
            _check_schedule(**self.search)
        else:
            self.search["passes"] = passes or (1 if guesses else 150)
        self.settings = self.search | {"difference": difference}
        self.digest = digest(generator)

    @property
    def passes(self) -> int:
        """Images that the generator draws for one residual, at most."""
        if self.search["method"] == "paper":
            searched = int(self.search["free_steps"] + self.search["regularized_steps"] + 1)
        else:
            searched = int(self.search["passes"])
        return searched + (self.difference == "pair")

    def __call__(
        self, x: Float[Tensor, "B *shape"], y: Int[Tensor, " B"], target: Int[Tensor, " B"]
    ) -> Float[Tensor, "B *shape"]:
        """Δ̂x(x, target), `(B, *shape)`, without a graph.

        Raises:
            ValueError: for images of another size than the generator draws, NaN, or a class it never saw.
        """
        parts = zip(x.split(self.batch), y.split(self.batch), target.split(self.batch), strict=True)
        return torch.cat([self._residual(*part) for part in parts])

    def _residual(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        if self.difference == "image":
            return project(self.generator, x, target, **self.search).image - x
        _check(self.generator, x, y, "y")
        _check(self.generator, x, target, "target")
        with evaluating(self.generator), torch.no_grad():
            start = None if self.encoder is None else self.encoder(x, y)
            own = project(self.generator, x, y, start=start, **self.search)
            found = x + self.generator(own.z, target) - own.image
            return found.clamp(*cast(LatentGenerator, self.generator).bounds) - x


def project(
    generator: nn.Module,
    x: Float[Tensor, "B *shape"],
    target: Int[Tensor, " B"],
    *,
    method: Method = "paper",
    regularization: float = 0.03,
    learning_rate: float = 0.1,
    regularized_learning_rate: float | None = None,
    free_steps: int = FREE_STEPS,
    regularized_steps: int = STEPS,
    passes: int = 150,
    start: Float[Tensor, "B latent"] | None = None,
) -> Projection:
    """The z that minimises L_proj(x, z, target), one problem per pair; paper 1, Eq. 14.

    From z = 0 the method "paper" takes 600 steps of Adam with λ_Regz = 0, then 150 of a new Adam, which has no
    moments yet, with λ_Regz, and keeps the last z.
    "ours" spends half of its passes on L-BFGS without λ_Regz and half with it, and leaves pairs that stand still.
    The generator draws in evaluation mode, so that a pair's result does not depend on the others, and is left as it
    was found.

    Args:
        generator: `(z, class) → image`, with `latent_size`, `num_classes` and `shape`.
        x: images, `(B, *shape)`.
        target: the classes to draw them as, `(B,)` int64.
        method: "paper" or "ours".
        regularization: λ_Regz.
        learning_rate: of the paper's first Adam.
        regularized_learning_rate: of its second; None for the same.
        free_steps: of its first Adam.
        regularized_steps: of its second.
        passes: images that may be drawn per pair with "ours"; 1 for those at the start. The paper's method draws 751.
        start: z to start from; None for 0.

    Raises:
        ValueError: for images of another size than the generator draws, NaN, or a class it never saw.
    """
    _check(generator, x, target, "target")
    x = x.detach()
    z = x.new_zeros(len(x), cast(LatentGenerator, generator).latent_size) if start is None else start.detach()

    def objective(z: Tensor, rows: Tensor, weight: float = regularization) -> tuple[Tensor, Tensor]:
        z = z.detach().requires_grad_()
        loss = projection_loss(x[rows], generator(z, target[rows]), z, weight)
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        return loss.detach(), gradient

    spent = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    with evaluating(generator):
        with torch.enable_grad():
            if method == "paper":
                second = learning_rate if regularized_learning_rate is None else regularized_learning_rate
                z = _adam(partial(objective, weight=0.0), z, free_steps, learning_rate)
                z = _adam(objective, z, regularized_steps, second)
                spent += free_steps + regularized_steps
            else:
                for weight, most in ((0.0, (passes - 1) // 2), (regularization, passes // 2)):
                    if most:
                        z, taken = _lbfgs(partial(objective, weight=weight), z, most)
                        spent += taken
        with torch.no_grad():
            image = generator(z, target)
    return Projection(z, image, projection_loss(x, image, z, regularization), spent + 1)


def projection_loss(
    x: Float[Tensor, "B *shape"],
    image: Float[Tensor, "B *shape"],
    z: Float[Tensor, "B latent"],
    regularization: float,
) -> Float[Tensor, " B"]:
    """L_proj per pair, `‖x − G(z, c)‖²₂ / n + λ_Regz ‖z‖²₂ / n_z`; paper 1, Eq. 15."""
    return (x - image).square().flatten(1).mean(dim=1) + regularization * z.square().mean(dim=1)


def _lbfgs(objective: Loss, start: Tensor, passes: int) -> tuple[Tensor, Tensor]:
    """Every pair its own problem, in no bounds, each with at most so many passes; those that stand still leave."""

    def evaluated(z: Tensor, rows: Tensor) -> Evaluation:
        loss, gradient = objective(z, rows)
        return Evaluation(loss, gradient, torch.zeros_like(rows, dtype=torch.bool))

    unbounded = start.new_full(start.shape[1:], torch.inf)
    first = evaluated(start, torch.arange(len(start), device=start.device))
    found = minimise(
        evaluated,
        start,
        first,
        -unbounded,
        unbounded,
        iterations=passes,
        evaluations=passes - 1,
        memory=10,
        tolerance=1e-4,
        patience=5,
        reach=0.7,  # shorter is better on MNIST, longer on Squares32
    )
    return found.point, found.evaluations + 1


def _adam(objective: Loss, start: Tensor, steps: int, learning_rate: float) -> Tensor:
    """The last z of an Adam that begins without moments."""
    z, rows = start.clone(), torch.arange(len(start), device=start.device)
    adam = Adam([z], lr=learning_rate)
    for _ in range(steps):
        _, z.grad = objective(z, rows)
        adam.step()
    return z


def _check_schedule(
    learning_rate: float, regularized_learning_rate: float, free_steps: int, regularized_steps: int, **_: Any
) -> None:
    rates = {"learning_rate": learning_rate, "regularized_learning_rate": regularized_learning_rate}
    for name, rate in rates.items():
        if not rate > 0:
            raise ValueError(f"`{name}` should be positive. Found {rate}.")
    for name, steps in {"free_steps": free_steps, "regularized_steps": regularized_steps}.items():
        if steps < 0:
            raise ValueError(f"`{name}` should not be negative. Found {steps}.")


def _check(generator: nn.Module, x: Tensor, classes: Tensor, name: str) -> None:
    drawn = cast(LatentGenerator, generator)
    if x.shape[1:] != tuple(drawn.shape):
        raise ValueError(
            f"`x` should hold images of shape {tuple(drawn.shape)}, as the generator draws. "
            f"Found {tuple(x.shape[1:])}."
        )
    check_finite(x, "x")
    check_labels(classes, len(x), drawn.num_classes, name)
