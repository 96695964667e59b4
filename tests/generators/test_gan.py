import math
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from generators import TransportGAN
from generators.gan import GAN, spread
from training import build_network
from training.data import Spheres


class Toy(GAN):
    """Steps whose gradients are known, and a validation that says what it is told."""

    kind, monitored = "toy", "val_value"
    said: ClassVar[tuple[float, float]] = (1.0, 1.0)

    def __init__(self, average: float = 0.0, cooling: float = 0.0) -> None:
        options = {"hidden": []}
        super().__init__(
            "mlp", options, nn.Linear(2, 2), (2,), 2, (-1.0, 1.0), 0.01, 0.1, (0.0, 0.9), average, cooling
        )
        self.drawn: list[Tensor] = []

    def training_step(self, batch: list[Tensor], number: int) -> None:
        self.see(torch.tensor([0, 1]))
        self.drawn.append(torch.rand(1))
        self.step(0, sum(p.sum() for p in self.generator.parameters()))
        self.step(1, sum(p.sum() for p in self.discriminator.parameters()))

    def validation_step(self, batch: list[Tensor], number: int) -> None:
        value, share = map(torch.tensor, self.said)
        self.log_epoch(value, share)


def batches() -> DataLoader:
    return DataLoader(TensorDataset(torch.zeros(3, 2)))


def test_each_optimiser_moves_its_own_network_by_its_own_rate(quiet_trainer: Callable) -> None:
    toy = Toy()
    before = {name: p.detach().clone() for name, p in toy.named_parameters()}
    quiet_trainer(1).fit(toy, batches(), batches())
    for name, p in toy.named_parameters():
        # Adam's step is its rate where the gradient is the same every time.
        rate = 0.1 if name.startswith("discriminator") else 0.01
        torch.testing.assert_close(p, before[name] - 3 * rate)


def test_both_rates_fall_in_the_share_at_the_end(quiet_trainer: Callable) -> None:
    """Six steps in two epochs, the last three of which fall along half a cosine: by 1, 3/4 and 1/4."""
    toy = Toy(cooling=0.5)
    before = {name: p.detach().clone() for name, p in toy.named_parameters()}
    quiet_trainer(2).fit(toy, batches(), batches())
    steps = 3 + sum((1 + math.cos(math.pi * third / 3)) / 2 for third in range(3))
    for name, p in toy.named_parameters():
        rate = 0.1 if name.startswith("discriminator") else 0.01
        torch.testing.assert_close(p, before[name] - steps * rate)


def test_rates_fall_towards_the_last_step_where_steps_end_the_training(quiet_trainer: Callable) -> None:
    """Three batches, each with a step of the generator and one of the discriminator: 12 of both are two epochs."""
    toy = Toy(cooling=0.5)
    before = {name: p.detach().clone() for name, p in toy.generator.named_parameters()}
    quiet_trainer(-1, max_steps=12).fit(toy, batches(), batches())
    steps = 3 + sum((1 + math.cos(math.pi * third / 3)) / 2 for third in range(3))
    for name, p in toy.generator.named_parameters():
        torch.testing.assert_close(p, before[name] - steps * 0.01)


def test_average_follows_the_generator(quiet_trainer: Callable) -> None:
    toy = Toy(average=0.5)
    quiet_trainer(1).fit(toy, batches(), batches())
    # Steps of 0.01; the first average is a copy, then half the way to what follows: behind by 0.01 · (1/2 + 1/4).
    for kept, trained in zip(toy.drawing.parameters(), toy.generator.parameters(), strict=True):
        torch.testing.assert_close(kept, trained + 0.0075)
    assert toy.drawing is not toy.generator
    assert Toy().drawing.training


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        ((0.7, 1.0), 0.7),
        ((0.7, 0.11), 0.7),
        ((0.7, 0.09), torch.inf),
        ((0.7, torch.nan), torch.inf),
        ((torch.nan, 1.0), torch.inf),
    ],
)
def test_collapsed_epoch_is_never_the_best(
    quiet_trainer: Callable, monkeypatch: pytest.MonkeyPatch, said: tuple, logged: float
) -> None:
    monkeypatch.setattr(Toy, "said", said)
    trainer = quiet_trainer(1, num_sanity_val_steps=0)
    trainer.fit(Toy(), batches(), batches())
    assert float(trainer.callback_metrics["val_value"]) == pytest.approx(logged)


def test_randomness_depends_on_seed_and_epoch_alone(quiet_trainer: Callable) -> None:
    def run(seed: int, noise: int) -> list[Tensor]:
        torch.manual_seed(seed)
        toy = Toy()
        torch.rand(noise)
        quiet_trainer(2).fit(toy, batches(), batches())
        return toy.drawn

    assert run(1, 0) == run(1, 7)
    assert run(1, 0) != run(2, 0)
    first, second = run(1, 0)[:3], run(1, 0)[3:]
    assert first != second


def test_spread_is_that_of_pixels() -> None:
    images = torch.randn(4000, 1, 3, 3) * 2 + 5
    assert spread(images) == pytest.approx(2, rel=0.05)
    assert spread(images[:1].expand(10, -1, -1, -1)) == 0


def test_average_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`average` should lie in \[0, 1\). Found 1.0"):
        Toy(average=1.0)
    with pytest.raises(ValueError, match=r"`cooling` should lie in \[0, 1\]. Found 1.5"):
        Toy(cooling=1.5)


def test_class_without_a_sample_is_named(quiet_trainer: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "see", lambda self, y: GAN.see(self, y[:1]))
    with pytest.raises(ValueError, match=r"Every class should have training samples. Found none of classes \[1\]"):
        quiet_trainer(1).fit(Toy(), batches(), batches())


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_resumed_run_ends_where_an_uninterrupted_one_does(quiet_trainer: Callable, tmp_path: Path) -> None:
    def train(epochs: int, resume: str | None = None) -> dict[str, Tensor]:
        torch.manual_seed(3)
        data = Spheres(dimensions=4, train_size=100)
        judge = build_network("mlp", shape=(4,), num_classes=2, hidden=[8])
        module = TransportGAN(judge, "mlp", {"hidden": [8]}, (4,), bounds=data.bounds)
        keep = ModelCheckpoint(tmp_path, save_last=True, filename="best", enable_version_counter=False)
        trainer = quiet_trainer(epochs, callbacks=[keep], enable_checkpointing=True)
        trainer.fit(module, data, ckpt_path=resume)
        return {name: value.clone() for name, value in module.state_dict().items()}

    whole = train(3)
    train(1)
    resumed = train(3, str(tmp_path / "last.ckpt"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not torch.equal(whole["generator.last.weight"], train(1)["generator.last.weight"])


def test_data_of_other_bounds_are_refused(quiet_trainer: Callable) -> None:
    with pytest.raises(ValueError, match=r"The Toy was made for something else: bounds .* where .* is needed"):
        quiet_trainer(1).fit(Toy(), datamodule=Spheres(2, train_size=8))
