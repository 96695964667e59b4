"""Who says how inputs are normalised: the user before the file, the file before the library, and nobody by guess."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training.checkpoints import tiny
from tests.training.checkpoints.tiny import CLASSES, MEAN, SHAPE, STD, Tiny, trained, under, weights
from training import Normalized, build_network
from training.checkpoints import (
    FORMAT,
    NETWORK_KEY,
    described_options,
    load,
    load_classifier,
    load_weights,
    loading,
)
from training.networks.libraries import FoundNetwork
from training.networks.normalization import NORMALIZATIONS, Normalization

CIFAR, IMAGENET = Normalization(MEAN, STD), NORMALIZATIONS["imagenet"]


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def make(content: object) -> Path:
        torch.save(content, tmp_path / "file.pt")
        return tmp_path / "file.pt"

    return make


def normalised(mean: object = MEAN, std: object = STD, at: str = "normalizer") -> dict[str, Tensor]:
    return {f"{at}.mean": torch.as_tensor(mean), f"{at}.std": torch.as_tensor(std)}


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
@pytest.mark.parametrize("given", ["imagenet", {"mean": IMAGENET.mean, "std": IMAGENET.std}, IMAGENET])
def test_user_says_it_in_any_form_and_unit(save: Callable[..., Path], given: object, bounds: tuple) -> None:
    sizes = tiny.SIZES | {"bounds": bounds}
    loaded = load(tiny.NETWORK, checkpoint=save(weights()), normalize=given, **sizes)
    x, (low, high) = torch.rand(4, *SHAPE), bounds
    expected = trained()((x - torch.tensor(IMAGENET.mean)[:, None, None]) / torch.tensor(IMAGENET.std)[:, None, None])
    torch.testing.assert_close(loaded.classifier(low + x * (high - low)), expected, rtol=1e-4, atol=1e-4)
    assert isinstance(loaded.classifier, Normalized)
    assert (loaded.normalization, loaded.said_by) == (IMAGENET, "--normalize")
    assert loaded.described["normalize"] == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def test_none_that_the_user_says_is_said_and_changes_nothing(save: Callable[..., Path]) -> None:
    loaded = load(tiny.NETWORK, checkpoint=save(weights()), normalize="none", **tiny.SIZES)
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(trained()))
    assert (loaded.normalization, loaded.said_by) == (None, "--normalize")
    assert loaded.described == {"network": tiny.NETWORK, "options": {}}


@pytest.mark.parametrize("given", ["none", "imagenet", "0.4914,0.4822,0.4465,0.247,0.2435,0.2616"])
def test_user_is_taken_before_the_file(save: Callable[..., Path], given: str) -> None:
    path = save(normalised() | under("model.", weights()))
    loaded = load(tiny.NETWORK, checkpoint=path, normalize=given, **tiny.SIZES)
    expected = {"none": None, "imagenet": IMAGENET}.get(given, CIFAR)
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(trained(), expected))
    assert loaded.said_by == "--normalize"


def test_normaliser_that_the_network_has_itself_is_loaded_into_it(save: Callable[..., Path]) -> None:
    network = Inside(CLASSES)
    network.load_state_dict(network.state_dict() | weights() | {"mean": torch.full((3, 1, 1), 0.3)})
    path, x = save(under("module.", network.state_dict())), torch.rand(5, *SHAPE)
    for bounds in ((0.0, 1.0), (-1.0, 1.0)):
        loaded = load(f"{__name__}.Inside", checkpoint=path, **(tiny.SIZES | {"bounds": bounds}))
        found = loaded.classifier(bounds[0] + x * (bounds[1] - bounds[0]))
        torch.testing.assert_close(found, network.eval()(x), rtol=1e-5, atol=1e-5)
        assert (loaded.normalization is None) == (bounds == (0.0, 1.0)) == ("normalize" not in loaded.described)


class Inside(Tiny):
    """Normalises by itself."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(STD)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x - self.mean) / self.std)


def test_network_with_a_normaliser_of_its_own_is_said_to_have_it(save: Callable[..., Path]) -> None:
    path = save(Inside(CLASSES).state_dict())
    loaded = load(f"{__name__}.Inside", checkpoint=path, **tiny.SIZES)
    assert loaded.said_by == "mean and std in the network itself"
    assert loaded.notes == ("By mean and std in the network itself, cifar10, it takes inputs in [0, 1].",)
    with pytest.raises(ValueError, match=r"`normalize` should be none: mean and std in the network itself says"):
        load(f"{__name__}.Inside", checkpoint=path, normalize="imagenet", **tiny.SIZES)


