"""Residuals found on a GPU are those of the CPU, and generators train there alike."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from eval.cli.fill import residuals
from generators import (
    ConditionalGAN,
    Consensus,
    Denoiser,
    DirectGAN,
    DirectResidual,
    ExactResidual,
    LatentProjection,
    NearestExample,
    ResidualEstimator,
    ResidualStore,
    ScoreDifference,
    SelfFillingResidual,
    Translation,
    TransportGAN,
    project,
    radial,
    towards_prototypes,
)
from generators.gan import energy_distance, spread
from generators.networks import ConditionalDiscriminator, ConditionalGenerator, build_generator
from tests.gpu.problems import BOUNDS, SIDE, images, on_cpu, there
from training import build_network
from training.data import DataSet, Spheres, Split

pytestmark = pytest.mark.gpu

SHAPE, CLASSES = (1, SIDE, SIDE), 3


class Shades(DataSet):
    """Noisy grey images, one shade per class."""

    name, classes, shape, bounds = "shades", tuple("abc"), SHAPE, BOUNDS

    def make_split(self, name: str) -> Split:
        labels = torch.arange(24) % CLASSES
        noise = torch.randn(24, *SHAPE, generator=on_cpu(len(name)))
        return Split((0.6 * (labels.float() - 1)[:, None, None, None] + 0.2 * noise).clamp(-1, 1), labels, BOUNDS)


def asked(count: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.arange(count) % CLASSES
    return images(count, torch.float32), y, (y + 1) % CLASSES


def started(network: str = "unet", std: float = 0.3, **options: Any) -> nn.Module:
    """A generator of random weights; by itself it starts at Δ̂x = 0."""
    made = build_generator(network, shape=SHAPE, num_classes=CLASSES, bounds=BOUNDS, **options)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return made


SMALL: dict[str, Any] = {"width": 4, "levels": 1}


def denoiser(body: str, sigma: Any) -> nn.Module:
    return started("denoising", std=0.6, sigma=sigma, body=body, body_options=SMALL)


def drawing(encoder: int = 0) -> nn.Module:
    """A conditional generator whose images differ from each other."""
    made = ConditionalGenerator(SHAPE, CLASSES, BOUNDS, latent_size=4, width=2, encoder=encoder)
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, nn.Embedding):
                module.weight.mul_(20)  # an untrained network hardly tells classes
        for _ in range(4):
            made(2 * torch.randn(12, 4), torch.arange(12) % CLASSES)
    return made.eval()


def nearest() -> NearestExample:
    return NearestExample(images(60, torch.float32), torch.arange(60) % CLASSES, block=16)


ESTIMATORS: dict[str, Any] = {
    "exact radial": lambda device: ExactResidual(radial((1.0, 1.3, 2.0))),
    "exact prototypes": lambda device: ExactResidual(towards_prototypes(images(CLASSES, torch.float32))),
    "nearest": lambda device: nearest(),
    "direct": lambda device: DirectResidual(started(**SMALL), batch=4),
    "direct, film": lambda device: DirectResidual(started("film", **SMALL), batch=4),
    "projection, ours": lambda device: LatentProjection(drawing().to(device), method="ours", passes=4),
    "projection, guess": lambda device: LatentProjection(drawing(encoder=2).to(device), method="ours"),
    "score": lambda device: ScoreDifference(denoiser("unet", 0.5), batch=4),
    "score at one of its noise levels": lambda device: ScoreDifference(denoiser("film", (0.1, 1.0)), sigma=0.3),
    "translation": lambda device: Translation(denoiser("film", (0.1, 1.0)), steps=3, batch=4),
    "translation, guided": lambda device: Translation(denoiser("film", (0.1, 1.0)), steps=3, guidance=(0.0, 1.0)),
    "consensus": lambda device: Consensus([nearest(), DirectResidual(started(**SMALL))], [2.0, 1.0]),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_residual_is_that_of_the_cpu(cuda: torch.device, name: str) -> None:
    """In float32, to 1e-3 of images in [−1, 1]."""
    x, y, target = asked()
    state = torch.get_rng_state()
    found = []
    for device in (torch.device("cpu"), cuda):
        torch.set_rng_state(state)  # so that weights and examples are the same
        residual = ESTIMATORS[name](device)(x.to(device), y.to(device), target.to(device))
        assert residual.device.type == device.type
        found.append(residual.cpu())
    assert found[0].abs().max() > 0.01
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", ["paper", "ours"])
def test_search_ends_as_low_as_on_the_cpu(cuda: torch.device, method: Any) -> None:
    """Its losses, in float64, to 1e-6, after a part of the paper's 750 steps."""
    short: Any = {"method": method, "passes": 40, "free_steps": 30, "regularized_steps": 10}
    generator, (x, _, target) = drawing().double(), asked(3)
    found = [
        project(there(generator, device), x.double().to(device), target.to(device), **short)
        for device in (torch.device("cpu"), cuda)
    ]
    torch.testing.assert_close(found[1].loss.cpu(), found[0].loss, rtol=1e-6, atol=1e-9)
    assert torch.equal(found[1].passes.cpu(), found[0].passes)


@pytest.mark.parametrize("estimator", ["nearest", "nearest-even"])
def test_store_that_a_gpu_filled_holds_what_the_cpu_finds(cuda: torch.device, tmp_path: Path, estimator: str) -> None:
    data = Shades()
    here, found = (
        residuals(estimator, tmp_path / f"{i}.h5", data, limit=12, device=device, batch=5)
        for i, device in enumerate(("cpu", cuda.type))
    )
    batch = data.split("train").__getitems__(range(12))
    target = (batch.y + 1) % CLASSES
    shown = batch.x, batch.y, target
    expected = here.at(batch.indices)(*shown)
    torch.testing.assert_close(found.at(batch.indices)(*shown), expected, rtol=5e-4, atol=1e-3)
    there_ = found.at(batch.indices.to(cuda))(*(part.to(cuda) for part in shown))
    assert there_.device.type == cuda.type
    torch.testing.assert_close(there_.cpu(), expected, rtol=5e-4, atol=1e-3)


