"""Generators of residuals, trained in the paper's form and in that of optimal transport."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from generators import DirectResidual, load_generator
from generators.direct import DirectGAN
from generators.networks import ResidualMLP, UNet
from generators.transport import TransportGAN
from tests.properties import unchanged

UNBOUNDED = (-float("inf"), float("inf"))


class Samples(NamedTuple):
    x: Tensor
    y: Tensor
    indices: Tensor


def samples(size: int = 12, features: int = 3, classes: int = 2, seed: int = 0) -> Samples:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(size) % classes
    return Samples(torch.randn(size, features, generator=generator) + y[:, None], y, torch.arange(size))


def loader(*batches: Samples) -> DataLoader:
    return DataLoader(batches, batch_size=None)


def critic(features: int = 3, classes: int = 2) -> nn.Module:
    return nn.Sequential(nn.Linear(features, 16), nn.Softplus(), nn.Linear(16, classes))


def gan(kind: type[DirectGAN] = DirectGAN, classes: int = 2, **options: Any) -> DirectGAN:
    own = {"network": "mlp", "network_options": {"hidden": [6]}, "shape": (3,), "bounds": UNBOUNDED}
    made = kind(critic(classes=classes), num_classes=classes, **(own | options))
    for parameter in made.generator.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # it starts at Δ̂x = 0, where much is the same
    return made


def steps_of(model: DirectGAN, batch: Samples) -> tuple[list[tuple[int, Tensor]], dict[str, Tensor]]:
    """The losses that a training step would follow, in order, without following them; and what it logs."""
    taken: list[tuple[int, Tensor]] = []
    logged: dict[str, Tensor] = {}
    model.step = lambda which, loss: taken.append((which, loss))
    model.log_dict = lambda values, **_: logged.update(values)
    model.training_step(batch, 0)
    return taken, logged


def binary(model: DirectGAN, x: Tensor, label: Tensor) -> Tensor:
    """Binary cross-entropy on the difference of the two logits, one sample at a time."""
    logits = model.discriminator(x)
    parts = [F.binary_cross_entropy_with_logits(z[1] - z[0], c.float()) for z, c in zip(logits, label, strict=True)]
    return sum(parts) / len(parts)


def test_one_step_of_the_paper_term_by_term() -> None:
    model, batch = gan(), samples()
    x, y = batch.x, batch.y
    residual = model.generator(x, y, 1 - y)
    generator = 0.3 * binary(model, x + residual, 1 - y) + 0.5 * residual.norm(dim=1).mean() / 3**0.5
    discriminator = 1.0 * binary(model, x, y) + 0.01 * binary(model, x + residual, y)
    taken, logged = steps_of(model, batch)
    assert [which for which, _ in taken] == [0, 1]
    torch.testing.assert_close(taken[0][1], generator)
    torch.testing.assert_close(taken[1][1], discriminator)
    torch.testing.assert_close(logged["train_adversarial"], binary(model, x + residual, 1 - y).detach())
    torch.testing.assert_close(logged["train_distance"], (residual.norm(dim=1).mean() / 3**0.5).detach())
    torch.testing.assert_close(logged["train_real"], binary(model, x, y).detach())
    torch.testing.assert_close(logged["train_fake"], binary(model, x + residual, y).detach())


def test_the_paper_s_form_takes_the_discriminator_s_step_first() -> None:
    batch = samples()
    own = gan(form="paper", network_options={"hidden": [6], "batch_norm": False, "codes": "one_hot"})
    assert [which for which, _ in steps_of(own, batch)[0]] == [1, 0]
    assert [which for which, _ in steps_of(gan(order="discriminator_first"), batch)[0]] == [1, 0]
    assert [which for which, _ in steps_of(gan(form="paper", order="generator_first"), batch)[0]] == [0, 1]


def test_the_generator_is_judged_by_the_discriminator_after_its_step() -> None:
    """With D first, L_G is that of the D which has just learned from the same x'."""
    model, batch = gan(order="discriminator_first"), samples()
    x, y = batch.x, batch.y
    residual = model.generator(x, y, 1 - y)
    before = binary(model, x + residual, 1 - y).detach()
    taken: list[Tensor] = []

    def step(which: int, loss: Tensor) -> None:
        taken.append(loss.detach())
        if which == 1:
            model.discriminator[0].weight.data += 0.1

    model.step, model.log_dict = step, lambda *_, **__: None
    model.training_step(batch, 0)
    distance = 0.5 * residual.norm(dim=1).mean() / 3**0.5
    torch.testing.assert_close(taken[1], (0.3 * binary(model, x + residual, 1 - y) + distance).detach())
    assert (before - binary(model, x + residual, 1 - y).detach()).abs() > 1e-3
    torch.testing.assert_close(model.losses[-1], taken[0] + taken[1])


