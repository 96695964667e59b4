"""Weights of public CIFAR programs: ours is the same function, and what weights do not show is asked for."""

import importlib.resources
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from tests.training.networks import public_forms as public
from training.networks import ClassMapping, OneLogit, build_network
from training.networks.public_names import translated

CLASSES = 5
PREACT = [4, 8, 16, 32]
WIDE = {1: [16, 32, 64], 2: [32, 64, 128]}
RESNET = [64, 128, 256, 512]
CIFAR10 = (torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2471, 0.2435, 0.2616]))
CIFAR100 = (torch.tensor([0.5071, 0.4865, 0.4409]), torch.tensor([0.2673, 0.2564, 0.2762]))


def normalised(moments: tuple[Tensor, Tensor], function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    mean, std = (moment.reshape(-1, 1, 1) for moment in moments)
    return lambda x: function((x - mean) / std)


def ours(name: str, **options) -> nn.Module:
    data = {"shape": (3, 32, 32), "num_classes": CLASSES, "bounds": (0.0, 1.0)}
    return build_network(name, **(data | options)).eval()


def loaded(network: nn.Module, weights: public.Weights) -> nn.Module:
    found = translated(weights, network.state_dict())
    assert found is not None
    network.load_state_dict(found)
    return network


def assert_same(network: nn.Module, reference: Callable[[Tensor], Tensor], x: Tensor) -> None:
    with torch.no_grad():
        expected = reference(x)
        scale = float(expected.abs().max())
        assert scale > 0.1
        torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-6 * max(1.0, scale))


def images(size: int = 32, channels: int = 3) -> Tensor:
    return torch.rand(2, channels, size, size)


@pytest.mark.parametrize(("name", "blocks"), [("resnet18_cifar", 2)])
def test_resnet_of_pytorch_cifar(name, blocks):
    weights = public.cifar_resnet_weights(RESNET, blocks, CLASSES)
    reference = partial(public.cifar_resnet, weights, widths=RESNET, blocks=blocks)
    assert_same(loaded(ours(name), weights), reference, images(16))


def test_preact_resnet_of_rice_et_al():
    weights = public.cifar_preact_weights(PREACT, 2, CLASSES, final_norm=True)
    reference = partial(public.cifar_preact, weights, widths=PREACT, blocks=2, plain=False)
    assert_same(loaded(ours("preact_resnet18", width=4), weights), reference, images())


@pytest.mark.parametrize(("shortcut", "plain"), [("activated", False), ("plain", True)])
def test_preact_resnet_without_final_norm(shortcut, plain):
    weights = public.cifar_preact_weights(PREACT, 2, CLASSES, final_norm=False)
    network = loaded(ours("preact_resnet18", width=4, final_norm=False, shortcut=shortcut), weights)
    x = images()
    assert_same(network, partial(public.cifar_preact, weights, widths=PREACT, blocks=2, plain=plain), x)
    other = public.cifar_preact(weights, x, PREACT, 2, not plain)
    assert (network(x) - other).abs().max() > 1e-2


@pytest.mark.usefixtures("as_in_production")
def test_what_shortcuts_see_is_asked_for_where_weights_do_not_show_it():
    with pytest.raises(ValueError, match=r"`shortcut` should be given without `final_norm`: \"activated\" for"):
        ours("preact_resnet18", width=4, final_norm=False)
    with pytest.raises(ValueError, match=r"`shortcut` should be one of activated, plain. Found 'raw'"):
        ours("preact_resnet18", width=4, shortcut="raw")


@pytest.mark.parametrize("widen", [1, 2])
@pytest.mark.parametrize("sub_block", [False, True])
def test_wide_resnet_of_trades(widen, sub_block):
    weights = public.trades_weights(WIDE[widen], 2, CLASSES, sub_block)
    network = loaded(ours("wide_resnet", depth=16, widen=widen), weights)
    assert_same(network, partial(public.trades, weights, widths=WIDE[widen], blocks=2), images())


def test_wide_resnet_with_biases():
    weights = public.biased_weights(WIDE[2], 1, CLASSES)
    network = loaded(ours("wide_resnet_with_biases", depth=10, widen=2), weights)
    assert_same(network, partial(public.biased, weights, widths=WIDE[2], blocks=1), images())


ACTIVATIONS = {"swish": public.swish, "relu": torch.relu}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widen", [1, 2])
def test_wide_resnet_of_gowal_et_al(activation, widen):
    weights = public.dm_wide_weights(WIDE[widen], 2, CLASSES)
    network = ours("dm_wide_resnet", depth=16, widen=widen, activation=activation, trained_on="cifar10")
    function = partial(public.dm_wide, weights, widths=WIDE[widen], blocks=2, activation=ACTIVATIONS[activation])
    assert_same(loaded(network, weights), normalised(CIFAR10, function), images())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_preact_resnet_of_gowal_et_al(activation):
    weights = public.dm_preact_weights(PREACT, 2, CLASSES)
    network = ours("dm_preact_resnet18", width=4, activation=activation, trained_on="cifar100")
    function = partial(public.dm_preact, weights, widths=PREACT, blocks=2, activation=ACTIVATIONS[activation])
    assert_same(loaded(network, weights), normalised(CIFAR100, function), images())


