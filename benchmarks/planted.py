"""How hard Planted is: what a small network learns of it, and where the nearest example of the other class points.

    python benchmarks/planted.py --save benchmarks/records/planted.json

Needs CIFAR-10 (ALPHADX_DATA). The network is a few convolutions and the largest logit over all places, trained with
cross-entropy; its accuracy is on the test split. The nearest example is searched among all training samples.
"""

import argparse
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alignment import cosine_similarity
from eval.records.provenance import provenance
from eval.records.store import write_json
from training.data import Planted
from training.data.order import EpochOrder

FORMS = ((2, 16), (10, 16), (2, 32), (10, 32))
"""Glyphs and side of the images."""
CELLS = {16: (1, 2), 32: (2, 3)}
SAMPLES = 300
"""Test samples of which the nearest example is searched."""


class Finder(nn.Sequential):
    """Logits that are the largest over all places of an image."""

    def __init__(self, classes: int, width: int = 16) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        for before, after, stride in ((1, 2, 2), (2, 2, 1), (2, 4, 1), (4, 4, 1)):
            layers += [
                nn.Conv2d(before * width, after * width, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(after * width),
                nn.ReLU(),
            ]
        super().__init__(*layers, nn.Conv2d(4 * width, classes, 1), nn.AdaptiveMaxPool2d(1), nn.Flatten())


def trained(data: Planted, epochs: int) -> nn.Module:
    """A network after some epochs of Adam with one cycle of its rate."""
    torch.manual_seed(0)
    network, split = Finder(data.num_classes), data.split("train")
    optimizer, batch = torch.optim.Adam(network.parameters(), lr=1e-3), data.batch_size
    steps = epochs * -(-len(split) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    order = EpochOrder(split, 0, batch_size=batch)
    for epoch in range(epochs):
        order.set_epoch(epoch)
        for rows in torch.tensor([*order]).split(batch):
            x, y, _ = split.__getitems__(rows.tolist())
            optimizer.zero_grad()
            F.cross_entropy(network(x), y).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, data: Planted) -> float:
    right = [(network(x).argmax(dim=1) == y).float() for x, y, _ in data.batches("test")]
    return float(torch.cat(right).mean())


def nearest(data: Planted) -> dict[str, float]:
    """Of the nearest example: cosine to Δx, and length beside it."""
    x, y, numbers = data.split("test").__getitems__(range(SAMPLES))
    target = (y + 1 + numbers % (data.num_classes - 1)) % data.num_classes
    exact, found = (data.residual(name)(x, y, target) for name in ("exact", "nearest"))
    return {
        "similarity": float(cosine_similarity(exact, found).value.mean()),
        "length_over_exact": float(length(found).median() / length(exact).median()),
        "exact_length": float(length(exact).median()),
    }


def length(residual: Tensor) -> Tensor:
    return residual.flatten(1).norm(dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    found = {}
    for glyphs, size in FORMS:
        data, started = Planted(glyphs, size=size, cells=CELLS[size]), time.perf_counter()
        network = trained(data, given.epochs)
        seconds = time.perf_counter() - started
        told = {"accuracy": accuracy(network, data), "seconds": seconds, "nearest": nearest(data)}
        found[f"{glyphs} glyphs, {size} pixels"] = told
        print(glyphs, size, told, flush=True)
        if given.save:
            record = {"command": " ".join(["python", *sys.argv]), "provenance": provenance("cpu")}
            write_json(given.save, record | {"epochs": given.epochs, "samples": SAMPLES, "forms": found})


if __name__ == "__main__":
    main()
