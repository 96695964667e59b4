"""Networks and adapters: shapes, sizes, ranges, and batch norm that stays frozen."""

import math
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import Tensor, nn

from training.networks import (
    MLP,
    FrozenBatchNorm,
    OneLogit,
    SmallCNN,
    ToImageNetInput,
    build_network,
    preact_resnet18,
    resnet18,
    resnet18_cifar,
    resnet34_cifar,
    set_batch_norm,
    wide_resnet,
)
from training.networks.preact import PreActBlock


def size_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("mlp", (7,), {"hidden": [5]}),
        ("mlp", (1, 4, 4), {"hidden": []}),
        ("small_cnn", (1, 28, 28), {}),
        ("small_cnn", (3, 32, 32), {"width": 4, "hidden": 10}),
        ("small_cnn", (1, 5, 7), {}),
        ("small_cnn", (1, 4, 4), {}),
        ("resnet18", (1, 32, 32), {"weights": None}),
        ("resnet18", (3, 40, 48), {"weights": None}),
        ("resnet18_cifar", (3, 16, 16), {}),
        ("resnet18_cifar", (1, 8, 8), {"frozen_batch_norm": True}),
        ("resnet34_cifar", (3, 8, 8), {}),
        ("logistic_regression", (1, 8, 8), {}),
        ("preact_resnet18", (3, 16, 12), {"width": 4}),
        ("preact_resnet18", (1, 8, 8), {"width": 4, "batch_norm": "frozen"}),
        ("wide_resnet", (3, 9, 8), {"depth": 10, "widen": 1, "batch_norm": "no_running_statistics"}),
    ],
)
@pytest.mark.parametrize(
    ("classes", "one_logit"), [pytest.param(2, False, marks=pytest.mark.slow), (5, False), (2, True)]
)
def test_network_returns_one_logit_per_class(name, shape, options, classes, one_logit):
    network = build_network(name, shape=shape, num_classes=classes, one_logit=one_logit, **options).eval()
    assert network(torch.rand(3, *shape)).shape == (3, classes)


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (lambda: MLP((500,), 1), 500 * 1000 + 1000 + 1000 * 1000 + 1000 + 1000 + 1),
        (lambda: SmallCNN((1, 28, 28), 10), 166_406),
        (lambda: resnet18((3, 224, 224), 2, weights=None), 11_177_538),
        (lambda: resnet18_cifar((3, 32, 32), 10), 11_173_962),
    ],
    ids=["MLP", "SmallCNN", "resnet18", "resnet18_cifar"],
)
def test_network_has_its_number_of_parameters(make, parameters):
    assert size_of(make()) == parameters


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [
        ("preact_resnet18", 10, 11_172_170),  # paper 2: 11.1 million
        ("preact_resnet18", 200, 11_269_640),
        ("wide_resnet34_10", 10, 46_160_474),  # paper 2: 46.2 million
        ("wide_resnet28_10", 10, 36_479_194),  # Zagoruyko and Komodakis 2016, Table 4: 36.5 million
        ("wide_resnet28_10", 100, 36_536_884),
        ("resnet34_cifar", 10, 21_282_122),
        ("logistic_regression", 10, 3072 * 10 + 10),
    ],
)
def test_network_of_the_papers_has_its_number_of_parameters(name, classes, parameters):
    with torch.device("meta"):
        assert size_of(build_network(name, shape=(3, 32, 32), num_classes=classes)) == parameters


def counted(channels: int, outputs: int, stem: int, widths: list[int], blocks: int) -> int:
    """Parameters of a pre-activation network, layer by layer."""
    total, before = 9 * channels * stem, stem
    for stage, width in enumerate(widths):
        if before != width or stage > 0:
            total += before * width  # the projection
        for _ in range(blocks):
            total += 2 * before + 9 * before * width + 2 * width + 9 * width * width
            before = width
    return total + 2 * before + (before + 1) * outputs


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [1, 8])
def test_narrow_preact_resnet_has_its_number_of_parameters(channels, width):
    widths = [width, 2 * width, 4 * width, 8 * width]
    assert size_of(preact_resnet18((channels, 8, 8), 7, width)) == counted(channels, 7, width, widths, 2)


