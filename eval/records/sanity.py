"""Whether a classifier and data fit each other at all: what a reader should see before any other number."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from alignment import evaluating, logits_of
from alignment.contracts import check_finite
from alignment.precision import exact
from training.data import Batch, DataSet


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


def sanity(data: DataSet, batches: Iterable[Batch], logits: Tensor) -> dict[str, Any]:
    """What tells a reader whether classifier and data fit each other at all.

    `classes` and how many of them the samples are of, the lowest and highest input seen, the share of outputs that
    look like probabilities, and the share of confident ones (softmax above 0.99).
    """
    seen = torch.cat([batch.y for batch in batches]).unique()
    probabilities = (logits >= 0).all(dim=1) & ((logits.double().sum(dim=1) - 1).abs() < 1e-4)
    return {
        "classes": data.num_classes,
        "classes_seen": len(seen),
        "inputs": [float(min(b.x.min() for b in batches)), float(max(b.x.max() for b in batches))],
        "probabilities": float(probabilities.double().mean()),
        "confident": float((logits.softmax(dim=1).amax(dim=1) > 0.99).double().mean()),
    }
