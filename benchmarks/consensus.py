"""Whether the interval of a consensus holds α_Δx of the truth, where the truth is known.

    python benchmarks/consensus.py --save benchmarks/records/consensus.json

Planted needs CIFAR-10 (ALPHADX_DATA). Classifiers are trained as B (cross-entropy), Lα (with the alignment penalty
of the exact residual) and P (PGD). Each is measured by α_Δx with the exact residual, and with the consensus of every
two and of all three of: the nearest example, the exact residual plus noise, and a generator trained for a minute.
"""

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer
from torch import Tensor, nn

from alignment.penalty import alignment_penalty
from benchmarks.planted import Finder
from eval.records.consensus_alignment import consensus_alignment
from eval.records.provenance import provenance
from eval.records.store import write_json
from eval.records.subject import chosen_samples
from generators import Consensus, DirectResidual, ResidualEstimator, TransportGAN, rated_weights
from training import build_network
from training.attacks import pgd
from training.consensus import rated
from training.data import DataSet, Planted, Squares
from training.data.order import EpochOrder
from training.seeds import generator_for

RECIPES = ("B", "Lα", "P")
NOISE = 1.5
"""Length of the noise beside that of Δx."""
SAMPLES = 300
EPSILONS = {"Planted": 0.03, "Squares": 0.2}
"""Of training against PGD, in L∞."""
OPTIONS: dict[str, Any] = {"of": "closest_to_true", "candidates": None, "signed": False}


class Noisy:
    """The truth plus white noise of a length beside it."""

    name, digest = "exact plus noise", ""

    def __init__(self, data: DataSet, length: float) -> None:
        self.data, self.settings = data, {"length": length}

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        """Δ̂x(x, target)."""
        exact = self.data.residual("exact")(x, y, target)
        # Of the sum of an image, so that it repeats and differs from sample to sample.
        seeds = [int(total) for total in x.double().flatten(1).sum(dim=1).mul(1e6)]
        noise = torch.stack([torch.randn(x.shape[1:], generator=generator_for("noise", seed)) for seed in seeds])
        scale = self.settings["length"] * length(exact) / length(noise)
        return exact + noise * scale.reshape(-1, *[1] * (x.ndim - 1))


def length(vectors: Tensor) -> Tensor:
    return vectors.flatten(1).norm(dim=1)


def trained(data: DataSet, recipe: str, epochs: int, seed: int) -> nn.Module:
    """A classifier after some epochs of Adam with one cycle of its rate."""
    torch.manual_seed(seed)
    if isinstance(data, Planted):
        network: nn.Module = Finder(data.num_classes)
    else:
        network = build_network("small_cnn", shape=data.shape, num_classes=data.num_classes)
    exact, split, batch = data.residual("exact"), data.split("train"), data.batch_size
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * -(-len(split) // batch))
    order, generator = EpochOrder(split, seed, batch_size=batch), generator_for(seed, "pgd")
    epsilon = EPSILONS[type(data).__name__]
    for epoch in range(epochs):
        order.set_epoch(epoch)
        for rows in torch.tensor([*order]).split(batch):
            x, y, _ = split.__getitems__(rows.tolist())
            if recipe == "P":
                strength = (
                    epsilon * epoch / max(1, epochs - 1)
                )  # first without, or signs in photographs are never found
                x = pgd(network, x, y, strength, steps=5, bounds=data.bounds, generator=generator)
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x), y)
            if recipe == "Lα":
                loss = loss + 0.3 * alignment_penalty(network, x, y, exact)
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, data: DataSet) -> float:
    right = [(network(x).argmax(dim=1) == y).float() for x, y, _ in data.batches("test")]
    return float(torch.cat(right).mean())


