"""Whether a classifier and data fit each other at all: what a reader should see before any other number."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from alignment import evaluating, logits_of
from alignment.contracts import check_finite
from alignment.precision import exact
from eval.records.record import Record
from training.data import Batch, DataSet

NARROW = 0.75
"""Part of the bounds that inputs should fill."""
FEW = 5
"""Samples per class from which on every class should be among them."""


@exact()
def logits_at(classifier: nn.Module, x: Tensor) -> Tensor:
    """Logits in evaluation mode and true float32, without a graph.

    Raises:
        ValueError: if one is NaN.
    """
    with evaluating(classifier), torch.no_grad():
        logits = logits_of(classifier, x)
    check_finite(logits, "classifier(x)")
    return logits


def check_fits(classifier: nn.Module, data: DataSet, x: Tensor) -> None:
    """Refuse a classifier that does not take inputs of the data, or has another number of classes.

    Args:
        classifier: left as it was found.
        data: the data set.
        x: one input of it, where the classifier is.

    Raises:
        ValueError: saying what does not fit.
    """
    try:
        found = logits_at(classifier, x).shape[1]
    except (RuntimeError, AssertionError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise ValueError(
            f"`classifier` should take inputs of shape {tuple(data.shape)}, as {data.name} has them. It failed: "
            f"{str(error) or type(error).__name__}. Bring the data to the shape that it was trained on."
        ) from error
    if found != data.num_classes:
        raise ValueError(
            f"`classifier` should return one logit for each of the {data.num_classes} classes of {data.name}. "
            f"Found {found}."
        )


def sanity(data: DataSet, batches: Iterable[Batch], logits: Tensor) -> dict[str, Any]:
    """What tells a reader whether classifier and data fit each other at all.

    `classes` and how many of them the samples are of, the lowest and highest input seen, the share of outputs that
    look like probabilities, and the share of confident ones (softmax above 0.99).
    """
    each = [(batch.y.unique(), *map(float, batch.x.aminmax())) for batch in batches]
    seen, lowest, highest = zip(*each, strict=True)
    probabilities = (logits >= 0).all(dim=1) & ((logits.double().sum(dim=1) - 1).abs() < 1e-4)
    return {
        "classes": data.num_classes,
        "classes_seen": len(torch.cat(seen).unique()),
        "inputs": [min(lowest), max(highest)],
        "probabilities": float(probabilities.double().mean()),
        "confident": float((logits.softmax(dim=1).amax(dim=1) > 0.99).double().mean()),
    }


def sanity_line(record: Record) -> str:
    """One sentence to be read before any other number.

    Args:
        record: of the accuracy, with `sanity` in its details.
    """
    told, bounds = record.details, record.subject.samples.bounds
    low, high = map(float, told["inputs"])
    within = "" if bounds is None else f" within the bounds [{bounds[0]:g}, {bounds[1]:g}]"
    return (
        f"accuracy {100 * record.value:.1f} % on {record.samples} samples of {told['classes_seen']} of "
        f"{told['classes']} classes; inputs from {low:.3g} to {high:.3g}{within}; "
        f"{100 * float(told['confident']):.0f} % of the outputs are confident (softmax above 0.99)"
    )


def warnings_of(record: Record) -> list[str]:
    """A sentence for everything that makes it likely that classifier and data do not fit each other.

    Args:
        record: of the accuracy, with `sanity` in its details.
    """
    told = record.details
    found = [_near_chance(record), _narrow(record)]
    if told["probabilities"] > 0.5:
        found.append("outputs look like probabilities, where attacks and margins need logits: leave out the softmax.")
    if told["classes_seen"] < _expected(record.samples, told):
        found.append(
            f"the samples are of only {told['classes_seen']} of {told['classes']} classes. "
            "Draw them at random (--limit-order random), or name another split."
        )
    return [sentence for sentence in found if sentence]


def _expected(samples: int, told: Mapping[str, Any]) -> int:
    """How many classes should be among so many samples."""
    classes = int(told["classes"])
    return classes if samples >= FEW * classes else min(2, classes, samples)


def _near_chance(record: Record) -> str:
    chance = 1 / record.details["classes"]
    if record.interval[0] > chance:
        return ""
    return (
        f"accuracy {record.value:.1%} cannot be told from chance, {chance:.1%}: do weights, normalisation, order of "
        "the classes and bounds fit?"
    )


def _narrow(record: Record) -> str:
    """The wrong bounds, most likely: what is black and white lies well within them."""
    bounds = record.subject.samples.bounds
    if bounds is None or not all(map(math.isfinite, bounds)):
        return ""
    low, high = map(float, record.details["inputs"])
    if high - low >= NARROW * (bounds[1] - bounds[0]):
        return ""
    return (
        f"inputs fill only [{low:.3g}, {high:.3g}] of the bounds [{bounds[0]:g}, {bounds[1]:g}], which are "
        "likely wrong: attacks would leave the range of real inputs, and ε50% come out too small. State their bounds."
    )