def test_the_best_epoch_of_the_paper_s_form_has_the_lowest_training_loss(
    tmp_path: Path, quiet_trainer: Callable[..., Any]
) -> None:
    model, step = gan(best_by="training", lr=0.3, discriminator_lr=0.3), DirectGAN.step
    keep = ModelCheckpoint(tmp_path, "{epoch}", monitor=model.monitored, mode="min")
    taken: list[float] = []
    model.step = lambda which, loss: (taken.append(float(loss.detach())), step(model, which, loss))
    trainer = quiet_trainer(6, callbacks=[keep], enable_checkpointing=True, num_sanity_val_steps=0)
    trainer.fit(model, loader(*(samples(seed=seed) for seed in range(3))), loader(samples(seed=9)))
    epochs = [sum(taken[start : start + 6]) / 3 for start in range(0, 36, 6)]  # 3 batches, a step of either network
    assert keep.best_model_score.item() == pytest.approx(min(epochs), rel=1e-5)
    assert Path(keep.best_model_path).stem == f"epoch={epochs.index(min(epochs))}"


def test_every_weight_of_eq_13_has_its_own_term() -> None:
    batch = samples()
    names = {"adversarial": 0, "distance": 0, "real": 1, "fake": 1}
    zero = dict.fromkeys((f"{name}_weight" for name in names), 0.0)
    for name, which in names.items():
        torch.manual_seed(1)
        model = gan(**(zero | {f"{name}_weight": 2.0}))
        taken, logged = steps_of(model, batch)
        torch.testing.assert_close(taken[which][1], 2 * logged[f"train_{name}"])
        assert taken[1 - which][1] == 0


def test_one_step_of_transport_term_by_term() -> None:
    model, batch = gan(TransportGAN, distance_weight=0.7, gradient_weight=0.2), samples(11)
    x, y = batch.x.requires_grad_(), batch.y
    residual = model.generator(x, y, 1 - y)
    rows = range(len(x))
    moved, real = model.discriminator(x + residual)[rows, 1 - y], model.discriminator(x)[rows, y]
    gradients = [torch.autograd.grad(value, x, retain_graph=True)[0][row] for row, value in enumerate(real)]
    penalty = sum(gradient.norm() ** 2 for gradient in gradients) / len(x) / 2
    distance = sum(row.norm() ** 2 for row in residual) / len(x) / 2
    taken, logged = steps_of(model, Samples(x.detach(), y, batch.indices))
    torch.testing.assert_close(taken[0][1], 0.7 * distance - moved.mean())
    # Five samples go to class 0, whose six real ones count 5/6 each; six go to class 1, whose five count 6/5.
    weighted = sum(value * (5 / 6 if c == 0 else 6 / 5) for value, c in zip(real, y, strict=True)) / 11
    torch.testing.assert_close(taken[1][1], moved.mean() - weighted + 0.2 * penalty)
    torch.testing.assert_close(logged["train_gradient"], penalty.detach())
    taken[1][1].backward()
    assert model.discriminator[0].weight.grad.any()


@pytest.mark.parametrize("classes", [2, 4])
def test_a_constant_in_a_potential_changes_nothing(classes: int) -> None:
    """Also where classes are unequally frequent, or one is missing from a batch."""
    model = gan(TransportGAN, classes)
    x, moved = torch.randn(2, 9, 3)
    y, target = torch.tensor([0, 0, 0, 0, 1, 1, 0, 0, 0]), torch.tensor([1, 1, 1, 1, 0, 0, 1, 1, 1])
    target[0] = classes - 1
    terms = model.discriminator_terms(x, moved, y, target)
    model.discriminator[-1].bias.data += torch.arange(classes) * 5.0 + 3
    shifted = model.discriminator_terms(x, moved, y, target)
    torch.testing.assert_close(model.total(shifted), model.total(terms), rtol=0, atol=1e-5)


