"""Draw the pictures of README and docs: `python docs/figures.py runs/quick`, after `alphadx study quick`.

They are kept with the code, as SVG under `docs/figures`, on a white ground that a dark page shows as a card.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import nn

from alignment import alpha_dx, closest_class, input_gradient
from eval.records import Record, Records, Results
from training import AGR, CAAT, WeightedSum
from training.data import Squares

FOLDER = Path(__file__).resolve().parent / "figures"
RECIPES = {
    "B": ("plain training", "#1f2937", "-"),
    "Lα": ("alignment penalty", "#b45309", "--"),
    "P": ("PGD training", "#2563eb", "-."),
}
"""Title, colour and line of each."""
STYLE = {
    "svg.hashsalt": "alphadx",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.facecolor": "white",
}


def gradients(records: Records) -> Figure:
    """x, Δx and ∇ℓ of plain, aligned and PGD-trained models, one image of Squares32 and two digits."""
    rows = [*shown(records, "Squares32", 1), *shown(records, "digits", 2)]
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots(len(rows), 5)
    for line, (x, residual, found, names) in zip(axes, rows, strict=True):
        line[0].imshow(x, cmap="gray", vmin=-1, vmax=1)
        signed(line[1], residual)
        line[0].set_xlabel(names[0])
        line[1].set_xlabel(f"towards {names[1]}")
        for axis, (gradient, cosine) in zip(line[2:], found, strict=True):
            signed(axis, gradient)
            axis.set_xlabel(f"cosine {cosine:.2f}")
    titles = ["x", "Δx", *(f"∇ℓ, {name}\n{title}" for name, (title, *_) in RECIPES.items())]
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        axis.xaxis.label.set_fontsize(8)
    return figure


def shown(records: Records, data: str, count: int) -> Iterator[tuple]:
    """Samples for which all three models have the same closest class, each with three gradients and their cosines."""
    kept = [one(records, data, recipe, "gradients") for recipe in RECIPES]
    outcomes = [records.per_sample(record) for record in kept]
    same = [at for at in range(len(outcomes[0])) if len({table.target.iloc[at] for table in outcomes}) == 1]
    for at in same[:count]:
        packed, line = [records.arrays(record) for record in kept], outcomes[0].iloc[at]
        found = [(of["gradient"][at, 0], table.cosine.iloc[at]) for of, table in zip(packed, outcomes, strict=True)]
        names = [str(packed[0]["classes"][int(label)]) for label in (line.label, line.target)]
        yield packed[0]["x"][at, 0], packed[0]["residual"][at, 0], found, names


def one(records: Records, data: str, recipe: str, kind: str, norm: str | None = None) -> Record:
    """The first model's measurement of a kind, of the models side by side."""
    return next(
        record
        for record in records
        if record.model.data == data
        and record.model.recipe == recipe
        and "side by side" in record.model.groups
        and record.quantity.kind == kind
        and norm in (None, record.quantity.norm)
    )


def signed(axis: Axes, image: np.ndarray) -> None:
    """Red above zero, blue below."""
    largest = np.percentile(np.abs(image), 99.5)
    axis.imshow(image, cmap="RdBu_r", vmin=-largest, vmax=largest)


def radii(records: Records) -> Figure:
    """The share of samples that withstand each ε, and where it is one half."""
    figure = Figure(figsize=(5.2, 2.9), layout="constrained")
    axis = figure.subplots()
    for recipe, (title, colour, line) in RECIPES.items():
        record = one(records, "digits", recipe, "epsilon50", "Linf")
        radius = np.sort(records.per_sample(record).radius.to_numpy())
        axis.plot(
            radius, 1 - np.arange(1, len(radius) + 1) / len(radius), line, color=colour, label=f"{recipe}: {title}"
        )
        axis.plot([record.value] * 2, [0, 0.5], color=colour, lw=0.8, ls=":")
        axis.plot(record.value, 0.5, "o", ms=4, color=colour)
    axis.axhline(0.5, color="0.7", lw=0.7)
    axis.set(xlabel="ε, PGD L∞ (digits)", ylabel="share of samples with a larger radius", ylim=(0, 1), xlim=(0, 0.6))
    axis.annotate("ε50%, the median radius", (0.4, 0.52), fontsize=8, color="0.35")
    axis.legend(frameon=False, fontsize=8)
    return figure


