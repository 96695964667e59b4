"""AutoAttack at one ε, ours against pyautoattack's own `run_standard_evaluation`, on its own CIFAR-10 network.

    pip install 'alphadx[autoattack]'
    python benchmarks/autoattack.py --data-root DIR --device cuda --save benchmarks/records/autoattack.json

Both run the same four attacks on the same images at the same ε, and what each leaves standing is judged by the same
verdict, in a ball that is one part in ten thousand larger, because pyautoattack's points leave theirs by rounding.
Images come in parts, so that the two take turns and a machine that others use is unfair to neither. On a CPU an image
that withstands everything takes minutes: `--images`, `--steps` and `--queries` make it shorter, for both alike, and
the record says what was used.
"""

import argparse
import sys
import time
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eval.attacks.autoattack import auto_attack
from eval.attacks.verdict import predictions, verdict
from eval.records.provenance import provenance
from eval.records.store import write_json
from training import load_classifier
from training.data import CIFAR10, Batch
from training.networks.normalization import NORMALIZATIONS, Normalized
from training.passes import CountPasses
from training.strength import Strength

BOUNDS = (0.0, 1.0)
NETWORK = "pyautoattack.examples.resnet.ResNet18"
CLOCKS = ("seconds", "cpu_seconds")
"""On the wall, and of this process, which others on a busy CPU disturb less; on a GPU the first counts."""
ROUNDING = 1e-4
"""Share of ε by which a point may leave the ball here; the verdict of a measurement allows a hundredth of it."""
Run = Callable[[nn.Module, Tensor, Tensor], Tensor]


def shipped_network() -> nn.Module:
    """The classifier that lies in pyautoattack's package; it takes inputs as they are, in [0, 1]."""
    with as_file(files("pyautoattack") / "examples" / "model_test.pt") as path:
        return load_classifier(NETWORK, checkpoint=path, num_classes=10, shape=(3, 32, 32), bounds=BOUNDS)


def images(data_root: str | None, count: int) -> tuple[Tensor, Tensor]:
    """Test images of CIFAR-10, the first ones."""
    batches: list[Batch] = []
    for batch in CIFAR10(data_root=data_root, bounds=BOUNDS).batches("test"):
        batches.append(batch)
        if sum(len(part.y) for part in batches) >= count:
            break
    x, y = (torch.cat(parts)[:count] for parts in list(zip(*batches, strict=True))[:2])
    return x, y


def ours(classifier: nn.Module, x: Tensor, y: Tensor, options: argparse.Namespace) -> Tensor:
    budget = {"steps": options.steps, "queries": options.queries}
    generator = torch.Generator().manual_seed(options.seed)
    return auto_attack(classifier, x, y, float(options.epsilon), bounds=BOUNDS, generator=generator, **budget)


def theirs(classifier: nn.Module, x: Tensor, y: Tensor, options: argparse.Namespace) -> Tensor:
    """As the package is used; with fewer steps or queries, the same four attacks with those."""
    from pyautoattack import AutoAttack
    from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted

    epsilon, device = float(options.epsilon), options.device
    attack = AutoAttack(classifier, norm="Linf", eps=epsilon, device=device, seed=options.seed)
    shared = {"n_iter": options.steps, "eps": epsilon, "device": device, "logger": attack.logger}
    attack.apgd = APGDAttack(classifier, **shared)
    attack.apgd_targeted = APGDAttack_targeted(classifier, **shared)
    attack.fab.n_iter, attack.square.n_queries = options.steps, options.queries
    return attack.run_standard_evaluation(x, y, batch_size=len(y))[0]


def timed(run: Run, classifier: nn.Module, x: Tensor, y: Tensor, epsilon: float) -> dict[str, float]:
    """What one way leaves standing, and what it took."""
    counted, started, worked = CountPasses(classifier), time.perf_counter(), time.process_time()
    points = run(counted, x, y)
    if x.device.type == "cuda":
        torch.cuda.synchronize()
    took = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - worked}
    passes = {"forward": counted.forward_passes, "backward": counted.backward_passes}
    ball = torch.full((len(y),), (1 + ROUNDING) * epsilon)
    judged = verdict(classifier, x, y, points, ball, norm="Linf", bounds=BOUNDS)
    robust = (predictions(classifier, x) == y).cpu() & ~judged.fooled
    return took | passes | {"images": len(y), "robust": int(robust.sum()), "rejected": int(judged.rejected.sum())}


