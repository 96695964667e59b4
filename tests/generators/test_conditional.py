import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from generators import ConditionalGAN, load_generator
from generators.conditional import multi_hinge
from generators.gan import energy_distance
from generators.networks import ConditionalDiscriminator


class Batch(NamedTuple):
    x: Tensor
    y: Tensor
    indices: Tensor


class Rows(torch.utils.data.Dataset):
    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Batch:
        return Batch(self.x[index], self.y[index], torch.tensor(index))


class Shades(LightningDataModule):
    """Noisy grey images, one shade per class."""

    name = "shades"

    def __init__(self, classes: tuple[int, ...] = (0, 1, 2), count: int = 24, side: int = 8) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        y = torch.tensor(classes).repeat(count)[:count]
        x = 0.6 * (y.float() - 1)[:, None, None, None] + 0.2 * torch.randn(count, 1, side, side, generator=random)
        self.rows = Rows(x.clamp(-1, 1), y)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.rows, batch_size=8)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.rows, batch_size=12)


def gan(**options: Any) -> ConditionalGAN:
    torch.manual_seed(0)
    encoder = 4 if options.get("projection_weight") or options.get("distance_weight") else 0
    return ConditionalGAN(
        ConditionalDiscriminator((1, 8, 8), 3, width=4),
        network_options={"width": 4, "latent_size": 6, "encoder": encoder},
        shape=(1, 8, 8),
        num_classes=3,
        **{"average": 0.5} | options,
    )


PAPER: dict[str, Any] = {}
OURS = {"projection_weight": 10.0, "distance_weight": 0.3, "class_weight": 1.0}


def hinge_of_the_paper(logits: Tensor, labels: Tensor) -> float:
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        others = [value for c, value in enumerate(row) if c != label]
        total += max(0.0, 1 - row[label] + max(others))
    return total / len(logits)


@pytest.mark.parametrize("classes", [2, 3, 11])
@pytest.mark.parametrize("scale", [0.1, 1.0, 1e3])
def test_multi_hinge_is_the_naive_one(classes: int, scale: float) -> None:
    logits, labels = scale * torch.randn(9, classes), torch.randint(classes, (9,))
    assert float(multi_hinge(logits, labels)) == pytest.approx(hinge_of_the_paper(logits, labels), rel=1e-5)


def test_multi_hinge_asks_for_a_margin_of_one_and_no_more() -> None:
    logits = torch.tensor([[1.5, 0.5, -3.0]], requires_grad=True)
    loss = multi_hinge(logits, torch.tensor([0]))
    assert loss.item() == 0
    (gradient,) = torch.autograd.grad(multi_hinge(logits - torch.tensor([0.1, 0, 0]), torch.tensor([0])), logits)
    assert torch.equal(gradient, torch.tensor([[-1.0, 1.0, 0.0]]))


def test_energy_distance_is_the_naive_one() -> None:
    a, b = torch.randn(5, 1, 2, 3), torch.randn(4, 1, 2, 3) + 1

    def mean(first: Tensor, second: Tensor) -> float:
        distances = [float((u - v).norm()) for u in first for v in second]
        return sum(distances) / len(distances)

    expected = (2 * mean(a, b) - mean(a, a) - mean(b, b)) / 6**0.5
    assert float(energy_distance(a, b)) == pytest.approx(expected, rel=1e-4)
    assert float(energy_distance(a, a.flip(0))) == pytest.approx(0, abs=1e-6)


def test_energy_distance_notices_too_little_variety() -> None:
    real = torch.randn(200, 10)
    assert energy_distance(real[:100], real[100:]) < 0.1 < energy_distance(real.mean(0).expand(100, 10), real)


@pytest.mark.parametrize("options", [PAPER, OURS], ids=["paper", "ours"])
def test_training_moves_both_and_the_average(options: dict[str, Any], quiet_trainer: Any) -> None:
    module = gan(**options)
    before = copy.deepcopy(module.state_dict())
    trainer = quiet_trainer(1)
    trainer.fit(module, Shades())
    after = module.state_dict()
    for part in ("generator.bottom", "discriminator.top", "averaged.module.bottom"):
        key = f"{part}.parametrizations.weight.original"
        assert not torch.equal(before[key], after[key])
    assert trainer.callback_metrics["val_energy_distance"].isfinite()


