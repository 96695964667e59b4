"""Networks of RobustBench by the names of its leaderboard, which normalise their inputs in [0, 1] themselves."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import nn

from training.networks.calls import call
from training.networks.found import FoundNetwork, similar

CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}
"""Classes of its data sets."""
SAID_BY = "RobustBench, whose networks normalise inside"


def from_robustbench(
    name: str, outputs: int, pretrained: bool, options: Mapping[str, Any], trusted: Any = None
) -> FoundNetwork:
    """A network of RobustBench's model zoo.

    Args:
        name: in the zoo, such as Carmon2019Unlabeled.
        outputs: number of classes of the data, which chooses among its data sets where `dataset` does not.
        pretrained: with the zoo's weights, which are fetched once into its `model_dir`.
        options: `dataset` (cifar10, cifar100, imagenet), `threat_model` (Linf, L2, corruptions; needed where the zoo
            has several networks of the name), and with `pretrained` the folder `model_dir`.
        trusted: not used; a network of the zoo takes no options.

    Raises:
        ImportError: if robustbench is not installed.
        ValueError: for a name that it does not have, or has for several threat models.
        RuntimeError: if the weights cannot be fetched, with the remedy.
    """
    if unknown := sorted(options.keys() - {"dataset", "threat_model", *(["model_dir"] if pretrained else [])}):
        raise ValueError(f"The network 'robustbench:{name}' does not take these options: {', '.join(unknown)}.")
    zoo, load_model = _robustbench()
    dataset = _dataset(options.get("dataset"), outputs)
    kinds = {
        kind.value: models for found, kinds in zoo.items() if found.value == dataset for kind, models in kinds.items()
    }
    threat_model = _threat_model(name, dataset, kinds, options.get("threat_model"))
    if pretrained:
        folder = {"model_dir": options["model_dir"]} if "model_dir" in options else {}
        network = _fetched(name, load_model, {"dataset": dataset, "threat_model": threat_model, **folder})
    else:
        network = call(kinds[threat_model][name]["model"], f"robustbench:{name}", {})
    return FoundNetwork(network, None, SAID_BY, CLASSES[dataset])


def _robustbench() -> tuple[Mapping[Any, Any], Any]:
    try:
        zoo, loading = import_module("robustbench.model_zoo"), import_module("robustbench.utils")
    except ImportError as error:
        raise ImportError(
            f"Networks of RobustBench need it ({error}). Install it: pip install robustbench, in an environment that "
            "holds the versions it asks for."
        ) from error
    return zoo.model_dicts, loading.load_model


def _dataset(wanted: str | None, outputs: int) -> str:
    """The zoo's data set of that name, or with that many classes."""
    fitting = [name for name, classes in CLASSES.items() if (wanted or name) == name and classes == outputs]
    if wanted in CLASSES:
        return str(wanted)
    if wanted is not None or not fitting:
        raise ValueError(f"`dataset` should be one of {', '.join(CLASSES)}. Found {wanted!r}, and {outputs} classes.")
    return fitting[0]


def _threat_model(name: str, dataset: str, kinds: Mapping[str, Mapping[str, Any]], wanted: str | None) -> str:
    """The zoo's threat model of that name, or the only one for which it has the network."""
    having = [kind for kind, models in kinds.items() if name in models]
    if not having:
        names = {known for models in kinds.values() for known in models}
        raise ValueError(
            f"`network` should name a network of RobustBench for {dataset}, such as {similar(name, names)}. "
            f"Found 'robustbench:{name}'."
        )
    if wanted in having or (wanted is None and len(having) == 1):
        return str(wanted or having[0])
    raise ValueError(
        f"`threat_model` of 'robustbench:{name}' should be one of {', '.join(having)}, for which RobustBench has "
        f"networks of their own. Found {wanted!r}."
    )


def _fetched(name: str, load_model: Any, options: Mapping[str, Any]) -> nn.Module:
    try:
        return load_model(model_name=name, **options)
    except Exception as error:  # whatever fetches the weights fails in its own way
        folder = f"{options.get('model_dir', './models')}/{options['dataset']}/{options['threat_model']}"
        raise RuntimeError(
            f"RobustBench could not fetch the weights of {name} ({error}). Fetch them on a machine with a network, "
            f"copy them to {folder}/{name}.pt, or name the file as a checkpoint of 'robustbench:{name}'."
        ) from error
