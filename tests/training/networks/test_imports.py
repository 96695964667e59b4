"""What a user names is imported, from the current folder too; what a file says is not."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from training import load_classifier
from training.checkpoints import FORMAT, NETWORK_KEY
from training.networks import build_network
from training.networks.calls import call
from training.networks.imports import imported, options_imported

MODULE = """
import pathlib
from torch import nn

pathlib.Path({trap!r}).touch()


class Net(nn.Sequential):
    def __init__(self, num_classes, act=nn.ReLU, layer: type[nn.Module] | None = None, note: str = ""):
        super().__init__(nn.Linear(4, 3), act(), *([layer()] if layer else []), nn.Linear(3, num_classes))
        self.note = note

    @classmethod
    def wide(cls, num_classes):
        return cls(num_classes, act=nn.Tanh)


def make(**options):
    return Net(**options)


def nothing():
    return 3


number = 3
"""
DATA = {"shape": (4,), "num_classes": 5}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current folder, which is not yet importable, with a module that leaves a trace when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    (tmp_path / "my_networks.py").write_text(MODULE.format(trap=str(tmp_path / "trap")))
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text("from my_networks import Net, make\n")
    (package / "broken.py").write_text("import no_such_dependency\n")
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] in ("my_networks", "my_package")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("my_networks:Net", nn.ReLU),
        ("my_networks.Net", nn.ReLU),
        ("my_networks:make", nn.ReLU),
        ("my_networks:Net.wide", nn.Tanh),
        ("my_networks.Net.wide", nn.Tanh),
        ("my_package.nets:Net", nn.ReLU),
        ("my_package.nets.make", nn.ReLU),
    ],
)
def test_network_of_the_current_folder_gets_the_number_of_classes(here, name, activation):
    network = build_network(name, **DATA)
    assert isinstance(network[1], activation)
    assert network(torch.rand(2, 4)).shape == (2, 5)
    assert sys.path.count(str(here)) == 1


def test_one_logit_reaches_it(here):
    network = build_network("my_networks:Net", shape=(4,), num_classes=2, one_logit=True)
    assert network(torch.rand(2, 4)).shape == (2, 2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_networks:Nett", r"'my_networks:Nett' cannot be imported: .*has no attribute 'Nett'"),
        ("my_networks.Net.narrow", r"cannot be imported: .*has no attribute 'narrow'"),
        (
            "my_package.broken:Net",
            r"'my_package.broken:Net' cannot be imported: No module named 'no_such_dependency'",
        ),
        ("my_package.broken.Net", r"cannot be imported: No module named 'no_such_dependency'"),
        ("no_such:Net", r"cannot be imported: No module named 'no_such'"),
        (":Net", r"':Net' cannot be imported"),
        ("my_networks:", r"'my_networks:' cannot be imported"),
        ("my_networks:number", r"'my_networks:number' should be a class or function. Found int"),
        ("my_networks:nothing", r"'my_networks:nothing' should be a torch.nn.Module. Found int"),
    ],
)
def test_network_that_cannot_be_imported(here, name, message):
    with pytest.raises(ValueError, match=message):
        build_network(name, **DATA)


@pytest.mark.parametrize("name", ["my_networks:Net", "my_networks:make"])
def test_option_may_be_the_path_of_a_class(here, name):
    network = build_network(name, **DATA, act="torch.nn.SiLU", layer="torch.nn.Identity")
    assert isinstance(network[1], nn.SiLU)
    assert isinstance(network[2], nn.Identity)


def test_option_that_takes_no_class_stays_a_text(here):
    assert build_network("my_networks:Net", **DATA, note="torch.nn.SiLU").note == "torch.nn.SiLU"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "torch.nn.SiLUU",
            r"`act` should be the dotted path of a class or function. Found 'torch.nn.SiLUU': .*SiLUU",
        ),
        ("no_such.Act", r"`act` should be the dotted path .* No module named 'no_such'"),
        (
            "my_networks.number",
            r"`act` should be the dotted path of a class or function. Found 'my_networks.number', 3",
        ),
    ],
)
def test_class_that_is_not_there(here, path, message):
    with pytest.raises(ValueError, match=message):
        build_network("my_networks:Net", **DATA, act=path)


def passes_on(*, named: str = "", **options: object) -> object:
    return options


@pytest.mark.parametrize("value", ["imagenet.pth", "no_such.Class", "torch.nn.NoSuch", "1.5", "a/b.c", "torch.nn", 3])
def test_text_that_names_no_class_stays_where_options_are_passed_on(here, value):
    assert options_imported(passes_on, {"other": value}, None) == {"other": value}


def test_only_trusted_options_are_imported():
    options = {"one": "torch.nn.SiLU", "two": "torch.nn.SiLU", "named": "torch.nn.SiLU"}
    assert options_imported(passes_on, options, ["one", "named"]) == options | {"one": nn.SiLU}
    assert options_imported(passes_on, options, []) == options
    assert options_imported(passes_on, options, None) == options | {"one": nn.SiLU, "two": nn.SiLU}


def test_deepest_module_of_a_path_is_taken():
    assert imported("os.path.join") is imported("os.path:join")
    with pytest.raises(ValueError, match="cannot be imported"):
        imported("os")


@pytest.fixture
def save(tmp_path) -> Callable[..., Path]:
    """A checkpoint of ours of a small network, with options that somebody wrote into it."""

    def make(**options: object) -> Path:
        shape, bounds = [3, 8, 8], [0.0, 1.0]
        network = build_network("preact_resnet18", shape=shape, num_classes=2, width=1)
        description = {
            "format": FORMAT,
            "network": "preact_resnet18",
            "options": {"width": 1} | options,
            "shape": shape,
            "num_classes": 2,
            "bounds": bounds,
        }
        path = tmp_path / "checkpoint.pt"
        torch.save({"state_dict": network.state_dict(), NETWORK_KEY: description}, path)
        return path

    return make


def test_class_that_a_checkpoint_names_is_not_imported(here, save):
    message = r"`activation` names 'my_networks.make', and nothing is imported because a file says so.*activation='my"
    with pytest.raises(ValueError, match=message):
        load_classifier(checkpoint=save(activation="my_networks.make"))
    with pytest.raises(ValueError, match=message):
        load_classifier("preact_resnet18", checkpoint=save(activation="my_networks.make"))
    assert not (here / "trap").exists()
    assert "my_networks" not in sys.modules


def test_class_that_the_user_names_beside_a_checkpoint_is_imported(save):
    network = load_classifier(checkpoint=save(activation="nowhere.Known"), activation="torch.nn.SiLU")
    assert isinstance(network.relu, nn.SiLU)


def test_checkpoint_cannot_say_what_is_trusted(save):
    path = save(activation="os.getcwd", trusted_options=["activation"])
    with pytest.raises(ValueError, match=r"`options` it describes .* Found trusted_options"):
        load_classifier(checkpoint=path)


def test_a_factory_that_fails_in_its_own_way_is_named() -> None:
    with pytest.raises(ValueError, match=r"The network 'mine' cannot be built with \{'a': 1\}: KeyError: 'oops'\."):
        call(lambda a: {}["oops"], "mine", {"a": 1})
