"""Checkpoints of anybody: found under any key and prefix, read without running anything, refused with reasons."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from training import Classifier, build_network, load_classifier
from training.checkpoints import FORMAT, NETWORK_KEY
from training.checkpoints.sets import WRAPPERS
from training.data import Digits, Spheres

MLP = {"shape": (4,), "num_classes": 3, "hidden": [5]}
BINARY = {"shape": (4,), "num_classes": 2, "hidden": [5], "one_logit": True}


@pytest.fixture
def save(tmp_path) -> Callable[..., Path]:
    """Saves anything to a file and returns its path."""

    def make(content: object) -> Path:
        torch.save(content, tmp_path / "file.pt")
        return tmp_path / "file.pt"

    return make


def with_prefix(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in weights.items()}


def assert_same_weights(loaded: nn.Module, original: nn.Module) -> None:
    ours, theirs = loaded.state_dict(), original.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_state_dict_is_loaded_in_evaluation_mode(save):
    network = build_network("mlp", **MLP)
    loaded = load_classifier("mlp", checkpoint=save(network.state_dict()), **MLP)
    assert_same_weights(loaded, network)
    assert not any(part.training for part in loaded.modules())


@pytest.mark.parametrize("key", WRAPPERS)
def test_state_dict_is_found_under_common_keys(save, key):
    network = build_network("mlp", **MLP)
    path = save({"epoch": 3, key: network.state_dict(), "optimizer": {"lr": 0.1}})
    assert_same_weights(load_classifier("mlp", checkpoint=path, **MLP), network)


def test_state_dict_is_found_two_keys_deep(save):
    network = build_network("mlp", **MLP)
    path = save({"model": {"state_dict": network.state_dict(), "epoch": 3}})
    assert_same_weights(load_classifier("mlp", checkpoint=path, **MLP), network)


@pytest.mark.parametrize("prefix", ["model.", "module.", "_orig_mod.", "net.", "module._orig_mod.model."])
def test_prefixes_are_stripped(save, prefix):
    network = build_network("mlp", **MLP)
    path = save({"state_dict": with_prefix(prefix, network.state_dict())})
    assert_same_weights(load_classifier("mlp", checkpoint=path, **MLP), network)


@pytest.mark.parametrize("prefix", ["", "network.", "module.", "module.network."])
def test_weights_of_a_binary_network_with_one_output_are_loaded(save, prefix):
    network = build_network("mlp", **BINARY)
    path = save(with_prefix(prefix, network.network.state_dict()))
    assert_same_weights(load_classifier("mlp", checkpoint=path, **BINARY), network)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_plain_resnet_is_loaded_behind_its_normalisation(save, prefix):
    options = {"shape": (1, 32, 32), "num_classes": 2, "bounds": (0.0, 1.0), "weights": None}
    network = build_network("resnet18", **options)
    path = save(with_prefix(prefix, network.network.state_dict()))
    assert_same_weights(load_classifier("resnet18", checkpoint=path, **options), network)


class TwoParts(nn.Module):
    """A network whose parts are named like the prefixes of others."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.backbone, self.classifier = nn.Linear(4, 5), nn.Linear(5, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.backbone(x))


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
def test_names_that_only_look_like_prefixes_are_kept(save, prefix):
    network = TwoParts()
    path = save(with_prefix(prefix, network.state_dict()))
    loaded = load_classifier(f"{__name__}.TwoParts", checkpoint=path, shape=(4,), num_classes=3)
    assert_same_weights(loaded, network)


def test_path_may_be_text(save):
    network = build_network("mlp", **MLP)
    assert_same_weights(load_classifier("mlp", checkpoint=str(save(network.state_dict())), **MLP), network)


