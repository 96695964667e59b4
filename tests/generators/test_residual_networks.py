"""U-Net and MLP from an input to a residual."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from generators.networks import ResidualMLP, UNet, build_generator

BOUNDS = (-1.0, 1.0)


def woken(network: nn.Module) -> nn.Module:
    """The last layers start at zero: give them values, so that there is something to compare."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in network.named_parameters():
        if name.startswith(("last", "matrices")):
            parameter.data.normal_(generator=generator)
    return network.eval()


def unet(shape: tuple[int, ...] = (1, 16, 16), **options: object) -> nn.Module:
    return woken(UNet(shape, 3, BOUNDS, **({"width": 4, "levels": 2} | options)))


def warmed(**options: object) -> nn.Module:
    """With statistics of a batch, without which small weights of batch normalisation leave nothing of an input."""
    network = unet(**options)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    network.train()(torch.randn(6, *network.shape), labels(0, 1, 2, 0, 1, 2), labels(1, 2, 0, 2, 0, 1))
    return network.eval()


def mlp(**options: object) -> nn.Module:
    return woken(ResidualMLP((5,), 3, BOUNDS, **({"hidden": [7]} | options)))


def labels(*classes: int) -> Tensor:
    return torch.tensor(classes)


@pytest.mark.parametrize(("height", "width"), [(28, 28), (30, 33), (33, 30), (7, 7), (1, 5), (16, 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_size_keeps_its_shape(channels: int, height: int, width: int) -> None:
    shape = (channels, height, width)
    residual = unet(shape, levels=3)(torch.randn(2, *shape), labels(0, 1), labels(1, 2))
    assert residual.shape == (2, *shape)
    assert residual.isfinite().all()
    assert residual.std() > 0


def test_padding_repeats_the_border_evenly_and_is_cropped_away() -> None:
    network = unet((1, 13, 14))
    x, y, target = torch.randn(2, 1, 13, 14), labels(0, 1), labels(1, 0)
    rows = [0, *range(13), 12, 12]  # 13 needs 3 more: one before, two after
    columns = [0, *range(14), 13]
    padded = x[:, :, rows][:, :, :, columns]
    torch.testing.assert_close(network(x, y, target), network(padded, y, target)[:, :, 1:-2, 1:-1])


def test_the_paper_s_sizes() -> None:
    network = UNet((1, 32, 32), 2, BOUNDS)
    inputs = [layer.in_channels for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert inputs[:10] == [1, 64, 64, 128, 128, 256, 256, 512, 512 + 4, 1024]  # codes join at the bottleneck
    assert inputs[10:] == [1024 + 512, 512, 512 + 256, 256, 256 + 128, 128, 128 + 64, 64, 64]
    vectors = ResidualMLP((500,), 2, (-float("inf"), float("inf")))
    sizes = [layer.in_features for layer in vectors.modules() if isinstance(layer, nn.Linear)]
    assert sizes == [504, 1000, 1000]


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("levels", "count"), [(2, 2_036_355), (4, 34_503_171)])
def test_the_paper_s_form_has_as_many_parameters_as_the_paper_s_program(levels: int, count: int) -> None:
    assert parameters(UNet((1, 32, 32), 2, BOUNDS, levels=levels, form="paper")) == count


@pytest.mark.parametrize(("levels", "count"), [(2, 1_892_481), (4, 31_420_545)])
def test_our_form_is_as_it_was(levels: int, count: int) -> None:
    assert parameters(UNet((1, 32, 32), 2, BOUNDS, levels=levels)) == count


def test_batch_normalisation_in_the_paper_s_form() -> None:
    torch.manual_seed(0)
    network = UNet((1, 32, 32), 2, BOUNDS, levels=2, form="paper")
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.01}
    weights = torch.cat([norm.weight.detach() for norm in norms])
    assert weights.mean() == pytest.approx(0.1, abs=0.001)
    assert weights.std() == pytest.approx(0.01, abs=0.001)
    assert norms[-1].num_features == 1  # it ends in one
    x = torch.randn(16, 1, 32, 32)
    residual = network(x, torch.zeros(16, dtype=torch.int64), torch.ones(16, dtype=torch.int64))
    # Normalised over the batch, then times its weight.
    assert float(residual.detach().std()) == pytest.approx(float(norms[-1].weight.detach()), rel=0.01)


def test_the_mlp_in_the_paper_s_form() -> None:
    network = ResidualMLP((500,), 2, BOUNDS, form="paper")
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["Linear", "ReLU", "BatchNorm1d"] * 2
    sizes = (503 * 1000 + 1000, 2 * 1000, 1000 * 1000 + 1000, 2 * 1000, 1000 * 500 + 500)
    assert parameters(network) == sum(sizes)
    # torch's initialisation of a layer with 1,000 inputs: uniform within 1/√1000, of which the deviation is 1/√3000.
    assert float(network.last.weight.detach().std()) == pytest.approx(3000**-0.5, rel=0.01)


DEPARTURES = {
    "codes": "scalars",
    "codes_join": "after",
    "narrowing": True,
    "align_corners": True,
    "norm": "paper",
    "last": "norm",
}


@pytest.mark.parametrize(("name", "value"), DEPARTURES.items())
def test_each_departure_of_the_unet_can_be_chosen_alone(name: str, value: object) -> None:
    torch.manual_seed(0)
    ours, departed = UNet((1, 16, 16), 3, BOUNDS, width=4, levels=2), unet(**{name: value})
    x = torch.randn(2, 1, 16, 16)
    assert departed(x, labels(0, 1), labels(2, 0)).std() > 0
    changed = parameters(ours) != parameters(departed)
    # Six one-hot codes become three scalars; they join where 16 channels leave for a block of 8, not where 8 enter
    # one of 16; two convolutions narrow 16 to 8 and 8 to 4; and a convolution of 4 to 1 with batch norm replaces two.
    counts = {
        "codes": -3 * 16 * 9,
        "codes_join": 6 * 8 * 9 - 6 * 16 * 9,
        "narrowing": (16 * 8 * 9 + 16 - 8 * 8 * 9) + (8 * 4 * 9 + 8 - 4 * 4 * 9),
        "last": (4 * 9 + 2) - (4 * 4 * 9 + 8) - (4 + 1),
    }
    assert parameters(departed) - parameters(ours) == counts.get(name, 0)
    assert changed == (name in counts)


@pytest.mark.parametrize("align_corners", [True, False])
def test_corners_of_the_interpolation(align_corners: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, interpolate = [], torch.nn.functional.interpolate

    def listening(*given: object, **options: object) -> Tensor:
        asked.append(options["align_corners"])
        return interpolate(*given, **options)

    monkeypatch.setattr(torch.nn.functional, "interpolate", listening)
    unet(align_corners=align_corners)(torch.randn(1, 1, 16, 16), labels(0), labels(1))
    assert asked == [align_corners] * 2


def test_a_departure_can_be_taken_back_from_the_paper_s_form() -> None:
    assert parameters(unet(form="paper", **dict(zip(DEPARTURES, OURS, strict=True)))) == parameters(unet()) + sum(
        layer.out_channels for layer in unet().modules() if isinstance(layer, nn.Conv2d) and layer.bias is None
    )  # whose biases batch normalisation takes away


OURS = ("one_hot", "before", False, False, "torch", "zero")


@pytest.mark.parametrize("make", [unet, mlp, partial(warmed, form="paper"), partial(mlp, form="paper")])
def test_both_classes_matter(make: object) -> None:
    network = make()
    x = torch.randn(1, *network.shape).expand(3, *network.shape)
    first, other_target, other_class = network(x, labels(0, 0, 1), labels(1, 2, 2))
    assert (first - other_target).abs().max() > 1e-5
    assert (other_target - other_class).abs().max() > 1e-5


@pytest.mark.parametrize("make", [unet, mlp, partial(warmed, form="paper"), partial(mlp, form="paper")])
def test_samples_do_not_depend_on_their_batch_in_evaluation(make: object) -> None:
    network = make()
    x, y, target = torch.randn(4, *network.shape), labels(0, 1, 2, 0), labels(2, 0, 1, 1)
    together = network(x, y, target)
    alone = torch.cat([network(*(part[i : i + 1] for part in (x, y, target))) for i in range(4)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize(
    ("network", "options"), [("unet", {"width": 2}), ("mlp", {"hidden": [3]}), ("mlp", {"hidden": [3], "skip": True})]
)
def test_training_starts_at_zero(network: str, options: dict[str, object]) -> None:
    built = build_generator(network, shape=(1, 8, 8), num_classes=2, **options)
    assert not built(torch.randn(2, 1, 8, 8), labels(0, 1), labels(1, 0)).any()


def test_the_skip_of_the_mlp_is_a_matrix_per_target() -> None:
    network = mlp(skip=True)
    x, y, target = torch.randn(3, 5), labels(0, 2, 1), labels(1, 0, 2)
    with_matrices = network(x, y, target)
    matrices, network.matrices = network.matrices.weight.reshape(3, 5, 5), None
    expected = torch.stack([matrices[c] @ row for c, row in zip(target, x, strict=True)])
    torch.testing.assert_close(with_matrices - network(x, y, target), expected)


def test_a_unet_looks_at_the_whole_image_through_its_bottleneck() -> None:
    network = unet((1, 32, 32), levels=4)
    x = torch.randn(1, 1, 32, 32, requires_grad=True)
    network(x, labels(0), labels(1))[0, 0, 0, 0].backward()
    assert (x.grad != 0).float().mean() > 0.9


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((5,), {}, r"`shape` should be \(channels, height, width\). Found \(5,\)"),
        ((1, 8, 8), {"width": 0}, "`width` should be at least 1. Found 0"),
        ((1, 8, 8), {"levels": 0}, "`levels` should be at least 1. Found 0"),
        ((1, 8, 8), {"form": "mine"}, "`form` should be one of ours, paper. Found 'mine'"),
        ((1, 8, 8), {"codes": "mine"}, "`codes` should be one of one_hot, scalars. Found 'mine'"),
        ((1, 8, 8), {"last": "mine"}, "`last` should be one of zero, norm. Found 'mine'"),
    ],
)
def test_bad_options(shape: tuple[int, ...], options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNet(shape, 2, BOUNDS, **options)
