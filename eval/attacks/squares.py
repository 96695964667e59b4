"""The moves of Square Attack: squares of ±ε in L∞, windows that trade their mass in L2.

Andriushchenko et al. 2020, https://arxiv.org/abs/1912.00049, sections 3.3 and 3.4.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from alignment.double import double_device
from eval.attacks.random_streams import uniform
from training.balls import INSIDE, Ball, LinfBall, column


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


def _window(side: int, height: int, width: int) -> tuple[int, int]:
    """Height and width of a square; where the image is too flat or too narrow for it, of a rectangle as large."""
    tall = min(height, max(side, round(side**2 / width)))
    wide = min(width, max(side, round(side**2 / height)))
    return tall, wide


class Squares(ABC):
    """A state per sample, random moves from one state to the next, and the points that the states stand for.

    States have the shape (B, channels, height · width).
    """

    state: Tensor

    def __init__(self, ball: Ball) -> None:
        self.ball = ball
        self.channels, self.height, self.width = ball.x.shape[1:]

    def __getitem__(self, chosen: Tensor) -> "Squares":
        """The same for some samples of the batch."""
        part = type(self)(self.ball[chosen])
        part.state = self.state[chosen]
        return part

    @abstractmethod
    def start(self, keys: Tensor) -> Tensor:
        """Set out, and return the points to ask about."""

    @abstractmethod
    def moves(self, keys: Tensor, numbers: range, share: float) -> Iterator[tuple[Tensor, ...]]:
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

    def heads(self, drawn: Float[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        """Which of some numbers are below ½, where the points are."""
        return (drawn < 0.5).to(self.ball.x.device)

    def first_features(self, share: Float[Tensor, "K B 2"], window: tuple[int, int]) -> Int[Tensor, "K B 1 1"]:
        """Where windows begin that may lie anywhere in the image, as numbers of features in a channel."""
        # Numbers of Python and not a tensor, which a GPU would have to wait for.
        row, place = (share[..., i] * (side - window[i] + 1) for i, side in enumerate((self.height, self.width)))
        row, place = (number.long().to(self.ball.x.device) for number in (row, place))
        return (row * self.width + place)[:, :, None, None]

    def features(self, window: tuple[int, int]) -> Int[Tensor, " cells"]:
        """The features of a window that begins at feature 0."""
        grid = torch.arange(self.height * self.width, device=self.ball.x.device).reshape(self.height, self.width)
        return grid[: window[0], : window[1]].flatten()


class LinfSquares(Squares):
    """L∞ (Algorithm 2): every feature takes its lowest or its highest value; the states are the points."""

    ball: LinfBall

    def __init__(self, ball: LinfBall) -> None:
        super().__init__(ball)
        self.low, self.high = ball.low.flatten(2), ball.high.flatten(2)

    def start(self, keys: Tensor) -> Tensor:
        """Vertical stripes, each of one feature (section 3.3)."""
        stripes = self.heads(uniform(keys, range(1, 2), self.channels * self.width)[0])
        stripes = stripes.reshape(-1, self.channels, self.width).repeat(1, 1, self.height)
        self.state = torch.where(stripes, self.high, self.low)
        return self.points()

    def moves(self, keys: Tensor, numbers: range, share: float) -> Iterator[tuple[Tensor, ...]]:
        """Where the square begins, its colour in each channel, and its features from there."""
        side = max(round(math.sqrt(share * self.height * self.width)), 1)
        window = _window(side, self.height, self.width)
        drawn = uniform(keys, numbers, 2 + self.channels)
        first, colour = self.first_features(drawn[..., :2], window), self.heads(drawn[..., 2:, None])
        return zip(first, colour, repeat(self.features(window)))

    def moved(self, first: Tensor, colour: Tensor, features: Tensor) -> Tensor:
        """Move, and return the points to ask about."""
        self.square = (first + features).expand(-1, self.channels, -1)
        self.old, high = self.state.gather(2, self.square), self.high.gather(2, self.square)
        idle = ((self.old == high) == colour).flatten(1).all(dim=1)
        self.new = torch.where(colour ^ column(idle, colour), high, self.low.gather(2, self.square))
        self.state.scatter_(2, self.square, self.new)
        return self.points()

    def keep(self, better: Tensor) -> None:
        """Take the last move back, except where it was for the better."""
        self.state.scatter_(2, self.square, torch.where(column(better, self.new), self.new, self.old))

    def points(self) -> Tensor:
        """The points that the states stand for."""
        return self.state.reshape(self.ball.x.shape)


class L2Squares(Squares):
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
        drawn = self.heads(uniform(keys, range(1, 2), (self.channels + 1) * down * across)[0])
        drawn = drawn.reshape(-1, self.channels + 1, down, 1, across, 1)
        upright, lying = _patterns((tall, wide), self.ball.x).reshape(2, tall, 1, wide)
        tiles = torch.where(drawn[:, :1], upright, lying) * torch.where(drawn[:, 1:], 1, -1)
        tiles = tiles.flatten(4).flatten(2, 3)
        above, before = (self.height - down * tall) // 2, (self.width - across * wide) // 2
        beside = (before, self.width - across * wide - before, above, self.height - down * tall - above)
        self.state = self.legal(F.pad(tiles, beside).flatten(2))
        return self.points()

    def moves(self, keys: Tensor, numbers: range, share: float) -> Iterator[tuple[Tensor, ...]]:
        """Where the windows that gain and lose begin, a pattern and its signs, both patterns, a window's features."""
        side = max(round(math.sqrt(share * self.height * self.width)), 3)
        window = _window(side + 1 - side % 2, self.height, self.width)
        drawn = uniform(keys, numbers, 5 + self.channels)
        gaining, losing = (self.first_features(drawn[..., i : i + 2], window) for i in (0, 2))
        lying = self.heads(drawn[..., 4]).long()
        signs = self.heads(drawn[..., 5:, None]).to(self.ball.x.dtype) * 2 - 1
        return zip(
            gaining, losing, lying, signs, repeat(_patterns(window, self.ball.x)), repeat(self.features(window))
        )

    def moved(
        self, gaining: Tensor, losing: Tensor, lying: Tensor, signs: Tensor, patterns: Tensor, features: Tensor
    ) -> Tensor:
        """Move, and return the points to ask about."""
        inside, beyond = ((first + features).expand(-1, self.channels, -1) for first in (gaining, losing))
        old, rest = self.state.gather(2, inside), self.state.scatter(2, inside, 0.0)
        mass = old.square().sum(dim=2) + rest.gather(2, beyond).square().sum(dim=2)
        unused = (1 - self.state.square().sum(dim=(1, 2))).clamp_(min=0) / self.channels
        heap = F.normalize(signs * patterns[lying].unsqueeze(1) + F.normalize(old, dim=2), dim=2)
        heap *= (mass + unused.unsqueeze(1)).sqrt_().unsqueeze(2)
        self.kept, self.state = self.state, self.legal(rest.scatter_(2, beyond, 0.0).scatter_(2, inside, heap))
        return self.points()

    def keep(self, better: Tensor) -> None:
        """Take the last move back, except where it was for the better."""
        self.state = torch.where(column(better, self.state), self.state, self.kept)

    def points(self) -> Tensor:
        """The points that the states stand for."""
        shift = self.state.reshape(self.ball.x.shape)
        return (self.reach * shift).add_(self.ball.x).clamp_(*self.ball.bounds)

    def legal(self, shift: Tensor) -> Tensor:
        """Of length 1, except for what the bounds cut off."""
        return F.normalize(shift.flatten(1)).reshape(shift.shape).clamp_(self.low, self.high)


def _patterns(window: tuple[int, int], like: Tensor) -> Float[Tensor, "2 cells"]:
    """η of Eq. 2: two bumps of opposite sign, one above the other and side by side, of length 1."""
    (tall, wide), device = window, double_device(like.device)
    upright = torch.cat([_bump(tall // 2, wide, device), -_bump(tall - tall // 2, wide, device)], dim=0)
    lying = torch.cat([_bump(tall, wide // 2, device), -_bump(tall, wide - wide // 2, device)], dim=1)
    return F.normalize(torch.stack([upright.flatten(), lying.flatten()])).to(like)


def _bump(tall: int, wide: int, device: torch.device | None = None) -> Float[Tensor, "tall wide"]:
    """A cell at distance d from the middle holds the sum of 1/j² over j from d + 1 to the edge's distance + 1."""
    rows, columns = ((torch.arange(size, device=device) - size // 2).abs() for size in (tall, wide))
    terms = 1 / torch.arange(1, max(tall, wide) // 2 + 2, dtype=torch.float64, device=device).square()
    return terms.flip(0).cumsum(0).flip(0)[torch.maximum(rows[:, None], columns)]
