"""`alphadx fit` in two processes, whoever starts them: it ends and tells as in one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from pytorch_lightning import Trainer

from eval.fit.launching import as_launched, check_launched
from eval.studies.configuring import kept_under

ROOT = Path(__file__).parents[2]
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2")
FIT = {
    "data": {"class_path": "training.data.Digits"},
    "model": {"objective": {"class_path": "training.AT", "init_args": {"epsilon": 0.1, "steps": 2}}},
    "trainer": {"max_epochs": 4, "accelerator": "cpu", "logger": False},
}


class Ran(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    told: str


def alphadx(*words: str, launcher: tuple[str, ...] = ()) -> Ran:
    command = [sys.executable, *launcher, "-m", "eval.cli", *words]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("fit") / "fit.yaml"
    file.write_text(json.dumps(FIT), encoding="utf-8")
    return file


def fitted(
    config: Path, name: str, *words: str, launcher: tuple[str, ...] = ()
) -> tuple[Ran, dict[str, torch.Tensor]]:
    """What a training printed, and the weights of its best epoch."""
    folder = config.parent / name
    ran = alphadx("fit", str(config), "--trainer.default_root_dir", str(folder), *words, launcher=launcher)
    assert ran.status == 0, ran.told
    return ran, torch.load(folder / "checkpoints" / "best.ckpt", weights_only=False)["state_dict"]


@pytest.mark.slow
def test_two_processes_end_as_one_and_the_first_alone_tells(config: Path) -> None:
    half = ("--data.init_args.batch_size", "32")
    _, alone = fitted(config, "one", "--data.init_args.batch_size", "64")
    launched, by_torchrun = fitted(config, "two", *half, launcher=TORCHRUN)
    ran, by_lightning = fitted(config, "three", *half, "--trainer.devices", "2")
    for name, wanted in alone.items():
        torch.testing.assert_close(by_torchrun[name], wanted, rtol=1e-5, atol=1e-6)
        assert torch.equal(by_torchrun[name], by_lightning[name])
    for told in (launched, ran):
        assert told.out.count("best epoch by") == 1
        assert told.told.count("epoch 4 of 4") == 1
        assert "Warning" not in told.told
        assert "sync_dist" not in told.told

    again = (
        "fit",
        str(config),
        "--trainer.default_root_dir",
        str(config.parent / "three"),
        *half,
        "--resume",
        "last",
    )
    longer = ("--trainer.max_epochs", "5")
    assert "epoch 5 of 5" in alphadx(*again, *longer, "--trainer.devices", "2").told
    other = alphadx(*again, *longer)
    assert other.status == 2
    assert "`processes` 2" in other.told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("study", "quick"), "`study` should be started once"),
        (
            ("fit", "FILE", "--trainer.devices", "1"),
            "should be left out with torchrun, which has started 2 processes",
        ),
    ],
)
def test_torchrun_is_refused_where_each_process_would_work_for_itself(
    config: Path, words: tuple[str, ...], sentence: str
) -> None:
    ran = alphadx(*(str(config) if word == "FILE" else word for word in words), launcher=TORCHRUN)
    assert ran.status != 0
    assert sentence in ran.told


@pytest.mark.slow
def test_torchrun_fills_a_store_once(tmp_path: Path) -> None:
    words = ("residuals", "nearest", str(tmp_path / "digits.h5"), "--data", "Digits", "--limit", "50")
    ran = alphadx(*words, launcher=TORCHRUN)
    assert ran.status == 0, ran.told
    assert ran.out.count("450 residuals") == 1


def test_without_torchrun_a_trainer_is_what_it_is_told_to_be() -> None:
    assert as_launched() == {}
    check_launched(Trainer(accelerator="cpu", logger=False, enable_progress_bar=False))


def test_with_torchrun_it_has_all_processes_of_all_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    for name, value in (("TORCHELASTIC_RUN_ID", "1"), ("LOCAL_WORLD_SIZE", "4"), ("WORLD_SIZE", "8")):
        monkeypatch.setenv(name, value)
    assert as_launched() == {"devices": 4, "num_nodes": 2}
    with pytest.raises(ValueError, match=r"`trainer.devices` .* started 8 processes. Found a trainer of 1\."):
        check_launched(alone)


@pytest.mark.parametrize("devices", [None, 1, "auto", [1]])
def test_a_study_trains_a_model_on_one_device(tmp_path: Path, devices: object) -> None:
    fit = {"trainer": {} if devices is None else {"devices": devices}}
    assert kept_under(fit, tmp_path)["trainer"]["devices"] == (devices if devices == [1] else 1)


@pytest.mark.parametrize("trainer", [{"devices": 2}, {"devices": [0, 1]}, {"devices": -1}, {"num_nodes": 2}])
def test_a_study_refuses_several_processes_for_a_model(tmp_path: Path, trainer: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"`trainer.devices` should be 1 in a study"):
        kept_under({"trainer": trainer}, tmp_path)
