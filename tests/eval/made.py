"""Records made by hand, for tests of what becomes of them."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from eval.records import Model, Quantity, Record, Records, Results, Samples, Subject

OUTCOMES = pd.DataFrame({"index": range(4), "label": 0, "radius": [0, 0.1, 0.3, math.inf], "failed_at": 0.0})
PGD = Quantity("epsilon50", "pgd", "Linf", {"steps": 40})
PGD_L2 = Quantity("epsilon50", "pgd", "L2", {"steps": 40})
ACCURACY = Quantity("accuracy")
ALPHA = Quantity("alpha_dx", settings={"estimator": {"name": "exact", "settings": {}, "digest": ""}})


def model(data: str = "d", recipe: str = "B", **rest: Any) -> Model:
    return Model(data, recipe, **rest)


def record(quantity: Quantity = ACCURACY, value: float = 0.5, of: Model | None = None, **changes: Any) -> Record:
    """A record of a model on four samples; its weights are another for every name and seed."""
    named = of or model()
    samples = changes.pop("samples_of", Samples(named.data, {"size": 4}, (-1.0, 1.0), "test", 4, "d0"))
    network = changes.pop("network", {"network": "mlp", "options": {}})
    weights = changes.pop("weights", f"{named.recipe} {named.epsilon} {named.seed}")
    subject = Subject(samples, network, weights, changes.pop("training", {}))
    made = Record(named, quantity, subject, value, 4, forward_passes=8, backward_passes=4, seconds=0.1)
    return replace(made, details=changes.pop("details", {"epsilon_max": 1.4}), **changes)


def written(folder: Path, records: list[Record], outcomes: pd.DataFrame = OUTCOMES) -> Records:
    """The records as they are read from a folder that they were written to."""
    results = Results(folder)
    for one in records:
        results.home(one.model, one.subject.model_key).write(one, outcomes)
    return results.load()


def shown(figure: Figure) -> dict[tuple[int, int], AxesImage]:
    """The images of a grid by row and column."""
    (axis,) = figure.axes
    places = [tuple(map(int, image.get_label().split(", "))) for image in axis.images]
    return dict(zip(places, axis.images, strict=True))


def said(figure: Figure) -> list[str]:
    """All that is written in a grid: headings of rows, of columns, and what stands below images."""
    (axis,) = figure.axes
    return [text.get_text() for text in axis.texts]
