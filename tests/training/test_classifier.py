"""The Lightning module: repeatable to the last bit, resumable, and true to the losses it is given."""

import copy
import math
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR

from alignment import alpha_dx
from generators import DirectGAN
from tests.alignment.classifiers import hand_made
from training import AT, Classifier, Plain, Strength, build_network
from training.data import Batch, DataSet, Digits, Spheres
from training.networks.outputs import check_logits

folder_hint = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")

RECIPES = {
    "plain": lambda: {"scheduler": partial(StepLR, step_size=1, gamma=0.5)},
    "penalty": lambda: {"alignment_weight": 0.5, "candidates": 1},
    "adversarial": lambda: {"objective": AT(Strength(0.1), steps=2)},
}
every_recipe = pytest.mark.parametrize("recipe", RECIPES)
every_kind_of_data = pytest.mark.parametrize("data", ["digits", "spheres"])


class Small(nn.Sequential):
    """A small network with batch statistics and, if asked, dropout."""

    def __init__(self, features: int, classes: int, dropout: float) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(features, 16),
            nn.BatchNorm1d(16),
            nn.Tanh(),
            nn.Dropout(dropout),
            nn.Linear(16, classes),
        )


def small_data(name: str, workers: int = 0) -> DataSet:
    if name == "digits":
        return Digits(batch_size=300, workers=workers)
    return Spheres(dimensions=8, train_size=100, batch_size=25, workers=workers)


def small_classifier(data: DataSet, recipe: str, seed: int = 0, dropout: float = 0.0) -> Classifier:
    options = {"features": torch.Size(data.shape).numel(), "classes": data.num_classes, "dropout": dropout}
    return Classifier(
        f"{__name__}.Small",
        options,
        shape=data.shape,
        num_classes=data.num_classes,
        bounds=data.bounds,
        optimizer=partial(Adam, lr=1e-2),
        seed=seed,
        **RECIPES[recipe](),
    )


def sphere_classifier(**options) -> Classifier:
    return Classifier("mlp", {"hidden": [16]}, shape=(8,), num_classes=2, bounds=Spheres.bounds, **options)


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(a.state_dict()[key], b.state_dict()[key]) for key in a.state_dict())


def keeping_every_epoch(folder: Path) -> dict:
    """Options of a trainer that keeps a checkpoint of every epoch."""
    keep = ModelCheckpoint(folder, "{epoch}", save_top_k=-1)
    return {"callbacks": [keep], "enable_checkpointing": True}


def trained(
    quiet_trainer,
    recipe: str,
    data: str = "digits",
    *,
    epochs: int = 2,
    seed: int = 0,
    dropout: float = 0.0,
    workers: int = 0,
    checkpoint: Path | None = None,
    **options,
) -> Classifier:
    module = small_classifier(small_data(data), recipe, seed, dropout)
    quiet_trainer(epochs, **options).fit(module, datamodule=small_data(data, workers), ckpt_path=checkpoint)
    return module


@every_recipe
def test_same_seed_gives_the_same_weights_to_the_last_bit(quiet_trainer, recipe):
    once = trained(quiet_trainer, recipe, dropout=0.2)
    torch.rand(7)
    assert same_weights(trained(quiet_trainer, recipe, dropout=0.2), once)


def test_another_seed_gives_other_weights(quiet_trainer):
    assert not same_weights(trained(quiet_trainer, "plain", seed=1), trained(quiet_trainer, "plain"))


@folder_hint
@pytest.mark.parametrize(("recipe", "workers"), [*((recipe, 0) for recipe in RECIPES), ("plain", 1)])
@every_kind_of_data
def test_resumed_run_ends_where_an_uninterrupted_one_does(quiet_trainer, tmp_path, recipe, data, workers):
    options = {"epochs": 3, "dropout": 0.2, "workers": workers, "limit_val_batches": 0}
    whole = trained(quiet_trainer, recipe, data, **options, **keeping_every_epoch(tmp_path))
    options["checkpoint"] = tmp_path / "epoch=0.ckpt"
    resumed = trained(quiet_trainer, recipe, data, **options, **keeping_every_epoch(tmp_path))
    assert same_weights(resumed, whole)


@every_kind_of_data
def test_worker_processes_change_nothing_in_a_run(quiet_trainer, data):
    options = {"dropout": 0.2, "limit_val_batches": 0}
    alone, helped = (trained(quiet_trainer, "plain", data, workers=workers, **options) for workers in (0, 1))
    assert same_weights(helped, alone)