RESNET = {"shape": (3, 32, 32), "num_classes": 5, "bounds": (0.0, 1.0)}


def test_inputs_are_not_normalised_twice(save: Callable[..., Path]) -> None:
    network = build_network("resnet18", weights=None, **RESNET).network.state_dict()
    loaded = load("resnet18", checkpoint=save(network), **RESNET)
    assert (loaded.normalization, loaded.said_by) == (None, "resnet18, which normalises,")
    assert load("resnet18", checkpoint=save(network), normalize="none", **RESNET).described == loaded.described
    with pytest.raises(
        ValueError, match=r"`normalize` should be none: resnet18, which .* Found imagenet, which would"
    ):
        load("resnet18", checkpoint=save(network), normalize="imagenet", **RESNET)
    path = save(normalised() | under("model.", network))
    with pytest.raises(ValueError, match=r"Found cifar10 \(normalizer.mean and normalizer.std in the file\)"):
        load("resnet18", checkpoint=path, **RESNET)


def ours(**changes: object) -> dict[str, object]:
    """A checkpoint of ours of a small MLP."""
    described = {"format": FORMAT, "network": "mlp", "options": {"hidden": [5]}, "shape": [4], "num_classes": 3}
    network = build_network("mlp", shape=(4,), num_classes=3, hidden=[5])
    return {
        "state_dict": under("network.", network.state_dict()),
        NETWORK_KEY: described | {"bounds": [0.0, 1.0]} | changes,
    }


def test_checkpoint_of_ours_says_what_it_always_did(save: Callable[..., Path]) -> None:
    loaded = load(checkpoint=save(ours()))
    assert loaded.described == {"network": "mlp", "options": {"hidden": [5]}}
    assert (loaded.normalization, loaded.said_by, loaded.notes) == (None, "this checkpoint of alphadx", ())
    with pytest.raises(ValueError, match="`normalize` should be none: this checkpoint of alphadx says"):
        load(checkpoint=save(ours()), normalize="0.5,0.5")


@pytest.mark.parametrize(
    ("network", "saved", "given", "described"),
    [
        (None, {"hidden": [5]}, {}, {"hidden": [5]}),
        (None, {"hidden": [5], "one_logit": False}, {}, {"hidden": [5], "one_logit": False}),
        (None, {"hidden": [5]}, {"one_logit": False}, {"hidden": [5]}),
        ("mlp", {"hidden": [5]}, {"hidden": (5,)}, {"hidden": [5]}),
    ],
)
def test_options_that_are_the_default_make_no_other_network(
    save: Callable[..., Path], network: str | None, saved: dict, given: dict, described: dict
) -> None:
    sizes = {"shape": (4,), "num_classes": 3, "bounds": (0.0, 1.0)}
    assert load(network, checkpoint=save(ours(options=saved)), **sizes, **given).described["options"] == described


@pytest.mark.parametrize(
    ("given", "described"),
    [({}, {}), ({"width": 16}, {}), ({"width": 8}, {"width": 8}), ({"hidden": 100, "one_logit": False}, {})],
)
def test_defaults_spelled_out_for_a_named_network_make_no_other(
    save: Callable[..., Path], given: dict, described: dict
) -> None:
    sizes = {"shape": (1, 8, 8), "num_classes": 3, "bounds": (0.0, 1.0)}
    network = build_network("small_cnn", shape=(1, 8, 8), num_classes=3, **given)
    loaded = load("small_cnn", checkpoint=save(network.state_dict()), **sizes, **given)
    assert loaded.described == {"network": "small_cnn", "options": described}


@pytest.mark.parametrize(
    ("content", "given", "message"),
    [
        (normalised() | normalised(std=[0.5] * 3, at="norm"), {}, r"one normalisation. Found mean .* and cifar10"),
        (normalised(), {"bounds": None}, r"`bounds` should be given where inputs are normalised, as normalizer.mean"),
        (normalised((0.4, 0.5), (0.5, 0.5)), {}, r"one value for each of 3 channels.*\(normalizer.mean .* file\)"),
        ({}, {"normalize": "mnist", "bounds": None}, r"`bounds` should be given where inputs are normalised, as --n"),
        ({}, {"normalize": {"mean": [0, 0], "std": [1, 1]}}, r"one value for each of 3 channels, .*\(--normalize\)"),
        ({}, {"normalize": "imagnet"}, r"`normalize` should be none, imagenet, cifar10.* Found 'imagnet'"),
    ],
)  # fmt: skip
def test_normalisation_that_cannot_be_is_refused(
    save: Callable[..., Path], content: dict, given: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load(tiny.NETWORK, checkpoint=save(content | under("model.", weights())), **(tiny.SIZES | given))


def test_user_decides_between_two_normalisations_of_a_file(save: Callable[..., Path]) -> None:
    path = save(normalised() | normalised(std=(0.5, 0.5, 0.5), at="norm") | under("model.", weights()))
    loaded = load(tiny.NETWORK, checkpoint=path, normalize="cifar10", **tiny.SIZES)
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(trained(), CIFAR))


