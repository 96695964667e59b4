"""Training with one gradient per loss: true to the combiner, to several processes and to mixed precision."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Callback
from torch import Tensor, nn
from torch.optim import SGD

from alignment import alignment_penalty
from training import AGR, AT, AWP, CAAT, CLP, MART, TRADES, AvMixup, Classifier, Plain, Strength, WeightedSum
from training.data import Batch, Spheres, Split
from training.data.order import EpochOrder

COMBINERS = {
    "weighted": lambda: WeightedSum({"clean": 0.25, "adversarial": 0.75}),
    "AGR": AGR,
    "CA-AT": CAAT,
}
OBJECTIVES = [AT, TRADES, MART, CLP, AvMixup, lambda **given: AWP(TRADES(**given))]
every_combiner = pytest.mark.parametrize("combiner", COMBINERS)


def spheres_classifier(**options) -> Classifier:
    return Classifier(
        "mlp",
        {"hidden": [16]},
        shape=(8,),
        bounds=Spheres.bounds,
        optimizer=partial(SGD, lr=0.1),
        **options,
    )


def spheres(**options) -> Spheres:
    return Spheres(**({"dimensions": 8, "train_size": 96, "batch_size": 32} | options))


def attacked(**options) -> AT:
    return AT(**({"epsilon": Strength(0.05), "steps": 2, "random_start": False} | options))


def trained(quiet_trainer, module: Classifier, epochs: int = 2, data: Spheres | None = None, **options) -> Classifier:
    trainer = quiet_trainer(epochs, limit_val_batches=0, **options)
    trainer.fit(module, datamodule=data or spheres())
    return module


def first_batch(data: Spheres) -> Batch:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(0)
    return next(iter(loader))


def weights(module: Classifier) -> list[Tensor]:
    return [weight.detach().clone() for weight in module.network.parameters()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_combination_that_is_one_of_the_gradients_is_ordinary_training_bit_for_bit(quiet_trainer):
    summed = trained(quiet_trainer, spheres_classifier(objective=attacked()))
    alone = WeightedSum({"clean": 0.0, "adversarial": 1.0})
    combined = trained(quiet_trainer, spheres_classifier(objective=attacked(), combiner=alone))
    assert same(weights(combined), weights(summed))


@every_combiner
def test_a_combiner_with_nothing_to_combine_is_refused(combiner, as_in_production):
    for penalty in ({}, {"alignment_weight": 1.0}):
        with pytest.raises(ValueError, match=r"`combiner` should have two or more .* clean alone, of Plain"):
            spheres_classifier(objective=Plain(), combiner=COMBINERS[combiner](), **penalty)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"combiner": WeightedSum({"clean": 0.5, "adv": 0.5})},
            "should name the losses adversarial, clean",
        ),
        (
            {"objective": Plain(), "alignment_with": "own"},
            "The losses of AGR should .* Found .*alignment, clean",
        ),
        ({"objective": Plain()}, r"`alignment_with` should name a loss of Plain: clean. Found 'adversarial'"),
    ],
)
def test_a_combiner_of_other_losses_is_refused(options, message, as_in_production):
    penalty = {"alignment_weight": 1.0, "alignment_with": "adversarial"}
    with pytest.raises(ValueError, match=message):
        spheres_classifier(**({"objective": attacked(), "combiner": AGR()} | penalty | options))


class Unnamed:
    """An objective of one's own, which does not say the names of its losses beforehand."""

    def __call__(self, classifier, x, y, clean_logits, *, bounds, generator):
        return {"clean": F.cross_entropy(clean_logits(), y)}


def test_losses_that_are_not_named_beforehand_are_looked_at_in_the_first_step(quiet_trainer):
    module = spheres_classifier(objective=Unnamed(), combiner=AGR())
    with pytest.raises(ValueError, match=r"`combiner` should have two or more .* clean alone, of Unnamed"):
        trained(quiet_trainer, module, epochs=1)


def test_a_penalty_with_a_gradient_of_its_own_is_a_second_loss(quiet_trainer):
    combiner = WeightedSum({"clean": 1.0, "alignment": 1.0})
    options = {"objective": Plain(), "alignment_weight": 0.5, "alignment_with": "own"}
    before, module = weights(spheres_classifier()), spheres_classifier(combiner=combiner, **options)
    assert not same(weights(trained(quiet_trainer, module)), before)