@pytest.mark.parametrize(("depth", "blocks"), [(10, 1), (16, 2), (22, 3)])
@pytest.mark.parametrize("widen", [1, 2])
def test_wide_resnet_has_its_number_of_parameters(depth, blocks, widen):
    widths = [16 * widen, 32 * widen, 64 * widen]
    assert size_of(wide_resnet((3, 8, 8), 7, depth, widen)) == counted(3, 7, 16, widths, blocks)


@pytest.mark.parametrize("depth", [4, 27, 30, -2])
def test_depth_that_leaves_no_whole_blocks_is_refused(depth):
    with pytest.raises(ValueError, match=f"`depth` should be 6 n \\+ 4, such as 28 or 34. Found {depth}"):
        build_network("wide_resnet", shape=(3, 32, 32), num_classes=10, depth=depth)


def test_preact_resnet_refuses_what_is_no_image():
    with pytest.raises(ValueError, match=r"`shape` should be \(channels, height, width\). Found \(64,\)"):
        preact_resnet18((64,), 2)


def test_stages_halve_the_image_from_the_second_on():
    network, sizes = preact_resnet18((3, 32, 32), 10, width=1).eval(), []
    for stage in (network.stage1, network.stage2, network.stage3, network.stage4):
        stage.register_forward_hook(lambda part, inputs, output: sizes.append(tuple(output.shape[1:])))
    network(torch.rand(1, 3, 32, 32))
    assert sizes == [(1, 32, 32), (2, 16, 16), (4, 8, 8), (8, 4, 4)]


def test_block_adds_its_input_as_it_is():
    block = PreActBlock(3, 3, 1).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(("before", "after", "stride"), [(3, 5, 1), (3, 3, 2)])
def test_projection_of_a_block_sees_the_activated_input(before, after, stride):
    block = PreActBlock(before, after, stride).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, before, 4, 4)
    torch.testing.assert_close(block(x), block.shortcut(block.norm1(x).relu()))


def test_block_activates_before_both_convolutions():
    block = PreActBlock(3, 3, 1).eval()
    nn.init.constant_(block.norm1.bias, -100.0)
    nn.init.constant_(block.norm2.bias, 1.0)
    x = torch.randn(2, 3, 4, 4)
    # Nothing passes the first ReLU, so the second convolution sees ones.
    torch.testing.assert_close(block(x), x + block.conv2(torch.ones_like(x)))


def test_logits_see_the_activated_features():
    network = preact_resnet18((3, 8, 8), 2, width=2).eval()
    nn.init.constant_(network.norm.bias, -100.0)
    assert torch.equal(network(torch.rand(1, 3, 8, 8))[0], network.head.bias)


def test_convolutions_of_preact_networks_start_kaiming_normal():
    weight = preact_resnet18((3, 32, 32), 10, width=32).stage4[1].conv2.weight.detach()
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / (256 * 9)), rel=1e-2)


def test_logistic_regression_is_linear():
    network = build_network("logistic_regression", shape=(1, 4, 4), num_classes=2, one_logit=True)
    a, b = torch.randn(2, 3, 1, 4, 4)
    torch.testing.assert_close(network(a) + network(b), network(a + b) + network(torch.zeros_like(a)))


def test_resnet34_keeps_the_resolution_in_its_stem_and_has_its_blocks():
    with torch.device("meta"):
        network = resnet34_cifar((3, 32, 32), 10)
    assert (network.conv1.stride, network.conv1.kernel_size) == ((1, 1), (3, 3))
    assert [len(getattr(network, f"layer{i}")) for i in range(1, 5)] == [3, 4, 6, 3]
    assert isinstance(network.maxpool, nn.Identity)


