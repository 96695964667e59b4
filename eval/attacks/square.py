"""Square Attack, a black box: random squares are tried, and kept where they raise the margin.

Andriushchenko et al. 2020, https://arxiv.org/abs/1912.00049; paper 1, section 3.3. Only the classifier's logits are
used, never a gradient. Where a square lies and what it holds is a function of the sample, the seed and the number of
the query alone, so that the result for a sample does not depend on which others share its batch.
"""

import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_counts, check_number
from eval.attacks.random_streams import sample_keys, uniform
from training.active import Active
from training.attack_loss import attack_loss
from training.balls import INSIDE, Ball, LinfBall, column
from training.proposals import Task, settled

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries, of 10,000, after which the share of changed features is halved (section 5 of the paper)."""

ROUND = 64
"""The fooled leave after so many queries, and earlier while few have been made."""


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
    bounds: tuple[float, float] = (-1.0, 1.0),
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
        queries: per sample, at least 2, for x and for the start. Fooled samples leave at the end of a round, which
            takes at most an eighth of the queries made before.
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
    bounds: tuple[float, float] = (-1.0, 1.0),
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
        for numbers, share in _rounds(self.queries, self.p):
            stays = torch.maximum(clean, best) <= 0
            state = squares, keys, y, clean, best, asked
            squares, keys, y, clean, best, asked = active.keep(stays, squares.better(best > clean), *state)
            if not len(active):
                break
            for move in squares.moves(keys, numbers, share):
                asked += best <= 0
                found = margin(squares.moved(*move), y)
                squares.keep(found > best)
                best = torch.fmax(best, found)
            self.asked[active.indices] = asked
        return active.end(squares.better(best > clean)).reshape(task.x.shape)


def _margin_of(task: Task) -> Callable[[Tensor, Tensor], Tensor]:
    """The margin of points of any layout."""
    return lambda point, y: attack_loss(task.logits(point.reshape(-1, *task.x.shape[1:])), y, "margin")


def _squares(task: Task) -> "_Squares":
    """The states of a task's samples, laid out as images."""
    assert task.ball is not None  # a norm and a strength were given
    images = task.x.reshape(len(task.x), *image_shape(task.x.shape[1:]))
    ball = type(task.ball)(images, task.strength, task.bounds)
    return _LinfSquares(ball) if isinstance(ball, LinfBall) else _L2Squares(ball)