def normalisations(network: nn.Module, x: Tensor, y: Tensor) -> dict[str, float]:
    """Clean accuracy with inputs as they are, and behind the usual normalisation of CIFAR-10."""
    ways = {"none": network, "cifar10": Normalized(network, NORMALIZATIONS["cifar10"], bounds=BOUNDS).to(x.device)}
    return {name: float((predictions(way, x) == y).double().mean()) for name, way in ways.items()}


def summed(parts: list[dict[str, float]], images: int) -> dict[str, float]:
    """Over all parts; passes per image."""
    total = {key: sum(part[key] for part in parts) for key in parts[0]}
    passes = {f"{key}_per_image": total.pop(key) / images for key in ("forward", "backward")}
    return total | passes | {"robust_accuracy": total["robust"] / images}


def described(options: argparse.Namespace) -> dict[str, Any]:
    """What was run, on what."""
    command = " ".join(["python", *sys.argv]).replace(options.data_root or "DIR", "DIR")
    chosen = {key: getattr(options, key) for key in ("epsilon", "steps", "queries", "device", "seed")}
    return {"command": command, "provenance": provenance(torch.device(options.device)), "settings": chosen}


def compared(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """All parts so far, and both ways side by side."""
    images = sum(int(part["images"]) for part in found["alphadx"])
    totals = {name: summed(parts, images) for name, parts in found.items()}
    ratios = {f"{key}_ratio": totals["alphadx"][key] / totals["pyautoattack"][key] for key in CLOCKS}
    return {"images": images, "ways": totals, "ratios": ratios, "parts": found}


def report(record: dict[str, Any]) -> None:
    settings = ", ".join(f"{key} {value}" for key, value in record["settings"].items())
    print(f"\n{record['images']} test images of CIFAR-10, {settings}")
    accuracies = ", ".join(f"{name} {value:.1%}" for name, value in record["clean_accuracy"].items())
    print(f"clean accuracy by normalisation: {accuracies}")
    for name, total in record["ways"].items():
        print(f"{name:14}" + ", ".join(f"{key} {value:.4g}" for key, value in total.items()))
    print(", ".join(f"{key} {value:.3f}" for key, value in record["ratios"].items()))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", help="folder with CIFAR-10; the environment's ALPHADX_DATA if not given")
    parser.add_argument("--images", type=int, default=200, help="of the test split, the first ones")
    parser.add_argument("--parts", type=int, default=4, help="in which the two take turns")
    parser.add_argument("--epsilon", type=Strength, default=Strength("1/255"))
    parser.add_argument("--steps", type=int, default=100, help="of APGD and FAB")
    parser.add_argument("--queries", type=int, default=5000, help="of Square")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    network = shipped_network().to(options.device)
    x, y = (part.to(options.device) for part in images(options.data_root, options.images))
    ways: dict[str, Run] = {
        "alphadx": lambda classifier, x, y: ours(classifier, x, y, options),
        "pyautoattack": lambda classifier, x, y: theirs(classifier, x, y, options),
    }
    warm = x.chunk(options.parts)[0].clone().requires_grad_()  # the first pass pays for what is made once
    torch.autograd.grad(network(warm).sum(), warm)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    record = described(options) | {"clean_accuracy": normalisations(network, x, y)}
    for turn, (u, v) in enumerate(zip(x.chunk(options.parts), y.chunk(options.parts), strict=True)):
        for name in [*ways][:: -1 if turn % 2 else 1]:
            found[name].append(timed(ways[name], network, u, v, float(options.epsilon)))
            print(f"part {turn + 1} of {options.parts}, {name}: {found[name][-1]}", flush=True)
        record |= compared(found)
        if options.save:  # after every part, so that a run that is ended has not been for nothing
            write_json(options.save, record)
    report(record)


if __name__ == "__main__":
    main()