class Three(nn.Module):
    """Three linear logits of two features."""

    weights = torch.tensor([[0.0, 1.0], [1.2, -0.6], [-0.9, -0.9]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return x @ self.weights.T + torch.tensor([0.2, 0.1, -0.4])


def closest() -> Figure:
    """A sample, the gradient of ℓ, Δx to a point of the closest class, and the angle between them."""
    model, x, y = Three(), torch.tensor([[0.35, 0.75]]), torch.tensor([0])
    target = closest_class(model, x, y)
    residual = torch.tensor([[1.05, -0.45]])
    gradient = input_gradient(model, x, target, y)[0]
    side = torch.linspace(-1.5, 1.8, 300)
    grid = torch.cartesian_prod(side, side)
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axis = figure.subplots()
    regions = model(grid).argmax(1).reshape(300, 300).T
    axis.contourf(side, side, regions, levels=[-0.5, 0.5, 1.5, 2.5], colors=["#eef2f7", "#fdf1dc", "#e3eefc"])
    axis.contour(side, side, regions, levels=[0.5, 1.5], colors="0.6", linewidths=0.8)
    axis.plot(*x[0], "o", color="black")
    axis.annotate("x, true class y", x[0].tolist(), (-98, 6), textcoords="offset points")
    end = (x + residual)[0].tolist()
    axis.plot(*end, "s", color="#b45309", ms=5)
    axis.annotate("closest point\nof class c̃(x)", end, (-50, -30), textcoords="offset points")
    arrow(axis, x[0].tolist(), end, "#b45309", "Δx")
    tip = (x[0] + 0.75 * gradient / gradient.norm()).tolist()
    arrow(axis, x[0].tolist(), tip, "#2563eb", "∇ℓ")
    cosine = alpha_dx(model, x, y, residual, target=target).item()
    axis.set_title(f"α_Δx of this sample: cos(Δx, ∇ℓ) = {cosine:.2f}", fontsize=9)
    for name, place in (
        ("class y", (-1.35, 1.5)),
        ("c̃(x), the closest class", (0.2, -1.3)),
        ("the third class", (-1.35, -1.3)),
    ):
        axis.annotate(name, place, fontsize=8, color="0.35")
    axis.set(aspect="equal", xticks=[], yticks=[])
    return figure


def arrow(axis: Axes, start: list[float], end: list[float], colour: str, name: str, share: float = 0.5) -> None:
    """An arrow with its name beside it, at a share of its length."""
    axis.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color=colour, lw=1.6, shrinkA=0, shrinkB=0)
    )
    near = np.array(start) + share * (np.array(end) - np.array(start))
    axis.annotate(name, near, (5, 3), textcoords="offset points", color=colour, fontweight="bold")


def residuals() -> Figure:
    """Δx of an image of Squares32: the exact one, and the nearest training example's."""
    data = Squares(size=32, train_size=500)
    x, y, _ = next(iter(data.batches("test")))
    x, y = x[:1], y[:1]
    exact, nearest = (data.residual(name)(x, y, 1 - y) for name in ("exact", "nearest"))
    cosine = nn.functional.cosine_similarity(exact.flatten(1), nearest.flatten(1)).item()
    figure = Figure(figsize=(6.4, 1.9), layout="constrained")
    axes = figure.subplots(1, 4)
    pictures = {
        "x": x,
        "Δx, exact": exact,
        f"Δx̂, nearest example\nsim(Δx, Δx̂) = {cosine:.2f}": nearest,
        "x + Δx̂": x + nearest,
    }
    for axis, (title, image) in zip(axes, pictures.items(), strict=True):
        if title.startswith("Δ"):
            signed(axis, image[0, 0].numpy())
        else:
            axis.imshow(image[0, 0], cmap="gray", vmin=-1, vmax=1)
        axis.set_title(title, fontsize=8)
        axis.set(xticks=[], yticks=[])
    return figure


