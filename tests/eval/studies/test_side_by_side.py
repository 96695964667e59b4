"""A study whose models are trained side by side finds what it finds with one at a time."""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from filelock import FileLock
from torch import nn

from eval.fit import FitCLI
from eval.studies import StudyRun, load_study, run_study
from eval.studies.cells import home_of, processes, run_cells
from eval.studies.engines import Here
from eval.studies.grouping import (
    BESIDES,
    COPIES,
    EACH,
    FREE,
    MOST,
    PASSES,
    fitting,
    groups,
    shared,
    step_bytes,
)
from eval.studies.overlay import laid_over
from eval.studies.plan import Cell
from eval.studies.tasks import Done, Task
from eval.studies.work import all_done
from tests.eval.fit.runs import configuration
from tests.eval.studies.killed import killed
from training import build_network

AT = {"class_path": "training.AT", "init_args": {"epsilon": "1/10", "steps": 2}}
SPHERES = {
    "class_path": "training.data.Spheres",
    "init_args": {"dimensions": 8, "train_size": 120, "batch_size": 50},
}
DIGITS = {"class_path": "training.data.Digits", "init_args": {"batch_size": 400}}
BASE = {
    "trainer": {"accelerator": "cpu", "max_epochs": 3},
    "model": {"network": "mlp", "network_options": {"hidden": [12]}},
    "selection": {"steps": 2, "resolution": 0.2},
    "checkpoint": {"monitor": "val_accuracy"},  # so that models that hardly learn are candidates
}
RECIPES: dict[str, dict[str, Any]] = {
    "B": {},
    "Lα": {"model": {"alignment_weight": 1.0}},
    "P": {"model": {"objective": AT}},
    "AT+AGR": {"model": {"objective": AT, "combiner": {"class_path": "training.AGR"}}},
}
HERE = __name__


def planned(folder: Path, recipes: dict[str, dict], seeds: tuple[int, ...] = (0,), **base: Any) -> str:
    """A study of some recipes, written to a file."""
    experiments = {"here": {"recipes": recipes, "seeds": list(seeds)}}
    measure = {"masking": False, "steps": 2, "limit": 10, "resolution": 0.5}
    study = {
        "title": "here",
        "base": laid_over(BASE | {"data": base.pop("data", SPHERES)}, base),
        "measure": measure,
        "experiments": experiments,
    }
    path = folder / "here.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return str(path)


def ran(plan: str, folder: Path, side_by_side: int | None) -> StudyRun:
    return run_study(load_study(plan), folder, jobs=1, side_by_side=side_by_side)


def grouped(cells: list[Cell], folder: Path, **options: bool) -> list[Done]:
    """What came of cells that are one group, whatever they share."""
    task = Task(tuple(cell.identity for cell in cells), partial(run_cells, cells, folder, **options))
    return [*all_done([task], "here", Here()).values()]


def values(run: StudyRun) -> dict[tuple, float]:
    """All numbers but seconds, by model and quantity."""
    records = [r for r in run.results.load() if r.quantity.kind != "epoch_cost"]
    return {(r.model.recipe, r.model.seed, r.quantity.title): r.value for r in records}


def training(folder: Path, recipe: str, seed: int = 0) -> Path:
    (found,) = folder.glob(f"models/here-{recipe}*-seed{seed}-*/training")
    return found


def weights(folder: Path, name: str = "last") -> dict[str, dict[str, torch.Tensor]]:
    return {
        path.parents[1].name: torch.load(path, weights_only=True)["state_dict"]
        for path in folder.glob(f"models/*/training/{name}.ckpt")
    }


def assert_same_weights(a: Path, b: Path, *, models: int) -> None:
    for name in ("last", "best"):
        found, wanted = weights(a, name), weights(b, name)
        assert len(found) == models
        assert found.keys() == wanted.keys()
        for model, state in found.items():
            assert all(torch.equal(state[key], wanted[model][key]) for key in state | wanted[model])


def assert_same_logs(a: Path, b: Path) -> None:
    """What was logged is the same, to the last digits of a mean, but for seconds and memory."""
    files = sorted(path.relative_to(a) for path in a.glob("models/*/training/logs/*/metrics.csv"))
    assert files
    for file in files:
        found, wanted = (pd.read_csv(folder / file) for folder in (a, b))
        kept = [column for column in wanted if not column.startswith("epoch_")]
        assert set(found) == set(wanted)
        np.testing.assert_allclose(found[kept].to_numpy(), wanted[kept].to_numpy(), rtol=2e-6, err_msg=str(file))


