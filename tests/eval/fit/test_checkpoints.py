"""A training keeps its last epoch always, and its best one among the candidates, wherever its folder lies."""

import math
import shutil
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint

from eval.fit import NoBestEpoch, fit_from
from eval.fit.checkpoints import BestEpoch
from tests.eval.fit.runs import AT, HALVED, STILL, configuration, epochs, fitted, same, saved

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]
BY_ACCURACY = {"checkpoint": {"monitor": "val_accuracy"}}
PLACES = [*(pytest.param(place, marks=pytest.mark.slow) for place in ("relative", "absolute")), "moved"]
"""Where the folder of a run that is resumed lies."""


def test_last_epoch_is_kept_whatever_its_value(tmp_path: Path) -> None:
    cli = fitted(tmp_path, BY_ACCURACY, {"model": {"optimizer": STILL}})
    assert saved(tmp_path)["epoch"] == 2
    assert saved(tmp_path, "best")["epoch"] == 0
    assert cli.best.best_model_path == str(tmp_path / "checkpoints/best.ckpt")


def test_run_without_a_candidate_says_so_and_keeps_no_best(tmp_path: Path) -> None:
    message = r"No epoch was a candidate .* val_selection, .* chance on validation\. \S+last.ckpt is the last epoch"
    with pytest.raises(NoBestEpoch, match=message):
        fitted(tmp_path, {"model": {"optimizer": STILL}})
    assert saved(tmp_path)["epoch"] == 2
    assert not (tmp_path / "checkpoints/best.ckpt").exists()


@pytest.mark.slow
def test_run_that_ends_before_its_first_candidate_can_go_on_to_it(tmp_path: Path) -> None:
    late = {"selection": {"first_epoch": 2}}
    with pytest.raises(NoBestEpoch, match="epoch 2, counted from 0, or later"):
        fitted(tmp_path, late, epochs(2))
    fitted(tmp_path, late, {"resume": "last"})
    assert saved(tmp_path, "best")["epoch"] == 2


@pytest.mark.parametrize(
    ("monitor", "chosen", "first"),
    [
        ({}, {}, 2),
        pytest.param(BY_ACCURACY, {"selection": {"first_epoch": 1}}, 1, marks=pytest.mark.slow),
        pytest.param(BY_ACCURACY, {}, 2, marks=pytest.mark.slow),
        pytest.param({}, {"selection": {"first_epoch": 1}}, 1, marks=pytest.mark.slow),
    ],
)
def test_best_epoch_is_one_in_which_the_combiner_worked(tmp_path: Path, monitor, chosen, first) -> None:
    seen = []

    class Seen(Callback):
        def on_train_epoch_end(self, trainer, module) -> None:
            seen.append((tmp_path / "checkpoints/best.ckpt").exists())

        on_train_epoch_start = on_train_epoch_end

    model = {"model": {"objective": AT, "combiner": {"class_path": "training.AGR"}, "combiner_start": 2}}
    cli = fit_from(configuration(tmp_path, model, monitor, chosen, {"trainer": {"max_epochs": first + 1}}))
    cli.trainer.callbacks.insert(0, Seen())
    cli.fit()
    assert not any(seen)
    assert saved(tmp_path, "best")["epoch"] == first


class Killed(Callback):
    """Ends a run as a kill would, in the middle of an epoch."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if trainer.current_epoch == 2 and batch_idx == 3:
            raise InterruptedError


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_run_that_was_killed_ends_as_an_uninterrupted_one(tmp_path: Path, monkeypatch, place) -> None:
    monkeypatch.chdir(tmp_path)
    model = {"model": {"scheduler": HALVED, "objective": AT}, "trainer": {"max_epochs": 4}}
    whole = fitted("whole", model)
    folder = tmp_path / "cut" if place == "absolute" else Path("cut")
    cli = fit_from(configuration(folder, model))
    cli.trainer.callbacks.append(Killed())
    with pytest.raises(InterruptedError):
        cli.fit()
    assert saved(folder)["epoch"] == 1
    if place == "moved":
        folder = Path(shutil.move(folder, tmp_path / "elsewhere"))
    resumed = fitted(folder, model, {"resume": f"{folder}/checkpoints/last.ckpt"})
    assert same(saved(folder), saved("whole"))
    assert same(saved(folder, "best"), saved("whole", "best"))
    assert resumed.best.best_model_score == whole.best.best_model_score
    assert Path(resumed.best.best_model_path) == (folder / "checkpoints/best.ckpt").resolve()
    assert [group["lr"] for group in resumed.trainer.optimizers[0].param_groups] == [0.02 / 2**4]


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_best_epoch_of_before_is_known_after_resuming(tmp_path: Path, monkeypatch, place) -> None:
    """Epochs that do not get better leave the best one of before the kill where it is."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run" if place == "absolute" else Path("run")
    score = fitted(folder, epochs(1)).best.best_model_score
    if place == "moved":
        folder = Path(shutil.move(folder, "elsewhere"))
    still = {"model": {"optimizer": STILL}, "resume": f"{folder}/checkpoints/last.ckpt"}
    resumed = fitted(folder, still)
    assert (saved(folder)["epoch"], saved(folder, "best")["epoch"]) == (2, 0)
    assert resumed.best.best_model_score == score


@pytest.mark.slow
def test_run_whose_best_epoch_was_left_behind_is_not_resumed(tmp_path: Path) -> None:
    fitted(tmp_path / "a", epochs(1))
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a/checkpoints/last.ckpt", tmp_path / "b/last.ckpt")
    with pytest.raises(ValueError, match=r"b/best.ckpt: the best epoch so far should lie beside .* Copy it there"):
        fitted(tmp_path, {"resume": str(tmp_path / "b/last.ckpt")})


@pytest.mark.parametrize(
    ("monitor", "mode", "value", "candidate"),
    [
        ("val_selection", "max", 0.0, True),
        ("val_selection", "max", -1.0, False),
        ("val_selection", "max", math.inf, True),
        ("val_selection", "max", math.nan, False),
        ("val_other", "max", -1.0, True),
        ("val_other", "max", -math.inf, False),
        ("val_other", "min", -math.inf, True),
        ("val_other", "min", math.inf, False),
    ],
)
def test_what_is_a_candidate(monitor, mode, value, candidate) -> None:
    best = BestEpoch(monitor=monitor, mode=mode)
    assert best.is_candidate(value) == candidate
    best.best_model_path, best.best_model_score = "best.ckpt", torch.tensor(value)
    assert best.found == candidate


def test_state_lies_where_older_versions_put_it() -> None:
    given = {"monitor": "val_selection", "mode": "max"}
    assert BestEpoch(**given).state_key == ModelCheckpoint(**given).state_key
