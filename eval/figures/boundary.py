"""Distance to the decision boundary along random directions of the input: paper 2, Fig. 4."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from matplotlib.figure import Figure
from torch import Tensor, nn

from alignment.contracts import check_choice, check_counts, check_number
from alignment.gradients import evaluating, logits_of
from eval.figures.kind import FigureKind
from eval.figures.panels import legend_below, lined, literal, panels, titled
from eval.figures.settings import pictures, rows_by_settings, told_apart
from eval.records import Quantity, Record, Records
from eval.records.intervals import LEVEL, UNSURE, Interval
from eval.records.outcome import Measurement, Outcome, outcomes_of
from eval.records.subject import first_samples
from eval.robustness.batching import Batching
from eval.tables import Row, Table
from training.data import Batch, DataSet
from training.passes import CountPasses
from training.seeds import generator_for

KIND = "boundary"
STEP = 1 / 255
"""Length of the paper's steps."""
UNITS = {"L2": "‖δ‖₂", "Linf": "‖δ‖∞"}
FIRST_PART = 1000
"""The first length tried is the largest by this."""

Length = Literal["L2", "Linf"]


def boundary_distances(
    classifier: nn.Module,
    x: Float[Tensor, "*shape"],
    directions: Float[Tensor, "D *shape"],
    *,
    largest: float,
    growth: float = 1.1,
    resolution: float = 0.01,
) -> Float[Tensor, " D"]:
    """How far an input can be moved along each direction until its predicted class changes.

    Lengths grow by a factor until the class changes, and the bracket is then halved. A class that changes and changes
    back between two lengths is passed over. Inputs are not clipped to the bounds.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`; used in evaluation mode and left as it was found.
        x: one input.
        directions: each of length 1.
        largest: length at which a direction is given up.
        growth: of the lengths, above 1.
        resolution: relative width to which distances are closed.

    Returns:
        The middle of each bracket; infinite where the class does not change up to `largest`.
    """
    with evaluating(classifier), torch.no_grad():
        rays = _Rays(classifier, x, directions)
        for length in _lengths(largest, growth):
            rays.move(rays.upper.isinf(), torch.full_like(rays.upper, length))
        for _ in range(_halvings(growth, resolution)):
            rays.move(rays.upper.isfinite(), (rays.lower + rays.upper) / 2)
    return (rays.lower + rays.upper) / 2


class _Rays:
    """What is known of each direction: the longest step that kept the class, and the shortest that changed it."""

    def __init__(self, classifier: nn.Module, x: Tensor, directions: Tensor) -> None:
        self.classifier, self.x, self.directions = classifier, x, directions
        self.batching = Batching("auto")
        self.predicted = logits_of(classifier, x.unsqueeze(0)).argmax(dim=1)
        self.lower = torch.zeros(len(directions), device=x.device)
        self.upper = torch.full_like(self.lower, torch.inf)

    def move(self, which: Bool[Tensor, " D"], lengths: Float[Tensor, " D"]) -> None:
        """Try some directions, each at its length, and move their brackets."""
        if not len(chosen := which.nonzero().squeeze(1)):
            return
        changed = torch.cat(self.batching.over(chosen, lambda part: self._changed(part, lengths[part])))
        self.upper[chosen] = torch.where(changed, lengths[chosen], self.upper[chosen])
        self.lower[chosen] = torch.where(changed, self.lower[chosen], lengths[chosen])

    def _changed(self, part: Int[Tensor, " P"], lengths: Float[Tensor, " P"]) -> Bool[Tensor, " P"]:
        steps = lengths.view(-1, *[1] * self.x.ndim) * self.directions[part]
        return logits_of(self.classifier, self.x + steps).argmax(dim=1) != self.predicted


def _lengths(largest: float, growth: float) -> list[float]:
    count = math.ceil(math.log(FIRST_PART) / math.log(growth))
    return [largest * growth**-number for number in range(count, -1, -1)]