@pytest.mark.parametrize(
    ("name", "options", "data"),
    [
        ("mlp", {"hidden": [5]}, Digits),
        ("small_cnn", {"width": 2}, Digits),
        ("mlp", {"hidden": [5], "one_logit": True}, lambda: Spheres(dimensions=4)),
        ("resnet18", {"weights": None, "frozen_batch_norm": False}, Digits),
        (f"{__name__}.TwoParts", {}, lambda: Spheres(dimensions=4)),
    ],
)
def test_checkpoint_of_ours_says_which_network_it_holds(tmp_path, quiet_trainer, name, options, data):
    data = data()
    trained = Classifier(name, options, shape=data.shape, num_classes=data.num_classes, bounds=data.bounds)
    trainer = quiet_trainer(1, limit_train_batches=2, limit_val_batches=0)
    trainer.fit(trained, datamodule=data)
    trainer.save_checkpoint(tmp_path / "ours.ckpt")
    loaded = load_classifier(name if "." in name else None, checkpoint=tmp_path / "ours.ckpt")
    assert_same_weights(loaded, trained.network)
    x = data.split("test").__getitems__(range(5)).x
    torch.testing.assert_close(loaded(x), trained.eval()(x))


TINY_IMAGES = {"shape": (1, 8, 8), "num_classes": 2}


@pytest.mark.parametrize(
    ("described", "given"),
    [({}, {}), ({"weights": "imagenet"}, {}), ({"weights": None}, {}), ({}, {"network": "resnet18", **TINY_IMAGES})],
    ids=["ours by default", "ours with weights", "ours without", "named"],
)
def test_loading_fetches_nothing(save, monkeypatch, described, given):
    original = torchvision.models.resnet18

    def offline(weights: str | None = None, **options: object) -> nn.Module:
        assert weights is None
        return original(**options)

    monkeypatch.setattr(torchvision.models, "resnet18", offline)
    network = build_network("resnet18", weights=None, **TINY_IMAGES)
    description = {"network": "resnet18", "options": described, "bounds": (-1.0, 1.0), **TINY_IMAGES}
    path = save({"state_dict": network.state_dict(), NETWORK_KEY: description})
    assert_same_weights(load_classifier(checkpoint=path, **given), network)


def test_mismatch_lists_what_is_missing_unexpected_and_of_another_shape(save):
    weights = dict(build_network("mlp", **(MLP | {"hidden": [6]})).state_dict())
    del weights["3.bias"]
    weights["5.weight"] = torch.zeros(1)
    message = (
        r"file.pt does not match the network. .*Missing keys: \['3.bias'\]. Unexpected keys: \['5.weight'\]. "
        r"Keys of another shape: \['1.bias \(6,\) for \(5,\)', '1.weight \(6, 4\) for \(5, 4\)', "
        r"'3.weight \(3, 6\) for \(3, 5\)'\]"
    )
    with pytest.raises(ValueError, match=message):
        load_classifier("mlp", checkpoint=save(weights), **MLP)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_a_checkpoint_is_executed(save, tmp_path):
    path = save({"state_dict": build_network("mlp", **MLP).state_dict(), "extra": Trap(tmp_path / "trapped")})
    with pytest.raises(
        ValueError, match=r"cannot be read as a checkpoint with weights_only=True.*Save the model's state_dict\(\)"
    ):
        load_classifier("mlp", checkpoint=path, **MLP)
    assert not (tmp_path / "trapped").exists()


def test_whole_pickled_model_is_refused(save):
    with pytest.raises(ValueError, match=r"cannot be read as a checkpoint with weights_only=True"):
        load_classifier("mlp", checkpoint=save(build_network("mlp", **MLP)), **MLP)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint",
        # Each makes torch's reader fail in another way.
        b".",
        b"h\x05.",
        b"\x80\x02}.",
        b"\x80\x02c\xff\n\n.",
        b"PK\x03\x04",
    ],
)
def test_file_of_another_format_is_refused(tmp_path, content):
    (tmp_path / "notes.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"notes.txt cannot be read"):
        load_classifier("mlp", checkpoint=tmp_path / "notes.txt", **MLP)


@pytest.mark.parametrize("name", ["gone.pt", "folder"])
def test_what_is_no_file_is_named(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileNotFoundError, match=f"{name}: no such checkpoint file"):
        load_classifier("mlp", checkpoint=tmp_path / name, **MLP)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), r"file.pt should hold a dict. Found Tensor"),
        ({}, r"should hold a state dict, alone or under one of state_dict, .* Found the keys \[\]"),
        ({"epoch": 3, "loss": 0.5}, r"Found the keys \['epoch', 'loss'\]"),
        ({"model": {"epoch": 3}}, r"Found the keys \['model'\]"),
    ],
)
def test_file_without_weights_is_refused(save, content, message):
    with pytest.raises(ValueError, match=message):
        load_classifier("mlp", checkpoint=save(content), **MLP)