def test_one_value_serves_all_channels(save: Callable[..., Path]) -> None:
    path = save(normalised(0.4, 0.2) | under("model.", weights()))
    loaded = load(tiny.NETWORK, checkpoint=path, **tiny.SIZES)
    assert loaded.normalization == Normalization((0.4,), (0.2,))
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(trained(), "0.4,0.2"))


def test_training_does_not_start_from_weights_that_want_normalised_inputs(save: Callable[..., Path]) -> None:
    network = Tiny(CLASSES)
    load_weights(network, save(under("model.", weights())))
    assert torch.equal(tiny.logits(network), tiny.logits(trained()))
    with pytest.raises(
        ValueError, match=r"should hold weights for inputs in the data's own range. Found normalizer.mean"
    ):
        load_weights(network, save(normalised() | under("model.", weights())))


LIBRARY = {
    "weights of its own": (FoundNetwork(trained(), IMAGENET, "timm's pretrained_cfg"), IMAGENET),
    "nothing": (FoundNetwork(trained()), None),
    "normalises inside": (FoundNetwork(trained(), None, "RobustBench"), None),
}


@pytest.mark.parametrize("case", LIBRARY)
def test_library_says_it_of_its_own_weights(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    found, expected = LIBRARY[case]
    asked = {}

    def find(name: str, **given: object) -> FoundNetwork:
        asked.update(given)
        return found

    monkeypatch.setattr(loading, "find_network", find)
    loaded = load("timm:tiny", checkpoint=None, width=4, **tiny.SIZES)
    assert asked == {"pretrained": True, "width": 4, **tiny.SIZES}
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(trained(), expected))
    assert (loaded.normalization, loaded.said_by) == (expected, found.said_by)
    said = {"normalize": {"mean": [*IMAGENET.mean], "std": [*IMAGENET.std]}} if expected else {}
    assert loaded.described == {"network": "timm:tiny", "options": {"width": 4}, "pretrained": True, **said}


@pytest.mark.parametrize("case", LIBRARY)
def test_library_says_nothing_of_the_weights_in_a_file(
    save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    found, _ = LIBRARY[case]
    monkeypatch.setattr("training.checkpoints.describing.find_network", lambda name, **_: found)
    loaded = load("timm:tiny", checkpoint=save(weights()), **tiny.SIZES)
    assert loaded.normalization is None
    assert loaded.said_by == ("RobustBench" if "inside" in case else "")
    assert bool(loaded.notes) == ("own" in case)
    other = (
        load("timm:tiny", checkpoint=save(normalised() | under("model.", weights())), **tiny.SIZES)
        if "inside" not in case
        else None
    )
    assert other is None or other.normalization == CIFAR


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"checkpoint": 3}, "`checkpoint` should be a path, or None for the weights that a library has. Found 3"),
        ({"checkpoint": None, "network": None}, "`checkpoint` should be given without `network`, or with `key`"),
        ({"checkpoint": None, "key": "ema"}, "`checkpoint` should be given without `network`, or with `key`"),
        ({"checkpoint": None, "shape": None}, "`num_classes` and `shape` should be given together with `network`"),
        ({"trust": "yes"}, "`trust` should be true or false. Found 'yes'"),
        ({"shape": "abc"}, "`shape` should be one or more sizes. Found 'abc'"),
        ({"shape": (3, 0, 6)}, "`shape` should be one or more sizes"),
        ({"key": 3}, "`key` should be a name. Found 3"),
        ({"key": ""}, "`key` should be a name. Found ''"),
        ({"normalize": 3}, "`normalize` should be none, imagenet"),
    ],
)
@pytest.mark.usefixtures("as_in_production")
def test_argument_that_cannot_be_is_named(save: Callable[..., Path], given: dict, message: str) -> None:
    usual = {"network": tiny.NETWORK, "checkpoint": save(weights())} | tiny.SIZES
    with pytest.raises(ValueError, match=message):
        load_classifier(**(usual | given))


def test_two_ways_to_write_a_mapping_are_one_network() -> None:
    ways = ("imagenet->imagenette", "imagenet→imagenette")
    one, other = (described_options("torchvision:resnet18", {}, {"classes": way}) for way in ways)
    assert one == other == {"classes": "imagenet→imagenette"}