def image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Channels, height and width in which the features of an input of any shape are laid out.

    The last two axes are height and width, all before are channels. A vector becomes one channel whose height is the
    largest divisor of its length up to the square root; for a prime that is 1, and squares become intervals.

    Example:
        >>> image_shape((3, 32, 32)), image_shape((500,)), image_shape((7,))
        ((3, 32, 32), (1, 20, 25), (1, 1, 7))
    """
    if len(shape) >= 2:
        return math.prod(shape[:-2]), shape[-2], shape[-1]
    size = math.prod(shape)
    height = next(h for h in range(math.isqrt(size), 0, -1) if size % h == 0)
    return 1, height, size // height


def _rounds(queries: int, p: float) -> Iterator[tuple[range, float]]:
    """The numbers of the queries between two looks at who is fooled, and the share of features in their squares."""
    first = 2
    while first < queries:
        halved = bisect_left(HALVINGS, 10_000 * first / queries)
        same = HALVINGS[halved] * queries // 10_000 + 1 if halved < len(HALVINGS) else queries
        end = min(queries, same, first + min(max(first // 8, 1), ROUND))
        yield range(first, end), p / 2**halved
        first = end


def _window(side: int, height: int, width: int) -> tuple[int, int]:
    """Height and width of a square; where the image is too flat or too narrow for it, of a rectangle as large."""
    tall = min(height, max(side, round(side**2 / width)))
    wide = min(width, max(side, round(side**2 / height)))
    return tall, wide


class _Squares(ABC):
    """A state per sample, random moves from one state to the next, and the points that the states stand for.

    States have the shape (B, channels, height · width).
    """

    state: Tensor

    def __init__(self, ball: Ball) -> None:
        self.ball = ball
        self.channels, self.height, self.width = ball.x.shape[1:]

    def __getitem__(self, chosen: Tensor) -> "_Squares":
        """The same for some samples of the batch."""
        part = type(self)(self.ball[chosen])
        part.state = self.state[chosen]
        return part

    @abstractmethod
    def start(self, keys: Tensor) -> Tensor:
        """Set out, and return the points to ask about."""

    @abstractmethod
    def moves(self, keys: Tensor, numbers: range, share: float) -> Iterator[tuple]:
        """What `moved` takes, for each query."""

    @abstractmethod
    def moved(self, *move: Any) -> Tensor:
        """Move, and return the points to ask about."""

    @abstractmethod
    def keep(self, better: Tensor) -> None:
        """Take the last move back, except where it was for the better."""

    @abstractmethod
    def points(self) -> Tensor:
        """The points that the states stand for, `(B, channels, height, width)`."""

    def better(self, which: Tensor) -> Tensor:
        """The points of some samples, and x of the others."""
        return torch.where(column(which, self.ball.x), self.points(), self.ball.x)

    def first_features(self, share: Float[Tensor, "K B 2"], window: tuple[int, int]) -> Int[Tensor, "K B 1 1"]:
        """Where windows begin that may lie anywhere in the image, as numbers of features in a channel."""
        room = torch.tensor([self.height - window[0] + 1, self.width - window[1] + 1], device=share.device)
        row, place = (share * room).long().unbind(dim=2)
        return (row * self.width + place)[:, :, None, None]

    def features(self, window: tuple[int, int]) -> Int[Tensor, " cells"]:
        """The features of a window that begins at feature 0."""
        grid = torch.arange(self.height * self.width, device=self.ball.x.device).reshape(self.height, self.width)
        return grid[: window[0], : window[1]].flatten()


class _LinfSquares(_Squares):
    """L∞ (Algorithm 2): every feature takes its lowest or its highest value; the states are the points."""

    ball: LinfBall

    def __init__(self, ball: LinfBall) -> None:
        super().__init__(ball)
        self.low, self.high = ball.low.flatten(2), ball.high.flatten(2)

    def start(self, keys: Tensor) -> Tensor:
        """Vertical stripes, each of one feature (section 3.3)."""
        stripes = uniform(keys, range(1, 2), self.channels * self.width)[0] < 0.5
        stripes = stripes.reshape(-1, self.channels, self.width).repeat(1, 1, self.height)
        self.state = torch.where(stripes, self.high, self.low)
        return self.points()

    def moves(self, keys: Tensor, numbers: range, share: float) -> Iterator[tuple]:
        """Where the square begins, its colour in each channel, and its features from there."""
        side = max(round(math.sqrt(share * self.height * self.width)), 1)
        window = _window(side, self.height, self.width)
        drawn = uniform(keys, numbers, 2 + self.channels)
        first, colour = self.first_features(drawn[..., :2], window), drawn[..., 2:, None] < 0.5
        return zip(first, colour, repeat(self.features(window)))

    def moved(self, first: Tensor, colour: Tensor, features: Tensor) -> Tensor:
        self.square = (first + features).expand(-1, self.channels, -1)
        self.old, high = self.state.gather(2, self.square), self.high.gather(2, self.square)
        idle = ((self.old == high) == colour).flatten(1).all(dim=1)
        self.new = torch.where(colour ^ column(idle, colour), high, self.low.gather(2, self.square))
        self.state.scatter_(2, self.square, self.new)
        return self.points()

    def keep(self, better: Tensor) -> None:
        self.state.scatter_(2, self.square, torch.where(column(better, self.new), self.new, self.old))

    def points(self) -> Tensor:
        return self.state.reshape(self.ball.x.shape)


class _L2Squares(_Squares):
    """L2 (Algorithm 3): mass moves from one window to another; a state is the shift in units of ε, of length 1.

    What the bounds cut off is not lost: it is there for the next window.
    """

    def __init__(self, ball: Ball) -> None:
        super().__init__(ball)
        self.reach = INSIDE * column(ball.radius, ball.x)
        unit = self.reach.clamp(min=torch.finfo(ball.x.dtype).tiny)
        self.low, self.high = (((bound - ball.x) / unit).flatten(2) for bound in ball.bounds)

    def start(self, keys: Tensor) -> Tensor:
        """A grid of at least five by five tiles, or of single features where the image is smaller."""
        tall, wide = max(self.height // 5, 1), max(self.width // 5, 1)
        down, across = self.height // tall, self.width // wide
        drawn = uniform(keys, range(1, 2), (self.channels + 1) * down * across)[0] < 0.5
        drawn = drawn.reshape(-1, self.channels + 1, down, 1, across, 1)
        upright, lying = _patterns((tall, wide), self.ball.x).reshape(2, tall, 1, wide)
        tiles = torch.where(drawn[:, :1], upright, lying) * torch.where(drawn[:, 1:], 1, -1)
        tiles = tiles.flatten(4).flatten(2, 3)
        above, before = (self.height - down * tall) // 2, (self.width - across * wide) // 2
        beside = (before, self.width - across * wide - before, above, self.height - down * tall - above)
        self.state = self.legal(F.pad(tiles, beside).flatten(2))
        return self.points()

    def moves(self, keys: Tensor, numbers: range, share: float) -> Iterator[tuple]:
        """Where the windows that gain and lose begin, a pattern and its signs, both patterns, a window's features."""
        side = max(round(math.sqrt(share * self.height * self.width)), 3)
        window = _window(side + 1 - side % 2, self.height, self.width)
        drawn = uniform(keys, numbers, 5 + self.channels)
        gaining, losing = (self.first_features(drawn[..., i : i + 2], window) for i in (0, 2))
        lying, signs = (drawn[..., 4] < 0.5).long(), (drawn[..., 5:, None] < 0.5).to(self.ball.x.dtype) * 2 - 1
        return zip(
            gaining, losing, lying, signs, repeat(_patterns(window, self.ball.x)), repeat(self.features(window))
        )

    def moved(
        self, gaining: Tensor, losing: Tensor, lying: Tensor, signs: Tensor, patterns: Tensor, features: Tensor
    ) -> Tensor:
        inside, beyond = ((first + features).expand(-1, self.channels, -1) for first in (gaining, losing))
        old, rest = self.state.gather(2, inside), self.state.scatter(2, inside, 0.0)
        mass = old.square().sum(dim=2) + rest.gather(2, beyond).square().sum(dim=2)
        unused = (1 - self.state.square().sum(dim=(1, 2))).clamp_(min=0) / self.channels
        heap = F.normalize(signs * patterns[lying].unsqueeze(1) + F.normalize(old, dim=2), dim=2)
        heap *= (mass + unused.unsqueeze(1)).sqrt_().unsqueeze(2)
        self.kept, self.state = self.state, self.legal(rest.scatter_(2, beyond, 0.0).scatter_(2, inside, heap))
        return self.points()

    def keep(self, better: Tensor) -> None:
        self.state = torch.where(column(better, self.state), self.state, self.kept)

    def points(self) -> Tensor:
        shift = self.state.reshape(self.ball.x.shape)
        return (self.reach * shift).add_(self.ball.x).clamp_(*self.ball.bounds)

    def legal(self, shift: Tensor) -> Tensor:
        """Of length 1, except for what the bounds cut off."""
        return F.normalize(shift.flatten(1)).reshape(shift.shape).clamp_(self.low, self.high)


def _patterns(window: tuple[int, int], like: Tensor) -> Float[Tensor, "2 cells"]:
    """η of Eq. 2: two bumps of opposite sign, one above the other and side by side, of length 1."""
    tall, wide = window
    upright = torch.cat([_bump(tall // 2, wide), -_bump(tall - tall // 2, wide)], dim=0)
    lying = torch.cat([_bump(tall, wide // 2), -_bump(tall, wide - wide // 2)], dim=1)
    return F.normalize(torch.stack([upright.flatten(), lying.flatten()])).to(like)


def _bump(tall: int, wide: int) -> Float[Tensor, "tall wide"]:
    """A cell at distance d from the middle holds the sum of 1/j² over j from d + 1 to the edge's distance + 1."""
    rows, columns = (torch.arange(tall) - tall // 2).abs(), (torch.arange(wide) - wide // 2).abs()
    terms = 1 / torch.arange(1, max(tall, wide) // 2 + 2, dtype=torch.float64).square()
    return terms.flip(0).cumsum(0).flip(0)[torch.maximum(rows[:, None], columns)]
