"""ε50% by critical radii against grids of ε, on MNIST-3/5 with a small CNN and PGD-40.

    python benchmarks/epsilon50.py --data-root DIR --save benchmarks/records/epsilon50.json

Trains a plain and a PGD-trained classifier (minutes on two cores), then finds ε50% three times each: on a grid of
100 values of ε, on paper 1's grid of 12, and by `critical_radii`, of which 40 gradient evaluations per sample, the
price of one PGD-40 run, are wanted. Then pairs PGD with as many bare forward and backward passes. Everything is
printed side by side; the grids attack every sample at every ε, as published. `--ways radii,paper` leaves out the grid
of 100, which takes nearly all of the time; the command stands in the record.
"""

import argparse
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn

from eval import critical_radii
from eval.records.provenance import provenance
from eval.records.store import write_json
from training import AT, Classifier, Plain, pgd
from training.attacks import attack_loss
from training.data import MNISTPair
from training.passes import CountPasses

STEP, STEPS = 0.02, 40
PAPER = np.array([0.02, 0.04, 0.06, 0.1, 0.14, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4])
FINE = np.linspace(0.014, 1.4, 100)


def trained(objective: AT | Plain, data: MNISTPair, epochs: int) -> nn.Module:
    module = Classifier(
        "small_cnn", shape=data.shape, objective=objective, optimizer=partial(torch.optim.Adam, lr=1e-3)
    )
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
    }
    Trainer(max_epochs=epochs, accelerator="cpu", inference_mode=False, **quiet).fit(module, data)
    return module.network.eval()


def on_a_grid(classifier: nn.Module, batches: list, grid: np.ndarray) -> dict:
    """ε50% as published: accuracy at every ε of a grid, and a straight line between the two around 50 %."""
    counted, generator = CountPasses(classifier), torch.Generator().manual_seed(0)
    started, accuracy = time.perf_counter(), []
    for epsilon in [0.0, *grid]:
        correct, total = 0, 0
        for x, y, _ in batches:
            if epsilon:
                x = pgd(counted, x, y, epsilon, steps=STEPS, step_size=STEP, generator=generator, bounds=(-1.0, 1.0))
            with torch.no_grad():
                correct += int((classifier(x).argmax(dim=1) == y).sum())
            total += len(y)
        accuracy.append(correct / total)
    strengths, below = np.array([0.0, *grid]), int(np.argmax(np.array(accuracy) < 0.5))
    left, right = accuracy[below - 1], accuracy[below]
    share = (left - 0.5) / (left - right)
    epsilon50 = strengths[below - 1] + share * (strengths[below] - strengths[below - 1])
    seconds = time.perf_counter() - started
    return {
        "epsilon50": epsilon50,
        "evaluations": counted.backward_passes / total,
        "forward_passes": counted.forward_passes / total,
        "seconds": seconds,
    }


def by_radii(classifier: nn.Module, batches: list) -> dict:
    attack = partial(pgd, steps=STEPS, step_size=STEP, leave_when_fooled=True)
    radii = critical_radii(classifier, batches, attack, bounds=(-1.0, 1.0), only="median")
    total = len(radii.per_sample)
    return {
        "epsilon50": radii.epsilon50,
        "evaluations": radii.backward_passes / total,
        "forward_passes": radii.forward_passes / total,
        "seconds": radii.seconds,
    }


WAYS = {
    "grid": ("grid of 100", partial(on_a_grid, grid=FINE)),
    "paper": ("paper's grid of 12", partial(on_a_grid, grid=PAPER)),
    "radii": ("critical radii", by_radii),
}


def bare_passes(classifier: nn.Module, x: Tensor, y: Tensor) -> None:
    """What PGD cannot do without: forward passes, and backward passes to the input."""
    for _ in range(STEPS):
        x = x.detach().requires_grad_()
        torch.autograd.grad(attack_loss(classifier(x), y, "margin").sum(), x)


def overhead(classifier: nn.Module, x: Tensor, y: Tensor, pairs: int) -> list[float]:
    """Seconds of PGD over seconds of bare passes, pair by pair, in alternating order."""
    attack = partial(pgd, classifier, x, y, 0.3, steps=STEPS, step_size=STEP)
    bare = partial(bare_passes, classifier, x, y)
    ratios = []
    for pair in range(pairs + 1):
        seconds = {}
        for job in (attack, bare) if pair % 2 else (bare, attack):
            started = time.perf_counter()
            job()
            seconds[job] = time.perf_counter() - started
        ratios.append(seconds[attack] / seconds[bare])
    return ratios[1:]  # the first pair warms up


def off(found: dict) -> str:
    """How far from the grid of 100, where that was asked for."""
    return f"{found['off_by']:.2%}" if "off_by" in found else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data-root", help="folder that holds MNIST/raw; the environment's ALPHADX_DATA if not given"
    )
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--ways", default=",".join(WAYS), help="which of grid, paper and radii, with commas")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=21)
    options = parser.parse_args()
    data = MNISTPair(data_root=options.data_root, batch_size=64)
    batches = list(data.batches("test"))
    command = " ".join(["python", *sys.argv]).replace(options.data_root or "DIR", "DIR")
    record: dict = {"command": command, "provenance": provenance(), "models": {}}
    for name, objective in (("plain", Plain()), ("PGD-trained", AT(0.3, steps=10))):
        classifier = trained(objective, data, options.epochs)
        ways = {WAYS[way][0]: WAYS[way][1](classifier, batches) for way in options.ways.split(",")}
        print(f"\n{name}, {sum(len(y) for _, y, _ in batches)} test images of {data.name}")
        print(f"{'':20}{'ε50%':>9}{'off by':>9}{'evaluations/sample':>20}{'seconds':>9}")
        for way, found in ways.items():
            if "grid of 100" in ways:
                found["off_by"] = found["epsilon50"] / ways["grid of 100"]["epsilon50"] - 1
            print(
                f"{way:20}{found['epsilon50']:9.4f}{off(found):>9}{found['evaluations']:20.1f}{found['seconds']:9.1f}"
            )
        ratios = overhead(classifier, batches[0].x[:256], batches[0].y[:256], options.pairs)
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        print(
            f"PGD-{STEPS} over {STEPS} bare forward and backward passes: ×{middle:.3f} (from {low:.3f} to {high:.3f})"
        )
        record["models"][name] = {"ways": ways, "pgd_over_bare_passes": ratios}
    if options.save:
        write_json(options.save, record)


if __name__ == "__main__":
    main()