@every_combiner
def test_a_step_follows_the_combination_of_the_two_gradients(quiet_trainer, combiner):
    module = spheres_classifier(objective=attacked(), combiner=COMBINERS[combiner]())
    before = weights(module)
    data = spheres(batch_size=96)
    batch = first_batch(data)
    parameters = list(module.network.parameters())
    clean = F.cross_entropy(module.network(batch.x), batch.y)
    losses = module.objective(
        module.network,
        batch.x,
        batch.y,
        lambda: module.network(batch.x),
        bounds=module.bounds,
        generator=torch.Generator(),
    )
    gradients = {
        "clean": list(torch.autograd.grad(clean, parameters)),
        "adversarial": list(torch.autograd.grad(losses["adversarial"], parameters)),
    }
    expected = [w - 0.1 * g for w, g in zip(before, COMBINERS[combiner]()(gradients), strict=True)]
    trained(quiet_trainer, module, epochs=1, data=data)
    for found, wanted in zip(weights(module), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_before_its_first_epoch_a_combiner_changes_nothing(quiet_trainer):
    plain = trained(quiet_trainer, spheres_classifier(objective=attacked()))
    waiting = trained(quiet_trainer, spheres_classifier(objective=attacked(), combiner=AGR(), combiner_start=2))
    assert same(weights(waiting), weights(plain))
    begun = trained(quiet_trainer, spheres_classifier(objective=attacked(), combiner=AGR(), combiner_start=1))
    assert not same(weights(begun), weights(plain))


class Kept(Callback):
    """Keeps the gradient of every step."""

    def __init__(self) -> None:
        self.gradients: list[list[Tensor]] = []

    def on_before_optimizer_step(self, trainer, module, optimizer) -> None:
        self.gradients.append([weight.grad.clone() for weight in module.network.parameters()])


@pytest.mark.parametrize("place", ["clean", "adversarial", "own"])
def test_the_penalty_joins_the_loss_that_is_named(quiet_trainer, place):
    weighted = {"clean": 2.0, "adversarial": 3.0} | ({"alignment": 5.0} if place == "own" else {})
    options = {"objective": attacked(), "alignment_weight": 0.7, "alignment_with": place}
    module = spheres_classifier(combiner=WeightedSum(weighted), **options)
    data, kept = spheres(batch_size=96), Kept()
    batch = first_batch(data)
    x = batch.x.clone().requires_grad_()
    parameters = list(module.network.parameters())
    adversarial = module.objective(
        module.network, x, batch.y, lambda: module.network(x), bounds=module.bounds, generator=torch.Generator()
    )["adversarial"]
    penalty = 0.7 * alignment_penalty(module.network, x, batch.y, data.residual("auto"))
    total = 2 * F.cross_entropy(module.network(x), batch.y) + 3 * adversarial
    total = total + {"clean": 2, "adversarial": 3, "own": 5}[place] * penalty
    expected = torch.autograd.grad(total, parameters, allow_unused=True)
    trained(quiet_trainer, module, epochs=1, data=data, callbacks=[kept])
    for found, wanted in zip(kept.gradients[0], expected, strict=True):
        torch.testing.assert_close(found, torch.zeros_like(found) if wanted is None else wanted)


def test_a_penalty_joins_a_loss_by_its_name(as_in_production):
    with pytest.raises(ValueError, match="`alignment_with` should be one of"):
        spheres_classifier(alignment_with="both")


@pytest.mark.parametrize("objective", OBJECTIVES)
@every_combiner
def test_every_objective_trains_with_every_combiner_and_the_penalty(quiet_trainer, objective, combiner):
    module = spheres_classifier(
        objective=objective(epsilon=Strength(0.02), steps=2),
        combiner=COMBINERS[combiner](),
        alignment_weight=0.3,
        log_layers=True,
    )
    before = weights(module)
    trainer = quiet_trainer(1, limit_val_batches=0)
    trainer.fit(module, datamodule=spheres())
    logged = trainer.callback_metrics
    assert not same(weights(module), before)
    assert {"train_clean", "train_adversarial", "train_alignment", "train_mu", "cosine/1.weight"} <= logged.keys()
    assert all(value.isfinite() for value in logged.values())
    assert 0 <= logged["train_gop_frequency"] <= 1
    assert -1 <= logged["train_cosine"] <= 1


class Partly(nn.Module):
    """A network with a parameter that no loss reaches, and one that is frozen."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(features, classes), nn.Linear(3, 3)
        self.frozen = nn.Parameter(torch.ones(classes), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x) * self.frozen


def test_parameters_that_no_loss_reaches_stay_as_they_are_under_weight_decay(quiet_trainer):
    module = Classifier(
        f"{__name__}.Partly",
        {"features": 8, "classes": 2},
        shape=(8,),
        bounds=Spheres.bounds,
        objective=attacked(),
        combiner=CAAT(),
        optimizer=partial(SGD, lr=0.1, weight_decay=0.5),
    )
    before = module.network.unused.weight.clone()
    used = module.network.used.weight.clone()
    trained(quiet_trainer, module)
    assert torch.equal(module.network.unused.weight, before)
    assert torch.equal(module.network.frozen, torch.ones(2))
    assert not torch.equal(module.network.used.weight, used)


def test_gradients_are_combined_batch_by_batch_and_then_accumulated(quiet_trainer):
    module = spheres_classifier(objective=attacked(), combiner=CAAT())
    one, two = Kept(), Kept()
    still = {"optimizer": partial(SGD, lr=0.0)}
    module.optimizer = still["optimizer"]
    trained(quiet_trainer, module, epochs=1, data=spheres(batch_size=48), callbacks=[one])
    trained(quiet_trainer, module, epochs=1, data=spheres(batch_size=48), callbacks=[two], accumulate_grad_batches=2)
    for found, *parts in zip(two.gradients[0], *one.gradients, strict=True):
        torch.testing.assert_close(found, sum(parts) / 2)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_combines_gradients_in_the_units_of_the_loss(quiet_trainer, precision):
    """AGR's clip at 0.1 sees unscaled gradients: a scale of 65,536 would otherwise make all of them 0.1 long."""
    kept, single = Kept(), Kept()
    options = {"objective": attacked(epsilon=Strength(0.0)), "combiner": AGR()}
    trained(quiet_trainer, spheres_classifier(**options), epochs=1, callbacks=[single])
    trainer_options = {"plugins": [_scaled()]} if precision == "16-mixed" else {"precision": precision}
    trained(quiet_trainer, spheres_classifier(**options), epochs=1, callbacks=[kept], **trainer_options)
    for found, wanted in zip(kept.gradients[0], single.gradients[0], strict=True):
        torch.testing.assert_close(found, wanted, rtol=0.05, atol=2e-3)


def _scaled():
    """float16's loss scale on a CPU, with a forward pass in bfloat16, which every CPU has."""
    from pytorch_lightning.plugins.precision import MixedPrecision

    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=65536.0))
    plugin.autocast_context_manager = lambda: torch.autocast("cpu", dtype=torch.bfloat16)
    return plugin


