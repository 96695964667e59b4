"""Which records stand in one row of a table, and what the row is called."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eval.records import Record, Samples, Subject
from eval.records.identity import digest
from eval.records.intervals import share_interval
from eval.records.quantity import Quantity, differences, keys_apart, titles
from eval.records.subject import SETTINGS, distinguished
from eval.tables.once import once

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
    grouped: dict[str, dict[str, Record]] = {}
    for record in records:  # a number that lies in two folders, such as that of a copied checkpoint, counts once
        grouped.setdefault(_row_key(record), {}).setdefault(record.key, record)
    groups = [[*group.values()] for group in grouped.values()]
    data = _data_names([group[0].subject.samples for group in groups])
    recipes = _recipe_names(groups, data)
    found = [Row(*named) for named in zip(data, recipes, groups, strict=True)]
    return sorted(found, key=lambda row: (row.data.lower(), *recipe_order(row.recipe)))


def recipe_order(recipe: str) -> tuple[int, str]:
    """The papers' order B, Lα, P before any others."""
    return PAPERS_ORDER.get(recipe, len(PAPERS_ORDER)), recipe


def column_titles(records: Iterable[Record]) -> dict[Quantity, str]:
    """A title for every quantity, which says what tells it from others on the same samples.

    So α_Δx stands in one column, although each data set has its own estimator, until two of them are used on the same
    samples; and a plain and a robust judge in two, although each data set has its own. An attack with other settings
    is another column in any case.
    """
    chosen = [*records]
    quantities = dict.fromkeys(record.quantity for record in chosen)
    together: dict[tuple[str, str], set[Quantity]] = {}
    for record in chosen:
        together.setdefault((_samples_digest(record.subject), record.quantity.title), set()).add(record.quantity)
    keys: dict[str, set[str]] = {}
    for (_, title), rivals in together.items():
        for quantity in rivals:
            keys.setdefault(title, set()).update(keys_apart(quantity.settings, [r.settings for r in rivals]))
    in_any_case = titles(quantities)
    return {q: in_any_case[q] if q.attack else q.title_with(keys[q.title]) for q in quantities}


@once
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


@once
def _row_key(record: Record) -> str:
    model = record.model
    whose: Any = model.recipe if model.named else record.subject.model_key
    network = record.subject.network if record.schema > 1 else {}
    network = {} if "estimator" in network else network
    samples = samples_key(record.subject.samples)
    training = training_but_seed(record)
    # What a study's sweep set stands in the training; a model that is in a sweep and beside others is in one row.
    setting = [] if training or not model.setting else [model.setting]
    return digest([samples, whose, model.epsilon, network, training, record.schema, *setting])


def training_but_seed(record: Record) -> dict[str, Any]:
    """The configuration of a model's training without its seed: what repetitions of one recipe share."""
    return {key: value for key, value in record.subject.training.items() if key != "seed_everything"}


def samples_key(samples: Samples) -> list[Any]:
    """What samples of one row share."""
    return [samples.data, samples.arguments, samples.bounds, samples.split, samples.digest]


@once
def _samples_digest(subject: Subject) -> str:
    return digest(samples_key(subject.samples))


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
    """Names of recipes; models that share one on the same samples say what tells them apart."""
    rivals: dict[tuple[str, str], list[int]] = {}
    firsts = [group[0] for group in groups]
    for place, record in enumerate(firsts):
        rivals.setdefault((data[place], record.model.recipe), []).append(place)
    names = [record.model.recipe for record in firsts]
    for places in rivals.values():
        if len(places) > 1:
            for place, name in zip(places, _told_apart([firsts[place] for place in places]), strict=True):
                names[place] = name
    return names


def _told_apart(records: Sequence[Record]) -> list[str]:
    """Names for models of one recipe: their files, else as few of ε, network, schema, training, weights as do."""
    files = [record.model.checkpoint for record in records]
    if all(files) and len(set(files)) == len(files):
        return distinguished(files)
    recipe = records[0].model.recipe
    names = [recipe] * len(records)
    for count in range(1, 4):
        facts = [_facts(record, count) for record in records]
        told = [differences(fact, facts) for fact in facts]
        names = [f"{recipe} ({words})" if words else recipe for words in told]
        if len(set(names)) == len(names):
            break
    return names


def _facts(record: Record, count: int) -> dict[str, Any]:
    """What may tell a model from others; the first few of three kinds."""
    setting = {SETTINGS.get(name, name): value for name, value in record.model.setting.items()}
    named: dict[str, Any] = {"ε": record.model.epsilon, **setting}
    named |= {"network": dict(record.subject.network), "schema": record.schema}
    kinds: list[dict[str, Any]] = [
        named,
        {"training": training_but_seed(record)},
        {"weights": record.subject.weights},
    ]
    return {key: value for kind in kinds[:count] for key, value in kind.items()}


def subjects_of(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records by the very model and samples."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.subject.key, []).append(record)
    return found
