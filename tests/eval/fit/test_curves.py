"""Losses on validation and test samples are logged after every epoch, as the objective computes them."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from eval.fit.curves import LossCurves
from tests.eval.fit.runs import AT, fitted
from training import AT as AdversarialTraining
from training import AWP, MART, Classifier, PerpendicularAT, Strength
from training.attacks import pgd
from training.data import Batch, Digits


def logged(folder: Path, *changes: dict) -> dict[str, float]:
    return {name: float(value) for name, value in fitted(folder, *changes).trainer.callback_metrics.items()}


@pytest.mark.slow
def test_validation_losses_are_logged_without_being_asked_for_and_test_losses_on_demand(tmp_path: Path) -> None:
    short = {"model": {"objective": AT}, "trainer": {"max_epochs": 1, "limit_train_batches": 5}}
    usual = logged(tmp_path / "a", short)
    assert {"val_clean", "val_adversarial"} <= usual.keys()
    assert usual["val_adversarial"] > usual["val_clean"]
    assert not [name for name in usual if name.startswith("test_")]
    with_test = {"curves": {"test": True, "samples": 20}}
    assert {"test_clean", "test_adversarial"} <= logged(tmp_path / "b", short, with_test).keys()


def test_losses_are_those_of_the_first_samples_at_the_weights_of_the_epoch(tmp_path: Path) -> None:
    start = {"model": {"objective": {"init_args": {"random_start": False}}}}
    cli = fitted(
        tmp_path, {"model": {"objective": AT}, "trainer": {"max_epochs": 1}, "curves": {"samples": 30}}, start
    )
    found = {name: float(value) for name, value in cli.trainer.callback_metrics.items()}
    data, network = Digits(), cli.model.network.eval()
    x, y, _ = data.split("validation").__getitems__(range(30))
    perturbed = pgd(network, x, y, 1 / 20, steps=1, bounds=data.bounds, random_start=False, loss="auto")
    with torch.no_grad():
        assert found["val_clean"] == pytest.approx(float(F.cross_entropy(network(x), y)), rel=1e-5)
        assert found["val_adversarial"] == pytest.approx(float(F.cross_entropy(network(perturbed), y)), rel=1e-5)


@pytest.mark.slow
def test_nothing_of_the_training_depends_on_the_curves(tmp_path: Path) -> None:
    runs = [
        fitted(
            tmp_path / str(samples),
            {"model": {"objective": AT}, "trainer": {"max_epochs": 2, "limit_train_batches": 5}},
            {"curves": {"samples": samples}},
        )
        for samples in (0, 40)
    ]
    assert "val_clean" not in runs[0].trainer.callback_metrics
    for name, value in runs[0].model.state_dict().items():
        assert torch.equal(runs[1].model.state_dict()[name], value)


@pytest.mark.slow
def test_some_epochs_are_left_out_on_demand(tmp_path: Path) -> None:
    every = logged(tmp_path, {"trainer": {"max_epochs": 2}, "curves": {"every": 3}})
    assert "val_clean" not in every


def losses(module: Classifier, x: torch.Tensor, y: torch.Tensor) -> dict[str, float]:
    batch = Batch(x, y, torch.arange(len(x)))
    return LossCurves()._losses(module, [batch], "validation")


def test_the_loss_of_weight_perturbation_is_that_of_the_objective_within() -> None:
    data = Digits()
    x, y, _ = data.split("validation").__getitems__(range(20))
    options = {"shape": data.shape, "num_classes": 10, "bounds": data.bounds}
    inner = MART(Strength("0.1"), steps=2)
    found = [losses(Classifier("small_cnn", objective=each, **options), x, y) for each in (inner, AWP(inner))]
    assert found[0] == found[1]


def test_starts_perpendicular_to_a_residual_are_those_of_at_where_none_is_known() -> None:
    data = Digits()
    x, y, _ = data.split("validation").__getitems__(range(20))
    options = {"shape": data.shape, "num_classes": 10, "bounds": data.bounds}
    given = {"epsilon": Strength("0.1"), "steps": 2}
    objectives = (AdversarialTraining(**given), PerpendicularAT(**given, stay=True))
    found = [losses(Classifier("small_cnn", objective=each, **options), x, y) for each in objectives]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_a_network_whose_logits_are_no_numbers_has_no_losses() -> None:
    data = Digits()
    x, y, _ = data.split("validation").__getitems__(range(20))
    module = Classifier(
        "small_cnn", shape=data.shape, num_classes=10, bounds=data.bounds, objective=MART(Strength("0.1"), steps=2)
    )
    with torch.no_grad():
        next(module.network.parameters()).fill_(math.nan)
    assert all(math.isnan(value) for value in losses(module, x, y).values())