def test_training_is_repeatable(quiet_trainer: Any) -> None:
    found = []
    for seed in (0, 0, 1):
        module = gan(**OURS)
        module.seed = seed
        quiet_trainer(1).fit(module, Shades())
        found.append(module.generator.top.weight.detach())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_generator_rests_between_its_steps(quiet_trainer: Any) -> None:
    module = gan(discriminator_steps=4)  # an epoch has three batches
    before = copy.deepcopy(list(module.generator.parameters()))
    quiet_trainer(1).fit(module, Shades())
    assert all(torch.equal(a, b) for a, b in zip(before, module.generator.parameters(), strict=True))


@pytest.mark.parametrize(("every", "steps"), [(1, 6), (2, 2), (3, 2), (4, 0)])
def test_average_follows_the_steps_of_the_generator_alone(every: int, steps: int, quiet_trainer: Any) -> None:
    """Two epochs of three batches; an average of what stands still would forget nothing and count too much."""
    module = gan(discriminator_steps=every, average=0.5)
    followed: list[Tensor] = []
    take = module.step

    def watched(which: int, loss: Tensor) -> None:
        take(which, loss)
        if which == 0:
            followed.append(module.generator.top.bias.detach().clone())

    module.step = watched
    expected = module.generator.top.bias.detach().clone()
    quiet_trainer(2).fit(module, Shades())
    assert len(followed) == int(module.averaged.n_averaged) == steps
    for number, weight in enumerate(followed):
        expected = weight if number == 0 else 0.5 * expected + 0.5 * weight
    torch.testing.assert_close(module.drawing.top.bias, expected)


class Taped(nn.Module):
    """Remembers what it judged."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator, self.tape = discriminator, []

    def forward(self, x: Tensor) -> Tensor:
        logits = self.discriminator(x)
        self.tape.append((x.detach(), logits.detach()))
        return logits


def one_step(
    module: ConditionalGAN, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Tensor], Taped]:
    module.discriminator = taped = Taped(module.discriminator)
    logged: dict[str, Tensor] = {}
    monkeypatch.setattr(module, "step", lambda which, loss: logged.update({f"step {which}": loss.detach()}))
    monkeypatch.setattr(module, "log_dict", lambda values, **_: logged.update(values))
    monkeypatch.setattr(ConditionalGAN, "current_epoch", 0)
    random = torch.get_rng_state()
    module.training_step(batch, 0)
    assert torch.equal(torch.get_rng_state(), random)
    return logged, taped


def test_steps_follow_the_losses_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = next(iter(Shades().train_dataloader()))
    module = gan()
    logged, taped = one_step(module, batch, monkeypatch)
    (x, real), (drawn, judged), (again, _) = taped.tape
    assert torch.equal(x, batch.x)
    assert torch.equal(drawn, again)
    expected = hinge_of_the_paper(real, batch.y) + hinge_of_the_paper(judged, torch.full((8,), 3))
    assert float(logged["step 1"]) == pytest.approx(expected, rel=1e-5)
    random = module.random("train", 0, 0, 0)
    torch.randn(8, 6, generator=random)
    asked = torch.randint(3, (8,), generator=random)
    assert float(logged["step 0"]) == pytest.approx(hinge_of_the_paper(judged, asked), rel=1e-5)


def test_our_terms_join_with_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = next(iter(Shades().train_dataloader()))
    module = gan(**OURS, regularization=0.5)
    found = []
    module.generator.encoder.register_forward_hook(lambda _, __, z: found.append(z.detach()))
    module.generator.register_forward_hook(lambda _, __, images: found.append(images.detach()))
    logged, taped = one_step(module, batch, monkeypatch)
    z, images = found
    drawn, changed, reconstructed = images.split(8)
    mean_square = (batch.x - reconstructed).square().flatten(1).mean(1) + 0.5 * z.square().mean(1)
    distance = (changed - reconstructed).flatten(1).norm(dim=1) / 8
    assert torch.equal(taped.tape[-1][0], torch.cat([drawn, changed]))
    torch.testing.assert_close(logged["train_projection"], mean_square.mean())
    torch.testing.assert_close(logged["train_distance"], distance.mean())
    expected = logged["train_generator"] + 10 * mean_square.mean() + 0.3 * distance.mean()
    torch.testing.assert_close(logged["step 0"], expected)


def test_class_term_heeds_every_wrong_class_and_never_drawn() -> None:
    logits, classes = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
    module = gan(class_weight=2.0)
    module.discriminator = Fixed(logits)
    expected = hinge_of_the_paper(logits, classes)
    for row, label in zip(logits[:, :3].tolist(), classes.tolist(), strict=True):
        wrong = [max(0.0, 1 - row[label] + value) for c, value in enumerate(row) if c != label]
        expected += 2 * sum(wrong) / 3 / len(logits)
    assert float(module.hinge(torch.zeros(5, 1, 8, 8), classes)) == pytest.approx(expected, rel=1e-5)


class Fixed(nn.Module):
    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


def test_other_classes_are_all_the_others() -> None:
    y = torch.arange(3).repeat(300)
    other = gan().other_class(y, torch.Generator().manual_seed(0))
    assert (other != y).all()
    assert torch.bincount(3 * y + other, minlength=9).tolist() == pytest.approx(
        [0, 150, 150, 150, 0, 150, 150, 150, 0], abs=40
    )


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_checkpoint_gives_the_generator_back(average: float, tmp_path: Path, quiet_trainer: Any) -> None:
    module = gan(**OURS, average=average)
    saved = ModelCheckpoint(dirpath=tmp_path, monitor=module.monitored, filename="best")
    quiet_trainer(2, callbacks=[saved], enable_checkpointing=True).fit(module, Shades())
    generator, description = load_generator(saved.best_model_path)
    assert (description["kind"], description["network"], description["data"]) == (
        "conditional",
        "conditional",
        "shades",
    )
    content = torch.load(saved.best_model_path, weights_only=True)["state_dict"]
    module.load_state_dict(content)
    z, target = torch.randn(3, 6), torch.tensor([0, 1, 2])
    assert torch.equal(generator(z, target), module.drawing.eval()(z, target))
    assert not any(weight.requires_grad for weight in generator.parameters())


class Constant(nn.Module):
    """A generator that has collapsed."""

    latent_size = 6

    def forward(self, z: Tensor, target: Tensor) -> Tensor:
        return 0.6 * (target.float() - 1)[:, None, None, None].expand(-1, 1, 8, 8)


def test_collapse_is_never_the_best_epoch(quiet_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every class is its own mean: no class differs from its own, though the images differ between classes."""
    monkeypatch.setattr(ConditionalGAN, "drawing", Constant())
    trainer = quiet_trainer(1)
    trainer.validate(module := gan(), Shades(), verbose=False)
    assert trainer.callback_metrics["val_spread"] == 0
    assert trainer.callback_metrics[module.monitored] == torch.inf


