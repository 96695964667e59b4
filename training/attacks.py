"""Projected gradient descent, the inner maximiser of training and an attack of the evaluation.

Madry et al. 2018, https://arxiv.org/abs/1706.06083; paper 1, Eq. 17 and section 3.3.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice, check_finite, check_labels
from alignment.gradients import as_variable, differentiable, evaluating, gradient_of, logits_of, pick

Norm = Literal["Linf", "L2"]
Loss = Literal["auto", "cross_entropy", "margin", "dlr"]

INSIDE = 1 - 1e-6
"""An L2 ball is kept this part of its radius, so that rounding in float32 never leads outside."""


REACH: dict[Norm, float] = {"Linf": 2.5, "L2": 4.0}
"""How many ε all steps together can go by default. In L2 each step shrinks the tangent of half the angle between a
random start and the gradient by e^(−step/ε): at 2.5 a linear margin ends one to two per cent short of its optimum,
at 4 a tenth of a per cent."""


def pgd(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, "B"],
    epsilon: float | Float[Tensor, "B"],
    *,
    norm: Norm = "Linf",
    steps: int = 40,
    step_size: float | None = None,
    loss: Loss = "auto",
    bounds: tuple[float, float] = (-1.0, 1.0),
    random_start: bool = True,
    generator: torch.Generator | None = None,
    leave_when_fooled: bool = False,
) -> Float[Tensor, "B *shape"]:
    """Maximise a loss inside a ball around x by projected gradient ascent (paper 1, Eq. 17).

    The classifier is used in evaluation mode and left as it was found; parameter gradients are not touched.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: inputs within the bounds, `(B, *shape)`.
        y: true classes, `(B,)` int64 in [0, C).
        epsilon: radius of the ball in the data's own units, one number or one per sample.
        norm: of the ball. Linf steps along the sign of the gradient, L2 along its direction.
        steps: gradient steps, κ; each is one forward and one backward pass.
        step_size: η in the norm of the ball, the paper's η_L2 being η_Linf·√n; None for 2.5 ε / steps with Linf and
            4 ε / steps with L2.
        loss: "margin" is the largest wrong logit minus the true one, "dlr" is that of Croce and Hein 2020;
            "auto" is the margin for two classes, where cross-entropy saturates in float32 and the attack
            stalls on confident models, and cross-entropy for more.
        bounds: lowest and highest legal value of an input; infinite for unbounded data.
        random_start: start uniformly in the ball rather than at x.
        generator: source of the random start; None for a fresh one. The global random state is not used.
        leave_when_fooled: a sample leaves the batch at its first misclassified iterate, which is then its
            answer, instead of taking all steps.

    Returns:
        Perturbed inputs within ball and bounds, `(B, *shape)`.

    Raises:
        ValueError: for an epsilon or a step size below 0, labels out of range, inputs that are NaN or outside the
            bounds, logits that are not finite, or a choice that does not exist.
    """
    check_choice(norm, get_args(Norm), "norm")
    check_choice(loss, get_args(Loss), "loss")
    check_inputs(x, bounds)
    if steps < 0:
        raise ValueError(f"`steps` should be at least 0. Found {steps}.")
    radius = per_sample(epsilon, x, "epsilon")
    stride = REACH[norm] * radius / max(steps, 1) if step_size is None else torch.full_like(radius, step_size)
    if step_size is not None and not step_size >= 0:
        raise ValueError(f"`step_size` should be at least 0. Found {step_size}.")
    with evaluating(classifier), differentiable():
        # Copies, because what was made in inference mode cannot take part in a gradient.
        x, y, radius, stride = (value.detach().clone() for value in (x, y, radius, stride))
        whole = ball = (_LinfBall if norm == "Linf" else _L2Ball)(x, radius, bounds)
        point = ball.random_point(_fresh(generator)) if random_start else x
        answer = point.clone()
        active = torch.arange(len(x), device=x.device)
        for step in range(steps if len(x) else 0):
            variable = as_variable(point)
            logits = logits_of(classifier, variable)
            if step == 0:
                check_labels(y, len(x), logits.shape[1])
                check_finite(logits.detach(), "classifier(x)")
            gradient = gradient_of(attack_loss(logits, y, loss), variable)
            if leave_when_fooled:
                stays = logits.argmax(dim=1) == y
                if not stays.all():
                    answer[active] = point
                    active, y, stride = active[stays], y[stays], stride[stays]
                    point, gradient, ball = point[stays], gradient[stays], ball.only(stays)
                    if len(active) == 0:
                        break
            point = ball.step(point, gradient, stride)
        answer[active] = point
    return whole.settled(answer)


def attack_loss(logits: Float[Tensor, "B C"], y: Int[Tensor, "B"], loss: Loss = "auto") -> Float[Tensor, "B"]:
    """The loss an attack raises, per sample; larger means closer to, or further into, a wrong class.

    Raises:
        ValueError: for DLR with fewer than three classes.
    """
    if loss == "auto":
        loss = "margin" if logits.shape[1] == 2 else "cross_entropy"
    if loss == "cross_entropy":
        return F.cross_entropy(logits, y, reduction="none")
    margin = logits.scatter(1, y.unsqueeze(1), -torch.inf).amax(dim=1) - pick(logits, y)
    if loss == "margin":
        return margin
    if logits.shape[1] < 3:
        raise ValueError(f"`loss` 'dlr' needs at least three classes. Found {logits.shape[1]}.")
    ranked = logits.sort(dim=1, descending=True).values
    return margin / (ranked[:, 0] - ranked[:, 2]).clamp(min=1e-12)


def check_inputs(x: Float[Tensor, "B *shape"], bounds: tuple[float, float]) -> None:
    """Refuse inputs that are NaN or outside the bounds, and bounds that are not an interval."""
    low, high = bounds
    if not low < high:
        raise ValueError(f"`bounds` should be (low, high) with low < high. Found {bounds}.")
    check_finite(x, "x")
    if x.numel() and (x.min() < low or x.max() > high):
        raise ValueError(
            f"`x` should lie within `bounds` {bounds}. "
            f"Found values from {float(x.min()):.6g} to {float(x.max()):.6g}."
        )


def per_sample(strength: float | Tensor, x: Tensor, name: str) -> Float[Tensor, "B"]:
    """A strength as one number per sample.

    Raises:
        ValueError: if it is negative, NaN, or not one number or one per sample.
    """
    values = torch.as_tensor(strength, dtype=x.dtype, device=x.device)
    if values.ndim > 1 or (values.ndim == 1 and len(values) != len(x)):
        raise ValueError(
            f"`{name}` should be one number or one per sample ({len(x)}). Found shape {tuple(values.shape)}."
        )
    if values.numel() and not (values >= 0).all():
        raise ValueError(f"`{name}` should be at least 0. Found {float(values.min())}.")
    return values.expand(len(x))


def _fresh(generator: torch.Generator | None) -> torch.Generator:
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    return generator


def column(values: Tensor, x: Tensor) -> Tensor:
    """One value per sample, in a shape that goes with x."""
    return values.reshape(-1, *[1] * (x.ndim - 1))


class _LinfBall:
    """The box of all points within ε of x in every coordinate and within the bounds."""

    def __init__(self, x: Tensor, radius: Tensor, bounds: tuple[float, float]) -> None:
        exact, reach = x.double(), column(radius.double(), x)
        self.low = _rounded(exact - reach, x.dtype, up=True).clamp(min=bounds[0])
        self.high = _rounded(exact + reach, x.dtype, up=False).clamp(max=bounds[1])
        self.x, self.radius = x, radius

    def only(self, chosen: Tensor) -> "_LinfBall":
        ball = object.__new__(_LinfBall)
        ball.low, ball.high = self.low[chosen], self.high[chosen]
        ball.x, ball.radius = self.x[chosen], self.radius[chosen]
        return ball

    def settled(self, point: Tensor) -> Tensor:
        """The point itself: a box is kept exactly."""
        return point

    def random_point(self, generator: torch.Generator) -> Tensor:
        noise = torch.rand(self.x.shape, generator=generator, device=generator.device, dtype=self.x.dtype)
        shift = (2 * noise.to(self.x.device) - 1) * column(self.radius, self.x)
        return (self.x + shift).clamp_(self.low, self.high)

    def step(self, point: Tensor, gradient: Tensor, stride: Tensor) -> Tensor:
        return gradient.sign().mul_(column(stride, point)).add_(point).clamp_(self.low, self.high)


class _L2Ball:
    """The points within Euclidean distance ε of x and within the bounds."""

    def __init__(self, x: Tensor, radius: Tensor, bounds: tuple[float, float]) -> None:
        self.x, self.radius, self.bounds = x, radius, bounds

    def only(self, chosen: Tensor) -> "_L2Ball":
        return _L2Ball(self.x[chosen], self.radius[chosen], self.bounds)

    def settled(self, point: Tensor) -> Tensor:
        """Moved back by what rounding carried it outside, which shows where ε is tiny beside x."""
        shift = point.double() - self.x.double()
        length = torch.linalg.vector_norm(shift.flatten(1), dim=1)
        outside = column(length > self.radius.double(), point)
        exact = self.x.double() + shift * column(self.radius.double() / length.clamp(min=1e-300), point)
        near = exact.to(point.dtype)
        further = (near.double() - self.x.double()).abs() > (exact - self.x.double()).abs()
        near = torch.where(further, torch.nextafter(near, self.x), near)
        return torch.where(outside, near, point)

    def random_point(self, generator: torch.Generator) -> Tensor:
        shape, device = self.x.shape, generator.device
        noise = torch.randn(shape, generator=generator, device=device, dtype=self.x.dtype)
        share = torch.rand(shape[:1], generator=generator, device=device, dtype=self.x.dtype)
        length = share.pow(1 / self.x[0].numel()).to(self.x.device) if len(self.x) else share
        shift = _unit(noise.to(self.x.device)) * column(length * self.radius, self.x)
        return self._project(self.x + shift)

    def step(self, point: Tensor, gradient: Tensor, stride: Tensor) -> Tensor:
        return self._project(_unit(gradient).mul_(column(stride, point)).add_(point))

    def _project(self, point: Tensor) -> Tensor:
        shift = point.sub_(self.x)
        length = torch.linalg.vector_norm(shift.flatten(1), dim=1)
        shrink = (INSIDE * self.radius / length.clamp(min=torch.finfo(length.dtype).tiny)).clamp(max=1)
        return shift.mul_(column(shrink, point)).add_(self.x).clamp_(*self.bounds)


def _unit(vectors: Tensor) -> Tensor:
    """Vectors of length 1 in the same direction; zero stays zero. Works for gradients of any magnitude."""
    tiny = torch.finfo(vectors.dtype).tiny
    flat = vectors.flatten(1)
    flat = flat / torch.linalg.vector_norm(flat, ord=float("inf"), dim=1, keepdim=True).clamp(min=tiny)
    flat = flat / torch.linalg.vector_norm(flat, dim=1, keepdim=True).clamp(min=tiny)
    return flat.reshape(vectors.shape)


def _rounded(exact: Tensor, dtype: torch.dtype, *, up: bool) -> Tensor:
    """float64 values in another precision, rounded upwards or downwards instead of to nearest."""
    near = exact.to(dtype)
    wrong = near.double() < exact if up else near.double() > exact
    towards = torch.full_like(near, torch.inf if up else -torch.inf)
    return torch.where(wrong, torch.nextafter(near, towards), near)
