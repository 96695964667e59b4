"""The weights of the last epoch are kept on demand, as paper 2 does, which needs no validation samples."""

from pathlib import Path

import pytest
from pytorch_lightning import Callback, LightningModule, Trainer

from eval.fit import fit_from
from tests.eval.fit.runs import configuration, epochs, fitted, same, saved
from tests.training.test_data_cifar import write_shards

LAST = {"selection": {"keep": "last"}}


class Order(Callback):
    """Remembers which samples an epoch was trained on."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch, batch_idx: int) -> None:
        self.seen |= {*batch.indices.tolist()}


def all_of(root: Path) -> dict:
    return {
        "class_path": "training.data.CIFAR10",
        "init_args": {"data_root": str(root), "validation_share": 0, "batch_size": 50},
    }


def test_last_weights_are_kept_on_demand_and_nothing_is_searched(tmp_path: Path) -> None:
    cli = fitted(tmp_path, LAST, epochs(3))
    assert cli.best.found
    assert same(saved(tmp_path, "best"), saved(tmp_path, "last"))
    assert saved(tmp_path, "best")["epoch"] == 2
    assert "val_epsilon50" not in cli.trainer.callback_metrics
    assert "val_accuracy" in cli.trainer.callback_metrics


def test_all_samples_train_where_none_are_for_validation(tmp_path: Path) -> None:
    write_shards(tmp_path)
    order = {"class_path": f"{__name__}.Order"}
    cli = fitted(
        tmp_path / "run",
        LAST,
        {"data": all_of(tmp_path), "curves": {"test": True}, "trainer": {"callbacks": [order]}},
        epochs(2),
    )
    seen = next(callback.seen for callback in cli.trainer.callbacks if isinstance(callback, Order))
    assert seen == set(range(100))
    assert same(saved(tmp_path / "run", "best"), saved(tmp_path / "run", "last"))
    assert "test_clean" in cli.trainer.callback_metrics
    assert not [name for name in cli.trainer.callback_metrics if name.startswith("val_")]


def test_the_best_epoch_cannot_be_chosen_without_validation(tmp_path: Path) -> None:
    write_shards(tmp_path)
    cli = fit_from(configuration(tmp_path / "run", {"data": all_of(tmp_path)}))
    with pytest.raises(ValueError, match=r"`selection.keep` should be last where `validation_share` is 0"):
        cli.fit()
    assert not (tmp_path / "run").exists()