def test_plain_checkpoint_needs_the_name_of_its_network(save):
    with pytest.raises(ValueError, match=r"does not say which network it holds. Name it with `network`"):
        load_classifier(checkpoint=save(build_network("mlp", **MLP).state_dict()))


@pytest.mark.parametrize("lacking", ["num_classes", "shape"])
def test_named_network_needs_shape_and_classes(save, lacking):
    options = {key: value for key, value in MLP.items() if key != lacking}
    with pytest.raises(ValueError, match=r"`num_classes` and `shape` should be given together with `network`"):
        load_classifier("mlp", checkpoint=save(build_network("mlp", **MLP).state_dict()), **options)


def ours(save: Callable[..., Path], **changes: object) -> Path:
    """A checkpoint of ours of a small MLP, whose description says what it is told to."""
    description = {"format": FORMAT, "network": "mlp", "options": {"hidden": [5]}, "shape": [4], "num_classes": 3}
    description |= {"bounds": [0.0, 1.0]}
    weights = build_network("mlp", **MLP).state_dict()
    return save({"state_dict": with_prefix("network.", weights), NETWORK_KEY: description | changes})


ATTACKS = {
    "subprocess.Popen": {"args": ["touch", "{trap}"]},
    "subprocess.run": {"args": ["touch", "{trap}"]},
    "os.system": {"command": "touch {trap}"},
    "os.mkdir": {"path": "{trap}"},
    "pathlib.Path.touch": {"self": "{trap}"},
    "builtins.exec": {"source": "open('{trap}', 'w')"},
    "training.networks.build._imported": {"path": "{trap}"},
}


def trapped(options: object, trap: Path) -> object:
    if isinstance(options, dict):
        return {key: trapped(value, trap) for key, value in options.items()}
    if isinstance(options, list):
        return [trapped(value, trap) for value in options]
    return options.format(trap=trap) if isinstance(options, str) else options


@pytest.mark.parametrize("name", ATTACKS)
def test_network_that_a_file_names_is_never_imported(save, tmp_path, name):
    trap = tmp_path / "trap"
    path = ours(save, network=name, options=trapped(ATTACKS[name], trap))
    with pytest.raises(ValueError, match=rf"names the network '{name}', which is not one of ours.*network='{name}'"):
        load_classifier(checkpoint=path)
    with pytest.raises(ValueError, match="not one of ours"):
        load_classifier(checkpoint=path, trusted_networks=[f"{__name__}.TwoParts"], shape=(4,))
    time.sleep(0.05)  # a process would need a moment
    assert not trap.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": [5], "layer": {"class_path": "subprocess.Popen"}}, "`options` it describes .* plain values"),
        ({"hidden": torch.zeros(2)}, "`options` it describes should be a dict of plain values"),
        ({"shape": [2]}, "`options` it describes should leave out shape"),
        ({"name": "subprocess.Popen"}, "`options` it describes should leave out name"),
        ({"checkpoint_path": "/etc/passwd"}, "`options` it describes should open no other file"),
        ({"pretrained": True, "cache_dir": "x"}, "should open no other file. Found cache_dir, pretrained"),
        ({"outputs": 4}, "`outputs` should be left out of the options"),
        ({"depth": 4}, "The network 'mlp' does not take these options"),
    ],
)
def test_options_that_a_file_names_are_plain_and_open_nothing(save, options, message):
    with pytest.raises(ValueError, match=message):
        load_classifier(checkpoint=ours(save, options=options))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format": FORMAT + 1},
            rf"has format {FORMAT + 1}, which a later version of alphadx wrote.* up to {FORMAT}",
        ),
        ({"format": "1"}, "its `format` should be a number from 1 on. Found '1'"),
        ({"network": None}, "the `network` it describes should be a name. Found None"),
        ({"shape": "4"}, "the `shape` it describes should be one or more sizes. Found '4'"),
        ({"num_classes": 1}, "the `num_classes` it describes should be 2 or more. Found 1"),
        ({"bounds": [1.0, 0.0]}, r"the `bounds` it describes should be two numbers, the lower one first"),
        ({"options": None}, "the `options` it describes should be a dict"),
    ],
)
def test_description_is_read_before_it_is_used(save, changes, message):
    with pytest.raises(ValueError, match=message):
        load_classifier(checkpoint=ours(save, **changes))