def test_training_begins_from_a_checkpoint_that_is_named(quiet_trainer, tmp_path):
    first = trained(quiet_trainer, spheres_classifier())
    torch.save({"state_dict": first.network.state_dict()}, tmp_path / "weights.pt")
    assert same(weights(spheres_classifier(start_from=tmp_path / "weights.pt", seed=5)), weights(first))


def test_a_schedule_may_be_stepped_at_every_step(quiet_trainer):
    def halved(optimizer) -> torch.optim.lr_scheduler.StepLR:
        return torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)

    found = {}
    for interval in ("epoch", "step"):
        trainer = quiet_trainer(2, limit_val_batches=0)
        trainer.fit(spheres_classifier(scheduler=halved, scheduler_interval=interval), datamodule=spheres())
        found[interval] = trainer.optimizers[0].param_groups[0]["lr"]
    assert found == {"epoch": pytest.approx(0.1 / 2**2), "step": pytest.approx(0.1 / 2**6)}


@pytest.mark.parametrize("batch_size", [1, 2, 3])
@pytest.mark.parametrize(("samples", "processes"), [(12, 3), (13, 3), (14, 3), (10, 4), (2, 5)])
def test_samples_keep_their_order_across_processes(samples, processes, batch_size):
    """The k-th batches of several processes are the k-th batch of one; a process without a sample repeats one."""
    split = Split(torch.zeros(samples, 1), torch.zeros(samples), (-1.0, 1.0))
    whole = EpochOrder(split, seed=3)
    parts = [EpochOrder(split, 3, rank, processes, batch_size) for rank in range(processes)]
    for order in (whole, *parts):
        order.set_epoch(2)
    batches = [[hand[i : i + batch_size] for i in range(0, len(hand), batch_size)] for hand in map(list, parts)]
    assert {len(mine) for mine in batches} == {math.ceil(samples / (processes * batch_size))}
    assert [sum(map(len, mine)) for mine in batches] == [len(part) for part in parts]
    visited = []
    for number in range(len(batches[0])):
        portions = [part.portion(number) for part in parts]
        counted = [mine[number][: portion.here] for mine, portion in zip(batches, portions, strict=True)]
        assert {portion.total for portion in portions} == {sum(map(len, counted))}
        assert sum(portion.weight for portion in portions) == pytest.approx(processes)
        for mine, portion in zip(batches, portions, strict=True):
            assert len(mine[number]) == max(portion.here, 1)
        visited += [hand[k] for k in range(batch_size) for hand in counted if k < len(hand)]
    assert visited == list(whole)
