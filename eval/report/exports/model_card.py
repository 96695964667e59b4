"""A section of a Hugging Face model card: its `model-index`, and the same numbers for people.

The schema is that of the hub's page on model cards. Shares are in [0, 1] there. A number that lies beyond everything
tried is a text such as "> 0.3".
"""

import math
from collections.abc import Mapping
from typing import Any

import yaml

from eval.records import Record, Records, Samples
from eval.records.identity import plain
from eval.records.quantity import KINDS, Quantity
from eval.report.exports.exported import Exported, check_about
from eval.report.exports.naming import by_model, classifiers
from eval.report.exports.robustbench import dataset_name
from eval.tables.cells import cell
from eval.tables.rows import at_strengths, interval

SAID = ("dataset", "name", "task")
"""What `about` may hold: the data set's and the model's names on the hub, and the kind of task."""
ON_THE_HUB = {
    "CIFAR-10": "uoft-cs/cifar10",
    "CIFAR-100": "uoft-cs/cifar100",
    "ImageNet": "ILSVRC/imagenet-1k",
    "MNIST": "ylecun/mnist",
}
"""Data sets that are there as they are here."""
TASKS = {"image-classification": "Image Classification", "tabular-classification": "Tabular Classification"}
DIGITS = 6
"""Of a number after the point."""


def model_cards(records: Records, about: Mapping[str, Any]) -> Exported:
    """A file for each model, to be put at the head of its README.md on the hub.

    Args:
        records: of classifiers; others are left aside.
        about: of `SAID`.

    Raises:
        ValueError: if there is no record of a classifier, `about` holds other things, or one name for several models.
    """
    check_about(about, "model-card", SAID)
    found = by_model(classifiers(records))
    if not found:
        raise ValueError("`records` should hold those of a classifier. Found none but of estimators and figures.")
    if "name" in about and len(found) > 1:
        raise ValueError(f"`about` should leave out `name` where there are several models. Found {len(found)}.")
    files = {f"{name}.md": _card(str(about.get("name", name)), kept, about) for name, kept in found.items()}
    return Exported({name: text.encode() for name, text in files.items()})


def model_index(name: str, records: list[Record], about: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The `model-index` of one model: a result for each set of samples, a metric for each number."""
    results = []
    for kept in _by_samples(records).values():
        samples = kept[0].subject.samples
        task = str((about or {}).get("task", _task(samples)))
        results.append(
            {
                "task": {"type": task, "name": TASKS.get(task, task)},
                "dataset": _dataset(samples, about or {}),
                "metrics": [_metric(record) for record in kept],
            }
        )
    return [{"name": name, "results": results}]


def _by_samples(records: list[Record]) -> dict[str, list[Record]]:
    """Numbers by the samples they were measured on, in the order of tables; what is no number is left out."""
    shown = [*records, *(share for record in records for share in at_strengths(record))]
    found: dict[str, list[Record]] = {}
    for record in sorted(shown, key=lambda record: record.quantity.rank):
        if record.quantity.kind in KINDS and not math.isnan(record.value):
            found.setdefault(record.subject.key, []).append(record)
    return found


def _task(samples: Samples) -> str:
    """Images have a range; what has none is a vector."""
    has_range = samples.bounds is None or all(map(math.isfinite, samples.bounds))
    return "image-classification" if has_range else "tabular-classification"


def _dataset(samples: Samples, about: Mapping[str, Any]) -> dict[str, str]:
    identifier = str(about.get("dataset", ON_THE_HUB.get(samples.data, dataset_name(samples))))
    return {"name": samples.data, "type": identifier, "split": samples.split}


def _metric(record: Record) -> dict[str, Any]:
    quantity, samples = record.quantity, record.subject.samples
    args: dict[str, Any] = {"samples": record.samples}
    if samples.bounds is not None:
        args["bounds"] = plain(samples.bounds)
    if all(map(math.isfinite, record.interval)):
        args["interval"] = [round(end, DIGITS) for end in record.interval]
    named = {"attack": quantity.attack, "norm": quantity.norm, "epsilon": quantity.epsilon}
    args |= {key: value for key, value in named.items() if value}
    if quantity.settings:
        args["settings"] = plain(quantity.settings)
    value = round(record.value, DIGITS) if is_number(record) else cell([record])
    return {"type": quantity.kind, "value": value, "name": _name(quantity), "args": args, "verified": False}


def is_number(record: Record) -> bool:
    """Whether the value is one, and not a limit of what was tried."""
    beyond = record.quantity.kind == "tau50" and not record.value and "epsilon_max" in record.details
    return math.isfinite(record.value) and not beyond


def _name(quantity: Quantity) -> str:
    """The title without its per cent, since shares are no percentages there."""
    if quantity.kind == "accuracy" and quantity.attack:
        return f"accuracy under {quantity.attack_title} at ε = {quantity.epsilon}"
    return quantity.title.removesuffix(" %")


def _card(name: str, records: list[Record], about: Mapping[str, Any]) -> str:
    index = {"model-index": model_index(name, records, about)}
    head = yaml.safe_dump(index, sort_keys=False, allow_unicode=True, width=10_000)
    return f"---\n{head}---\n\n## Adversarial robustness and alignment\n\n{_table(records)}"


def _table(records: list[Record]) -> str:
    """The numbers for people, with their 95 % intervals over samples."""
    lines = ["| data | measurement | value | samples |", "|---|---|---|---|"]
    for kept in _by_samples(records).values():
        samples = kept[0].subject.samples
        unit = "" if samples.bounds is None else f", inputs in {interval(samples.bounds)}"
        data = f"{samples.data}, {samples.split}{unit}"
        lines += [f"| {data} | {r.quantity.title} | {cell([r])} | {r.samples} |" for r in kept]
    return "\n".join([*lines, "", "In brackets: 95 % interval over samples. ε has the unit of the inputs.", ""])
