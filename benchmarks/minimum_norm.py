"""Radii by our search with PGD beside foolbox's and adv-lib's minimum-norm attacks, on MNIST with a small CNN.

    pip install foolbox
    pip install --no-deps adv-lib
    python -m benchmarks.minimum_norm --data-root DIR --save benchmarks/records/minimum_norm.json

Trains a small CNN with PGD on images of 14×14 in [0, 1], a part of an epoch, and attacks the same test images with
every attack of the suite that finds radii, as it stands there, in every norm that it knows. Each radius is that of an
image whose class, norm and bounds were checked. Optimality is AttackBench's, against the best of all attacks of the
norm; gradients are backward passes per image.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn

from eval.attacks import ATTACKS
from eval.records.provenance import provenance
from eval.records.quantity import NORMS
from eval.records.store import write_json
from eval.robustness.optimality import optimality
from eval.robustness.radii import Radii, critical_radii, minimal_radii
from training import AT, Classifier
from training.data import MNIST

SEARCH = "pgd"
BOUNDS = (0.0, 1.0)
COLUMNS = ("attack", "median radius", "optimality", "gradients", "not fooled")


def trained(data: MNIST, steps: int) -> nn.Module:
    """A small CNN after so many steps of training with PGD-7 in L∞ at 0.1."""
    torch.manual_seed(0)
    objective = AT(0.1, steps=7)
    module = Classifier(
        "small_cnn",
        shape=data.shape,
        num_classes=data.num_classes,
        bounds=BOUNDS,
        objective=objective,
        optimizer=partial(torch.optim.Adam, lr=2e-3),
    )
    quiet: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary"), False
    )
    Trainer(max_steps=steps, limit_val_batches=0, accelerator="cpu", inference_mode=False, **quiet).fit(module, data)
    return module.network.eval()


def radii_under(name: str, norm: Any, classifier: nn.Module, x: Tensor, y: Tensor) -> Radii:
    """As `alphadx measure` takes them, with every radius of a search closed to 1 %."""
    find = minimal_radii if ATTACKS[name].minimal else critical_radii
    attack: Any = ATTACKS[name].attack
    return find(classifier, [(x, y)], attack, norm=norm, bounds=BOUNDS)


def of_norm(norm: str, classifier: nn.Module, x: Tensor, y: Tensor) -> dict[str, dict[str, float]]:
    """Every attack in one norm."""
    names = [name for name, entry in ATTACKS.items() if norm in entry.norms and (entry.minimal or name == SEARCH)]
    found = {name: radii_under(name, norm, classifier, x, y) for name in names}
    shares = optimality({name: radii.upper.numpy() for name, radii in found.items()})
    return {
        name: {
            "median": radii.epsilon50,
            "optimality": shares[name],
            "gradients": radii.backward_passes / len(x),
            "forward": radii.forward_passes / len(x),
            "not_fooled": int(radii.upper.isinf().sum()),
            "rejected": radii.rejected,
        }
        for name, radii in found.items()
    }


def printed(attacks: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The attacks of a norm as a table, best first, as the documentation shows it."""
    ranked = sorted(attacks.items(), key=lambda item: -item[1]["optimality"])
    rows = [
        "  ".join(
            [
                f"{ATTACKS[name].title}, searched" if name == SEARCH else ATTACKS[name].title,
                f"{found['median']:.4g}",
                f"{found['optimality']:.3f}",
                f"{found['gradients']:.0f}",
                f"{found['not_fooled']}",
            ]
        )
        for name, found in ranked
    ]
    return {"columns": "  ".join(COLUMNS), "rows": rows, "notes": []}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data-root", help="folder that holds MNIST/raw; the environment's ALPHADX_DATA if not given"
    )
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--steps", type=int, default=200, help="of training, with 64 images each")
    options = parser.parse_args()
    data = MNIST(data_root=options.data_root, bounds=BOUNDS, size=14, batch_size=64)
    classifier = trained(data, options.steps)
    batch = next(iter(data.batches("test")))
    x, y = batch.x[: options.images], batch.y[: options.images]
    clean = float((classifier(x).argmax(dim=1) == y).double().mean())
    print(f"{len(x)} test images of {data.name} at 14×14, accuracy {clean:.1%}")
    norms, tables = {}, {}
    for norm in NORMS:
        norms[norm] = of_norm(norm, classifier, x, y)
        tables[norm] = printed(norms[norm])
        print("\n".join(["", norm, tables[norm]["columns"], *tables[norm]["rows"]]), flush=True)
    if options.save:
        command = " ".join(["python -m benchmarks.minimum_norm", *sys.argv[1:]])
        record = {
            "command": command.replace(options.data_root or "DIR", "DIR"),
            "provenance": provenance("cpu"),
            "images": len(x),
            "accuracy": clean,
            "norms": norms,
            "tables": tables,
        }
        write_json(options.save, record)


if __name__ == "__main__":
    main()