@pytest.mark.slow  # that the others are left as they were, below, is compared with one at a time too
@pytest.mark.parametrize("data", [SPHERES, DIGITS], ids=["Spheres", "digits"])
def test_a_study_side_by_side_is_one_at_a_time(tmp_path: Path, data: dict) -> None:
    plan = planned(tmp_path, RECIPES, (0, 1), data=data)
    alone = ran(plan, tmp_path / "alone", None)
    wanted = values(alone)
    assert alone.failures == []
    run = ran(plan, tmp_path / "run", 3)
    assert (run.failures, run.notes) == ([], [])
    found = values(run)
    assert found.keys() == wanted.keys()
    assert len(found) > 8 * 3
    for key, value in found.items():
        assert value == pytest.approx(wanted[key], rel=2e-6), key
    assert_same_weights(tmp_path / "run", tmp_path / "alone", models=8)
    assert_same_logs(tmp_path / "run", tmp_path / "alone")


@pytest.mark.slow
def test_records_and_trainings_say_how_many_shared_the_seconds(tmp_path: Path) -> None:
    run = ran(planned(tmp_path, RECIPES), tmp_path / "run", 3)
    marks = {
        recipe: json.loads((training(tmp_path / "run", recipe) / "trained.json").read_text()) for recipe in RECIPES
    }
    assert {recipe: mark["side_by_side"] for recipe, mark in marks.items()} == dict.fromkeys(RECIPES, 2)  # in halves
    assert all(mark["seconds"] > 0 for mark in marks.values())
    told = {r.quantity.kind: r.provenance.get("side_by_side", 1) for r in run.results.load()}
    assert (told["mu"], told["gop_frequency"], told["accuracy"]) == (2, 2, 1)  # measured one after the other


