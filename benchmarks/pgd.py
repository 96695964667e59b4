"""PGD-40 against foolbox's, torchattacks' and bare passes, and all radii to 1 % beside FMN, on MNIST-3/5.

    pip install foolbox
    pip install --no-deps torchattacks --target DIR     # apart, because it pins old web libraries
    PYTHONPATH=DIR python benchmarks/pgd.py --data-root DIR --save benchmarks/records/pgd.json

Trains a small CNN with PGD (minutes on two cores), finds its ε50%, and has everybody attack the same images there
with the same loss, steps and step size (ε / 4), in [0, 1], which the other libraries ask for. Rounds
alternate in order.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from epsilon50 import STEPS, overhead, trained
from torch import Tensor, nn

from eval.attacks.verdict import distance, predictions
from eval.records.provenance import provenance
from eval.records.store import write_json
from eval.robustness.radii import critical_radii, median
from training import AT, pgd
from training.data import MNISTPair
from training.passes import CountPasses

Run = Callable[[Tensor, Tensor], Tensor]


class UnitRange(nn.Module):
    """The same classifier for inputs in [0, 1] instead of [−1, 1]; every ε is halved."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, C)`."""
        return self.classifier(2 * x - 1)


def stride(epsilon: float) -> float:
    """ε / 4, at which PGD-40 fools more here than at its default of 2.5 ε / steps, and sooner."""
    return epsilon / 4


def ours(classifier: nn.Module, epsilon: float, leave_when_fooled: bool) -> Run:
    options = {"steps": STEPS, "step_size": stride(epsilon), "loss": "cross_entropy", "bounds": (0.0, 1.0)}
    return lambda x, y: pgd(classifier, x, y, epsilon, leave_when_fooled=leave_when_fooled, **options)


def foolboxs(classifier: nn.Module, epsilon: float) -> Run:
    import foolbox

    model = foolbox.PyTorchModel(classifier, bounds=(0, 1))
    attack = foolbox.attacks.LinfPGD(steps=STEPS, abs_stepsize=stride(epsilon))
    return lambda x, y: attack(model, x, y, epsilons=epsilon)[1]


def torchattackss(classifier: nn.Module, epsilon: float) -> Run:
    import torchattacks

    return torchattacks.PGD(classifier, eps=epsilon, alpha=stride(epsilon), steps=STEPS, random_start=True)


def rounds(attacks: dict[str, Run], classifier: nn.Module, x: Tensor, y: Tensor, count: int) -> dict[str, dict]:
    """Seconds and accuracy of every attack in every round; each round begins with another attack."""
    found: dict[str, dict] = {name: {"seconds": [], "accuracy": []} for name in attacks}
    for turn in range(count + 1):
        names = list(attacks)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            started = time.perf_counter()
            answer = attacks[name](x, y)
            seconds = time.perf_counter() - started
            if turn:  # the first round warms up
                found[name]["seconds"].append(seconds)
                found[name]["accuracy"].append(float((predictions(classifier, answer) == y).double().mean()))
    return found


def all_radii(classifier: nn.Module, x: Tensor, y: Tensor) -> dict:
    attack = partial(pgd, steps=STEPS, leave_when_fooled=True)
    radii = critical_radii(classifier, [(x, y)], attack, bounds=(0.0, 1.0))
    return {
        "radii": radii.per_sample,
        "forward": radii.forward_passes / len(x),
        "backward": radii.backward_passes / len(x),
        "seconds": radii.seconds,
    }


def fmn_radii(classifier: nn.Module, x: Tensor, y: Tensor, steps: int) -> dict:
    import foolbox

    counted = CountPasses(classifier).eval()
    model, attack = foolbox.PyTorchModel(counted, bounds=(0, 1)), foolbox.attacks.LInfFMNAttack(steps=steps)
    started = time.perf_counter()
    answer = attack(model, x, y, epsilons=None)[0].detach()
    seconds = time.perf_counter() - started
    radii = torch.where(predictions(classifier, answer) != y, distance(answer, x, "Linf"), torch.inf)
    return {
        "radii": torch.where(predictions(classifier, x) != y, 0, radii),
        "forward": counted.forward_passes / len(x),
        "backward": counted.backward_passes / len(x),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data-root", help="folder that holds MNIST/raw; the environment's ALPHADX_DATA if not given"
    )
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=11)
    options = parser.parse_args()
    data = MNISTPair(data_root=options.data_root, batch_size=64)
    classifier = UnitRange(trained(AT(0.3, steps=10), data, options.epochs)).eval()
    batches = list(data.batches("test"))
    x = (torch.cat([batch.x for batch in batches])[: options.images] + 1) / 2
    y = torch.cat([batch.y for batch in batches])[: options.images]

    attack = partial(pgd, steps=STEPS, leave_when_fooled=True)
    epsilon = critical_radii(classifier, [(x, y)], attack, only="median", bounds=(0.0, 1.0)).epsilon50
    attacks = {"ours": ours(classifier, epsilon, True), "ours, no one leaves": ours(classifier, epsilon, False)}
    for name, make in (("foolbox", foolboxs), ("torchattacks", torchattackss)):
        if importlib.util.find_spec(name):
            attacks[name] = make(classifier, epsilon)
        else:
            print(f"{name} is not installed; the head of this file says how")
    found = rounds(attacks, classifier, x, y, options.pairs)
    print(f"\nPGD-{STEPS} at ε50% = {2 * epsilon:.4f}, {len(x)} test images of {data.name}, PGD-trained small CNN")
    print(f"{'':24}{'seconds':>9}{'accuracy':>10}{'time of ours':>14}")
    for name, values in found.items():
        shares = [a / b for a, b in zip(found["ours"]["seconds"], values["seconds"], strict=True)]
        values["ours_over_this"] = statistics.median(shares)
        print(
            f"{name:24}{statistics.median(values['seconds']):9.3f}{statistics.mean(values['accuracy']):10.2%}"
            f"{f'×{statistics.median(shares):.3f}':>14}"
        )
    ratios = overhead(classifier.classifier, 2 * x[:256] - 1, y[:256], options.pairs)
    print(f"PGD-{STEPS}, no one leaves, over bare passes: ×{statistics.median(ratios):.3f}")

    ways = {"all radii to 1 %": all_radii(classifier, x, y)}
    if importlib.util.find_spec("foolbox"):
        ways |= {f"FMN, {steps} steps": fmn_radii(classifier, x, y, steps) for steps in (100, 300)}
    print(f"\n{'L∞ radius of each image':24}{'median':>9}{'mean':>9}{'forward':>10}{'backward':>10}{'ms/image':>10}")
    for name, way in ways.items():
        radii = 2 * way.pop("radii")
        way["median"], way["mean"] = median(radii), float(radii.mean())
        print(
            f"{name:24}{way['median']:9.4f}{way['mean']:9.4f}{way['forward']:10.1f}{way['backward']:10.1f}"
            f"{1000 * way['seconds'] / len(x):10.2f}"
        )
    if options.save:
        command = " ".join(["python", *sys.argv]).replace(options.data_root or "DIR", "DIR")
        record = {"command": command, "provenance": provenance(), "images": len(x), "epsilon50": 2 * epsilon}
        write_json(options.save, record | {"pgd": found, "pgd_over_bare_passes": ratios, "all_radii": ways})


if __name__ == "__main__":
    main()