def crude(data: DataSet, epochs: int) -> ResidualEstimator:
    """A generator that was trained for a minute."""
    torch.manual_seed(0)
    discriminator = (
        Finder(2) if isinstance(data, Planted) else build_network("small_cnn", shape=data.shape, num_classes=2)
    )
    gan = TransportGAN(discriminator, "unet", {"width": 8, "levels": 2}, data.shape, 2, data.bounds, average=0.9)
    options: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    Trainer(accelerator="cpu", max_epochs=epochs, enable_checkpointing=False, **options).fit(gan, data)
    return DirectResidual(gan.drawing)


def measured(classifier: nn.Module, data: DataSet, members: Sequence[ResidualEstimator], judge: nn.Module) -> dict:
    """α_Δx by a consensus and its interval."""
    weights = rated_weights(*zip(*rated(members, data, judge), strict=True))
    batches, _ = chosen_samples(data, "test", SAMPLES)
    outcome = consensus_alignment(Consensus(members, weights), OPTIONS, classifier, batches)
    return {
        "members": [member.name for member in members],
        "weights": weights,
        "value": outcome.value,
        "interval": [*outcome.interval],
        **{key: outcome.details[key] for key in ("alpha_by_estimator", "alpha_corrected", "mutual_cosine")},
    }


def truth(classifier: nn.Module, data: DataSet) -> float:
    """α_Δx by the exact residual, on the same samples."""
    exact = data.residual("exact")
    batches, _ = chosen_samples(data, "test", SAMPLES)
    return consensus_alignment(Consensus([exact, exact]), OPTIONS, classifier, batches).value


def sets_of(members: Sequence[ResidualEstimator]) -> list[tuple[ResidualEstimator, ...]]:
    return [*combinations(members, 2), tuple(members)]


def summary(found: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By data set and number of estimators: intervals, how many hold the truth, and how many estimators do alone."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        groups.setdefault(f"{one['data']}, {len(one['members'])} estimators", []).append(one)
    return {
        name: {
            "intervals": len(group),
            "hold": sum(one["holds"] for one in group),
            "between_estimators": sum(one["between"] for one in group),
            "median_width": median(one["interval"][1] - one["interval"][0] for one in group),
            "median_error_of_value": median(abs(one["value"] - one["truth"]) for one in group),
            "median_error_of_corrected": median(abs(one["alpha_corrected"] - one["truth"]) for one in group),
        }
        for name, group in groups.items()
    }


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--train", type=int, default=6000)
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    found = []
    for data in (
        Planted(size=16, cells=(1, 2), train_size=given.train),
        Squares(size=16, train_size=given.train, batch_size=128),
    ):
        started = time.perf_counter()
        judge = trained(data, "P", given.epochs, seed=100)
        members = [data.residual("nearest"), Noisy(data, NOISE), crude(data, given.epochs)]
        judged = {"accuracy": accuracy(judge, data), "rated": rated(members, data, judge)}
        print(data.name, judged, f"{time.perf_counter() - started:.0f} s", flush=True)
        for recipe in RECIPES:
            for seed in range(given.seeds):
                classifier = trained(data, recipe, given.epochs, seed)
                whose = {"data": data.name, "recipe": recipe, "seed": seed, "accuracy": accuracy(classifier, data)}
                whose["truth"] = truth(classifier, data)
                print(whose, f"{time.perf_counter() - started:.0f} s")
                for chosen in sets_of(members):
                    told = measured(classifier, data, chosen, judge)
                    low, high = told["interval"]
                    spread = told["alpha_by_estimator"].values()
                    between = min(spread) <= whose["truth"] <= max(spread)
                    found.append({**whose, **told, "holds": low <= whose["truth"] <= high, "between": between})
                    print("   ", told, found[-1]["holds"], flush=True)
    told = summary(found)
    print(told)
    if given.save:
        made = provenance("cpu") | {"data_root": ""}  # where files lie is no part of what was found
        record = {"command": " ".join(["python", *sys.argv]), "provenance": made}
        settings = {"noise": NOISE, "samples": SAMPLES, "epochs": given.epochs, "train": given.train}
        write_json(given.save, record | settings | {"summary": told, "found": found})


if __name__ == "__main__":
    main()
