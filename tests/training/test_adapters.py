"""Transformers with adapters: they start as the original, adapters and head alone train, weights are checked."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training.networks import ToImageNetInput, build_network
from training.networks.transformers import Bottleneck

SMALL = {
    "vit_adapters": {"model": "vit_tiny_patch16_224", "depth": 2, "embed_dim": 24, "num_heads": 3},
    "swin_adapters": {"embed_dim": 16, "depths": (1, 2), "num_heads": (1, 2), "window_size": 4},
}
WIDTHS = {"vit_adapters": [24, 24], "swin_adapters": [16, 32, 32]}
MODELS = {"vit_adapters": "vit_tiny_patch16_224", "swin_adapters": "swin_tiny_patch4_window7_224"}
DATA = {"shape": (3, 32, 32), "num_classes": 5, "bounds": (0.0, 1.0)}
both = pytest.mark.parametrize("name", SMALL)


@pytest.fixture
def timm():
    return pytest.importorskip("timm", reason="the extra timm is not installed")


def small(name: str, **options) -> nn.Module:
    return build_network(name, **(DATA | SMALL[name] | {"weights": None} | options))


def original(timm, name: str, classes: int = 5) -> nn.Module:
    options = {key: value for key, value in SMALL[name].items() if key != "model"}
    return timm.create_model(MODELS[name], num_classes=classes, img_size=(32, 32), **options)


def adapters(network: nn.Module) -> list[Bottleneck]:
    return [part for part in network.modules() if isinstance(part, Bottleneck)]


def trained(network: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in network.named_parameters() if value.requires_grad}


@both
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0)])
def test_adapted_network_starts_as_the_original(timm, name, channels, bounds):
    torch.manual_seed(1)
    network = small(name, shape=(channels, 32, 32), bounds=bounds).eval()
    torch.manual_seed(1)
    plain = original(timm, name).eval()
    x = torch.rand(2, channels, 32, 32)
    torch.testing.assert_close(network(x), plain(ToImageNetInput(bounds)(x)))


@both
def test_every_block_has_an_adapter_after_its_mlp(timm, name):
    found = adapters(small(name))
    assert [part.down.in_features for part in found] == WIDTHS[name]
    assert [part.down.out_features for part in found] == [width // 8 for width in WIDTHS[name]]


@both
def test_adapter_moves_what_the_mlp_returns(timm, name):
    network = small(name).eval()
    for part in adapters(network):
        nn.init.normal_(part.up.weight)
        nn.init.normal_(part.up.bias)
    inside = next(part.mlp for part in network.modules() if hasattr(part, "mlp"))
    h = torch.randn(2, 7, WIDTHS[name][0])
    seen = inside[0](h)
    moved = seen + inside[1].up(nn.functional.gelu(inside[1].down(seen)))
    torch.testing.assert_close(inside(h), moved)
    assert not torch.allclose(moved, seen, atol=1e-2)


@both
def test_adapters_and_head_alone_train(timm, name):
    network = small(name)
    head = network.network.get_classifier()
    expected = {id(p) for part in (head, *adapters(network)) for p in part.parameters()}
    assert {id(value) for value in trained(network).values()} == expected


@both
def test_a_step_moves_what_trains_and_nothing_else(timm, name):
    network = small(name).eval()
    before = {key: value.detach().clone() for key, value in network.named_parameters()}
    optimizer = torch.optim.SGD(trained(network).values(), lr=1.0)
    x = torch.rand(3, 3, 32, 32, requires_grad=True)
    for _ in range(2):  # the way down learns once the way up is no longer zero
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), torch.tensor([0, 1, 2])).backward()
        optimizer.step()
    assert x.grad.abs().max() > 0
    moved = {key for key, value in network.named_parameters() if not torch.equal(value, before[key])}
    assert moved == trained(network).keys()


@pytest.mark.parametrize(
    ("name", "options", "frozen", "blocks"),
    [
        ("vit_adapters", {}, 85_798_656, [768] * 12),
        ("swin_adapters", {}, 27_519_354, [96] * 2 + [192] * 2 + [384] * 6 + [768] * 2),
        (
            "swin_adapters",
            {"model": "swin_small_patch4_window7_224"},
            48_837_258,
            [96] * 2 + [192] * 2 + [384] * 18 + [768] * 2,
        ),
    ],
)
def test_full_size_has_its_number_of_parameters(timm, name, options, frozen, blocks):
    with torch.device("meta"):
        network = build_network(
            name, shape=(3, 224, 224), num_classes=200, bounds=(0.0, 1.0), weights=None, **options
        )
    bottlenecks = sum(2 * width * (width // 8) + width // 8 + width for width in blocks)
    assert sum(value.numel() for value in trained(network).values()) == bottlenecks + 768 * 200 + 200
    assert sum(value.numel() for value in network.parameters() if not value.requires_grad) == frozen


@pytest.mark.parametrize(("reduction", "inside"), [(1, 24), (4, 6), (24, 1)])
def test_reduction_is_an_option(timm, reduction, inside):
    assert {part.down.out_features for part in adapters(small("vit_adapters", reduction=reduction))} == {inside}


@pytest.mark.parametrize("reduction", [0, 25, -8])
def test_reduction_that_leaves_nothing_is_refused(timm, reduction):
    with pytest.raises(ValueError, match=rf"`reduction` should lie in \[1, 24\].* Found {reduction}"):
        small("vit_adapters", reduction=reduction)


@pytest.fixture
def file_of(timm, tmp_path):
    """Saves a network of timm for 1,000 classes and returns its path."""

    def make(name: str) -> tuple[nn.Module, Path]:
        network, path = original(timm, name, classes=1000), tmp_path / f"{name}.pt"
        torch.save(network.state_dict(), path)
        return network, path

    return make


@both
def test_weights_come_from_a_file(file_of, name):
    plain, path = file_of(name)
    network = small(name, weights=str(path))
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 5)
    found, expected = network.network.state_dict(), plain.state_dict()
    renamed = {key.replace(".mlp.0.", ".mlp."): value for key, value in found.items() if ".mlp.1." not in key}
    body = {key for key in expected if not key.startswith("head")}
    assert {key for key in renamed if not key.startswith("head")} == body
    assert all(torch.equal(renamed[key], expected[key]) for key in body)


def test_file_of_another_network_is_refused(file_of):
    _, path = file_of("swin_adapters")
    with pytest.raises(ValueError, match=r"swin_adapters.pt: holds no weights for this model"):
        small("vit_adapters", weights=str(path))


def test_file_with_a_head_of_another_size_is_refused(timm, tmp_path):
    path = tmp_path / "small.pt"
    torch.save(original(timm, "vit_adapters", classes=5).state_dict(), path)
    with pytest.raises(ValueError, match=r"small.pt: holds no weights for this model, head included"):
        small("vit_adapters", weights=str(path))


def test_file_that_holds_no_weights_is_refused(timm, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not weights")
    with pytest.raises(ValueError, match=r"notes.txt: holds no weights"):
        small("vit_adapters", weights=str(path))


def test_missing_file_is_named(timm, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone.pt: no such file. `weights` should be 'imagenet', a file"):
        small("vit_adapters", weights=str(tmp_path / "gone.pt"))


@both
def test_weights_that_cannot_be_fetched_come_with_a_remedy(timm, monkeypatch, name):
    asked = {}

    def fail(model, **options):
        asked.update(options, model=model)
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(RuntimeError, match=r"could not fetch the ImageNet weights of .*`weights=None`"):
        build_network(name, shape=(3, 224, 224), num_classes=5, bounds=(0.0, 1.0))
    model = {"vit_adapters": "deit_base_patch16_224", "swin_adapters": "swin_tiny_patch4_window7_224"}[name]
    assert (asked["model"], asked["pretrained"], asked["img_size"]) == (model, True, (224, 224))


def test_fetched_weights_of_another_normalisation_are_refused(timm):
    with pytest.raises(ValueError, match=r"`weights` 'imagenet' .* vit_base_patch16_224 expect \(0.5, 0.5, 0.5\)"):
        small("vit_adapters", model="vit_base_patch16_224", weights="imagenet")


def test_network_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"need timm. Install it: pip install 'alphadx\[timm\]'"):
        small("vit_adapters")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (2, 32, 32)}, r"`shape` should be \(1 or 3, height, width\). Found \(2, 32, 32\)"),
        ({"shape": (64,)}, r"`shape` should be \(1 or 3, height, width\)"),
        ({"model": "vit_of_mine"}, "`model` should be the name of a network in timm. Found 'vit_of_mine'"),
        ({"no_such_option": 1}, "The network 'vit_adapters' does not take these options: .*no_such_option"),
        ({"bounds": (0.0, float("inf"))}, "`bounds` should be finite"),
        ({"batch_norm": "frozen"}, "`batch_norm` should be left out"),
    ],
)
def test_what_cannot_be_adapted_is_refused(timm, options, message):
    with pytest.raises(ValueError, match=message):
        small("vit_adapters", **options)


def test_transformer_whose_blocks_have_no_mlp_of_their_own_is_refused(timm):
    with pytest.raises(ValueError, match="`model` should be a transformer whose blocks have an `mlp`"):
        small("vit_adapters", block_fn=timm.models.vision_transformer.ParallelScalingBlock)
