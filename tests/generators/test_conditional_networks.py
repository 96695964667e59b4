import math

import pytest
import torch
from torch import Tensor

from generators.networks import ConditionalDiscriminator, ConditionalGenerator, build_generator
from generators.networks.conditional import ConditionalBatchNorm

SHAPES = [(1, 32, 32), (3, 32, 32), (1, 28, 28), (2, 17, 30)]


def generator(shape: tuple[int, ...] = (1, 28, 28), classes: int = 3, **options: object) -> ConditionalGenerator:
    return ConditionalGenerator(shape, classes, (-1.0, 1.0), **{"latent_size": 5, "width": 4} | options)


def latent(count: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", [1, 3])
def test_images_and_logits_have_their_shapes(shape: tuple[int, ...], batch: int) -> None:
    network, target = generator(shape).eval(), torch.arange(batch) % 3
    images = network(latent(batch), target)
    assert images.shape == (batch, *shape)
    assert ConditionalDiscriminator(shape, 3, width=4)(images).shape == (batch, 4)


def test_small_images_are_the_centre_of_large_ones() -> None:
    large, small = generator((1, 32, 32)).eval(), generator((1, 28, 30)).eval()
    small.load_state_dict(large.state_dict())
    target = torch.tensor([0, 1, 2, 0])
    assert torch.equal(small(latent(), target), large(latent(), target)[..., 2:30, 1:31])


def test_discriminator_sees_all_of_a_small_image() -> None:
    network = ConditionalDiscriminator((1, 28, 28), 3, width=4).eval()
    x = torch.randn(1, 1, 28, 28, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x).square().sum(), x)
    assert (gradient.flatten() != 0).float().mean() > 0.9


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1.0), (3.0, 5.0)])
def test_images_fill_the_bounds_and_stay_within(bounds: tuple[float, float]) -> None:
    network = ConditionalGenerator((1, 32, 32), 2, bounds, latent_size=5, width=4).eval()
    with torch.no_grad():
        network.top.bias.fill_(30.0)
    low, high = bounds
    target = torch.tensor([0, 1, 0, 1])
    torch.testing.assert_close(network(latent(), target), torch.full((4, 1, 32, 32), high))
    with torch.no_grad():
        network.top.bias.fill_(-30.0)
    torch.testing.assert_close(network(latent(), target), torch.full((4, 1, 32, 32), low))


def test_class_is_seen_by_every_block() -> None:
    network, z = generator().eval(), latent(1)
    first, second = torch.tensor([0]), torch.tensor([1])
    assert not torch.equal(network(z, first), network(z, second))
    for block in network.blocks:
        for norm in block.norms:
            scale, shift = norm.scale.weight, norm.shift.weight
            assert not torch.equal(scale[0], scale[1])
            with torch.no_grad():
                scale[1], shift[1] = scale[0].clone(), shift[0].clone()
    assert torch.equal(network(z, first), network(z, second))


def test_conditional_batch_norm_is_batch_norm_with_a_scale_and_shift_per_class() -> None:
    norm, hidden = ConditionalBatchNorm(3, 4), torch.randn(6, 3, 5, 5) * 3 + 2
    target = torch.tensor([0, 3, 1, 1, 2, 0])
    mean, var = hidden.mean(dim=(0, 2, 3)), hidden.var(dim=(0, 2, 3), unbiased=False)
    for index, c in enumerate(target.tolist()):
        plain = (hidden[index] - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
        expected = plain * (1 + norm.scale.weight[c])[:, None, None] + norm.shift.weight[c][:, None, None]
        torch.testing.assert_close(norm(hidden, target)[index], expected, rtol=1e-4, atol=1e-5)


def test_weights_are_spectrally_normalised() -> None:
    for network in (generator(width=6), ConditionalDiscriminator((1, 28, 28), 3, width=6)):
        network.train()
        for _ in range(30):  # a step of the power iteration each
            network(
                *((latent(), torch.tensor([0, 1, 2, 0])) if isinstance(network, ConditionalGenerator) else (IMAGE,))
            )
        network.eval()
        layers = [module for module in network.modules() if hasattr(module, "parametrizations")]
        assert len(layers) >= 10
        for layer in layers:
            largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
            assert float(largest) == pytest.approx(1, abs=0.05)


IMAGE = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def test_weights_start_from_the_papers_distribution() -> None:
    network = generator(width=32, latent_size=64)
    originals = [
        module.parametrizations.weight.original for module in network.modules() if hasattr(module, "parametrizations")
    ]
    values = torch.cat([weight.detach().flatten() for weight in originals])
    assert float(values.mean()) == pytest.approx(0, abs=3 * 0.02 / math.sqrt(len(values)))
    assert float(values.std()) == pytest.approx(0.02, rel=0.02)


def test_encoder_returns_a_latent_vector_per_image_and_class() -> None:
    network = generator(encoder=4).eval()
    found = network.encoder(IMAGE, torch.tensor([0, 1, 2, 0]))
    assert found.shape == (4, 5)
    assert not torch.equal(found, network.encoder(IMAGE, torch.tensor([1, 1, 2, 0])))
    assert generator().encoder is None


def test_registry_builds_it() -> None:
    network = build_generator("conditional", shape=[1, 28, 28], num_classes=3, bounds=(0.0, 1.0), width=4)
    assert isinstance(network, ConditionalGenerator)
    assert (network.latent_size, network.num_classes, network.shape) == (128, 3, (1, 28, 28))


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"`shape` should be .* at most 32 × 32. Found \(1, 33, 32\)"):
        generator((1, 33, 32))
    with pytest.raises(ValueError, match=r"`shape` should be .* Found \(500,\)"):
        ConditionalDiscriminator((500,), 2)
    with pytest.raises(ValueError, match=r"`bounds` should be finite. Found \(-inf, inf\)"):
        ConditionalGenerator((1, 32, 32), 2, (-math.inf, math.inf))
    with pytest.raises(ValueError, match=r"`target` should lie in \[0, 3\). Found values from 1 to 3"):
        generator()(latent(2), torch.tensor([1, 3]))
    with pytest.raises(ValueError, match=r"`z` should hold vectors of 5 numbers. Found 4"):
        generator()(torch.zeros(2, 4), torch.tensor([1, 2]))