def combiners() -> Figure:
    """What three combiners make of two gradients that conflict."""
    clean, adversarial = torch.tensor([1.0, 0.15]), torch.tensor([-0.55, 0.9])
    made: dict[str, Callable] = {
        "weighted sum, ½ and ½": WeightedSum({"clean": 0.5, "adversarial": 0.5}),
        "AGR": AGR(clip_norm=None),
        "CA-AT, γ = 0.8": CAAT(gamma=0.8),
    }
    figure = Figure(figsize=(6.4, 2.2), layout="constrained")
    for axis, (name, combine) in zip(figure.subplots(1, 3), made.items(), strict=True):
        (found,) = combine({"clean": [clean], "adversarial": [adversarial]})
        arrow(axis, [0, 0], clean.tolist(), "#6b7280", "g clean", 1)
        arrow(axis, [0, 0], adversarial.tolist(), "#b45309", "g adv", 1)
        arrow(axis, [0, 0], found.tolist(), "#2563eb", "g", 1)
        axis.set(aspect="equal", xticks=[], yticks=[], xlim=(-0.75, 2.1), ylim=(-0.1, 1.5))
        axis.set_title(name, fontsize=9)
    return figure


def boxes(names: list[str], notes: list[str], joined: str = "") -> Figure:
    """Boxes in a row, with arrows between them and a note below each."""
    figure = Figure(figsize=(6.4, 1.35))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, len(names)), ylim=(0, 1))
    axis.axis("off")
    for at, (name, note) in enumerate(zip(names, notes, strict=True)):
        axis.add_patch(
            FancyBboxPatch((at + 0.12, 0.5), 0.7, 0.32, boxstyle="round,pad=0.03", fc="#eef2f7", ec="#6b7280")
        )
        axis.text(at + 0.47, 0.66, name, ha="center", va="center", fontsize=9)
        axis.text(at + 0.47, 0.3, note, ha="center", va="center", fontsize=7.5, color="0.3")
        if at == 1 and joined:
            axis.text(at - 0.03, 0.66, joined, ha="center", va="center", fontsize=12)
        elif at:
            axis.add_patch(
                FancyArrowPatch(
                    (at - 0.14, 0.66), (at + 0.08, 0.66), arrowstyle="-|>", mutation_scale=10, color="0.3"
                )
            )
    return figure


def classifier() -> Figure:
    """What a classifier is."""
    return boxes(
        ["x", "normalise", "network", "logits"],
        [
            "in the data's own range,\nwhich is the unit of ε",
            "mean, std, size;\ninside the classifier",
            "any nn.Module",
            "(B, C)",
        ],
    )


def record() -> Figure:
    """What the identity of a record is made of."""
    return boxes(
        ["quantity", "subject", "key", "record"],
        [
            "kind, attack, norm,\nall settings",
            "samples, bounds, weights,\nnetwork, training",
            "digest of both",
            "value, interval, n, cost,\noutcome of every sample",
        ],
        joined="+",
    )


def main() -> None:
    """Draw all of them."""
    records = Results(Path(sys.argv[1])).load()
    FOLDER.mkdir(exist_ok=True)
    with mpl.rc_context(STYLE):
        draw(records)


def draw(records: Records) -> None:
    """Draw and write them."""
    drawn = {"gradients": gradients(records), "radii": radii(records), "closest": closest(), "residuals": residuals()}
    drawn |= {"combiners": combiners(), "classifier": classifier(), "record": record()}
    for name, figure in drawn.items():
        figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None, "Creator": None})
        print(FOLDER / f"{name}.svg")


if __name__ == "__main__":
    main()