class Memory(nn.Module):
    """A generator that draws the data."""

    def __init__(self, images: Iterator[Tensor]) -> None:
        super().__init__()
        self.images = images

    def forward(self, z: Tensor, target: Tensor) -> Tensor:
        return next(self.images)


def test_distance_of_the_data_from_itself_is_zero(quiet_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Shades()
    monkeypatch.setattr(ConditionalGAN, "drawing", Memory(iter([data.rows.x])))
    trainer = quiet_trainer(1)
    trainer.validate(module := gan(), data, verbose=False)
    assert float(trainer.callback_metrics[module.monitored]) == pytest.approx(0, abs=1e-5)
    assert float(trainer.callback_metrics["val_spread"]) == pytest.approx(1)


def test_distance_knows_classes(quiet_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same images as other classes: as a whole nothing has changed."""
    data = Shades()
    monkeypatch.setattr(ConditionalGAN, "drawing", Memory(iter([data.rows.x.roll(1, dims=0)])))
    trainer = quiet_trainer(1)
    trainer.validate(module := gan(), data, verbose=False)
    assert float(trainer.callback_metrics[module.monitored]) > 0.3


def test_class_without_training_samples_is_refused(quiet_trainer: Any) -> None:
    with pytest.raises(ValueError, match=r"Every class should have training samples. Found none of classes \[1\]"):
        quiet_trainer(1, limit_val_batches=0).fit(gan(), Shades(classes=(0, 2)))


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"`average` should lie in \[0, 1\). Found 1.0"):
        gan(average=1.0)
    with pytest.raises(ValueError, match=r"be 0 for a generator without an encoder\. Found 10.0 and 0.0"):
        ConditionalGAN(
            ConditionalDiscriminator((1, 8, 8), 3, width=4), network_options={"width": 4}, projection_weight=10.0
        )
