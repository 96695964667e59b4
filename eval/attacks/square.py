"""Square Attack, a black box: random squares are tried, and kept where they raise the margin.

Andriushchenko et al. 2020, https://arxiv.org/abs/1912.00049; paper 1, section 3.3. Only the classifier's logits are
used, never a gradient. Where a square lies and what it holds is a function of the sample, the seed and the number of
the query alone, so that the result for a sample does not depend on which others share its batch.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_counts, check_number
from eval.attacks.random_streams import sample_keys
from eval.attacks.squares import L2Squares, LinfSquares, Squares, image_shape
from training.active import Active
from training.attack_loss import attack_loss
from training.balls import LinfBall
from training.leaving import Departures, Leaving
from training.proposals import Task, settled

__all__ = ["SquareResult", "image_shape", "square_attack", "square_search"]

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries, of 10,000, after which the share of changed features is halved (section 5 of the paper)."""

ROUND = 64
"""The fooled stop after so many queries, and earlier while few have been made."""


class SquareResult(NamedTuple):
    """What Square Attack found, and how many queries each sample took."""

    adversarial: Float[Tensor, "B *shape"]
    queries: Int[Tensor, " B"]


def square_attack(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    strength: float | Float[Tensor, " B"],
    *,
    norm: Literal["Linf", "L2"] = "Linf",
    queries: int = 5000,
    p: float = 0.8,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """Raise the margin inside a ball around x by random search (Algorithm 1 of the paper).

    The first query is x itself, the second the start: stripes of ±ε in L∞, a grid of tiles in L2. A square that would
    change nothing is tried in the other colour. The classifier is used in evaluation mode and left as it was found;
    the global random state is not used.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`; it need not be differentiable.
        x: inputs within the bounds, `(B, *shape)`; vectors are laid out as images, see `image_shape`.
        y: true classes, `(B,)` int64 in [0, C).
        strength: radius of the ball in the data's own units, one number or one per sample.
        norm: of the ball.
        queries: per sample, at least 2, for x and for the start. Fooled samples stop at the end of a round, which
            takes at most an eighth of the queries made before, and leave as `training.leaving` says.
        p: share of the features in the first squares, halved on the paper's schedule, which is rescaled to `queries`.
        bounds: lowest and highest legal value of an input; infinite for unbounded data.
        generator: gives the seed; None for a fresh one.

    Returns:
        Perturbed inputs within ball and bounds, `(B, *shape)`; x itself where nothing has a larger margin.

    Raises:
        ValueError: for a strength below 0 or infinite, fewer than 2 queries, p outside (0, 1], labels that are no
            int64 or out of range, inputs that are no floating-point tensor, NaN or outside the bounds, logits that
            are not finite, or another norm.
    """
    return square_search(
        classifier, x, y, strength, norm=norm, queries=queries, p=p, bounds=bounds, generator=generator
    ).adversarial


def square_search(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    strength: float | Float[Tensor, " B"],
    *,
    norm: Literal["Linf", "L2"] = "Linf",
    queries: int = 5000,
    p: float = 0.8,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> SquareResult:
    """`square_attack`, which explains the arguments, with the queries until each sample was first fooled.

    A sample that never was fooled took all of them, one that is misclassified as it stands took 1.
    """
    check_counts(2, queries=queries)
    check_number(p, "p", "lie in (0, 1]", lambda value: 0 < value <= 1)
    search = _Search(queries, p, generator)
    adversarial = settled(
        search.propose,
        classifier,
        x,
        y,
        strength,
        norm=norm,
        norms=("Linf", "L2"),
        bounds=bounds,
        setting=torch.no_grad(),
    )
    return SquareResult(adversarial, torch.zeros_like(y) if search.asked is None else search.asked)


class _Search:
    """Random search, and how many queries each sample took."""

    def __init__(self, queries: int, p: float, generator: torch.Generator | None) -> None:
        self.queries, self.p, self.generator = queries, p, generator
        self.asked: Tensor | None = None

    def propose(self, task: Task) -> Tensor:
        """The points of the largest margin."""
        squares, margin = _squares(task), _margin_of(task)
        clean, keys = margin(task.x, task.y), sample_keys(squares.ball.x, self.generator)
        best = margin(squares.start(keys), task.y).nan_to_num(nan=-torch.inf)
        self.asked = torch.where(clean > 0, 1, 2)
        active, y, asked = Active(squares.ball.x), task.y, self.asked.clone()
        departures = Departures(Leaving.for_device(task.x.device))
        for numbers, share in _rounds(self.queries, self.p):
            stays = torch.maximum(clean, best) <= 0
            state = stays, squares, keys, y, clean, best, asked
            stays, squares, keys, y, clean, best, asked = departures.keep(
                active, stays, squares.better(best > clean), *state, iterations=len(numbers)
            )
            if not len(active):
                break
            for move in squares.moves(keys, numbers, share):
                asked += stays & (best <= 0)
                found = margin(squares.moved(*move), y)
                better = stays & (found > best)
                squares.keep(better)
                best = torch.where(better, found, best)
            self.asked[active.indices] = asked
        return active.end(squares.better(best > clean)).reshape(task.x.shape)


def _margin_of(task: Task) -> Callable[[Tensor, Tensor], Tensor]:
    """The margin of points of any layout."""
    return lambda point, y: attack_loss(task.logits(point.reshape(-1, *task.x.shape[1:])), y, "margin")


def _squares(task: Task) -> Squares:
    """The states of a task's samples, laid out as images."""
    assert task.ball is not None  # a norm and a strength were given
    images = task.x.reshape(len(task.x), *image_shape(task.x.shape[1:]))
    ball = type(task.ball)(images, task.strength, task.bounds)
    return LinfSquares(ball) if isinstance(ball, LinfBall) else L2Squares(ball)


def _rounds(queries: int, p: float) -> Iterator[tuple[range, float]]:
    """The numbers of the queries between two looks at who is fooled, and the share of features in their squares."""
    first = 2
    while first < queries:
        halved = bisect_left(HALVINGS, 10_000 * first / queries)
        same = HALVINGS[halved] * queries // 10_000 + 1 if halved < len(HALVINGS) else queries
        end = min(queries, same, first + min(max(first // 8, 1), ROUND))
        yield range(first, end), p / 2**halved
        first = end
