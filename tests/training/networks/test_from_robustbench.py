"""RobustBench's networks by name, with a stand-in for the package, whose zoo has the same form."""

import sys

import pytest
import torch

from training.networks import ClassMapping, Normalization, find_network

ZOO = """
from collections import OrderedDict
from enum import Enum
from torch import nn


class BenchmarkDataset(Enum):
    cifar_10 = "cifar10"
    cifar_100 = "cifar100"
    imagenet = "imagenet"


class ThreatModel(Enum):
    Linf = "Linf"
    L2 = "L2"


def net(classes, note):
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, classes))
    network.note = note
    return network


def entry(classes, note):
    return {"model": lambda: net(classes, note), "gdrive_id": "x"}


model_dicts = OrderedDict([
    (BenchmarkDataset.cifar_10, OrderedDict([
        (ThreatModel.Linf, {"Alone2020": entry(10, "a"), "Both2020": entry(10, "b Linf")}),
        (ThreatModel.L2, {"Both2020": entry(10, "b L2")}),
    ])),
    (BenchmarkDataset.cifar_100, OrderedDict([(ThreatModel.Linf, {"Alone2020": entry(100, "a 100")})])),
    (BenchmarkDataset.imagenet, OrderedDict([(ThreatModel.Linf, {"Big2020": entry(1000, "big")})])),
])
"""
LOADING = """
from stand_in_zoo import *


def load_model(model_name, model_dir="./models", dataset=None, threat_model=None):
    if model_dir == "nowhere":
        raise OSError("no network")
    return net(10, f"{model_name} {model_dir} {dataset} {threat_model}")
"""


@pytest.fixture(autouse=True)
def robustbench(tmp_path, monkeypatch):
    package = tmp_path / "robustbench"
    package.mkdir()
    (tmp_path / "stand_in_zoo.py").write_text(ZOO)
    (package / "__init__.py").write_text("")
    (package / "model_zoo.py").write_text("from stand_in_zoo import model_dicts\n")
    (package / "utils.py").write_text(LOADING)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("robustbench", "robustbench.model_zoo", "robustbench.utils", "stand_in_zoo"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in ("robustbench", "stand_in_zoo")]:
        del sys.modules[name]


def found(name: str, **options):
    data = {"shape": (3, 2, 2), "num_classes": 10, "bounds": (0.0, 1.0)}
    return find_network(f"robustbench:{name}", **(data | options))


@pytest.mark.parametrize(
    ("name", "options", "note"),
    [
        ("Alone2020", {}, "a"),
        ("Alone2020", {"num_classes": 100}, "a 100"),
        ("Alone2020", {"dataset": "cifar100", "num_classes": 100}, "a 100"),
        ("Both2020", {"threat_model": "L2"}, "b L2"),
        ("Both2020", {"threat_model": "Linf"}, "b Linf"),
        ("Alone2020", {"pretrained": True, "model_dir": "here"}, "Alone2020 here cifar10 Linf"),
    ],
)
def test_network_of_the_zoo(name, options, note):
    network = found(name, **options)
    assert network.network.note == note
    assert network.normalization is None
    assert network.said_by == "RobustBench, whose networks normalise inside"


def test_inputs_of_other_bounds_are_brought_to_0_1():
    assert found("Alone2020", bounds=(-1.0, 1.0)).normalization == Normalization((0.0,), (1.0,))


def test_imagenet_is_mapped_to_fewer_classes():
    network = found("Big2020", classes="imagenet→imagenette").network
    assert isinstance(network, ClassMapping)
    assert network(torch.rand(2, 3, 2, 2)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Both2020", {}, r"`threat_model` of 'robustbench:Both2020' should be one of Linf, L2, .* Found None"),
        ("Both2020", {"threat_model": "corruptions"}, r"one of Linf, L2, .* Found 'corruptions'"),
        ("Alone2021", {}, r"a network of RobustBench for cifar10, such as Alone2020.* Found 'robustbench:Alone2021'"),
        ("Alone2020", {"num_classes": 7}, r"`dataset` should be one of cifar10, cifar100, imagenet. .* 7 classes"),
        ("Alone2020", {"dataset": "svhn"}, r"`dataset` should be one of .* Found 'svhn'"),
        ("Big2020", {"dataset": "imagenet"}, r"which of the 1000 outputs of 'robustbench:Big2020'"),
        ("Alone2020", {"width": 3}, r"does not take these options: width"),
        ("Alone2020", {"model_dir": "here"}, r"does not take these options: model_dir"),
    ],
)
def test_network_that_the_zoo_has_not(name, options, message):
    with pytest.raises(ValueError, match=message):
        found(name, **options)


def test_weights_that_cannot_be_fetched_come_with_a_remedy():
    message = (
        r"could not fetch the weights of Alone2020 \(no network\)\..*copy them to nowhere/cifar10/Linf/Alone2020.pt"
    )
    with pytest.raises(RuntimeError, match=message):
        found("Alone2020", pretrained=True, model_dir="nowhere")


def test_missing_robustbench_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "robustbench", None)
    with pytest.raises(ImportError, match=r"Networks of RobustBench need it .*pip install robustbench"):
        found("Alone2020")
