"""A run goes on only from its own checkpoints; what is overridden then is applied or refused, never ignored."""

import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from eval.fit import FitCLI, fit_from
from eval.fit.resuming import RUN_KEY, differences
from tests.eval.fit.runs import AT, DIGITS, HALVED, configuration, epochs, fitted, lr, same, saved

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]
LAST = {"resume": "last"}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run of one epoch, which no test changes."""
    folder = tmp_path_factory.mktemp("begun")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted(folder, epochs(1))
    return folder


@pytest.fixture
def run(begun: Path, tmp_path: Path) -> Path:
    """A copy of it, wherever it lies."""
    (tmp_path / "checkpoints").mkdir()
    for file in (begun / "checkpoints").iterdir():
        (tmp_path / "checkpoints" / file.name).write_bytes(file.read_bytes())
    return tmp_path


def rewritten(run: Path, change: Any) -> Path:
    """The last checkpoint after a change of what it holds."""
    path = run / "checkpoints/last.ckpt"
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    return path


@pytest.mark.parametrize("resume", ["last", pytest.param("{run}/checkpoints/last.ckpt", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"network_options": {"hidden": [17]}}}, r"`model.network_options` \{'hidden': \[16\]\} where"),
        ({"model": {"objective": AT}}, "`model.objective` None where 'training.AT' is asked"),
        ({"model": {"alignment_weight": 0.5}}, "`model.alignment_weight` 0.0 where 0.5 is asked"),
        ({"model": {"optimizer": {"class_path": "torch.optim.SGD"}}}, "`model.optimizer` 'torch.optim.Adam' where"),
        ({"data": {"init_args": {"batch_size": 65}}}, "`data.batch_size` 64 where 65 is asked"),
        (
            {"data": {"class_path": "training.data.Squares", "init_args": {"size": 8}}},
            "`data` 'training.data.Digits'",
        ),
        ({"seed_everything": 7}, "`seed_everything` 0 where 7 is asked"),
        ({"selection": {"steps": 3}}, "`selection.steps` 2 where 3 is asked"),
        ({"checkpoint": {"monitor": "val_accuracy"}}, "`checkpoint.monitor` 'val_selection' where 'val_accuracy' is"),
    ],
)
def test_what_makes_it_another_run_is_refused(run: Path, resume: str, change: dict, message: str) -> None:
    before = (run / "checkpoints/last.ckpt").read_bytes()
    with pytest.raises(ValueError, match=rf"`resume` should name a checkpoint of this run. Found in .*: .*{message}"):
        fitted(run, change, {"resume": resume.format(run=run)})
    assert (run / "checkpoints/last.ckpt").read_bytes() == before


def test_learning_rate_that_is_asked_is_the_one_that_is_taken(run: Path) -> None:
    before = saved(run)
    cli = fitted(run, LAST, {"trainer": {"max_epochs": 2}}, lr(0.0))
    (group,) = saved(run)["optimizer_states"][0]["param_groups"]
    assert (group["lr"], cli.trainer.optimizers[0].param_groups[0]["lr"]) == (0.0, 0.0)
    assert saved(run)["epoch"] == 1
    assert same(saved(run), before)
    moved = saved(run)["optimizer_states"][0]["state"][0]
    assert moved["step"] == 2 * 17  # the optimiser's moments went on
    assert saved(run)[RUN_KEY]["model"]["optimizer"]["init_args"]["lr"] == 0.0


@pytest.mark.slow
def test_other_options_of_the_optimiser_are_applied(run: Path) -> None:
    decay = {"model": {"optimizer": {"init_args": {"weight_decay": 0.25, "betas": [0.5, 0.9]}}}}
    (group,) = fitted(run, LAST, epochs(2), decay).trainer.optimizers[0].param_groups
    assert (group["weight_decay"], list(group["betas"]), group["lr"]) == (0.25, [0.5, 0.9], 0.02)


def rates(cli: FitCLI) -> list[float]:
    return [group["lr"] for group in cli.trainer.optimizers[0].param_groups]


@pytest.mark.slow
@pytest.mark.parametrize("interval", [pytest.param("epoch", marks=pytest.mark.slow), "step"])
def test_schedule_that_is_asked_stands_where_it_would_from_the_beginning(run: Path, interval: str) -> None:
    stepped = {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1, "gamma": 0.97}}
    schedule = {"model": {"scheduler": stepped, "scheduler_interval": interval}}
    resumed = fitted(run, LAST, epochs(2), schedule)
    assert rates(resumed) == pytest.approx([0.02 * 0.97 ** (2 if interval == "epoch" else 2 * 17)])
    slower = fitted(run, LAST, epochs(3), schedule, lr(0.01))
    assert rates(slower) == pytest.approx([0.01 * 0.97 ** (3 if interval == "epoch" else 3 * 17)])
    without = fitted(run, LAST, epochs(4), lr(0.01))
    assert rates(without) == [0.01]


@pytest.mark.slow
def test_schedule_that_is_kept_goes_on(tmp_path: Path) -> None:
    fitted(tmp_path, epochs(1), {"model": {"scheduler": HALVED}})
    assert rates(fitted(tmp_path, LAST, epochs(3), {"model": {"scheduler": HALVED}})) == [0.02 / 2**3]


def test_what_changes_nothing_of_the_run_may_change(run: Path) -> None:
    free = {
        "model": {"log_layers": True},
        "data": {"init_args": {"eval_batch_size": 30}},
        "collapse": {"margin": 0.0},
    }
    fitted(run, LAST, epochs(2), free)
    assert saved(run)["epoch"] == 1


@pytest.mark.slow
def test_generators_go_on_with_another_learning_rate_and_no_other_network(tmp_path: Path) -> None:
    judge = {
        "class_path": "training.build_network",
        "init_args": {"name": "mlp", "shape": [1, 8, 8], "num_classes": 10},
    }
    options = {"network": "mlp", "network_options": {"hidden": [8]}, "discriminator": judge}

    def generator(number: int, resume: str | None = None, **changes: Any) -> FitCLI:
        whole = configuration(tmp_path, epochs(number), {"resume": resume})
        model = {"class_path": "generators.TransportGAN", "init_args": options | changes}
        return fit_from({key: value for key, value in whole.items() if key != "selection"} | {"model": model})

    generator(1).fit()
    cli = generator(2, "last", lr=0.5, discriminator_lr=0.25)
    cli.fit()
    assert [optimizer.param_groups[0]["lr"] for optimizer in cli.trainer.optimizers] == [0.5, 0.25]
    with pytest.raises(ValueError, match=r"`model.network_options` .* where"):
        generator(3, "last", network_options={"hidden": [9]}).fit()


def test_last_is_nothing_where_the_run_keeps_nothing(run: Path) -> None:
    for place in (run / "other", run / "checkpoints"):  # a folder beside it, and one below which it does not look
        with pytest.raises(FileNotFoundError, match=r"\(no last.ckpt in it\): no checkpoint to go on from"):
            fitted(place, LAST)
    with pytest.raises(FileNotFoundError, match=r"other \(no last.ckpt in it\)"):
        fitted(run, LAST, {"checkpoint": {"dirpath": str(run / "other")}})
    with pytest.raises(FileNotFoundError, match=r"nowhere.ckpt: no checkpoint to go on from"):
        fitted(run, {"resume": "nowhere.ckpt"})


@pytest.mark.slow
def test_last_is_the_newest_of_the_folders_that_a_logger_made(tmp_path: Path) -> None:
    logged = {"trainer": {"logger": {"class_path": "pytorch_lightning.loggers.CSVLogger",
                                     "init_args": {"save_dir": str(tmp_path), "name": "mine"}},
                          "log_every_n_steps": 1}}  # fmt: skip
    for number in (1, 2):
        fitted(tmp_path, logged, epochs(number))
    first, second = (tmp_path / f"mine/version_{version}/checkpoints/last.ckpt" for version in (0, 1))
    os.utime(first, (0, 0))
    fitted(tmp_path, logged, epochs(3), LAST)
    found = [torch.load(path, weights_only=True)["epoch"] for path in (first, second)]
    assert found == [0, 2]


def test_folder_that_is_not_the_checkpoints_own_is_refused(run: Path) -> None:
    resume = {"resume": str(run / "checkpoints/last.ckpt")}
    with pytest.raises(ValueError, match=r"`checkpoint.dirpath` should be the folder of .* Found .*elsewhere"):
        fitted(run, resume, {"checkpoint": {"dirpath": str(run / "elsewhere")}})
    fitted(run, resume, {"checkpoint": {"dirpath": str(run / "elsewhere/../checkpoints")}})


def test_checkpoint_that_does_not_say_its_run_goes_on_only_by_its_path(run: Path) -> None:
    path = rewritten(run, lambda content: content.pop(RUN_KEY))
    with pytest.raises(ValueError, match=r"does not say which run it belongs to; .* Name it by its path"):
        fitted(run, LAST)
    with pytest.warns(UserWarning, match="does not say which run it belongs to"):
        fitted(run, epochs(2), {"resume": str(path)})
    assert saved(run)["epoch"] == 1


def test_checkpoint_with_other_weights_is_refused(run: Path) -> None:
    path = rewritten(run, lambda content: content.pop(RUN_KEY))
    wider = {"model": {"network_options": {"hidden": [17]}}, "resume": str(path)}
    with (
        pytest.warns(UserWarning, match="does not say"),
        pytest.raises(ValueError, match=r"weights of another model: 3 differ, such as network.1.bias, \(16,\) where"),
    ):
        fitted(run, wider)


def test_file_that_a_training_cannot_go_on_from_is_refused(run: Path) -> None:
    (run / "text.ckpt").write_text("no checkpoint")
    with pytest.raises(ValueError, match=r"text.ckpt cannot be read as a checkpoint"):
        fitted(run, {"resume": str(run / "text.ckpt")})
    path = rewritten(run, lambda content: [content.pop(key) for key in ("optimizer_states", "loops")])
    with pytest.raises(ValueError, match=r"Found nothing under loops, optimizer_states"):
        fitted(run, {"resume": str(path)})


def test_run_cannot_end_before_it_stands(run: Path) -> None:
    fitted(run, LAST, epochs(2))
    with pytest.raises(ValueError, match=r"`trainer.max_epochs` should be at least 2, .* Found 1"):
        fitted(run, LAST, epochs(1))
    before = saved(run)
    cli = fitted(run, LAST, epochs(2))  # a run that was killed after its last epoch
    assert same(saved(run), before)
    assert Path(cli.best.best_model_path) == run / "checkpoints/best.ckpt"
    assert float(cli.best.best_model_score) > 0


def test_options_are_compared_by_their_names() -> None:
    found = {
        "seed_everything": 0,
        "data": DIGITS,
        "model": {"optimizer": None, "residual": "auto", "start_from": None},
    }
    adam = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.1}}
    asked = {"seed_everything": 0, "data": DIGITS, "model": {"optimizer": adam, "residual": {"residual": "auto"}}}
    assert differences(found, found) == {}
    assert differences(found, asked) == {
        "model.optimizer.lr": (None, 0.1),
        "model.residual": ("auto", {"residual": "auto"}),
    }
