"""Adversarial examples in an HDF5 file, which appears whole or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from eval.attacks.verdict import predictions
from eval.records import Record
from eval.records.device import device_of
from eval.records.provenance import versions
from eval.robustness.batching import Batching
from eval.robustness.keeping import Kept
from generators.files import part_of, put_in_place, remove_leftovers

SMALLEST = "smallest"
"""In place of ε: the smallest perturbation that a search found of each sample."""


class AdversarialFile:
    """An HDF5 file with one group per attack, norm and ε, such as `autoattack/Linf/8over255`.

    Each holds `x` and `x_adv`, `(N, *shape)` in the data's own range; `labels`, `predicted` (of `x_adv`), `indices`
    in the split, `distance` ‖x_adv − x‖ (infinite where no adversarial example was found, and x_adv is x), `found`.
    Its attributes are attack, norm, epsilon, bounds, data, split, recipe, weights, settings and versions.

    Args:
        file: open for writing.
    """

    def __init__(self, file: h5py.File) -> None:
        self.file = file

    def add(self, record: Record, kept: Kept, classifier: nn.Module, marks: tuple[Tensor, Tensor]) -> None:
        """Write the adversarial examples behind a number.

        Args:
            record: of the number.
            kept: what the attack found.
            classifier: that was attacked.
            marks: each sample's index in its split, and its label.
        """
        quantity = record.quantity
        epsilon = quantity.epsilon.replace("/", "over") or SMALLEST
        group = self.file.create_group("/".join([quantity.attack, quantity.norm or "no norm", epsilon]))
        index, label = (part.cpu().numpy() for part in marks)
        arrays = {
            "x": kept.x.numpy(),
            "x_adv": kept.x_adv.numpy(),
            "labels": label,
            "indices": index,
            "predicted": _predicted(classifier, kept.x_adv).numpy(),
            "distance": kept.size.numpy(),
            "found": np.isfinite(kept.size.numpy()),
        }
        for name, array in arrays.items():
            group.create_dataset(name, data=array)
        group.attrs.update(_described(record))


@contextmanager
def adversarial_file(path: Path) -> Iterator[AdversarialFile]:
    """A new file, which takes its name only if nothing fails meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, below=False)
    part = part_of(path)
    try:
        with h5py.File(part, "w") as file:
            yield AdversarialFile(file)
        put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def _predicted(classifier: nn.Module, x: Tensor) -> Int[Tensor, " N"]:
    device = device_of(classifier)
    rows = torch.arange(len(x))
    return torch.cat(Batching(512).over(rows, lambda part: predictions(classifier, x[part].to(device)).cpu()))


def _described(record: Record) -> dict[str, Any]:
    quantity, samples = record.quantity, record.subject.samples
    return {
        "attack": quantity.attack,
        "norm": quantity.norm,
        "epsilon": quantity.epsilon or SMALLEST,
        "bounds": np.array(samples.bounds or (np.nan, np.nan)),
        "data": samples.data,
        "split": samples.split,
        "recipe": record.model.recipe,
        "weights": record.subject.weights,
        "settings": json.dumps(quantity.settings, sort_keys=True),
        "versions": json.dumps(versions()),
    }
