"""What does not fit is refused with the likeliest cause, and what lies beside weights is known or refused."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tests.training.checkpoints import tiny
from tests.training.checkpoints.tiny import CLASSES, Tiny, trained, under, weights
from training import build_network
from training.checkpoints import load, load_classifier
from training.checkpoints.mismatch import difference

W = dict[str, Tensor]


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def make(content: object, name: str = "file.pt") -> Path:
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return make


def refused(path: Path, message: str, **given: object) -> str:
    with pytest.raises(ValueError, match=message) as refusal:
        load(**({"network": tiny.NETWORK, "checkpoint": path} | tiny.SIZES | given))
    told = str(refusal.value)
    assert told.count("'") / 2 <= 12, told
    assert len(told.replace(str(path), "")) < 1000
    return told


def with_weight_norm(kind: str) -> W:
    network = trained()
    if kind == "spectral_norm":
        torch.nn.utils.spectral_norm(network.fc)
    elif kind == "prune":
        torch.nn.utils.prune.l1_unstructured(network.fc, "weight", 0.5)
    else:
        getattr(parametrizations, kind)(network.fc)
    return dict(network.state_dict())


CAUSES: dict[str, tuple[Callable[[], W], str]] = {
    "other classes": (
        lambda: dict(Tiny(100).state_dict()),
        "The file's last layer has 100 outputs, where 5 classes are asked for: it was trained for other classes",
    ),
    "one logit": (
        lambda: dict(Tiny(1).state_dict()),
        "has 1 outputs, where 5 classes are asked for: take `one_logit`",
    ),
    "other width": (
        lambda: dict(Tiny(CLASSES, width=6).state_dict()),
        "the same network was made with other options",
    ),
    "no head": (
        lambda: {name: value for name, value in weights().items() if not name.startswith("fc.")},
        "The network's last layer is not in the file: it was left out when the file was saved",
    ),
    "another head": (
        lambda: {name.replace("fc.", "head."): value for name, value in weights().items()},
        "The network's last layer is not in the file: under another name",
    ),
    "deeper": (
        lambda: weights() | under("layers.2.", {name: torch.zeros(4) for name in ("conv.weight", "bn.weight")}),
        "a network of the same kind with other parts, such as another depth",
    ),
    "other architecture": (lambda: {"x": torch.zeros(2)}, "No names are the same: it is another architecture"),
    "weight_norm": (lambda: with_weight_norm("weight_norm"), "stored in the parts that weight_norm"),
    "spectral_norm": (lambda: with_weight_norm("spectral_norm"), "stored in the parts that weight_norm"),
    "orthogonal": (lambda: with_weight_norm("orthogonal"), "stored in the parts that weight_norm"),
    "pruned": (lambda: with_weight_norm("prune"), "pruning or a parametrization"),
}
"""What happened, and what is said."""


@pytest.mark.parametrize("prefix", ["", "module.model."])
@pytest.mark.parametrize("case", CAUSES)
def test_mismatch_says_the_likeliest_cause(save: Callable[..., Path], case: str, prefix: str) -> None:
    make, message = CAUSES[case]
    refused(
        save({"state_dict": under(prefix, make()), "epoch": 3}), rf"does not match the network\. {message}|{message}"
    )


PUBLIC = {
    "torchvision resnet": (lambda: torchvision.models.resnet18(num_classes=CLASSES), "a ResNet of torchvision"),
    "torchvision densenet": (
        lambda: torchvision.models.densenet121(num_classes=CLASSES),
        "a DenseNet of torchvision",
    ),
    "timm vit": (
        lambda: pytest.importorskip("timm").create_model("vit_tiny_patch16_224", num_classes=CLASSES, depth=1),
        "a vision transformer of timm",
    ),
    "ours": (lambda: build_network("wide_resnet", shape=(3, 8, 8), num_classes=5, depth=10, widen=1), "alphadx"),
}


@pytest.mark.parametrize("program", PUBLIC)
def test_names_of_another_program_are_recognised(save: Callable[..., Path], program: str) -> None:
    make, name = PUBLIC[program]
    path = save({"state_dict": under("module.", make().state_dict())})
    refused(path, rf"Its names look like those of .*{name}.*: name that network")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda w: {"0.weight": torch.zeros(3)} | under("1.", w), r"\['state_dict.1'\] fit: take them"),
        (lambda w: under("backbone.", {"a": torch.zeros(3)}) | under("model.", w), r"as under \['backbone.a'\]"),
        (lambda w: under("model_ema.", {"fcweight": torch.zeros(3)}) | under("model.", w), r"holds more than"),
        (lambda w: {"mean": torch.zeros(3)} | under("model.", w), r"as under \['mean'\]"),
        (lambda w: {"mean": torch.zeros(3) - 1, "std": torch.ones(3)} | under("model.", w), r"\['mean', 'std'\]"),
        (lambda w: w | {"temperature": torch.ones(1)}, r"Unexpected keys: \['temperature'\]"),
        (lambda w: under("0.", w) | under("1.", weights(1)), r"under \['state_dict.0', 'state_dict.1'\]"),
    ],
    ids=[
        "denoiser in front",
        "unknown",
        "averaged, odd names",
        "mean alone",
        "not of images",
        "temperature",
        "ensemble",
    ],
)
def test_what_lies_beside_and_is_unknown_is_refused(
    save: Callable[..., Path], content: Callable, message: str
) -> None:
    refused(save({"state_dict": content(weights())}), message)


@pytest.mark.parametrize(("first", "second"), [("last", "best"), ("model", "ema_model"), ("raw.net", "shadow.net")])
def test_of_two_sets_one_is_chosen_and_the_other_named(save: Callable[..., Path], first: str, second: str) -> None:
    def nested(name: str, found: W) -> object:
        head, _, rest = name.partition(".")
        return {head: {rest: found} if rest else found}

    path = save({**nested(first, weights(0)), **nested(second, weights(1))})
    refused(path, rf"several sets of weights that fit the network, under \['{first}', '{second}'\]\. Choose one")
    for seed, key in enumerate((first, second)):
        loaded = load(tiny.NETWORK, checkpoint=path, key=key, **tiny.SIZES)
        assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(trained(seed)))
        other = (second, first)[seed]
        told = f"Of several sets of weights, the one under {key!r} was taken; the file holds {[other]} too."
        assert loaded.notes == (told,)


def test_key_takes_a_part_and_says_what_it_passes_over(save: Callable[..., Path]) -> None:
    path = save({"state_dict": under("backbone.", {"a": torch.zeros(3)}) | under("model.", weights())})
    loaded = load(tiny.NETWORK, checkpoint=path, key="model", **tiny.SIZES)
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(trained()))
    assert loaded.notes == ("Weights that the network does not take were passed over: ['backbone.a'].",)


def test_what_lies_beside_and_is_known_is_said(save: Callable[..., Path]) -> None:
    path = save({"state_dict": under("model.", weights()) | {"val_loss.total": torch.zeros(1)}})
    notes = load(tiny.NETWORK, checkpoint=path, **tiny.SIZES).notes
    assert notes == ("Weights that the network does not take were passed over: ['val_loss.total'].",)


def test_network_that_was_not_first_is_said(save: Callable[..., Path]) -> None:
    notes = load(tiny.NETWORK, checkpoint=save(under("1.", weights())), **tiny.SIZES).notes
    assert notes[0].startswith("Names begin with 1.: something without weights stood before the network")


class Linear(nn.Linear):
    """A network of one layer, whose names are those of any."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(4, num_classes)