def test_resnet_for_small_images_keeps_their_resolution_in_its_stem():
    network = resnet18_cifar((3, 32, 32), 10).eval()
    sizes = []
    network.layer1.register_forward_hook(lambda part, inputs, output: sizes.append(inputs[0].shape[-2:]))
    network.layer4.register_forward_hook(lambda part, inputs, output: sizes.append(output.shape[-2:]))
    network(torch.rand(1, 3, 32, 32))
    assert sizes == [(32, 32), (4, 4)]


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({}, 1 / math.sqrt(512 * 9)),  # a = √5: variance 1 / (3 fan-in)
        ({"initialisation": "kaiming"}, math.sqrt(6 / (512 * 9))),  # variance 2 / fan-in
    ],
)
def test_convolutions_of_the_small_resnet_start_as_they_are_told(options, limit):
    weight = resnet18_cifar((3, 32, 32), 10, **options).layer4[1].conv2.weight.detach()
    assert float(weight.abs().max()) == pytest.approx(limit, rel=1e-3)
    assert float(weight.std()) == pytest.approx(limit / math.sqrt(3), rel=1e-2)


@pytest.mark.usefixtures("as_in_production")
def test_unknown_initialisation_is_refused():
    with pytest.raises(ValueError, match=r"`initialisation` should be one of torch, kaiming. Found 'xavier'"):
        resnet18_cifar((3, 8, 8), 2, initialisation="xavier")


class Plane(nn.Module):
    """A binary network with one output, of either shape."""

    def __init__(self, flat: bool) -> None:
        super().__init__()
        self.linear, self.flat = nn.Linear(4, 1), flat

    def forward(self, x: Tensor) -> Tensor:
        z = self.linear(x)
        return z.squeeze(1) if self.flat else z


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_one_logit_keeps_the_gradient_and_the_decision(flat, size):
    network = Plane(flat)
    x = torch.randn(size, 4, requires_grad=True)
    logits, z = OneLogit(network)(x), network.linear(x).squeeze(1)
    torch.testing.assert_close(logits[:, 1] - logits[:, 0], z)
    assert torch.equal(logits.argmax(dim=1), (z > 0).long())
    (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), x)
    torch.testing.assert_close(gradient, network.linear.weight.expand(size, 4))


