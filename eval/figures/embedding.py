"""Where the gradients of single samples lie, clean and adversarial, in two dimensions: paper 3, Fig. 2a."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score

from alignment.contracts import check_choice, check_counts
from eval.figures.inner_maximum import UNBOUNDED, InnerMaximum
from eval.figures.kind import FigureKind
from eval.figures.panels import legend_below, literal, panels, titled
from eval.figures.parameter_gradients import ParameterGradients
from eval.figures.settings import pictures, rows_by_settings, told_apart
from eval.figures.style import CLOUD, looks_of
from eval.records import Quantity, Record, Records
from eval.records.identity import plain
from eval.records.outcome import Measurement, Outcome
from eval.records.subject import first_samples
from eval.tables import Row, Table
from training.attacks import Norm
from training.data import Batch, DataSet
from training.passes import CountPasses
from training.strength import Strength

KIND = "embedding"
Method = Literal["t-SNE", "PCA"]
LARGEST = 2**30
"""Entries of all gradients together, four bytes each."""
BLOCK = 2**16
"""Parameters whose gradients are taken together."""
LABELS = {"clean": "g_n", "adversarial": "g_a"}


@dataclass(frozen=True)
class Embedding:
    """Silhouette of the clean against the adversarial gradients of single samples, at the largest budget.

    It is 1 for two groups far apart, and about 0 for two that lie in one another. The paper gives no number, and
    draws the gradients of training samples in the last epoch; here they are of the samples that are measured.

    Args:
        budgets: values of δ, one panel each.
        norm: of the ball.
        steps: of PGD, where the inner maximum has no closed form, see `InnerMaximum`.
        clipped: keep x' within the bounds of the data.
        samples: the first so many.
        method: of the embedding, fitted to both groups together.
        seed: of PGD and of the embedding.

    Raises:
        ValueError: for a choice that does not exist, no budget or one that is not above 0, or fewer than 8 samples.
    """

    budgets: tuple[Strength, ...] = (Strength(0.05), Strength(0.3))
    norm: Norm = "Linf"
    steps: int = 40
    clipped: bool = True
    samples: int = 200
    method: Method = "t-SNE"
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self.norm, get_args(Norm), "norm")
        check_choice(self.method, get_args(Method), "method")
        check_counts(8, samples=self.samples)
        if not self.budgets or not all(budget > 0 for budget in self.budgets):
            raise ValueError(f"`budgets` should be one or more numbers above 0. Found {[*self.budgets]}.")

    def quantity(self, data: DataSet) -> Quantity:
        """The silhouette, with all that it depends on."""
        return Quantity(KIND, settings=plain(asdict(self)))

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """The silhouette; per budget too, with the places that the picture shows."""
        few = first_samples(batches, self.samples)
        x, y = (torch.cat(parts) for parts in zip(*[(batch.x, batch.y) for batch in few], strict=True))
        gradients = ParameterGradients(classifier, y)
        _check_room(sum(weight.numel() for weight in gradients.weights), len(y))
        maximum = InnerMaximum(self.norm, self.steps, data.bounds if self.clipped else UNBOUNDED, self.seed)
        clean, lines, places = gradients.of_each(x), [], []
        for budget in sorted(map(float, self.budgets)):
            perturbed, how = maximum(classifier, x, y, budget)
            both = within_span(torch.cat([clean, gradients.of_each(perturbed)]).numpy())
            lines.append({"budget": budget, "silhouette": apart(both), "inner_maximum": how})
            places.append(self._placed(both).reshape(2, len(y), 2))
        frame = pd.DataFrame(lines)
        arrays = {
            "budget": frame.budget.to_numpy(),
            "places": np.stack(places).astype(np.float32),
            "label": y.cpu().numpy(),
        }
        return Outcome(
            float(frame.silhouette.iloc[-1]), frame, details={"inner_maximum": how}, arrays=arrays, samples=len(y)
        )

    def _placed(self, vectors: np.ndarray) -> np.ndarray:
        """Two coordinates of each vector."""
        if self.method == "PCA":
            return PCA(2, random_state=self.seed).fit_transform(vectors)
        perplexity = min(30.0, (len(vectors) - 1) / 3)
        return TSNE(2, perplexity=perplexity, init="pca", random_state=self.seed).fit_transform(vectors)


def within_span(vectors: np.ndarray) -> np.ndarray:
    """Coordinates of N vectors in the space that they span about their mean, `(N, N)`: all distances stay.

    A network has millions of parameters, with which an embedding of a few vectors would fill the memory.

    Args:
        vectors: `(N, P)`, in float32.
    """
    products = np.zeros((len(vectors), len(vectors)))
    for part in np.array_split(vectors, math.ceil(vectors.shape[1] / BLOCK), axis=1):
        centred = part - part.mean(axis=0, dtype=np.float64)
        products += centred @ centred.T
    squares, axes = np.linalg.eigh(products)
    rounding = float(np.finfo(np.float32).eps) ** 2 * float(np.vdot(vectors, vectors))
    return axes * np.sqrt(np.where(squares > rounding, squares, 0))  # equal vectors have equal coordinates


def apart(both: np.ndarray) -> float:
    """Silhouette of the first half of some vectors against the second, in [−1, 1]; NaN where all are the same."""
    if not np.ptp(both, axis=0).any():
        return math.nan
    return float(silhouette_score(both, np.repeat([0, 1], len(both) // 2)))


def _check_room(parameters: int, samples: int) -> None:
    if 2 * samples * parameters > LARGEST:
        raise ValueError(
            f"`samples` should be at most {LARGEST // (2 * parameters)} for {parameters} parameters, whose gradients "
            f"are all held in memory. Found {samples}."
        )


def measurements(
    budgets: Sequence[float | str] = (0.05, 0.3),
    norm: Norm = "Linf",
    steps: int = 40,
    clipped: bool = True,
    samples: int = 200,
    method: Method = "t-SNE",
    seed: int = 0,
) -> Sequence[Measurement]:
    """The one measurement, see `Embedding`."""
    return [Embedding(tuple(Strength(budget) for budget in budgets), norm, steps, clipped, samples, method, seed)]


def table(records: Records, chosen: Sequence[Record]) -> Table:
    """One line per model, a column per budget."""
    lines, apart = [], told_apart(chosen)
    for row in [row for same in rows_by_settings(chosen).values() for row in same]:
        for record in row.records:
            found = records.per_sample(record)
            by_budget = {f"δ = {line.budget:g}": f"{line.silhouette:.3f}" for line in found.itertuples()}
            lines.append({"data": row.data, "recipe": row.recipe, "seed": str(record.model.seed)} | by_budget)
            lines[-1] |= apart[record.quantity]
    told = ["Silhouette of g_n against g_a of single samples: 1 for two groups far apart, 0 for two in one another."]
    return Table(pd.DataFrame(lines).fillna("–"), told)


def draw(records: Records, chosen: Sequence[Record]) -> Mapping[str, Figure]:
    """One panel per model and budget; only those at their own budgets where several models were trained at one."""
    return pictures(chosen, partial(_drawn, records))


def _drawn(records: Records, data: str, rows: Sequence[Row]) -> Figure:
    shown = _shown(records, rows)
    across = min(len(shown), 3)
    figure, axes = panels(across, math.ceil(len(shown) / across))
    for axis, (row, record, number) in zip(axes, shown, strict=False):
        arrays = records.arrays(record)
        for places, label, look in zip(arrays["places"][number], LABELS.values(), looks_of(("P", "Lα")), strict=True):
            drawn = axis.scatter(places[:, 0], places[:, 1], 6, look.color, marker=look.marker, lw=0, label=label)
            drawn.set_rasterized(len(places) > CLOUD)
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"{literal(row.recipe, 24)}, δ = {arrays['budget'][number]:g}")
    for axis in axes[len(shown) :]:
        axis.remove()
    legend_below(figure, axes[:1])
    method = str(rows[0].records[0].quantity.settings["method"])
    titled(figure, f"{data}: {method} of clean and adversarial gradients of single samples")
    return figure


def _shown(records: Records, rows: Sequence[Row]) -> list[tuple[Row, Record, int]]:
    """Models and numbers of their budgets that are drawn; of a recipe's repetitions the first."""
    every = [(row, row.records[0], n) for row in rows for n in range(len(records.arrays(row.records[0])["budget"]))]
    own = [(row, record, number) for row, record, number in every if _is_own(records, record, number)]
    return own if len(own) > 1 else every


def _is_own(records: Records, record: Record, number: int) -> bool:
    """Whether a budget is the one that a model was trained with."""
    budget = float(records.arrays(record)["budget"][number])
    return bool(record.model.epsilon) and math.isclose(budget, float(Strength(record.model.epsilon)))


EMBEDDING = FigureKind(
    KIND, "Gradients of single samples in two dimensions (paper 3, Fig. 2a)", (KIND,), measurements, table, draw
)