def test_last_layer_of_a_larger_network_is_not_taken_for_a_small_one(save: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="holds more than the network takes"):
        load_classifier(f"{__name__}.Linear", checkpoint=save(weights()), shape=(4,), num_classes=CLASSES)


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
def test_parametrised_weights_load_where_the_network_has_it_too(save: Callable[..., Path], kind: str) -> None:
    original = Parametrised(CLASSES, kind).eval()
    path = save(under("module.", original.state_dict()))
    loaded = load(f"{__name__}.Parametrised", checkpoint=path, kind=kind, **tiny.SIZES)
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(original))


class Parametrised(Tiny):
    """A network with a parametrization of torch."""

    def __init__(self, num_classes: int, kind: str) -> None:
        super().__init__(num_classes)
        getattr(parametrizations, kind)(self.fc)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("layer2.0.shortcut.0.weight", r"\(here resnet18_cifar, .*\)"),
        ("block1.layer.0.bn1.weight", r"\(here wide_resnet with its `depth` and `widen`\)"),
        ("layer.0.block.0.batchnorm_0.weight", r"\(here dm_wide_resnet with its `depth` and `widen`\)"),
    ],
)
def test_networks_of_public_programs_have_our_name_beside_theirs(name: str, ours: str) -> None:
    one = torch.ones(1)
    told = difference([{name: one, "a.b": one}], {"head.weight": one, "stem.bias": one})
    assert re.search(rf"Its names look like those of .* {ours}: name that network\.", told)
