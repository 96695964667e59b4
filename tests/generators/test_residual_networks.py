"""U-Net and MLP from an input to a residual."""

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


@pytest.mark.parametrize("make", [unet, mlp])
def test_both_classes_matter(make: object) -> None:
    network = make()
    x = torch.randn(1, *network.shape).expand(3, *network.shape)
    first, other_target, other_class = network(x, labels(0, 0, 1), labels(1, 2, 2))
    assert (first - other_target).abs().max() > 1e-5
    assert (other_target - other_class).abs().max() > 1e-5


@pytest.mark.parametrize("make", [unet, mlp])
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


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((5,), {}, r"`shape` should be \(channels, height, width\). Found \(5,\)"),
        ((1, 8, 8), {"width": 0}, "`width` should be at least 1. Found 0"),
        ((1, 8, 8), {"levels": 0}, "`levels` should be at least 1. Found 0"),
    ],
)
def test_bad_options(shape: tuple[int, ...], options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNet(shape, 2, BOUNDS, **options)
