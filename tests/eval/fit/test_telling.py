"""What a training says on its way."""

import logging
import re
import signal
import warnings
from pathlib import Path

import pytest
from pytorch_lightning import Callback, LightningModule, Trainer

from eval.fit import FitCLI, fit_from
from eval.fit.telling import LOGGERS, without_advertisements
from tests.eval.fit.runs import configuration, epochs, fitted

SHOWN = {"trainer": {"enable_progress_bar": True, "logger": True}}
ADVERTISEMENTS = ("Tip", "LitLogger", "GPU available", "TPU", "FLOPs", "Params", "Seed set", "stopped")


class Interrupts(Callback):
    """Presses Ctrl-C in an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *args: object) -> None:
        if trainer.current_epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_log_has_the_first_epoch_and_the_last_and_no_advertisements(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    fitted(tmp_path, SHOWN)
    out, err = capfd.readouterr()
    assert out == ""
    begin, first, last = err.splitlines()
    assert begin == "training Classifier with 1,210 parameters on cpu, epochs 1 to 3 of 17 steps"
    numbers = r"loss [\d.]+, accuracy [\d.]+ %, ε50% [\d.]+"
    assert re.fullmatch(rf"33 % after \d+:\d\d.*: epoch 1 of 3, step 17, {numbers}", first)
    assert re.fullmatch(rf"100 % after \d+:\d\d: epoch 3 of 3, step 51, {numbers}", last)
    assert not [word for word in ADVERTISEMENTS if word in err]


def test_quiet_training_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    fitted(tmp_path, epochs(1))
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*exists and is not empty.*")
def test_resumed_training_counts_from_where_it_stands(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    fitted(tmp_path, epochs(2))
    fitted(tmp_path, {"trainer": {"enable_progress_bar": True}}, {"resume": "last"})
    begin, only = capfd.readouterr().err.splitlines()
    assert begin.endswith("epochs 3 to 3 of 17 steps")
    assert only.startswith("100 % ")


@pytest.mark.parametrize("name", LOGGERS)
def test_warnings_are_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger(name)
    monkeypatch.setattr(logger, "level", logging.INFO)
    with without_advertisements():
        assert not logger.isEnabledFor(logging.INFO)
        assert logger.isEnabledFor(logging.WARNING)
        with pytest.warns(UserWarning, match="training collapsed"):
            warnings.warn("training collapsed", stacklevel=1)
    assert logger.level == logging.INFO
    logger.setLevel(logging.DEBUG)  # who wants to know all
    with without_advertisements():
        assert logger.isEnabledFor(logging.DEBUG)


@pytest.mark.parametrize(("epoch", "kept"), [(0, False), (1, True)])
def test_interruption_names_the_last_checkpoint_and_leaves_the_signal_alone(
    tmp_path: Path, epoch: int, kept: bool
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    cli: FitCLI = fit_from(configuration(tmp_path))
    cli.trainer.callbacks.append(Interrupts(epoch))  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt) as found:
        cli.fit()
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert found.value.args == ((str(last),) if kept else ())
    assert last.is_file() is kept
    assert signal.getsignal(signal.SIGINT) is handler