MOMENTS = (torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.4, 0.5, 0.6]))
FEW = {"depth": 10, "widen": 1, "activation": "swish"}


def of_gowal(moments: tuple[Tensor, Tensor] | None, channels: int = 3) -> tuple[public.Weights, Callable]:
    weights = public.dm_wide_weights(WIDE[1], 1, CLASSES, channels)
    function = partial(public.dm_wide, dict(weights), widths=WIDE[1], blocks=1, activation=public.swish)
    if moments is not None:
        weights |= {"mean": moments[0].reshape(-1, 1, 1), "std": moments[1].reshape(-1, 1, 1)}
    return weights, function


def test_normalisation_of_gowal_et_al_is_read_from_the_weights():
    weights, function = of_gowal(MOMENTS)
    assert_same(loaded(ours("dm_wide_resnet", **FEW), weights), normalised(MOMENTS, function), images())


def test_normalisation_of_gowal_et_al_is_given_where_weights_lack_it():
    weights, function = of_gowal(None)
    given = {"mean": MOMENTS[0].tolist(), "std": MOMENTS[1].tolist()}
    assert_same(loaded(ours("dm_wide_resnet", **FEW, **given), weights), normalised(MOMENTS, function), images())


def test_fresh_network_of_gowal_et_al_normalises_as_for_cifar10_from_any_bounds():
    network, x = ours("dm_wide_resnet", **FEW, bounds=(-1.0, 1.0)), images()
    torch.testing.assert_close(network(2 * x - 1), network.inside(normalised(CIFAR10, lambda z: z)(x)))


def test_grey_images_of_gowal_et_al_are_padded_before_they_are_normalised():
    weights, function = of_gowal(None, channels=1)
    options = FEW | {"mean": [0.5], "std": [0.25], "padding": 2}
    network = loaded(ours("dm_wide_resnet", shape=(1, 28, 28), **options), weights)
    moments = (torch.tensor([0.5]), torch.tensor([0.25]))
    reference = normalised(moments, function)
    assert_same(network, lambda x: reference(torch.nn.functional.pad(x, (2, 2, 2, 2))), images(28, 1))


@pytest.mark.parametrize("name", ["dm_wide_resnet", "dm_preact_resnet18"])
def test_activation_of_gowal_et_al_is_asked_for(name):
    with pytest.raises(ValueError, match=r"`activation` should be relu or swish: .* do not show which.* Found None"):
        ours(name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "tanh"}, r"`activation` should be one of .*relu.*swish.*Found 'tanh'"),
        ({"trained_on": "svhn"}, r"`trained_on` should be one of cifar10, cifar100. Found 'svhn'"),
        ({"mean": [0.5, 0.5, 0.5]}, r"`mean` and `std` should be given together, and without `trained_on`"),
        ({"mean": [0.5] * 3, "std": [1.0] * 3, "trained_on": "cifar10"}, "without `trained_on`"),
        ({"mean": [0.5], "std": [0.5]}, r"`mean` and `std` should have 3 values, one per channel"),
        ({"mean": [0.5] * 3, "std": [0.0] * 3}, r"`std` above 0"),
        ({"padding": -1}, r"`padding` should be at least 0. Found -1"),
        ({"depth": 12}, r"`depth` should be 6 n \+ 4"),
        ({"bounds": (0.0, float("inf"))}, r"`bounds` should be two finite numbers"),
    ],
)
@pytest.mark.usefixtures("as_in_production")
def test_options_of_gowal_et_al_that_cannot_be_right(options, message):
    with pytest.raises(ValueError, match=message):
        ours("dm_wide_resnet", **(FEW | options))


def test_normalisation_of_gowal_et_al_that_nobody_or_two_say_is_refused():
    network, told = ours("dm_wide_resnet", **FEW), ours("dm_wide_resnet", **FEW, trained_on="cifar10")
    with pytest.raises(ValueError, match=r"`trained_on` should be cifar10 or cifar100, or `mean` and `std` be given"):
        translated(of_gowal(None)[0], network.state_dict())
    with pytest.raises(ValueError, match=r"`trained_on`, `mean` and `std` should be left out .* hold mean \[0\.1"):
        translated(of_gowal(MOMENTS)[0], told.state_dict())


FORMS = {
    "preact": lambda: public.cifar_preact_weights(PREACT, 2, 2, True),
    "trades": lambda: public.trades_weights(WIDE[1], 1, 2),
    "biased": lambda: public.biased_weights(WIDE[1], 1, 2),
    "dm_preact": lambda: public.dm_preact_weights(PREACT, 2, 2),
    "dm_wide": lambda: public.dm_wide_weights(WIDE[1], 1, 2),
}
NETWORKS = {
    "preact": ("preact_resnet18", {"width": 4}),
    "trades": ("wide_resnet", {"depth": 10, "widen": 1}),
    "biased": ("wide_resnet_with_biases", {"depth": 10, "widen": 1}),
    "dm_preact": ("dm_preact_resnet18", {"width": 4, "activation": "relu", "trained_on": "cifar10"}),
    "dm_wide": ("dm_wide_resnet", {"depth": 10, "widen": 1, "activation": "relu", "trained_on": "cifar10"}),
}