def test_description_that_is_none_is_refused(save):
    with pytest.raises(ValueError, match=r"its description should be a dict\. Found list"):
        load_classifier(checkpoint=save({NETWORK_KEY: [], "state_dict": {"a": torch.zeros(1)}}))


@pytest.mark.parametrize("given", [{"network": f"{__name__}.Sized"}, {"trusted_networks": [f"{__name__}.Sized"]}])
def test_dotted_network_that_the_caller_names_takes_its_options_from_the_file(save, given):
    network = Sized(7)
    path = ours(save, network=f"{__name__}.Sized", options={"width": 7})
    path = save(torch.load(path, weights_only=True) | {"state_dict": network.state_dict()})
    assert_same_weights(load_classifier(checkpoint=path, **given), network)


class Sized(nn.Sequential):
    """A network of yours with an option."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(4, width), nn.Linear(width, 3))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bounds": (-1.0, 1.0)}, r"bounds \[0.0, 1.0\] where \[-1.0, 1.0\] is needed"),
        ({"num_classes": 2}, "num_classes 3 where 2 is needed"),
        ({"shape": (1, 2, 2), "num_classes": 3}, r"shape \[4\] where \[1, 2, 2\] is needed"),
        ({"shape": (5,), "num_classes": 10}, r"shape \[4\] where \[5\] is needed, num_classes 3 where 10 is needed"),
    ],
)
def test_checkpoint_of_ours_is_compared_with_the_data(save, given, message):
    path = ours(save)
    load_classifier(checkpoint=path, shape=(4,), num_classes=3, bounds=(0.0, 1.0))
    with pytest.raises(ValueError, match=rf"file.pt was made for something else: {message}"):
        load_classifier(checkpoint=path, **given)


def test_network_that_normalises_wants_bounds(save):
    path = save(build_network("resnet18", weights=None, **TINY_IMAGES).state_dict())
    with pytest.raises(ValueError, match="`bounds` should be given for 'resnet18', which normalises its inputs"):
        load_classifier("resnet18", checkpoint=path, **TINY_IMAGES)


@pytest.mark.parametrize("network", ["torchvision.models.resnet18", "torchvision.models.mobilenet_v3_small"])
def test_networks_of_torchvision_get_the_number_of_classes(save, network: str) -> None:
    original = getattr(torchvision.models, network.split(".")[-1])(weights=None, num_classes=7)
    loaded = load_classifier(network, checkpoint=save(original.state_dict()), num_classes=7, shape=(3, 32, 32))
    assert_same_weights(loaded, original)


def test_network_of_timm_is_loaded_from_its_own_checkpoint(save) -> None:
    timm = pytest.importorskip("timm")
    original = timm.create_model("resnet10t", num_classes=7)
    file = save({"state_dict": original.state_dict(), "arch": "resnet10t", "epoch": 3})
    sizes = {"num_classes": 7, "shape": (3, 32, 32)}
    assert_same_weights(
        load_classifier("timm.create_model", checkpoint=file, model_name="resnet10t", **sizes), original
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shape": 4}, "`shape` should be one or more sizes. Found 4"),
        ({"shape": ("a",)}, "`shape` should be one or more sizes"),
        ({"num_classes": 1}, "`num_classes` should be 2 or more. Found 1"),
        ({"num_classes": "3"}, "`num_classes` should be 2 or more. Found '3'"),
        ({"bounds": 3}, "`bounds` should be two numbers, the lower one first. Found 3"),
        ({"bounds": (1, 0)}, "`bounds` should be two numbers, the lower one first"),
        ({"network": 3}, "`network` should be a name. Found 3"),
        ({"hidden": [-1]}, "The network 'mlp' cannot be built"),
        ({"hidden": [10**15]}, "The network 'mlp' cannot be built"),
    ],
)
@pytest.mark.usefixtures("as_in_production")
def test_what_no_network_can_be_made_for_is_named(save, changed: dict, message: str) -> None:
    file = save(build_network("mlp", **MLP).state_dict())
    with pytest.raises(ValueError, match=message):
        load_classifier(**({"network": "mlp", "checkpoint": file} | MLP | changed))
