"""Which records stand in one row of a table, and what the row is called."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eval.records import Record, Samples
from eval.records.identity import digest
from eval.records.intervals import share_interval
from eval.records.quantity import Quantity, differences, titles
from eval.records.subject import distinguished

PAPERS_ORDER = {"B": 0, "Lα": 1, "P": 2}
"""Recipes of paper 1 before any others."""


@dataclass(frozen=True)
class Row:
    """Models of one recipe on the same samples: repetitions with other seeds.

    Attributes:
        data: what stands under "data": the name of the data set, and what tells it from others of that name.
        recipe: what stands under "recipe".
        records: all their records.
    """

    data: str
    recipe: str
    records: list[Record]

    @property
    def samples(self) -> Samples:
        """The samples of all of them."""
        return self.records[0].subject.samples

    @property
    def models(self) -> int:
        """How many models."""
        return len({record.subject.model_key for record in self.records})


def rows(records: Iterable[Record]) -> list[Row]:
    """Records by what they were measured on and by recipe, in the order of tables; no two rows have the same name."""
    grouped: dict[str, list[Record]] = {}
    for record in records:
        grouped.setdefault(_row_key(record), []).append(record)
    groups = [*grouped.values()]
    data = _data_names([group[0].subject.samples for group in groups])
    recipes = _recipe_names(groups, data)
    found = [Row(*named) for named in zip(data, recipes, groups, strict=True)]
    return sorted(found, key=lambda row: (row.data.lower(), *recipe_order(row.recipe)))


def recipe_order(recipe: str) -> tuple[int, str]:
    """The papers' order B, Lα, P before any others."""
    return PAPERS_ORDER.get(recipe, len(PAPERS_ORDER)), recipe


def column_titles(records: Iterable[Record]) -> dict[Quantity, str]:
    """A title for every quantity; a title is shared where no model has more than one number to stand below it.

    So α_Δx stands in one column, although each data set has its own estimator, until two of them measure one model.
    An attack with other settings is another column in any case.
    """
    chosen = [*records]
    quantities = dict.fromkeys(record.quantity for record in chosen)
    told = titles(quantities)
    named = {}
    for quantity in quantities:
        subjects = [r.subject.key for r in chosen if r.quantity.title == quantity.title]
        alone = not quantity.attack and len(subjects) == len(set(subjects))
        named[quantity] = quantity.title if alone else told[quantity]
    return named


def at_strengths(record: Record) -> list[Record]:
    """The accuracies at chosen strengths that an attack's record holds."""
    return [
        replace(
            record,
            quantity=record.quantity.at(epsilon),
            value=share,
            interval=share_interval(round(share * record.samples), record.samples),
            details={},
        )
        for epsilon, share in record.details.get("accuracy_at", {}).items()
    ]


def _row_key(record: Record) -> str:
    model = record.model
    whose: Any = model.recipe if model.named else record.subject.model_key
    network = record.subject.network if record.schema > 1 else {}
    estimator = network.get("estimator") is not None
    return digest(
        [_samples_key(record.subject.samples), whose, model.epsilon, {} if estimator else network, record.schema]
    )


def _samples_key(samples: Samples) -> list[Any]:
    return [samples.data, samples.arguments, samples.bounds, samples.split, samples.digest]


def _data_names(samples: Sequence[Samples]) -> list[str]:
    """Names of data sets; samples that differ, of data sets of one name, say in what."""
    names = []
    for chosen in samples:
        rivals = [described(other) for other in samples if other.data == chosen.data]
        told = differences(described(chosen), rivals)
        names.append(f"{chosen.data} ({told})" if told else chosen.data)
    return names


def described(samples: Samples) -> Mapping[str, Any]:
    """What tells samples apart, in words."""
    bounds = "unknown" if samples.bounds is None else interval(samples.bounds)
    described = {"arguments": samples.arguments, "bounds": bounds, "split": samples.split}
    return described | {"n": samples.count, "digest": samples.digest}


def interval(bounds: tuple[float, float]) -> str:
    """Such as "[−1, 1]".

    Example:
        >>> interval((-1.0, 1.0)), interval((-float("inf"), float("inf")))
        ('[−1, 1]', '[−∞, ∞]')
    """
    low, high = (f"{end:g}".replace("-", "−").replace("inf", "∞") for end in bounds)
    return f"[{low}, {high}]"


def _recipe_names(groups: Sequence[Sequence[Record]], data: Sequence[str]) -> list[str]:
    """Names of recipes; models that share one on the same samples say their file, ε, network or number."""
    firsts = [group[0] for group in groups]
    names = [record.model.recipe for record in firsts]
    for i, record in enumerate(firsts):
        rivals = [
            j for j, other in enumerate(firsts) if data[j] == data[i] and other.model.recipe == record.model.recipe
        ]
        if len(rivals) == 1:
            continue
        facts = [_facts(firsts[j]) for j in rivals]
        files = [firsts[j].model.checkpoint for j in rivals]
        here = rivals.index(i)
        if all(files) and len(set(files)) == len(files):
            names[i] = distinguished(files)[here]
        elif told := differences(facts[here], facts):
            names[i] = f"{record.model.recipe} ({told})"
    return names


def _facts(record: Record) -> dict[str, Any]:
    return {
        "ε": record.model.epsilon,
        "network": dict(record.subject.network),
        "weights": record.subject.weights,
        "schema": record.schema,
    }


def subjects_of(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records by the very model and samples."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.subject.key, []).append(record)
    return found