class Failing(nn.Module):
    """A linear classifier that raises an error in the second epoch: after three steps and a validation."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer, self.steps = nn.Linear(8, num_classes), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.steps += self.training and torch.is_grad_enabled()
        if self.steps == 5:
            raise RuntimeError("broken in the second epoch")
        return self.layer(x)


COLLAPSING = {"model": {"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 1e38}}}}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:training collapsed")
@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (COLLAPSING, "should be finite. Found 2 NaN or infinite"),
        pytest.param(
            {"model": {"objective": AT | {"init_args": {"epsilon": 0.1, "steps": 0}}}},
            "`steps` should be",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"checkpoint": {"monitor": "val_selection"}, "model": {"residual": "nothing"}},
            "`residual` should be",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["collapses", "cannot be built", "cannot begin"],
)
def test_one_that_fails_leaves_the_others_as_they_were(tmp_path: Path, recipe: dict, said: str) -> None:
    others = {name: RECIPES[name] for name in ("B", "P")}
    once = {"trainer": {"max_epochs": 1}}
    alone = ran(planned(tmp_path, others, **once), tmp_path / "alone", 1)
    run = ran(planned(tmp_path, {"B": others["B"], "bad": recipe, "P": others["P"]}, **once), tmp_path / "run", 3)
    (failure,) = run.failures
    assert failure.startswith("here-bad")
    assert said in failure
    assert values(run) == pytest.approx(values(alone), rel=2e-6)


@pytest.mark.slow
def test_one_that_fails_in_its_second_epoch_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    """Its network is another, so the group is put together by hand."""
    failing = {"model": {"network": f"{HERE}.Failing", "network_options": None}}
    study = load_study(planned(tmp_path, {"B": {}, "bad": failing, "P": RECIPES["P"]}))
    done = grouped(study.cells, tmp_path / "run")
    assert done[1].failures == ["RuntimeError: broken in the second epoch"]
    assert (training(tmp_path / "run", "bad") / "last.ckpt").exists()
    others = {"B": {}, "P": RECIPES["P"]}
    ran(planned(tmp_path, others), tmp_path / "alone", 1)
    for recipe in others:
        found, wanted = (
            torch.load(training(tmp_path / name, recipe) / "last.ckpt", weights_only=True)["state_dict"]
            for name in ("run", "alone")
        )
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(0,), (2,), (0, 1, 2)], ids=["the first", "the last", "any"])
def test_a_group_that_was_killed_ends_as_an_uninterrupted_one(
    tmp_path: Path, seeds: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tmp_path, {"AT+AGR": RECIPES["AT+AGR"]}, (0, 1, 2))
    wanted = ran(plan, tmp_path / "whole", 3)
    with monkeypatch.context() as patched:
        patched.setattr(FitCLI, "instantiate_trainer", killed(FitCLI.instantiate_trainer, seeds))
        with pytest.raises(SystemExit, match="killed"):
            ran(plan, tmp_path / "run", 3)
    assert not list((tmp_path / "run").glob("models/*/training/trained.json"))
    begun = len(list((tmp_path / "run").glob("models/*/training/last.ckpt")))
    run = ran(plan, tmp_path / "run", 3)
    assert begun >= 1
    assert run.failures == []
    assert values(run) == pytest.approx(values(wanted), rel=2e-6)
    assert_same_weights(tmp_path / "run", tmp_path / "whole", models=3)


@pytest.mark.slow
def test_one_that_goes_on_from_its_second_epoch_ends_beside_others_that_begin(tmp_path: Path) -> None:
    plan = planned(tmp_path, {"P": RECIPES["P"]}, (0, 1, 2))
    ran(plan, tmp_path / "whole", 1)
    short = planned(tmp_path, {"P": RECIPES["P"]}, (0,), trainer={"max_epochs": 2})
    ran(short, tmp_path / "short", 1)
    half = training(tmp_path / "short", "P")
    (tmp_path / "run").mkdir()
    study = load_study(planned(tmp_path, {"P": RECIPES["P"]}, (0, 1, 2)))
    home = home_of(study.cells[0], tmp_path / "run").path
    home.mkdir(parents=True)
    half.rename(home / "training")
    (home / "training/trained.json").unlink()
    assert ran(plan, tmp_path / "run", 3).failures == []
    assert_same_weights(tmp_path / "run", tmp_path / "whole", models=3)
    first = training(tmp_path / "run", "P", 0)
    assert json.loads((first / "trained.json").read_text())["side_by_side"] == 3
    resumed = pd.read_csv(sorted(first.glob("logs/*/metrics.csv"))[-1])
    assert set(resumed.epoch) == {1, 2}
    assert resumed.step.min() == 5  # the last step of the second epoch, of three each: it did not begin anew


@pytest.mark.slow
def test_what_is_trained_already_is_measured_only(tmp_path: Path) -> None:
    plan = planned(tmp_path, RECIPES)
    before = values(ran(plan, tmp_path / "run", 4))
    marks = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("models/*/training/*.*")}
    for record in (tmp_path / "run").glob("models/*/*.json"):
        record.unlink()
    assert values(ran(plan, tmp_path / "run", 4)) == before
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("models/*/training/*.*")} == marks


@pytest.mark.slow
def test_a_model_that_another_process_works_on_is_left_to_it_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load_study(planned(tmp_path, {name: RECIPES[name] for name in ("B", "Lα", "P")}))
    homes = [home_of(cell, tmp_path / "run").path for cell in study.cells]
    homes[0].mkdir(parents=True)
    other = FileLock(homes[0] / ".lock")
    other.acquire()
    passes: list[dict[str, int]] = []

    def finished(tasks: Any, *rest: Any) -> dict:
        done = all_done(tasks, *rest)
        passes.append({name: len(model.failures) for name, model in done.items()})
        if len(passes) == 2:
            other.release()  # the other process ends, its model unfinished
        return done

    monkeypatch.setattr("eval.studies.run.all_done", finished)
    run = run_study(study, tmp_path / "run", jobs=1, side_by_side=3)
    assert run.failures == []
    first, *told = passes  # what comes first, which is nothing
    assert first == {}
    assert [set(done) for done in told] == [{homes[1].name, homes[2].name}, {homes[0].name}]
    assert [json.loads((home / "training/trained.json").read_text())["side_by_side"] for home in homes] == [1, 2, 2]


@pytest.mark.slow
def test_networks_with_dropout_are_trained_one_at_a_time_and_it_is_said(tmp_path: Path) -> None:
    dropping = {"network": f"{HERE}.Dropping", "network_options": None}
    plan = planned(tmp_path, {"B": {}, "P": RECIPES["P"]}, model=dropping)
    alone, run = ran(plan, tmp_path / "alone", 1), ran(plan, tmp_path / "run", 2)
    assert (run.failures, alone.notes) == ([], [])
    (note,) = run.notes
    assert "as dropout does, are trained one at a time" in note
    assert values(run) == values(alone)
    assert_same_weights(tmp_path / "run", tmp_path / "alone", models=2)
    assert json.loads((training(tmp_path / "run", "P") / "trained.json").read_text())["side_by_side"] == 1


class Dropping(nn.Module):
    """A linear classifier of what dropout leaves."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer, self.dropout = nn.Linear(8, num_classes), nn.Dropout(0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.dropout(x))


def sizes(cells: list[Cell], side_by_side: int | None) -> list[int]:
    return [len(group) for group in groups(cells, side_by_side)]


