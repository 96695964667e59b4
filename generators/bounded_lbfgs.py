"""Many bounded minimisations at once: limited-memory BFGS with box bounds, every problem for itself.

The memory of a problem is two matrices, as in Byrd, Nocedal and Schnabel 1994, https://doi.org/10.1007/BF01582063,
so that the directions of a batch cost a few batched products. Bounds are kept by projection, with the variables that
push against a bound left out of the direction (Bertsekas 1982, https://doi.org/10.1137/0320018).
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

SUFFICIENT = 1e-4
"""Part of the decrease foretold by the gradient that a step must bring (Armijo)."""

CURVED = 1e-6
"""Smallest cosine between a step and the change of the gradient along it for the pair to be remembered."""

REACH = 1.05
"""How far the first step goes of an attack that should come down to zero."""

Matrix = Callable[[Float[Tensor, "K n"]], Float[Tensor, "K n"]]

Rows = Callable[[Bool[Tensor, " K"]], Int[Tensor, " L"] | None]
"""From which problems are open to the rows that the next rounds go on with, all open ones among them, or None."""


class Evaluation(NamedTuple):
    """An objective at one point of each problem; `goal` says whether the point is what is looked for."""

    value: Float[Tensor, " K"]
    gradient: Float[Tensor, "K n"]
    goal: Bool[Tensor, " K"]


@runtime_checkable
class Objective(Protocol):
    """Evaluates points `(K, n)` of the problems numbered `(K,)`; no value is below zero."""

    def __call__(self, point: Float[Tensor, "K n"], problem: Int[Tensor, " K"], /) -> Evaluation:
        """One point of each of K problems."""
        ...


class Minima(NamedTuple):
    """Where the minimisations ended.

    Attributes:
        point: the lowest iterate that meets the goal or, where none does, the last and lowest of all, `(B, n)`.
        value: of the objective there, `(B,)`.
        goal: whether it is met there, `(B,)`.
        iterations: steps taken, `(B,)`.
        evaluations: of the objective with its gradient, without the one at the start, `(B,)`.
    """

    point: Float[Tensor, "B n"]
    value: Float[Tensor, " B"]
    goal: Bool[Tensor, " B"]
    iterations: Int[Tensor, " B"]
    evaluations: Int[Tensor, " B"]


def minimise(
    objective: Objective,
    start: Float[Tensor, "B n"],
    first: Evaluation,
    low: Float[Tensor, " n"],
    high: Float[Tensor, " n"],
    *,
    iterations: int = 40,
    evaluations: int | None = None,
    memory: int = 5,
    tolerance: float = 1e-5,
    patience: int = 1,
    reach: float = REACH,
    precondition: Matrix | None = None,
    stop_at_goal: bool = False,
    rows: Rows | None = None,
) -> Minima:
    """Minimise B functions that are nowhere negative, in a box.

    In every round each problem that is still open is evaluated once: some take the step and turn, others shorten it.
    Values never rise along the steps taken. A problem is finished when rounds bring too little, or could only have
    been too short to do more, or after the last iteration or evaluation.

    Args:
        objective: the functions, see `Objective`.
        start: points in the box, `(B, n)`.
        first: the objective at the start.
        low: lower bounds, `(n,)`; −∞ for none.
        high: upper bounds, `(n,)`; ∞ for none.
        iterations: largest number of steps taken.
        evaluations: largest number of evaluations of each problem, without the one at the start; None for any.
        memory: pairs of a step and a change of gradient that are remembered.
        tolerance: part of its value by which a round must lower a problem to be progress.
        patience: rounds in succession without progress after which a problem is finished.
        reach: the first step goes this many times as far as a linear function would need to come down to zero.
        precondition: multiplies rows by a symmetric positive definite matrix, a guess of the inverse Hessian up to
            its scale, which is measured; None for the identity.
        stop_at_goal: a problem is finished, too, by a step to a point that meets the goal.
        rows: when finished problems leave the batch; until then they stay as they are. None for at once. Only this
            asks for values, which a GPU has to be waited for.
    """
    box = _Box(low, high, precondition or (lambda rows: rows))
    point, value, goal = (part.clone() for part in (start, first.value, first.goal))
    steps, spent = (torch.zeros_like(goal, dtype=torch.int64) for _ in range(2))
    now, rows = box.begin(start, first, memory, reach), rows or open_ones
    now = now.only(open_ones(now.open))
    while len(now.problem) and evaluations != 0:
        problem, trial = now.problem, box.project(now.point + now.length.unsqueeze(1) * now.direction)
        found = objective(trial, problem)
        foretold = (now.gradient * (now.point - trial)).sum(dim=1)
        brought = now.value - found.value
        taken = now.open & (brought >= SUFFICIENT * foretold.clamp(min=0))
        length = now.length * torch.where(taken, 1, _shorter(foretold, brought))
        spent[problem] += now.open
        steps[problem] += taken

        better = taken & (found.goal | ~goal[problem])
        for kept, new in ((point, trial), (value, found.value), (goal, found.goal)):
            kept[problem] = torch.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, kept[problem])

        # Where the box bends a long step uphill, a shorter one still promises what the slope says.
        slope = -(now.gradient * now.direction).sum(dim=1)
        promised = torch.where(taken, brought, length * slope)
        idle = torch.where(promised > tolerance * now.value, 0, now.idle + 1)
        stays = now.open & (idle < patience) & (steps[problem] < iterations)
        if evaluations is not None:
            stays &= spent[problem] < evaluations
        if stop_at_goal:
            stays &= ~(taken & found.goal)
        now, chosen = now._replace(length=length, idle=idle, open=stays), rows(stays)
        if chosen is not None:
            now, trial, taken = now.only(chosen), trial[chosen], taken[chosen]
            found = Evaluation(*(part[chosen] for part in found))
        now = box.go_on(now, trial, found, taken)
    return Minima(point, value, goal, steps, spent)


def open_ones(is_open: Bool[Tensor, " K"]) -> Int[Tensor, " L"] | None:
    """The rows of the problems that are open; None if all are."""
    return None if is_open.all() else is_open.nonzero().squeeze(1)


def _shorter(foretold: Float[Tensor, " K"], brought: Float[Tensor, " K"]) -> Float[Tensor, " K"]:
    """By how much to shorten a step: to the minimum of a parabola through both values and the slope."""
    return (foretold / (2 * (foretold - brought))).nan_to_num(0.1).clamp(0.1, 0.5)


class _Open(NamedTuple):
    """Where the problems of the batch are, which way they look, what they remember, and which are not finished.

    A problem's pairs lie in a ring: pair number k of `pairs` at k mod memory. `products` holds shiftᵢ · changeⱼ
    for every i that was there when j came; empty places are zero.
    """

    problem: Tensor
    point: Tensor
    value: Tensor
    gradient: Tensor
    direction: Tensor
    length: Tensor
    idle: Tensor
    scale: Tensor
    pairs: Tensor
    shifts: Tensor
    changes: Tensor
    products: Tensor
    open: Tensor

    def only(self, chosen: Tensor | None) -> "_Open":
        return self if chosen is None else _Open(*(part[chosen] for part in self))


class _Box:
    """The steps from one state to the next, inside bounds and in a metric."""

    def __init__(self, low: Tensor, high: Tensor, precondition: Matrix) -> None:
        self.low, self.high, self.precondition = low, high, precondition

    def project(self, point: Tensor) -> Tensor:
        return point.clamp(self.low, self.high)

    def free(self, point: Tensor, gradient: Tensor) -> Tensor:
        """Which variables do not push against a bound."""
        return ~((point <= self.low) & (gradient > 0) | (point >= self.high) & (gradient < 0))

    def begin(self, start: Tensor, first: Evaluation, memory: int, reach: float) -> _Open:
        """Steepest descent, `reach` times as far as a linear function would go to zero; without what is level."""
        (count, size), none = start.shape, torch.zeros(len(start), dtype=torch.int64, device=start.device)
        free = self.free(start, first.gradient)
        uphill = self.precondition(first.gradient * free) * free
        slope = (first.gradient * uphill).sum(dim=1)
        scale = reach * first.value / slope
        return _Open(
            problem=torch.arange(count, device=start.device),
            point=start,
            value=first.value,
            gradient=first.gradient,
            direction=-scale.unsqueeze(1) * uphill,
            length=torch.ones_like(scale),
            idle=none,
            scale=scale,
            pairs=none.clone(),
            shifts=start.new_zeros(count, memory, size),
            changes=start.new_zeros(count, memory, size),
            products=start.new_zeros(count, memory, memory),
            open=slope > 0,
        )

    def go_on(self, now: _Open, trial: Tensor, found: Evaluation, taken: Tensor) -> _Open:
        """Who takes the step looks anew; the others look the same way, less far."""
        self.remember(now, taken, trial - now.point, found.gradient - now.gradient)
        moved = taken.unsqueeze(1)
        point, gradient = torch.where(moved, trial, now.point), torch.where(moved, found.gradient, now.gradient)
        return now._replace(
            point=point,
            value=torch.where(taken, found.value, now.value),
            gradient=gradient,
            direction=torch.where(moved, self.downhill(now, gradient, self.free(point, gradient)), now.direction),
            length=torch.where(taken, 1, now.length),
        )

    def remember(self, now: _Open, taken: Tensor, shift: Tensor, change: Tensor) -> None:
        """Put a pair into the memory of those who took the step, where the function curves upwards along it."""
        product = (shift * change).sum(dim=1)
        curved = product > CURVED * (shift.square().sum(dim=1) * change.square().sum(dim=1)).sqrt()
        new, every = taken & curved, torch.arange(len(taken), device=taken.device)
        place, chosen = now.pairs % now.shifts.shape[1], new.unsqueeze(1)
        for kept, value in ((now.shifts, shift), (now.changes, change)):
            kept[every, place] = torch.where(chosen, value, kept[every, place])
        products = (now.shifts * change.unsqueeze(1)).sum(dim=2)
        now.products[every, :, place] = torch.where(chosen, products, now.products[every, :, place])
        scale = product / (change * self.precondition(change)).sum(dim=1)
        now.scale.copy_(torch.where(new, scale, now.scale))
        now.pairs.add_(new)

    def downhill(self, now: _Open, gradient: Tensor, free: Tensor) -> Tensor:
        """Minus the inverse Hessian times the gradient, both restricted to the free variables.

        With shifts S, changes Y, R the upper triangle of SᵀY from oldest to newest, D its diagonal and the guess H₀,
        the inverse Hessian times g is r + S c, where a = R⁻¹ Sᵀg, r = H₀ (g − Y a) and c = R⁻ᵀ (D a − Yᵀr).
        """
        memory = now.shifts.shape[1]
        order = (now.pairs.unsqueeze(1) + torch.arange(memory, device=gradient.device)) % memory
        ranked = now.products.gather(1, order.unsqueeze(2).expand(-1, -1, memory))
        triangle = ranked.gather(2, order.unsqueeze(1).expand(-1, memory, -1)).triu()
        diagonal = triangle.diagonal(dim1=1, dim2=2)
        triangle = triangle + torch.diag_embed((diagonal == 0).to(triangle))

        rest = gradient * free
        a = torch.linalg.solve_triangular(triangle, _products(now.shifts, rest, order), upper=True)
        rest = self.precondition(rest - _combined(now.changes, a, order)) * now.scale.unsqueeze(1)
        b = diagonal.unsqueeze(2) * a - _products(now.changes, rest, order)
        c = torch.linalg.solve_triangular(triangle.mT, b, upper=False)
        return -(rest + _combined(now.shifts, c, order)) * free


def _products(rows: Float[Tensor, "K m n"], vector: Float[Tensor, "K n"], order: Int[Tensor, "K m"]) -> Tensor:
    """Of each problem's vector with its rows, `(K, m, 1)` in the given order."""
    return (rows * vector.unsqueeze(1)).sum(dim=2).gather(1, order).unsqueeze(2)


def _combined(rows: Float[Tensor, "K m n"], share: Float[Tensor, "K m 1"], order: Int[Tensor, "K m"]) -> Tensor:
    """The rows of each problem added up with shares that are given in order, `(K, n)`."""
    return (rows * torch.zeros_like(share).scatter(1, order.unsqueeze(2), share)).sum(dim=1)