def test_samples_that_may_be_weighed_anew_are_by_what_their_potential_says() -> None:
    """Where x' come r times as often as samples do, the potential is τ log((2 − r) / r), and w = r."""
    table, balance = nn.Linear(2, 2, bias=False), 3.0
    model = TransportGAN(table, "mlp", {"hidden": [4]}, (2,), bounds=UNBOUNDED, balance=balance)
    place = torch.eye(2)
    x, y = place[[0, 0, 0, 1, 0, 0, 1, 1]], torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    moved, target = place[[0, 0, 1, 1, 0, 0, 0, 1]], y
    often = torch.tensor([[2 / 3, 2.0], [1.5, 0.5]])  # of class 0, two of four x' in place of three of four samples
    table.weight.data = balance * ((2 - often) / often).log().clamp(min=-100)
    (gradient,) = torch.autograd.grad(model.total(model.discriminator_terms(x, moved, y, target)), table.weight)
    torch.testing.assert_close(gradient, torch.zeros(2, 2), rtol=0, atol=1e-6)


def test_a_high_price_of_weighing_anew_is_none() -> None:
    x, moved, y = *torch.randn(2, 8, 3), torch.arange(8) % 2
    found = []
    for balance in (None, 1e4):
        torch.manual_seed(0)
        model = gan(TransportGAN, balance=balance)
        found.append(model.discriminator_terms(x, moved, y, 1 - y)["real"])
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("balance", [0.0, -1.0, float("inf"), float("nan")])
def test_a_price_that_is_none_is_refused(balance: float) -> None:
    with pytest.raises(ValueError, match="`balance` should be above 0 and finite"):
        gan(TransportGAN, balance=balance)