def stored(samples: Split, folder: Path) -> ResidualEstimator:
    store = ResidualStore(
        folder / "here.h5", nearest(), samples, data="shades", split="train", classes=range(CLASSES)
    )
    return store.fill()


KEPT: dict[str, Callable[[Split, Path], Any]] = {
    "stored": stored,
    "self-filling": lambda samples, folder: SelfFillingResidual(nearest(), samples),
    "consensus with a store": lambda samples, folder: Consensus([stored(samples, folder), nearest()]),
}


@pytest.mark.parametrize("name", KEPT)
def test_kept_residual_is_that_of_the_cpu(cuda: torch.device, tmp_path: Path, name: str) -> None:
    """To what float16 keeps of images in [−1, 1], and found again as it was."""
    samples = Shades().split("train")
    x, y, indices = samples.__getitems__(range(0, 24, 2))
    target, state, found = (y + 1) % CLASSES, torch.get_rng_state(), []
    for device in (torch.device("cpu"), cuda):
        torch.set_rng_state(state)
        (folder := tmp_path / str(len(found))).mkdir()
        kept, given = KEPT[name](samples, folder), [part.to(device) for part in (x, y, target)]
        once, again = (kept.at(indices.to(device))(*given) for _ in range(2))
        assert once.device.type == device.type
        assert torch.equal(once, again)
        found.append(once.cpu())
    assert found[0].abs().max() > 0.01
    torch.testing.assert_close(found[1], found[0], rtol=5e-4, atol=1e-3)


class DrawnOnTheCpu(TorchFunctionMode):
    """What is drawn from the global random state is drawn on the CPU and moved, so that it is the same everywhere."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = dict(kwargs or {})
        if function not in (torch.rand, torch.randn, torch.randint) or "generator" in options:
            return function(*args, **options)
        device = options.pop("device", "cpu")
        return function(*args, **options).to(device)


def transported(kind: type[DirectGAN], **further: Any) -> tuple[DirectGAN, DataSet]:
    data = Spheres(dimensions=6, train_size=64, batch_size=32)
    critic = build_network("mlp", shape=(6,), num_classes=2, hidden=[16])
    options: dict[str, Any] = {"network": "mlp", "network_options": {"hidden": [8]}, "average": 0.5}
    return kind(critic, shape=(6,), num_classes=2, bounds=data.bounds, **options, **further), data


ABOUT: dict[str, Any] = {"shape": SHAPE, "num_classes": CLASSES, "bounds": BOUNDS}


def film() -> tuple[TransportGAN, DataSet]:
    critic = build_network("small_cnn", shape=SHAPE, num_classes=CLASSES, width=2)
    return TransportGAN(critic, "film", SMALL, **ABOUT, balance=0.5, average=0.5), Shades(batch_size=6)


def denoising(network: str, sigma: Any) -> tuple[Denoiser, DataSet]:
    return Denoiser(network, SMALL, sigma, withheld=0.5, **ABOUT, average=0.5, cooling=0.5), Shades(batch_size=6)


def conditional(**options: Any) -> tuple[ConditionalGAN, DataSet]:
    network: dict[str, Any] = {"width": 2, "latent_size": 4, "encoder": 2 if options else 0}
    critic = ConditionalDiscriminator(SHAPE, CLASSES, width=2)
    made = ConditionalGAN(critic, network_options=network, **ABOUT, average=0.5, **options)
    return made, Shades(batch_size=6)


GANS: dict[str, Any] = {
    "direct": partial(transported, DirectGAN),
    "transport": partial(transported, TransportGAN),
    "transport, balanced": partial(transported, TransportGAN, balance=0.5, gradient_weight=0.1),
    "transport, film": film,
    "denoiser": partial(denoising, "unet", 0.5),
    "denoiser of a range": partial(denoising, "film", (0.1, 1.0)),
    "conditional": conditional,
    "conditional with encoder": partial(conditional, projection_weight=10.0, distance_weight=0.3, class_weight=1.0),
}


@pytest.mark.parametrize("name", GANS)
def test_generator_trains_as_on_the_cpu(cuda: torch.device, name: str) -> None:
    """Two steps in float64; weights, those of the average too, to 1e-5."""
    state = torch.get_rng_state()
    silent = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    found = []
    for device in (torch.device("cpu"), cuda):
        torch.set_rng_state(state)
        module, data = GANS[name]()
        trainer = Trainer(
            max_epochs=1,
            accelerator=device.type,
            devices=1,
            precision="64-true",
            limit_val_batches=0,
            limit_train_batches=2,
            inference_mode=False,
            **silent,
        )
        before = {key: value.clone() for key, value in module.state_dict().items()}
        with DrawnOnTheCpu():
            trainer.fit(module, datamodule=data)
        found.append({key: value.cpu() for key, value in module.state_dict().items()})
        assert any(not torch.equal(found[-1][key], before[key].to(found[-1][key])) for key in before)
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)


def test_distances_between_images_are_those_of_the_cpu(cuda: torch.device) -> None:
    a, b = images(20), images(30) + 0.1
    torch.testing.assert_close(energy_distance(a.to(cuda), b.to(cuda)).cpu(), energy_distance(a, b))
    torch.testing.assert_close(spread(a.to(cuda)).cpu(), spread(a))