def _halvings(growth: float, resolution: float) -> int:
    """Until a bracket between two lengths is closed to the resolution."""
    return max(0, math.ceil(math.log2((1 - 1 / growth) / resolution)))


def random_directions(
    count: int, shape: Sequence[int], norm: Length = "L2", *seeds: int | str
) -> Float[Tensor, "D *shape"]:
    """Directions of length 1 in a norm, uniform on the sphere before they are scaled."""
    drawn = torch.randn(count, math.prod(shape), generator=generator_for(*seeds))
    length = torch.linalg.vector_norm(drawn, ord=2 if norm == "L2" else math.inf, dim=1, keepdim=True)
    return (drawn / length).view(count, *shape)


@dataclass(frozen=True)
class Boundary:
    """Median distance, over images and random directions, at which the predicted class changes.

    The paper takes one image that it does not name, 1,000 directions of a law that it does not name, and steps of
    1/255 in a norm that it does not name. Here directions are Gaussian, the same for every model.

    Args:
        directions: for each image.
        images: the first samples.
        norm: in which a direction has length 1, and distances are measured.
        largest: length at which a direction is given up; None for noise whose root mean square is twice the range of
            an input.
        growth: of the lengths tried.
        resolution: relative width to which distances are closed.
        seed: of the directions.

    Raises:
        ValueError: for a choice that does not exist, or a number out of its range.
    """

    directions: int = 1000
    images: int = 10
    norm: Length = "L2"
    largest: float | None = None
    growth: float = 1.1
    resolution: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self.norm, get_args(Length), "norm")
        check_counts(1, directions=self.directions, images=self.images)
        check_number(self.growth, "growth", "be above 1 and finite", lambda value: 1 < value < math.inf)
        check_number(self.resolution, "resolution", "lie between 0 and 1", lambda value: 0 < value < 1)

    def limit(self, data: DataSet) -> float:
        """The largest length tried.

        Raises:
            ValueError: if none was given and the data have no bounds.
        """
        low, high = data.bounds
        if self.largest is None and not math.isfinite(high - low):
            raise ValueError(f"`largest` should be given for {data.name}, whose inputs have no bounds. Found None.")
        size = math.prod(data.shape) if self.norm == "L2" else 10  # a Gaussian's largest entry is some five of its σ
        found = 2 * (high - low) * math.sqrt(size) if self.largest is None else self.largest
        check_number(found, "largest", "be above 0 and finite", lambda value: 0 < value < math.inf)
        return found

    def quantity(self, data: DataSet) -> Quantity:
        """The distance, with all that it depends on."""
        return Quantity(KIND, settings=asdict(self) | {"largest": self.limit(data)})

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """The median; per image its own median and how many directions were given up."""
        few = first_samples(batches, self.images)
        x, y = (torch.cat(parts) for parts in zip(*[(batch.x, batch.y) for batch in few], strict=True))
        found = torch.stack([self._of_image(classifier, image, row, data) for row, image in enumerate(x)]).cpu()
        with evaluating(classifier), torch.no_grad():
            correct = logits_of(classifier, x).argmax(dim=1) == y
        distance = found.double().numpy()
        told = {
            "largest": self.limit(data),
            "censored": int(np.isinf(distance).sum()),
            "wrong": int((~correct).sum()),
        }
        middle = found.quantile(0.5, dim=1, interpolation="lower")
        frame = outcomes_of(few, correct=correct, median=middle, censored=found.isinf().sum(dim=1))
        arrays = {"distance": found.float().numpy(), "correct": correct.cpu().numpy()}
        interval = _median_interval(distance)
        return Outcome(
            float(np.median(distance)), frame, interval, details=told, arrays=arrays, samples=distance.size
        )

    def _of_image(self, classifier: nn.Module, image: Tensor, row: int, data: DataSet) -> Tensor:
        drawn = random_directions(self.directions, image.shape, self.norm, self.seed, "boundary", row)
        limits = {"largest": self.limit(data), "growth": self.growth, "resolution": self.resolution}
        return boundary_distances(classifier, image, drawn.to(image), **limits)


