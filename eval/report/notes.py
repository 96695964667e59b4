"""What a reader must be told beside a table: units, samples, estimators, networks, settings, and doubts."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from eval.attacks import ATTACKS
from eval.records import Quantity, Record
from eval.records.attack_radii import defaults
from eval.records.identity import plain
from eval.records.measurements import Alignment, ImageAlignment
from eval.records.quantity import titles
from eval.records.sanity import NARROW
from eval.report.chance import near_chance
from eval.report.doubts import Known, doubts_of, repeated
from eval.report.published import doubtful, papers_of
from eval.tables.cells import deviation
from eval.tables.rows import Row, interval

USUAL: dict[str, dict[str, Any]] = {
    "alpha_dx": {"of": Alignment().of, "candidates": Alignment().candidates},
    "alpha_x": {"of": ImageAlignment().of},
}
"""Default settings of what is no attack."""
UNSAID = (
    "seed", "resolution", "curve_resolution", "epsilons", "leave_when_fooled", "batch_size", "estimator", "residual",
)  # fmt: skip
"""Settings that change how closely a number is known, or that are said elsewhere."""
EFFORT = ("steps", "queries")
"""Settings that are said whether or not they are the default."""


def facts(rows: Iterable[Row]) -> list[str]:
    """A sentence per row's samples: bounds, which are the unit of ε, split, n, networks, and estimators.

    Estimators are those of Δx, of the score and of the tangent space.
    """
    found: dict[str, dict[str, dict[str, None]]] = {}
    for row in rows:
        samples = row.samples
        bounds = "of unknown bounds" if samples.bounds is None else f"in {interval(samples.bounds)}, the unit of ε"
        head = f"{row.data}: inputs {bounds}; {samples.split} split, n = {samples.count}"
        told = found.setdefault(head, {"network": {}, "Δx by": {}, "score by": {}, "tangent space of": {}})
        for record in row.records:
            told["network"] |= dict.fromkeys(_network(record))
            told["Δx by"] |= dict.fromkeys(_estimator(record))
            told["score by"] |= dict.fromkeys(_denoiser(record))
            told["tangent space of"] |= dict.fromkeys(_tangent(record))
    return [
        "; ".join([head, *(f"{name} {', '.join(values)}" for name, values in told.items() if values)]) + "."
        for head, told in found.items()
    ]


def _network(record: Record) -> list[str]:
    network = record.subject.network
    if record.schema == 1:
        return ["unknown"]
    if "network" not in network:
        return []
    options = network.get("options") or {}
    options = options | ({"inputs normalised with": network["normalize"]} if "normalize" in network else {})
    told = ", ".join(f"{key} {value}" for key, value in options.items())
    return [f"{network['network']} ({told})" if told else str(network["network"])]


def _estimator(record: Record) -> list[str]:
    if record.quantity.kind != "alpha_dx":
        return []
    estimator = record.quantity.settings.get("estimator")
    if estimator is None:
        return [f"{record.quantity.settings.get('residual', 'unknown')} (estimator not recorded)"]
    told = f" {estimator['digest']}" if estimator["digest"] else ""
    return [f"{estimator['name']}{told}"]


def _denoiser(record: Record) -> list[str]:
    if record.quantity.kind != "score_alignment":
        return []
    settings = record.quantity.settings
    form = "" if settings["of"] == "difference" else f", of the {settings['of']}"
    return [f"denoiser {settings['estimator']['digest']} at σ = {settings['estimator']['settings']['sigma']:g}{form}"]


def _tangent(record: Record) -> list[str]:
    if record.quantity.kind != "tangent_share":
        return []
    settings, chance = record.quantity.settings, record.details.get("chance", math.nan)
    parts = f"{settings['dimensions']} components of {settings['neighbours']} neighbours"
    return [f"{parts}, {chance:.3f} at random"]


def settings(records: Iterable[Record]) -> list[str]:
    """A sentence per attack with its effort, and with what is not the default."""
    quantities = dict.fromkeys(r.quantity for r in records if r.quantity.settings)
    quantities = {q: None for q in quantities if q.attack or q.kind in USUAL}
    named = titles(quantities)
    sentences = []
    for quantity in sorted(quantities, key=lambda quantity: quantity.rank):
        shown = _shown(quantity)
        if shown:
            told = ", ".join(f"{key} {_written(value)}" for key, value in shown.items())
            sentences.append(f"{named[quantity]}: {told}.")
    return list(dict.fromkeys(sentences))


def _shown(quantity: Quantity) -> dict[str, Any]:
    """The effort of an attack, and what is not the default."""
    known = ATTACKS.get(quantity.attack)
    usual = defaults(known.attack) if known else USUAL.get(quantity.kind, {})
    return {
        key: value
        for key, value in quantity.settings.items()
        if key in EFFORT or (key not in UNSAID and plain(usual.get(key)) != value)
    }


def _written(value: object) -> object:
    return value["written"] if isinstance(value, dict) and "written" in value else value


def of_intervals(rows: Sequence[Row], of: str = "recipe") -> list[str]:
    """What brackets and ± mean, where they stand.

    Args:
        rows: of a table.
        of: what the models of a row share.
    """
    told = []
    if any(row.models == 1 for row in rows):
        told.append("In brackets, where there is one model: 95 % interval over its samples.")
    if any(row.models > 1 for row in rows):
        told.append(f"±: standard deviation over models of one {of}, trained with other seeds.")
    return told


def doubts(rows: Iterable[Row]) -> list[str]:
    """A sentence for everything that makes a number mean less than it seems to."""
    found: list[str] = []
    for row in rows:
        by_model: dict[str, list[Record]] = {}
        for record in row.records:
            by_model.setdefault(record.subject.model_key, []).append(record)
        for records in by_model.values():
            name = f"{row.data}, {row.recipe}, seed {records[0].model.seed}"
            found += [f"{name}: {sentence}" for sentence in _doubts(records)]
        found += [
            f"{row.data}, {row.recipe}: {sentence}" for sentence in (*_incomplete(row), *doubts_of(_known(row)))
        ]
        recipe = row.records[0].model.recipe  # whatever the setting, the paper's row is one
        found += [f"{row.data}, {recipe}, the paper's figures: {sentence}" for sentence in of_paper(row)]
    return [*dict.fromkeys(found)]


def of_paper(row: Row) -> list[str]:
    """A sentence for everything that makes the figures of the paper's row mean less than they seem to."""
    models = papers_of(row)[:1]
    known = [{of: Known(n.value, n.deviation or 0.0) for of, n in model.numbers.items()} for model in models]
    told = [*(doubtful(model, row) for model in models), *map(doubts_of, known), *map(repeated, models)]
    return [sentence for sentences in told for sentence in sentences]


