"""ε50% under Square Attack by critical radii, against two other libraries' Square on paper 1's grid, on MNIST-3/5.

    pip install pyautoattack
    pip install --no-deps torchattacks --target DIR     # apart, because it pins old web libraries
    PYTHONPATH=DIR python benchmarks/square.py --data-root DIR --save benchmarks/records/square.json

Trains a plain and a PGD-trained small CNN (minutes on two cores). The others attack every image at each of the 12
values of ε, all images in one batch and in [0, 1], as they ask for; ε50% is read off a straight line, as published.
That line is coarse, so every attack is also run at our ε50%, not timed: the lower its accuracy there, the stronger.
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from epsilon50 import PAPER, trained
from pgd import UnitRange
from torch import Tensor, nn

from eval import critical_radii
from eval.attacks.square import square_attack
from eval.attacks.verdict import predictions
from eval.records.provenance import provenance
from eval.records.store import write_json
from training import AT, Plain, pgd
from training.data import MNISTPair
from training.passes import CountPasses

Run = Callable[[nn.Module, Tensor, Tensor, float], Tensor]


def ours(classifier: nn.Module, x: Tensor, y: Tensor, epsilon: float, *, queries: int) -> Tensor:
    return square_attack(
        classifier, x, y, epsilon, queries=queries, bounds=(0.0, 1.0), generator=torch.Generator().manual_seed(1)
    )


def pyautoattacks(classifier: nn.Module, x: Tensor, y: Tensor, epsilon: float, *, queries: int) -> Tensor:
    from pyautoattack.square import SquareAttack

    return SquareAttack(classifier, norm="Linf", n_queries=queries, eps=epsilon).perturb(x, y)


def torchattackss(classifier: nn.Module, x: Tensor, y: Tensor, epsilon: float, *, queries: int) -> Tensor:
    import torchattacks

    return torchattacks.Square(classifier, norm="Linf", n_queries=queries, eps=epsilon)(x, y)


def accuracy(classifier: nn.Module, x: Tensor, y: Tensor) -> float:
    return float((predictions(classifier, x) == y).double().mean())


def on_a_grid(classifier: nn.Module, x: Tensor, y: Tensor, attack: Run) -> dict:
    """As published: accuracy at every ε of the grid, and a straight line between the two around 50 %."""
    counted, started = CountPasses(classifier), time.perf_counter()
    points = [attack(counted, x, y, epsilon / 2) for epsilon in PAPER]
    curve = np.array([accuracy(classifier, point, y) for point in [x, *points]])
    strengths, below = np.array([0.0, *PAPER]), int(np.argmax(curve < 0.5))
    share = (curve[below - 1] - 0.5) / (curve[below - 1] - curve[below])
    return {
        "epsilon50": strengths[below - 1] + share * (strengths[below] - strengths[below - 1]),
        "queries": counted.forward_passes / len(y),
        "seconds": time.perf_counter() - started,
        "curve": dict(zip(strengths.tolist(), curve.tolist(), strict=True)),
    }


def by_radii(classifier: nn.Module, x: Tensor, y: Tensor, queries: int) -> dict:
    """ε50% under PGD, which is quickly found, says where to begin: somewhat above it.

    A failure costs all queries, a success few, and what failed once is not tried again at a smaller ε.
    """
    search = partial(critical_radii, classifier, [(x, y)], only="median", bounds=(0.0, 1.0))
    rough = search(partial(pgd, leave_when_fooled=True), resolution=0.05)
    radii = search(partial(square_attack, queries=queries), guess=1.2 * rough.epsilon50)
    return {
        "epsilon50": 2 * radii.epsilon50,
        "queries": radii.forward_passes / len(y),
        "seconds": rough.seconds + radii.seconds,
        "epsilon50_pgd": 2 * rough.epsilon50,
        "evaluations_pgd": rough.backward_passes / len(y),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data-root", help="folder that holds MNIST/raw; the environment's ALPHADX_DATA if not given"
    )
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--images", type=int, default=500, help="of the test split, evenly spaced")
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=3, help="of training each classifier")
    options = parser.parse_args()
    data = MNISTPair(data_root=options.data_root, batch_size=64)
    batches = list(data.batches("test"))
    x, y = torch.cat([batch.x for batch in batches]), torch.cat([batch.y for batch in batches])
    chosen = torch.linspace(0, len(y) - 1, options.images).long()
    x, y = (x[chosen] + 1) / 2, y[chosen]
    attacks: dict[str, Run] = {
        name: partial(attack, queries=options.queries)
        for name, attack in (("alphadx", ours), ("pyautoattack", pyautoattacks), ("torchattacks", torchattackss))
        if name == "alphadx" or importlib.util.find_spec(name)
    }
    for missing in {"pyautoattack", "torchattacks"} - set(attacks):
        print(f"{missing} is not installed; the head of this file says how to.")
    command = " ".join(["python", *sys.argv]).replace(options.data_root or "DIR", "DIR")
    record: dict = {"command": command, "provenance": provenance(), "models": {}}
    for name, objective in (("plain", Plain()), ("PGD-trained", AT(0.3, steps=10))):
        classifier = UnitRange(trained(objective, data, options.epochs)).eval()
        ways = {"alphadx": by_radii(classifier, x, y, options.queries)}
        ways |= {library: on_a_grid(classifier, x, y, attacks[library]) for library in list(attacks)[1:]}
        print(f"\n{name}, {len(y)} test images of {data.name}, {options.queries} queries")
        print(f"{'':14}{'ε50%':>9}{'off by':>9}{'accuracy there':>16}{'queries/image':>15}{'seconds':>9}{'time':>8}")
        for library, found in ways.items():
            here = ways["alphadx"]
            found["off_by"] = found["epsilon50"] / here["epsilon50"] - 1
            found["accuracy_at_our_epsilon50"] = accuracy(
                classifier, attacks[library](classifier, x, y, here["epsilon50"] / 2), y
            )
            found["times_our_seconds"] = found["seconds"] / here["seconds"]
            print(
                f"{library:14}{found['epsilon50']:9.4f}{found['off_by']:9.2%}{found['accuracy_at_our_epsilon50']:16.3f}"
                f"{found['queries']:15.0f}{found['seconds']:9.1f}{found['times_our_seconds']:7.1f}×"
            )
        record["models"][name] = {"ways": ways}
    if options.save:
        write_json(options.save, record)


if __name__ == "__main__":
    main()