def _median_interval(distance: np.ndarray, resamples: int = 500) -> Interval:
    """Of the median over images, which are resampled with all their directions; a single image has none."""
    if len(distance) < 2:
        return UNSURE
    drawn = np.random.default_rng(0).integers(len(distance), size=(resamples, len(distance)))
    medians = [float(np.median(distance[rows])) for rows in drawn]
    low, high = np.quantile(
        medians, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest"
    )  # infinite ones have no mean
    return float(low), float(high)


def measurements(
    directions: int = 1000,
    images: int = 10,
    norm: Length = "L2",
    largest: float | None = None,
    growth: float = 1.1,
    resolution: float = 0.01,
    seed: int = 0,
) -> Sequence[Measurement]:
    """The one measurement, see `Boundary`."""
    return [Boundary(directions, images, norm, largest, growth, resolution, seed)]


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One line per model: the median and the tenth part of the directions that reaches least far."""
    found = [row for same in rows_by_settings(chosen).values() for row in same]
    apart = told_apart(chosen)
    every = [(row, record) for row in found for record in row.records]
    lines = [_line(row.data, row.recipe, one, records) | apart[one.quantity] for row, one in every]
    told = [
        "Distance along Gaussian directions at which the predicted class changes; inputs are not clipped. In "
        "brackets: 95 % interval from resampling images with all their directions.",
    ]
    wrong = {record.details["wrong"] for record in chosen} - {0}
    if wrong:
        told.append("Images that are misclassified already count by where their predicted class changes.")
    return Table(pd.DataFrame(lines).fillna("–"), told)


def _line(data: str, recipe: str, record: Record, records: Records) -> dict[str, str]:
    distance = records.arrays(record)["distance"]
    norm, largest = str(record.quantity.settings["norm"]), float(record.details["largest"])
    low, high = (_within(end, largest) for end in record.interval)
    over = "" if math.isnan(record.interval[0]) else f" [{low}, {high}]"
    return {
        "data": data,
        "recipe": recipe,
        "seed": str(record.model.seed),
        f"median {UNITS[norm]}": f"{_within(record.value, largest)}{over}",
        "steps of 1/255": f"> {largest / STEP:.0f}" if math.isinf(record.value) else f"{record.value / STEP:.0f}",
        "10 % of directions below": _within(float(np.quantile(distance, 0.1, method="nearest")), largest),
        "images": str(len(distance)),
        "misclassified": str(record.details["wrong"]),
        "directions": str(distance.shape[1]),
        "never reached": f"{100 * record.details['censored'] / distance.size:.1f} %",
    }


def _within(value: float, largest: float) -> str:
    return f"> {largest:.3g}" if math.isinf(value) else f"{value:.3g}"


def draw(records: Records, chosen: Sequence[Record]) -> Mapping[str, Figure]:
    """For each data set and norm the distances in ascending order, as the paper draws them, a line per model."""
    return pictures(chosen, partial(_drawn, records))


def _drawn(records: Records, data: str, rows: Sequence[Row]) -> Figure:
    figure, (axis,) = panels(1)
    for row, look in lined(rows):
        for number, record in enumerate(row.records):
            distance = np.sort(records.arrays(record)["distance"].ravel())
            share = 100 * (np.arange(distance.size) + 0.5) / distance.size
            label = None if number else literal(row.recipe, 32)
            axis.plot(share, np.where(np.isinf(distance), np.nan, distance), **look.line, label=label)
    norm = str(rows[0].records[0].quantity.settings["norm"])
    axis.set(xlabel="directions in ascending order, %", xlim=(0, 100), ylim=(0, None))
    axis.set_ylabel(f"{UNITS[norm]} at which the class changes")
    legend_below(figure, [axis])
    titled(figure, f"{data}: distance to the boundary along random directions")
    return figure


BOUNDARY = FigureKind(
    KIND, "Distance to the boundary along random directions (paper 2, Fig. 4)", (KIND,), measurements, table, draw
)