def train_until_killed(folder: str) -> None:
    """What the process below does: train for ever and keep a checkpoint of every epoch."""
    torch.set_num_threads(1)
    trainer = Trainer(max_epochs=10**6, accelerator="cpu", logger=False, **keeping_every_epoch(Path(folder)))
    trainer.fit(small_classifier(small_data("digits"), "adversarial"), datamodule=small_data("digits"))


@pytest.mark.slow
@folder_hint
def test_killed_run_is_resumed_to_the_same_weights(quiet_trainer, tmp_path):
    program = f"from {__name__} import train_until_killed; train_until_killed({str(tmp_path)!r})"
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        # Once the third checkpoint has begun, the second is complete.
        deadline = time.monotonic() + 120
        while not (tmp_path / "epoch=2.ckpt").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    whole = trained(quiet_trainer, "adversarial", epochs=4)
    checkpoint = tmp_path / "epoch=1.ckpt"
    resumed = trained(quiet_trainer, "adversarial", epochs=4, checkpoint=checkpoint, **keeping_every_epoch(tmp_path))
    assert same_weights(resumed, whole)


def test_initialisation_depends_on_the_seed_alone():
    once = sphere_classifier(seed=3)
    torch.rand(7)
    assert same_weights(sphere_classifier(seed=3), once)
    assert not same_weights(sphere_classifier(seed=4), once)


def test_initialisation_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    sphere_classifier()
    assert torch.equal(torch.get_rng_state(), before)