def fits(found: public.Weights | None, network: nn.Module) -> bool:
    wanted = network.state_dict()
    return (
        found is not None
        and found.keys() == wanted.keys()
        and all(found[name].shape == wanted[name].shape for name in wanted)
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("adapter", [{}, {"classes": [[0], [1]], "outputs": 2}], ids=["alone", "behind an adapter"])
def test_weights_fit_the_network_of_their_program_and_no_other(form, network, adapter):
    name, options = NETWORKS[network]
    found = translated(FORMS[form](), ours(name, num_classes=2, **options, **adapter).state_dict())
    assert fits(found, ours(name, num_classes=2, **options, **adapter)) == (form == network)


def test_values_are_those_of_the_file_themselves():
    weights = FORMS["trades"]()
    found = translated(weights, ours("wide_resnet", num_classes=2, depth=10, widen=1).state_dict())
    assert {value.data_ptr() for value in found.values()} == {value.data_ptr() for value in weights.values()}


def test_number_of_batches_may_be_missing():
    weights = {name: value for name, value in FORMS["trades"]().items() if "num_batches" not in name}
    found = translated(weights, ours("wide_resnet", num_classes=2, depth=10, widen=1).state_dict())
    assert len(found) == len(weights)


@pytest.mark.parametrize("adapted", ["one logit", "class mapping"])
def test_names_are_found_behind_adapters_too(adapted):
    options = {"depth": 10, "widen": 1}
    if adapted == "one logit":
        network = ours("wide_resnet", num_classes=2, one_logit=True, **options)
        weights = public.trades_weights(WIDE[1], 1, 1)
        assert isinstance(network, OneLogit)
    else:
        network = ours("wide_resnet", num_classes=2, classes=[[0, 2], [1]], outputs=3, **options)
        weights = public.trades_weights(WIDE[1], 1, 3)
        assert isinstance(network, ClassMapping)
    assert fits(translated(weights, network.state_dict()), network)


def test_depth_that_differs_is_seen_in_our_names():
    found = translated(public.trades_weights(WIDE[1], 2, 2), ours("wide_resnet", depth=10, widen=1).state_dict())
    assert "stage3.1.conv2.weight" in found


@pytest.mark.parametrize("name", ["mlp", "preact_resnet18"])
def test_weights_of_no_public_form_are_left_alone(name):
    network = ours(name)
    assert translated(network.state_dict(), network.state_dict()) is None
    assert translated({"layer1.weight": torch.zeros(2)}, network.state_dict()) is None
    assert translated({}, network.state_dict()) is None


def test_weights_stay_where_the_network_has_the_names_of_the_program_itself():
    weights = FORMS["trades"]()
    assert translated(weights, weights) is None


def test_old_resnet_of_pytorch_cifar_which_computes_something_else_does_not_fit():
    """Before 2018 its ResNet-18 had blocks with pre-activation behind a batch norm; no network of ours is that."""
    weights = public.cifar_preact_weights(RESNET, 2, CLASSES, final_norm=False)
    make = public.Maker()
    make.norm("bn1", 64)
    weights |= make.weights
    for network in (ours("resnet18_cifar"), ours("preact_resnet18"), ours("wide_resnet", depth=10, widen=1)):
        assert not fits(translated(weights, network.state_dict()), network)


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("dm_wide_resnet", {}, 36_479_194),  # as WideResNet-28-10: padding has no parameters
        ("dm_wide_resnet", {"depth": 70, "widen": 16}, 266_796_506),  # Gowal et al. 2020: 267 million
        ("dm_preact_resnet18", {}, 12_548_426),
        ("resnet50_cifar", {}, 23_520_842),  # Engstrom et al. 2019, RobustBench
    ],
)
def test_public_network_has_its_number_of_parameters(name, options, parameters):
    options = options | ({"activation": "swish"} if name.startswith("dm") else {})
    with torch.device("meta"):
        network = build_network(name, shape=(3, 32, 32), num_classes=10, **options)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_preact_resnet_without_final_norm_has_its_number_of_parameters():
    with torch.device("meta"):
        network = build_network(
            "preact_resnet18", shape=(3, 32, 32), num_classes=10, final_norm=False, shortcut="plain"
        )
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_171_146


def test_model_that_a_package_ships_is_the_same_in_our_network():
    """pyautoattack brings a real ResNet-18 for CIFAR-10, and pytorch-cifar's own code for it."""
    pytest.importorskip("pyautoattack", reason="the extra autoattack is not installed")
    from pyautoattack.examples.resnet import ResNet18

    file = importlib.resources.files("pyautoattack") / "examples" / "model_test.pt"
    weights = torch.load(str(file), map_location="cpu", weights_only=True)
    theirs = ResNet18().eval()
    theirs.load_state_dict(weights)
    assert_same(loaded(ours("resnet18_cifar", num_classes=10), weights), theirs, images())