def test_models_of_one_data_set_network_and_trainer_are_a_group(tmp_path: Path) -> None:
    sgd = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}
    others = {
        "optimizer": {"model": {"optimizer": sgd}},
        "ε": {"model": {"objective": AT | {"init_args": {"epsilon": 0.2, "steps": 7}}}},
    }
    alike = load_study(planned(tmp_path, RECIPES | others, (0, 1))).cells
    assert len({shared(cell) for cell in alike}) == 1
    assert sizes(alike, 4) == [4, 4, 4]
    assert sizes(alike, 5) == [4, 4, 4]  # as even as can be
    assert sizes(alike, 1) == [1] * 12
    assert sizes(alike, None) == [1] * 12  # on a CPU


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"init_args": {"batch_size": 60}}},
        {"data": {"init_args": {"dimensions": 9}}},
        {"trainer": {"max_epochs": 4}},
        {"trainer": {"precision": "bf16-mixed"}},
        {"model": {"network": "small_cnn"}},
        {"model": {"network_options": {"hidden": [13]}}},
        {"model": {"graphs": False}},
    ],
)
def test_models_whose_steps_have_other_shapes_are_not(tmp_path: Path, change: dict) -> None:
    cells = load_study(planned(tmp_path, {"B": {}, "other": change, "P": RECIPES["P"]})).cells
    assert [[cell.model.recipe for cell in group] for group in groups(cells, 9)] == [["B", "P"], ["other"]]


def test_on_a_gpu_a_group_is_as_large_as_memory_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    cells = load_study(planned(tmp_path, RECIPES, (0, 1, 2, 3, 4))).cells
    assert sizes(cells, None) == [1] * 20  # the trainer is told to use the CPU
    cells = load_study(planned(tmp_path, RECIPES, (0, 1, 2, 3, 4), trainer={"accelerator": "auto"})).cells
    assert sizes(cells, None) == [10, 10]
    assert max(sizes(cells, None)) <= MOST
    assert sizes(cells, 3) == [2] + [3] * 6
    assert [len(group) for group in groups(cells, None, jobs=7)] == [2] + [3] * 6  # each process has one


@pytest.mark.slow
def test_small_networks_on_a_gpu_are_divided_among_processes(tmp_path: Path) -> None:
    small = load_study(planned(tmp_path, RECIPES, (0, 1, 2))).cells
    assert [processes(small, tmp_path, "cpu", cores) for cores in (16, 2)] == [len(small) // EACH, 2]
    assert processes(small[:2], tmp_path, "cpu", 16) == 1
    wide = {"wide": {"model": {"network_options": {"hidden": [4000, 4000]}}}}
    assert processes(load_study(planned(tmp_path, wide, range(9))).cells, tmp_path, "cpu", 16) == 1
    broken = {"broken": {"model": {"netwrok": "mlp"}}}
    assert processes(load_study(planned(tmp_path, broken, range(9))).cells, tmp_path, "cpu", 16) == 1


def test_memory_of_a_training_grows_with_its_batch_and_its_weights(tmp_path: Path) -> None:
    network = build_network("mlp", shape=(8,), num_classes=2, bounds=(-1.0, 1.0), hidden=[100])
    small, large = step_bytes(network, (8,), 50), step_bytes(network, (8,), 100)
    fixed = BESIDES + COPIES * sum(weight.numel() * 4 for weight in network.parameters())
    assert large - fixed == 2 * (small - fixed)
    assert small - fixed >= PASSES * 50 * 100 * 4  # the hidden layer, at least
    cli = FitCLI(configuration(tmp_path))
    one = step_bytes(cli.model.network, cli.datamodule.shape, cli.datamodule.batch_size)
    assert [fitting(cli, free=int(one * times / FREE) + 8) for times in (0, 1, 5, 1000)] == [1, 1, 5, MOST]


@pytest.mark.slow
def test_a_group_is_divided_by_the_memory_that_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (100, 100))
    monkeypatch.setattr("eval.studies.cells.fitting", lambda cli, free: 2 if free == 100 else 0)
    cells = load_study(planned(tmp_path, {"bad": {"model": {"netwrok": 1}}, "B": {}, "P": RECIPES["P"]})).cells
    done = grouped(cells, tmp_path / "run", auto=True)
    assert [len(model.failures) for model in done] == [1, 0, 0]
    marks = [json.loads(path.read_text()) for path in (tmp_path / "run").glob("models/*/training/trained.json")]
    assert [mark["side_by_side"] for mark in marks] == [
        2,
        2,
    ]  # beside each other, and the first, which cannot be, alone


@pytest.mark.parametrize("number", [0, -1])
def test_a_group_of_none_is_refused(tmp_path: Path, number: int) -> None:
    with pytest.raises(ValueError, match=rf"`side_by_side` should be at least 1. Found {number}"):
        ran(planned(tmp_path, RECIPES), tmp_path / "run", number)
    assert not (tmp_path / "run").exists()


def told_by_environment(name: str) -> dict[str, Done]:
    return {name: Done(0.0, [], [os.environ.get("ALPHADX_DATA", "")])}


@pytest.mark.slow
def test_processes_know_the_environment_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("first", "second"):  # the process that they are forked from stays
        monkeypatch.setenv("ALPHADX_DATA", folder)
        tasks = [Task((name,), partial(told_by_environment, name)) for name in "ab"]
        done = all_done(tasks, "", Here(2, 2))
        assert {name: model.notes for name, model in done.items()} == {"a": [folder], "b": [folder]}
