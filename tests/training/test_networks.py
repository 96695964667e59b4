"""Networks and adapters: shapes, sizes, ranges, and batch norm that stays frozen."""

import math
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import Tensor, nn

from training.networks import MLP, OneLogit, SmallCNN, ToImageNetInput, build_network, resnet18, resnet18_cifar
from training.networks.resnet import FrozenBatchNorm


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
    ],
)
@pytest.mark.parametrize(("classes", "one_logit"), [(2, False), (5, False), (2, True)])
def test_network_answers_one_logit_per_class(name, shape, options, classes, one_logit):
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


def test_resnet_for_small_images_keeps_their_resolution_in_its_stem():
    network = resnet18_cifar((3, 32, 32), 10).eval()
    sizes = []
    network.layer1.register_forward_hook(lambda part, inputs, output: sizes.append(inputs[0].shape[-2:]))
    network.layer4.register_forward_hook(lambda part, inputs, output: sizes.append(output.shape[-2:]))
    network(torch.rand(1, 3, 32, 32))
    assert sizes == [(32, 32), (4, 4)]


def test_convolutions_of_the_small_resnet_start_as_kaiming_says():
    weight = resnet18_cifar((3, 32, 32), 10).layer4[1].conv2.weight.detach()
    limit = math.sqrt(6 / (512 * 9))  # uniform with variance 2 / fan-in
    assert float(weight.abs().max()) == pytest.approx(limit, rel=1e-3)
    assert float(weight.std()) == pytest.approx(limit / math.sqrt(3), rel=1e-2)


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
    with pytest.raises(ValueError, match=r"`network` should answer one output per sample. Found 2"):
        OneLogit(nn.Linear(4, 2))(torch.zeros(3, 4))


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_bounds_are_mapped_to_what_imagenet_networks_expect(bounds, channels):
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    for value, share in ((bounds[0], 0.0), (bounds[1], 1.0), (sum(bounds) / 2, 0.5)):
        answer = ToImageNetInput(bounds)(torch.full((2, channels, 4, 5), value))
        expected = ((share - mean) / deviation).reshape(1, 3, 1, 1).expand(2, 3, 4, 5)
        torch.testing.assert_close(answer, expected, rtol=0, atol=1e-6)


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
        ("resnet19", {}, "`network` should be one of mlp, resnet18, .* or a dotted path. Found 'resnet19'"),
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