class RecordedSeeds(Plain):
    """Plain training that remembers the seed it was given at every step."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def __call__(self, *args, generator: torch.Generator, **options):
        self.seeds.append(generator.initial_seed())
        return super().__call__(*args, generator=generator, **options)


def test_every_step_of_every_run_has_its_own_randomness(quiet_trainer):
    given = []
    for seed in (0, 1):
        objective = RecordedSeeds()
        module = sphere_classifier(objective=objective, seed=seed)
        data = Spheres(dimensions=8, train_size=60, batch_size=20)
        quiet_trainer(2, limit_val_batches=0).fit(module, datamodule=data)
        given += objective.seeds
    assert len(set(given)) == len(given) == 2 * 2 * 3


def test_one_step_descends_the_sum_of_loss_and_penalty(quiet_trainer):
    data = Spheres(dimensions=8, train_size=20, batch_size=20)
    module = sphere_classifier(alignment_weight=0.7, optimizer=partial(SGD, lr=0.1))
    network = copy.deepcopy(module.network)
    quiet_trainer(1, limit_val_batches=0).fit(module, datamodule=data)

    x, y, _ = data.split("train").__getitems__(range(20))
    x.requires_grad_()
    logits = network(x)
    lead = logits.gather(1, 1 - y.unsqueeze(1)) - logits.gather(1, y.unsqueeze(1))
    (slope,) = torch.autograd.grad(lead.sum(), x, create_graph=True)
    residual = torch.where(y.unsqueeze(1) == 0, 0.3 * x, -0.3 * x / 1.3).detach()
    alignment = ((slope * residual).sum(1) / (slope.norm(dim=1) * residual.norm(dim=1))).mean()
    loss = F.cross_entropy(logits, y) - 0.7 * alignment
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    for after, before, gradient in zip(module.network.parameters(), network.parameters(), gradients, strict=True):
        torch.testing.assert_close(after, before - 0.1 * gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("signed", "expected"), [(False, -15 / 17), (True, -(0.5**0.5))])
def test_penalty_takes_the_closest_class_in_its_form(signed, expected):
    """Of the hand-made point of four classes, see there, with the residual (0, 1)."""
    network, x = hand_made()
    module = Classifier("mlp", {"hidden": []}, (2,), 4, (-9.0, 9.0), alignment_weight=2.0, signed=signed)
    module.network = network
    up = torch.tensor([[0.0, 1.0]], dtype=x.dtype)
    y = torch.tensor([0])
    directions = module.search.directions(network, Batch(x, y, y), lambda *_: up)
    losses = module.losses(x, y, torch.Generator(), directions)
    assert losses["alignment"].item() == pytest.approx(2 * expected, abs=1e-12)


def test_penalty_raises_the_alignment(quiet_trainer):
    data = Spheres(dimensions=8, train_size=500)
    x, y, _ = data.split("validation").__getitems__(range(200))
    reached = {}
    for weight in (0.0, 1.0):
        module = sphere_classifier(alignment_weight=weight, optimizer=partial(Adam, lr=1e-2))
        quiet_trainer(3, limit_val_batches=0).fit(module, datamodule=data)
        reached[weight] = float(alpha_dx(module, x, y, data.exact_residual).mean())
    assert reached[1.0] > reached[0.0] + 0.1


def test_penalty_brings_the_alignment_loss_down(quiet_trainer):
    class Watch(Callback):
        def __init__(self) -> None:
            self.losses: list[float] = []

        def on_train_epoch_end(self, trainer, module) -> None:
            self.losses.append(float(trainer.callback_metrics["train_alignment"]))

    watch, data = Watch(), Digits(batch_size=100)
    module = small_classifier(data, "penalty")
    quiet_trainer(4, limit_val_batches=0, callbacks=[watch]).fit(module, datamodule=data)
    assert watch.losses == sorted(watch.losses, reverse=True)
    assert watch.losses[-1] < watch.losses[0] - 0.05


@pytest.mark.parametrize(
    ("recipe", "names"),
    [("plain", {"clean"}), ("adversarial", {"adversarial"}), ("penalty", {"clean", "alignment"})],
)
def test_every_loss_is_logged_by_its_name_and_sums_to_the_total(quiet_trainer, recipe, names):
    data = small_data("digits")
    trainer = quiet_trainer(1, limit_val_batches=0)
    trainer.fit(small_classifier(data, recipe), datamodule=data)
    logged = dict(trainer.callback_metrics)
    total = logged.pop("train_loss")
    assert logged.keys() == {f"train_{name}" for name in names}
    torch.testing.assert_close(torch.stack(list(logged.values())).sum(), total)


def test_accuracy_on_the_validation_split_is_logged(quiet_trainer):
    data = Digits(eval_batch_size=50)
    module = small_classifier(data, "plain")
    trainer = quiet_trainer(1)
    trainer.fit(module, datamodule=data)
    x, y, _ = data.split("validation").__getitems__(range(180))
    expected = (module.eval()(x).argmax(dim=1) == y).float().mean()
    torch.testing.assert_close(trainer.callback_metrics["val_accuracy"], expected)


def test_schedule_moves_once_per_epoch(quiet_trainer):
    module = sphere_classifier(optimizer=partial(SGD, lr=1.0), scheduler=partial(StepLR, step_size=1, gamma=0.5))
    trainer = quiet_trainer(3, limit_train_batches=2, limit_val_batches=0)
    trainer.fit(module, datamodule=Spheres(dimensions=8))
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.125


def test_frozen_batch_norm_does_not_move_in_a_run(quiet_trainer):
    objective = AT(Strength(0.1), steps=1)  # puts parts into evaluation mode and back
    module = Classifier("resnet18", {"weights": None}, shape=(1, 8, 8), num_classes=10, objective=objective)
    before = {key: value.clone() for key, value in module.network.named_buffers()}
    quiet_trainer(1, limit_train_batches=2).fit(module, datamodule=Digits(batch_size=8))
    assert any("running_mean" in key for key in before)
    assert all(torch.equal(value, before[key]) for key, value in module.network.named_buffers())


def test_optimiser_of_the_paper_is_the_default():
    optimizer = sphere_classifier().configure_optimizers()
    assert isinstance(optimizer, Adam)
    assert optimizer.param_groups[0]["lr"] == 1e-4


def test_frozen_parameters_are_not_optimised():
    module = sphere_classifier()
    next(module.network.parameters()).requires_grad_(False)
    (group,) = module.configure_optimizers().param_groups
    assert len(group["params"]) == len(list(module.network.parameters())) - 1


def test_penalty_needs_a_data_set(quiet_trainer):
    module, data = sphere_classifier(alignment_weight=1.0), Spheres(dimensions=8)
    with pytest.raises(ValueError, match=r"`alignment_weight` above 0 needs .* the trainer's datamodule. Found None"):
        quiet_trainer(1).fit(module, data.train_dataloader(), data.val_dataloader())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alignment_weight": -0.1}, "`alignment_weight` should be finite and at least 0. Found -0.1"),
        ({"alignment_weight": math.nan}, "`alignment_weight` should be finite and at least 0. Found nan"),
        ({"alignment_weight": math.inf}, "`alignment_weight` should be finite and at least 0. Found inf"),
        ({"combiner_start": -1}, "`combiner_start` should be at least 0. Found -1"),
        ({"residual": {"name": "exact"}}, "`residual` should be a name, or hold `residual` and `options`. Found"),
        ({"residual": {"residual": "nearest", "options": {"k": 1}}}, "`options` of 'nearest' should be among"),
    ],
)
def test_impossible_arguments_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        sphere_classifier(**options)


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize(
    ("residual", "error", "message"),
    [
        ("nearst", ValueError, "`residual` should be one of auto, exact, .* Found 'nearst'"),
        ("nowhere.ckpt", FileNotFoundError, "nowhere.ckpt: no such checkpoint file"),
        ({"residual": "nowhere.h5"}, FileNotFoundError, "nowhere.h5: no such store"),
    ],
)
def test_misspelt_residual_is_refused_before_the_first_step(quiet_trainer, weight, residual, error, message):
    module = sphere_classifier(residual=residual, alignment_weight=weight, objective=Never())
    with pytest.raises(error, match=message):
        quiet_trainer(1).fit(module, datamodule=Spheres(dimensions=8))


class Never(Plain):
    """An objective that is not to be asked."""

    def __call__(self, *args, **options):
        raise AssertionError("a step was taken")


def test_residual_that_is_named_takes_its_options(quiet_trainer, tmp_path):
    data = Spheres(dimensions=8, train_size=60, batch_size=20)
    judge = build_network("mlp", shape=(8,), num_classes=2, hidden=[4])
    made_for = {"shape": data.shape, "num_classes": 2, "bounds": data.bounds}
    generator = DirectGAN(judge, "mlp", {"hidden": [4]}, **made_for)
    trainer = quiet_trainer(1, limit_val_batches=0)
    trainer.fit(generator, datamodule=data)
    trainer.save_checkpoint(tmp_path / "direct.ckpt")
    for batch in (7, 512):
        named = {"residual": str(tmp_path / "direct.ckpt"), "options": {"batch": batch}}
        module = sphere_classifier(residual=named, alignment_weight=1.0)
        quiet_trainer(1, limit_val_batches=0).fit(module, datamodule=data)
        assert module.estimator.batch == batch
    for wrong, message in (
        ({"bach": 7}, "does not take these options: .*'bach'"),
        ({"batch": 0}, "`batch` should be"),
    ):
        module = sphere_classifier(residual=named | {"options": wrong}, objective=Never())
        with pytest.raises(ValueError, match=message):
            quiet_trainer(1, limit_val_batches=0).fit(module, datamodule=data)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-0.5, 0.5)])
def test_data_of_other_bounds_are_refused(quiet_trainer, bounds):
    data = Digits(bounds=bounds)
    classifier = Classifier("logistic_regression", shape=data.shape, num_classes=10, bounds=(-1.0, 1.0))
    with pytest.raises(ValueError, match=r"The Classifier was made for .* bounds \[-1.0, 1.0\] where .* is needed"):
        quiet_trainer(1).fit(classifier, datamodule=data)


class Hundred(nn.Sequential):
    """Has the number of classes of what it was written for."""

    def __init__(self, outputs: int = 100) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Dropout(), nn.Linear(16, outputs))


@pytest.mark.parametrize("outputs", [100, 9])
def test_network_with_other_outputs_than_classes_is_refused_before_it_is_trained(outputs: int) -> None:
    data = Digits(batch_size=300)
    given = {"network": f"{__name__}:Hundred", "shape": data.shape, "num_classes": 10, "bounds": data.bounds}
    trainer = Trainer(max_epochs=1, logger=False, enable_checkpointing=False, accelerator="cpu")
    with pytest.raises(ValueError, match=rf"one logit for each of the 10 classes of the data\. Found {outputs} from"):
        trainer.fit(Classifier(**given, network_options={"outputs": outputs}), data)
    assert trainer.global_step == 0


def test_looking_at_the_outputs_changes_nothing() -> None:
    module = Hundred(3)
    before, state = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    described = {"network": "mine:Hundred", "shape": [1, 8, 8], "num_classes": 3, "bounds": [-math.inf, math.inf]}
    check_logits(module, described)
    assert module.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
