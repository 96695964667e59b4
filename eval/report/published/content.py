"""The papers' tables as they are written in YAML, one file a table.

A folder per paper holds `models.yaml`, the models that its tables speak of, each with its data set, the recipes it
may be called by, and its conditions; and a file per table, whose cells are written as the paper prints them, such as
`99.4±0.8`, with `-` for none. What a table `holds`: figures of models, of residual estimators, correlations, a figure
of `eval.figures`, or settings. Under `doubtful` stands why a figure may be another, by model and column, or for all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import yaml

from eval.records import Quantity
from eval.records.quantity import SHARES

ALL = "all"
"""In place of a model: what is doubtful of all of them."""


@dataclass(frozen=True)
class Number:
    """A figure of a paper.

    Attributes:
        value: as a share in [0, 1] where it is one.
        deviation: over runs; None where the paper gives none.
        table: where it stands, such as "paper 1, Table 2".
        doubtful: why it may not be what it is taken for; empty where nothing is.
    """

    value: float
    deviation: float | None
    table: str
    doubtful: str = ""

    @property
    def pair(self) -> tuple[float, ...]:
        """Mean and deviation, or the value alone."""
        return (self.value,) if self.deviation is None else (self.value, self.deviation)


@dataclass(frozen=True)
class PaperModel:
    """A model of a paper with all that its tables say of it.

    Attributes:
        paper: such as "paper 1".
        name: as its tables are keyed.
        data: name of the data set.
        recipes: names by which ours may be called.
        conditions: what a model of ours must have to be the same, see `eval.report.published.conditions`.
        numbers: by what they are numbers of.
    """

    paper: str
    name: str
    data: str
    recipes: tuple[str, ...]
    conditions: Mapping[str, Any]
    numbers: Mapping[Quantity, Number] = field(default_factory=dict)


@cache
def models() -> tuple[PaperModel, ...]:
    """Every model of the papers."""
    return tuple(model for paper, files in _papers().items() for model in _models(paper, files))


def tables(holds: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Tables of one sort, each with where it stands."""
    for paper, files in _papers().items():
        for content in files.values():
            if content.get("holds") == holds:
                yield f"{paper}, {content['table']}", content


def model_of(paper: str, name: str) -> PaperModel:
    """A model by the name that tables have for it."""
    return next(model for model in models() if (model.paper, model.name) == (paper, name))


def quantity(column: str, epsilon: str = "") -> Quantity:
    """What a column is of.

    Example:
        >>> quantity("accuracy pgd Linf 8/255").name, quantity("epsilon50 pgd L2").name
        ('accuracy_pgd_linf_8/255', 'epsilon50_pgd_l2')
    """
    kind, attack, norm, at = (*column.split(), "", "", "")[:4]
    return Quantity(kind, attack, norm, epsilon=at or (epsilon if attack and kind == "accuracy" else ""))


def parsed(cell: str) -> tuple[float, float | None] | None:
    """Value and deviation of a cell; None of an empty one.

    Example:
        >>> parsed("06.91±00.87"), parsed(".818"), parsed("-")
        ((6.91, 0.87), (0.818, None), None)
    """
    if cell == "-":
        return None
    value, _, deviation = cell.partition("±")
    return float(value), float(deviation) if deviation else None


def _models(paper: str, files: Mapping[str, dict[str, Any]]) -> Iterator[PaperModel]:
    told = [content for content in files.values() if content.get("holds") == "models"]
    for name, model in files["models.yaml"]["models"].items():
        recipes = model["recipe"] if isinstance(model["recipe"], list) else [model["recipe"]]
        numbers = {of: number for table in told for of, number in _numbers(paper, table, name)}
        yield PaperModel(paper, name, model["data"], tuple(recipes), model["conditions"], numbers)


def _numbers(paper: str, table: Mapping[str, Any], model: str) -> Iterator[tuple[Quantity, Number]]:
    """What one table says of a model."""
    parts = table.get("at") or {table.get("epsilon", ""): table["rows"]}
    for epsilon, rows in parts.items():
        cells = str(rows[model]).split() if model in rows else ["-"] * len(table["columns"])
        for column, cell in zip(table["columns"], cells, strict=True):
            found = parsed(cell)
            if found is not None:
                of = quantity(column, str(epsilon))
                scale = 100 if table.get("percent") and of.kind in SHARES else 1
                value, deviation = found[0] / scale, None if found[1] is None else found[1] / scale
                doubt = _doubt(table.get("doubtful", {}), model, column)
                yield of, Number(value, deviation, f"{paper}, {table['table']}", doubt)


def _doubt(doubtful: Mapping[str, Any], model: str, column: str) -> str:
    found = [doubtful.get(key, "") for key in (ALL, model)]
    return "; ".join(t for t in (f if isinstance(f, str) else f.get(column, "") for f in found) if t)


@cache
def _papers() -> dict[str, dict[str, dict[str, Any]]]:
    """Files by their names, by paper."""
    found = {}
    for folder in sorted(resources.files("eval.report.published").iterdir(), key=lambda item: item.name):
        if folder.is_dir() and folder.name.startswith("paper"):
            files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda item: item.name)
            read = {file.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}
            found[read["models.yaml"]["paper"]] = read
    return found