@pytest.mark.parametrize("kind", [DirectGAN, TransportGAN])
def test_each_loss_reaches_the_parameters_it_is_for(kind: type[DirectGAN]) -> None:
    model = gan(kind)
    (_, generator), (_, discriminator) = steps_of(model, samples())[0]
    generator.backward()
    assert all(parameter.grad is None for parameter in model.discriminator.parameters())
    before = [parameter.grad.clone() for parameter in model.generator.parameters()]
    discriminator.backward()
    assert all(layer.weight.grad.any() for layer in model.discriminator if isinstance(layer, nn.Linear))
    after = [parameter.grad for parameter in model.generator.parameters()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", [DirectGAN, TransportGAN])
def test_each_optimiser_moves_its_own(kind: type[DirectGAN], quiet_trainer: Callable[..., Any]) -> None:
    for frozen in ("lr", "discriminator_lr"):
        model = gan(kind, **{frozen: 0.0})
        still, moving = model.generator, model.discriminator
        if frozen == "discriminator_lr":
            still, moving = moving, still
        before = [weight.clone() for weight in still.parameters()]
        moved = [(weight, weight.clone()) for weight in moving.parameters() if weight.ndim == 2]
        quiet_trainer(1).fit(model, loader(samples()), loader(samples()))
        assert all(torch.equal(*pair) for pair in zip(before, still.parameters(), strict=True))
        assert not any(torch.equal(*pair) for pair in moved)


class Listening(nn.Module):
    """A generator that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[tuple[int, int]] = set()

    def forward(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        self.asked.update(zip(y.tolist(), target.tolist(), strict=True))
        return x


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_of_two_classes_the_target_is_the_other_and_of_more_any_other(
    classes: int, quiet_trainer: Callable[..., Any]
) -> None:
    model, batch = gan(classes=classes, average=0.0), samples(200, classes=classes)
    model.generator = Listening()
    steps_of(model, batch)
    others = {(own, other) for own in range(classes) for other in range(classes) if own != other}
    assert model.generator.asked == others
    model.generator = Listening()
    shuffled = batch._replace(indices=torch.randperm(200))
    del model.log_dict
    quiet_trainer(1).validate(model, loader(shuffled), verbose=False)
    assert model.generator.asked == others


def fitted(model: DirectGAN, trainer: Any, train: Samples, validation: Samples, folder: Path | None = None) -> Path:
    trainer.fit(model, loader(*[train] * 3), loader(validation))
    path = (folder or Path()) / "last.ckpt"
    if folder is not None:
        trainer.save_checkpoint(path)
    return path


def test_validation_logs_the_paper_s_total_over_all_samples(quiet_trainer: Callable[..., Any]) -> None:
    model, one, two = gan(), samples(8, seed=1), samples(5, seed=2)
    trainer = quiet_trainer(1, num_sanity_val_steps=0)
    trainer.validate(model, loader(one, two), verbose=False)
    x, y = torch.cat([one.x, two.x]), torch.cat([one.y, two.y])
    residual = model.generator(x, y, 1 - y)
    expected = 0.3 * binary(model, x + residual, 1 - y) + 0.5 * residual.norm(dim=1).mean() / 3**0.5
    found = trainer.callback_metrics
    torch.testing.assert_close(found["val_generator_loss"], expected.detach())
    torch.testing.assert_close(found["val_distance"], (residual.norm(dim=1).mean() / 3**0.5).detach())
    deviation = [
        torch.stack([(part - part.mean(dim=0)).square().mean().sqrt() for part in (fake[y != c], x[y == c])])
        for c, fake in ((0, x + residual), (1, x + residual))
    ]
    torch.testing.assert_close(found["val_spread"], min(made / real for made, real in deviation).detach())


def test_validation_of_transport_is_the_energy_distance(quiet_trainer: Callable[..., Any]) -> None:
    model, batch = gan(TransportGAN, average=0.0), samples(10)
    trainer = quiet_trainer(1)
    trainer.validate(model, loader(batch), verbose=False)
    moved = batch.x + model.generator(batch.x, batch.y, 1 - batch.y)
    found = []
    for c in (0, 1):
        ours, real = moved[batch.y != c], batch.x[batch.y == c]
        means = [
            torch.stack([(a - b).norm() for a in u for b in v]).mean()
            for u, v in ((ours, real), (ours, ours), (real, real))
        ]
        found.append((2 * means[0] - means[1] - means[2]) / 3**0.5)
    torch.testing.assert_close(trainer.callback_metrics["val_energy_distance"], torch.stack(found).mean().detach())


@pytest.mark.parametrize("kind", [DirectGAN, TransportGAN])
def test_a_collapsed_epoch_is_never_the_best(kind: type[DirectGAN], quiet_trainer: Callable[..., Any]) -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
            return 0.01 * x - x

    model = gan(kind, average=0.0)
    trainer = quiet_trainer(1)
    trainer.validate(model, loader(samples()), verbose=False)
    assert trainer.callback_metrics[model.monitored].isfinite()
    model.generator = Constant()
    trainer.validate(model, loader(samples()), verbose=False)
    assert trainer.callback_metrics[model.monitored] == torch.inf
    assert trainer.callback_metrics["val_spread"] < 0.05


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("network", ["unet", "mlp"])
def test_a_checkpoint_draws_as_the_trained_generator(
    network: str, average: float, tmp_path: Path, quiet_trainer: Callable[..., Any]
) -> None:
    shape = (1, 6, 6)
    generator = torch.Generator().manual_seed(0)
    batch = Samples(torch.randn(8, *shape, generator=generator), torch.arange(8) % 2, torch.arange(8))
    options = {"unet": {"width": 2, "levels": 1}, "mlp": {"hidden": [4], "skip": True}}[network]
    model = TransportGAN(
        nn.Sequential(nn.Flatten(), critic(36)), network, options, shape, average=average, gradient_weight=0.1
    )
    path = fitted(model, quiet_trainer(2, num_sanity_val_steps=0), batch, batch, tmp_path)
    loaded, description = load_generator(path)
    estimator = DirectResidual(loaded)
    result = estimator(batch.x, batch.y, 1 - batch.y)
    torch.testing.assert_close(result, model.drawing.eval()(batch.x, batch.y, 1 - batch.y).detach(), rtol=0, atol=0)
    assert result.abs().max() > 0
    same = torch.equal(result, model.generator.eval()(batch.x, batch.y, 1 - batch.y))
    assert same == (average == 0)
    assert description["kind"] == "direct"
    assert DirectResidual(model.drawing).digest == estimator.digest


def test_the_best_epoch_is_kept(tmp_path: Path, quiet_trainer: Callable[..., Any]) -> None:
    model = gan(lr=0.05)
    keep = ModelCheckpoint(tmp_path, "best", monitor=model.monitored, mode="min")
    losses = []
    model.log_epoch = lambda value, share: (losses.append(float(value)), DirectGAN.log_epoch(model, value, share))
    trainer = quiet_trainer(6, callbacks=[keep], enable_checkpointing=True, num_sanity_val_steps=0)
    fitted(model, trainer, samples(), samples(seed=1))
    assert keep.best_model_score.item() == pytest.approx(min(losses))
    assert len(losses) == 6


def rings(size: int, seed: int) -> Samples:
    """Spheres in two dimensions."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (size,), generator=generator)
    x = F.normalize(torch.randn(size, 2, generator=generator)) * (1 + 0.3 * y[:, None])
    return Samples(x, y, torch.arange(size))


def test_transport_finds_the_way_between_two_circles(quiet_trainer: Callable[..., Any]) -> None:
    model = TransportGAN(
        critic(2),
        "mlp",
        {"hidden": [], "skip": True},
        (2,),
        bounds=UNBOUNDED,
        lr=0.01,
        discriminator_lr=0.01,
        average=0.98,
    )
    train = [rings(64, seed) for seed in range(300)]
    quiet_trainer(1, num_sanity_val_steps=0).fit(model, loader(*train), loader(rings(100, 1000)))
    test = rings(500, 1001)
    estimate = DirectResidual(model.drawing)(test.x, test.y, 1 - test.y)
    truth = test.x * (torch.tensor([1.3, 1 / 1.3])[test.y] - 1)[:, None]
    assert F.cosine_similarity(estimate, truth).mean() > 0.9
    assert estimate.norm(dim=1).median() == pytest.approx(0.3, abs=0.1)


class Doubling(nn.Module):
    """A generator whose result is known: x times the target plus y, over ten."""

    shape, num_classes = (3,), 4

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        return self.dropout(self.scale * x * (target + y / 10)[:, None])


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_direct_residual_works_in_batches_without_a_trace(batch: int) -> None:
    estimator, found = DirectResidual(Doubling(), batch=batch), samples(7, classes=4)
    with unchanged(estimator.generator):
        result = estimator(found.x.double().requires_grad_(), found.y, (found.y + 1) % 4)
    torch.testing.assert_close(result, found.x * ((found.y + 1) % 4 + found.y / 10)[:, None])
    assert result.dtype == torch.float32
    assert not result.requires_grad
    assert (estimator.name, estimator.settings) == ("direct", {})


def test_the_digest_tells_weights_apart() -> None:
    first, second = Doubling(), Doubling()
    assert DirectResidual(first).digest == DirectResidual(second).digest
    second.scale.data += 1e-6
    assert DirectResidual(first).digest != DirectResidual(second).digest


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 4)}, r"`x` should hold samples of shape \(3,\), .*Found \(4,\)"),
        ({"x": torch.full((2, 3), torch.nan)}, "`x` should be finite"),
        ({"y": torch.tensor([0, 4])}, r"`y` should lie in \[0, 4\)\. Found values from 0 to 4"),
        ({"target": torch.tensor([-1, 1])}, r"`target` should lie in \[0, 4\).* Found values from -1 to 1"),
    ],
)
def test_bad_input(change: dict[str, Tensor], message: str) -> None:
    given = {"x": torch.zeros(2, 3), "y": torch.tensor([0, 1]), "target": torch.tensor([1, 0])} | change
    with pytest.raises(ValueError, match=message):
        DirectResidual(Doubling())(**given)


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize("name", ["form", "order", "best_by"])
def test_a_form_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` should be one of .*Found 'mine'"):
        gan(**{name: "mine"})


def test_bad_options() -> None:
    with pytest.raises(ValueError, match=r"`batch` should be at least 1\. Found 0"):
        DirectResidual(Doubling(), batch=0)
    with pytest.raises(ValueError, match=r"`average` should lie in \[0, 1\). Found 1"):
        gan(average=1.0)


@pytest.mark.parametrize("network", [UNet, ResidualMLP])
def test_networks_tell_what_they_were_made_for(network: type[nn.Module]) -> None:
    made = network((1, 4, 4), 5, (-1.0, 1.0))
    assert (made.shape, made.num_classes) == ((1, 4, 4), 5)