def _known(row: Row) -> dict[Quantity, Known]:
    """The numbers of a row, but for those that were measured with several settings."""
    found: dict[Quantity, dict[Quantity, list[Record]]] = {}
    for record in row.records:
        of = record.quantity
        found.setdefault(replace(of, settings={}), {}).setdefault(of, []).append(record)
    return {of: _of_records(next(iter(several.values()))) for of, several in found.items() if len(several) == 1}


def _of_records(records: list[Record]) -> Known:
    """Mean and deviation over models, or a value with half the width of its interval, which may be infinite."""
    values = [record.value for record in records]
    low, high = records[0].interval
    spread = deviation(values) if len(values) > 1 else (high - low) / 2
    return Known(sum(values) / len(values), 0.0 if math.isnan(spread) else spread)


def _incomplete(row: Row) -> list[str]:
    """What only some of a row's models have a number of."""
    counts = Counter(record.quantity for record in row.records)
    told = [
        f"{quantity.title} is of {count} of the {row.models} models."
        for quantity, count in counts.items()
        if count < row.models
    ]
    return [*dict.fromkeys(told)]


def _doubts(records: list[Record]) -> list[str]:
    found = []
    accuracy = next((r for r in records if r.quantity.kind == "accuracy"), None)
    if accuracy is not None:
        found += _about_accuracy(accuracy)
        robust = [r for r in records if r.quantity.kind == "epsilon50"]
        if accuracy.value < 0.5 and robust:
            found.append(
                "more than half of the samples are wrong without attack, so that ε50% is 0 and says nothing."
            )
    for record in records:
        if record.invalid and record.quantity.attack:
            found.append(
                f"{record.invalid} outputs of {record.quantity.attack_title} broke its rules and did not count."
            )
        elif record.invalid:
            found.append(f"{record.quantity.title} left out {record.invalid} of {record.samples} samples.")
    return found


def _about_accuracy(record: Record) -> list[str]:
    told = record.details
    if "classes" not in told:
        return []
    found, chance = [], 1 / told["classes"]
    if near_chance(record):
        found.append(f"accuracy {record.value:.1%} is near chance, {chance:.1%}: do weights, data and bounds fit?")
    if told["probabilities"] > 0.5:
        found.append("outputs look like probabilities, where attacks and margins need logits.")
    if told["classes_seen"] == 1:
        found.append("all samples are of one class.")
    bounds = record.subject.samples.bounds
    if bounds is not None and all(map(math.isfinite, bounds)):
        low, high = map(float, told["inputs"])
        if high - low < NARROW * (bounds[1] - bounds[0]):
            found.append(
                f"inputs fill only [{low:.3g}, {high:.3g}] of their bounds {interval(bounds)}: attacks may leave the "
                "range of real images, and ε50% comes out too small. State the bounds that the images have."
            )
    return found