def test_one_logit_refuses_a_network_with_two_outputs():
    with pytest.raises(ValueError, match=r"`network` should return one output per sample. Found 2"):
        OneLogit(nn.Linear(4, 2))(torch.zeros(3, 4))


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_bounds_are_mapped_to_what_imagenet_networks_expect(bounds, channels):
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    for value, share in ((bounds[0], 0.0), (bounds[1], 1.0), (sum(bounds) / 2, 0.5)):
        found = ToImageNetInput(bounds)(torch.full((2, channels, 4, 5), value))
        expected = ((share - mean) / deviation).reshape(1, 3, 1, 1).expand(2, 3, 4, 5)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_statistics_of_imagenet_can_be_applied_to_inputs_as_they_are():
    """As paper 1's program does: white, 1 in [−1, 1], becomes (1 − mean) / deviation, and black (−1 − mean) / …"""
    network = resnet18((1, 32, 32), 2, bounds=(-1.0, 1.0), weights=None, rescale=False)
    found = network.adapter(torch.tensor([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1)).flatten(1)
    expected = [[-1.485 / 0.229, -1.456 / 0.224, -1.406 / 0.225], [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]]
    expected.append([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225])
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("bounds", [(-math.inf, math.inf), (0.0, math.inf), (1.0, 0.0), (0.0, 0.0)])
def test_unbounded_data_cannot_be_normalised(bounds):
    with pytest.raises(ValueError, match="`bounds` should be finite for ImageNet normalisation"):
        ToImageNetInput(bounds)


def test_adapter_adds_nothing_to_the_saved_weights():
    torchvisions = torchvision.models.resnet18(weights=None, num_classes=2).state_dict()
    ours = resnet18((1, 32, 32), 2, weights=None).state_dict()
    assert ours.keys() == {f"network.{key}" for key in torchvisions}


def statistics(network: nn.Module) -> list[Tensor]:
    return [value.clone() for key, value in network.state_dict().items() if "running" in key or "num_batches" in key]


@pytest.mark.parametrize("prepare", [lambda network: network, nn.Module.train], ids=["as made", "train"])
def test_frozen_batch_norm_does_not_move(prepare):
    network = prepare(resnet18((1, 32, 32), 2, weights=None))
    x = torch.rand(4, 1, 32, 32)
    before, trained = statistics(network), network(x)
    assert all(torch.equal(a, b) for a, b in zip(statistics(network), before, strict=True))
    assert torch.equal(trained, network.eval()(x))


def test_batch_norm_that_is_not_frozen_moves_in_training_mode():
    network = resnet18((1, 32, 32), 2, weights=None, frozen_batch_norm=False).train()
    before = statistics(network)
    network(torch.rand(4, 1, 32, 32))
    assert not any(torch.equal(a, b) for a, b in zip(statistics(network), before, strict=True))


def test_scale_and_shift_of_frozen_batch_norm_are_trained():
    norm = FrozenBatchNorm(3).train()
    norm(torch.rand(2, 3, 4, 4)).square().sum().backward()
    assert norm.weight.grad.abs().min() > 0
    assert norm.bias.grad.abs().min() > 0


def small_network(**options) -> nn.Module:
    return build_network("preact_resnet18", shape=(3, 8, 8), num_classes=3, width=2, **options)


IMAGES = (6, 3, 8, 8)


def test_batch_norm_without_running_statistics_is_the_same_in_evaluation():
    network, x = small_network(batch_norm="no_running_statistics"), torch.rand(IMAGES)
    assert torch.equal(network.train()(x), network.eval()(x))
    assert not statistics(network)


def test_batch_norm_without_running_statistics_depends_on_the_batch():
    network, x = small_network(batch_norm="no_running_statistics").eval(), torch.rand(IMAGES)
    assert not torch.allclose(network(x)[:3], network(x[:3]), atol=1e-3)


def test_batch_norm_on_and_frozen_returns_for_each_sample_in_evaluation():
    for mode in ("on", "frozen"):
        network, x = small_network(batch_norm=mode).eval(), torch.rand(IMAGES)
        torch.testing.assert_close(network(x)[:3], network(x[:3]))


def test_frozen_mode_does_not_move():
    network, x = small_network(batch_norm="frozen").train(), torch.rand(IMAGES)
    before, trained = statistics(network), network(x)
    assert len(before) > 0
    assert all(torch.equal(a, b) for a, b in zip(statistics(network), before, strict=True))
    assert torch.equal(trained, network.eval()(x))


def test_on_thaws_a_network_that_is_frozen_by_default():
    options = {"shape": (3, 32, 32), "num_classes": 2, "weights": None}
    assert isinstance(build_network("resnet18", **options).network.bn1, FrozenBatchNorm)
    network = build_network("resnet18", **options, batch_norm="on").train()
    before = statistics(network)
    network(torch.rand(2, 3, 32, 32))
    assert not any(torch.equal(a, b) for a, b in zip(statistics(network), before, strict=True))


def test_batch_norm_is_left_alone_unless_asked_for():
    torch.manual_seed(0)
    network = small_network()
    torch.manual_seed(0)
    same = small_network(batch_norm="on")
    x = torch.rand(IMAGES)
    assert network.state_dict().keys() == same.state_dict().keys()
    assert torch.equal(network(x), same(x))


@pytest.mark.parametrize("mode", ["on", "frozen", "no_running_statistics"])
@pytest.mark.parametrize("kind", [nn.BatchNorm2d, FrozenBatchNorm])
def test_changing_the_mode_keeps_everything_else(mode, kind):
    norm = kind(3, eps=0.1, momentum=0.3)
    norm(torch.rand(4, 3, 2, 2))
    nn.init.uniform_(norm.running_mean)
    nn.init.uniform_(norm.weight)
    norm.bias.requires_grad_(False)
    network = nn.Sequential(norm).eval()
    set_batch_norm(network, mode)
    assert (network[0].weight, network[0].bias) == (norm.weight, norm.bias)
    assert (network[0].eps, network[0].momentum, network[0].affine) == (0.1, 0.3, True)
    assert not network[0].bias.requires_grad
    assert not network[0].training
    kept = {key for key in norm.state_dict() if mode != "no_running_statistics" or key in ("weight", "bias")}
    found = network.state_dict()
    assert found.keys() == {f"0.{key}" for key in kept}
    assert all(torch.equal(found[f"0.{key}"], norm.state_dict()[key]) for key in kept)


def test_batch_norm_without_scale_and_shift_changes_its_mode():
    network = nn.Sequential(nn.BatchNorm2d(3, affine=False, track_running_stats=False))
    set_batch_norm(network, "frozen")
    x = torch.randn(4, 3, 2, 2)
    torch.testing.assert_close(network(x), x / math.sqrt(1 + network[0].eps))


def test_unknown_mode_of_batch_norm_is_refused(as_in_production):
    with pytest.raises(ValueError, match=r"`batch_norm` should be one of on, frozen, no_running_.* Found 'off'"):
        small_network(batch_norm="off")


def test_batch_norm_is_refused_where_there_is_none():
    with pytest.raises(ValueError, match=r"`batch_norm` should be left out .* Found 'frozen'"):
        build_network("mlp", shape=(4,), num_classes=2, batch_norm="frozen")


def test_imagenet_weights_are_kept_but_for_the_last_layer(monkeypatch):
    original = torchvision.models.resnet18(weights=None)
    asked = {}

    def fetch(**options):
        asked.update(options)
        return original

    monkeypatch.setattr(torchvision.models, "resnet18", fetch)
    convolution = original.conv1.weight
    network = resnet18((3, 32, 32), 7).network
    assert asked["weights"] == "IMAGENET1K_V1"
    assert network.conv1.weight is convolution
    assert network.fc.out_features == 7


def test_weights_that_cannot_be_fetched_come_with_a_remedy(monkeypatch):
    def fail(**options):
        raise URLError("no network")

    monkeypatch.setattr(torchvision.models, "resnet18", fail)
    with pytest.raises(RuntimeError, match=r"could not fetch the ImageNet weights .*`weights=None`"):
        build_network("resnet18", shape=(3, 32, 32), num_classes=2)


@pytest.mark.parametrize("shape", [(2, 32, 32), (32, 32), (500,)])
def test_resnet_refuses_what_is_no_image(shape):
    with pytest.raises(ValueError, match=r"`shape` should be \(1 or 3, height, width\)"):
        resnet18(shape, 2, weights=None)


@pytest.mark.parametrize("shape", [(1, 3, 8), (64,), (1, 2, 8, 8)])
def test_small_cnn_refuses_what_is_no_image_or_too_small(shape):
    with pytest.raises(ValueError, match=r"`shape` should be .* of at least 4×4"):
        SmallCNN(shape, 2)


def test_dotted_path_names_a_network_of_yours():
    network = build_network("torch.nn.Linear", shape=(4,), num_classes=3, in_features=4, out_features=3)
    assert isinstance(network, nn.Linear)


def test_dotted_path_with_one_logit_is_adapted():
    network = build_network(
        "torch.nn.Linear", shape=(4,), num_classes=2, one_logit=True, in_features=4, out_features=1
    )
    assert network(torch.zeros(3, 4)).shape == (3, 2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "resnet19",
            {},
            "`network` should be one of 16 names, .* or a dotted path. .*'resnet19'. Did you mean resnet18",
        ),
        ("no_such_package.Net", {}, "The network 'no_such_package.Net' cannot be imported"),
        ("torch.nn.NoSuchLayer", {}, "The network 'torch.nn.NoSuchLayer' cannot be imported"),
        ("mlp", {"depth": 3}, "The network 'mlp' does not take these options: .*depth"),
        ("torch.nn.Linear", {}, "The network 'torch.nn.Linear' does not take these options: .*in_features"),
        ("mlp", {"num_classes": 1}, "`num_classes` should be at least 2. Found 1"),
        ("mlp", {"num_classes": 3, "one_logit": True}, "`num_classes` should be 2 with `one_logit`. Found 3"),
    ],
)
def test_network_that_cannot_be_built_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        build_network(name, **({"shape": (4,), "num_classes": 2} | options))
