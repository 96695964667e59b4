import importlib
import json
import linecache
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from scipy import stats

from eval.records import Model, Results, Samples, Subject
from eval.report import write_report
from eval.report.tables import quality_table
from eval.studies import EstimatorCell, correlations, load_study, presets, run_study
from eval.studies.claim import claimed
from eval.studies.logs import training_records
from eval.studies.own_classes import own_code
from eval.studies.wanted import wanted_of

AT = {"class_path": "training.AT", "init_args": {"epsilon": "1/20", "steps": 3}}
TINY = {
    "title": "tiny",
    "base": {
        "trainer": {"accelerator": "cpu", "max_epochs": 2},
        "model": {"network": "mlp", "network_options": {"hidden": [16]}},
        "selection": {"steps": 3},
        "checkpoint": {"monitor": "val_accuracy"},  # so that models that hardly learn are candidates
        "data": {
            "class_path": "training.data.Spheres",
            "init_args": {"dimensions": 4, "train_size": 200, "batch_size": 50},
        },
    },
    "measure": {"steps": 5, "resolution": 0.05, "figures": []},
    "experiments": {
        "Spheres4": {
            "recipes": {
                "B": {},
                "P": {"model": {"objective": AT}},
            },
            "sweep": {"recipe": "P", "epsilon": ["1/50", 0.1], "seeds": [0, 1]},
        }
    },
}


ESTIMATORS = {
    "base": {"data": TINY["base"]["data"]},
    "estimators": {
        "learned": {"residual": "first/direct-{seed}", "judge": "first/judge"},
        "nearest": {"residual": "nearest"},
    },
}
ONE = {"experiments": {"Spheres4": {"recipes": {"B": {}}}}, "measure": {"masking": False}}


def written(folder: Path, **changes: object) -> str:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY | changes))
    return str(path)


def swept(**changes: object) -> dict:
    """Changes of a study by which its sweep becomes another."""
    (experiment,) = TINY["experiments"].values()
    return {"experiments": {"a": experiment | {"sweep": experiment["sweep"] | changes}}}


def test_grid_is_every_recipe_and_every_epsilon_with_every_seed(tmp_path: Path) -> None:
    cells = load_study(written(tmp_path)).cells
    assert [(c.model.groups, c.model.recipe, c.model.epsilon, c.model.seed) for c in cells] == [
        (("side by side",), "B", "", 0),
        (("side by side",), "P", "1/20", 0),
        (("sweep",), "P", "1/50", 0),
        (("sweep",), "P", "1/50", 1),
        (("sweep",), "P", "0.1", 0),
        (("sweep",), "P", "0.1", 1),
    ]
    assert cells[3].fit["seed_everything"] == 1
    assert cells[3].fit["model"]["objective"]["init_args"] == {"epsilon": "1/50", "steps": 3}
    assert "objective" not in cells[0].fit["model"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiment": {}}, r"should hold the keys .* Found \['experiment'\]"),
        ({"experiments": {"a": {}}}, r"a: the keys \['recipes'\] are missing"),
        ({"experiments": {"a": {"recipes": {"B": {}}, "sweep": {"recipe": "B", "epsilon": [1]}}}}, "Found 'B'"),
        ({"experiments": {"a": None}}, r"a: should hold the keys \['recipes'\]. Found None"),
        ({"experiments": {}}, "`experiments` should hold at least one recipe"),
        ({"experiments": ["a"]}, r"experiments: should hold keys with values. Found \['a'\]"),
        ({"experiments": {"a": {"recipes": ["B"]}}}, "a, recipes: should hold keys with values"),
        ({"experiments": {"a": {"recipes": {"B": 5}}}}, "a, recipes, B: should hold keys with values. Found 5"),
        ({"experiments": {"a": {"recipes": {"B": {}}, "seeds": 3}}}, "`seeds` should be a list of whole numbers"),
        ({"experiments": {"a": ESTIMATORS | {"seeds": 3}}}, "a: `seeds` should be a list of whole numbers"),
        ({"experiments": {"a": ESTIMATORS | {"recipes": {}}}}, r"a: should hold the keys .* Found \['recipes'\]"),
        ({"experiments": {"a": {"estimators": ["n"]}}}, "a, estimators: should hold keys with values"),
        ({"experiments": {"a": {"estimators": {"n": {"residual": "nearest"}}}}, "base": {}}, "a, base, data: should"),
        ({"base": None}, "tiny, base: should hold keys with values. Found None"),
        ({"measure": ["a"]}, "tiny, measure: should hold keys with values"),
        ({"first": None}, "tiny, first: should hold keys with values"),
        (
            {"minutes": {"paper size": 5}},
            r"tiny, minutes: should hold the keys \['fast', 'whole'\]. Found \['paper size'\]",
        ),
        ({"title": 5}, "`title` should be text. Found 5"),
        (swept(epsilon=0.1), "`epsilon` should be a list of strengths. Found 0.1"),
        (swept(epsilon=["abc"]), "A strength should be a number"),
        (swept(recipe=["P"]), r"`recipe` should name a recipe of the experiment, B, P. Found \['P'\]"),
    ],
)
def test_mistakes_in_a_study_are_named(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_study(written(tmp_path, **changes))


def test_unknown_study_lists_the_presets() -> None:
    with pytest.raises(ValueError, match=r"should be one of .*mnist35, .*quick, .*or an existing"):
        load_study("nothing")


def home_of(folder: Path, name: str) -> Path:
    (found,) = folder.glob(f"models/{name}-*")
    return found


def made(folder: Path) -> dict[Path, int]:
    """When each file of the models was written last, but for their locks."""
    kept = [path for path in folder.glob("models/*/**/*.*") if path.is_file() and path.name != ".lock"]
    return {path: path.stat().st_mtime_ns for path in kept}


def test_study_repeats_nothing_that_is_finished(tmp_path: Path, finished: Path) -> None:
    study, folder = load_study(str(finished / "tiny.yaml")), tmp_path / "run"
    shutil.copytree(finished / "run", folder)
    (lost,) = folder.glob("models/*/alpha_dx-*.json")
    content = json.loads(lost.read_text())
    lost.unlink()
    before = made(folder)
    assert run_study(study, folder, jobs=1).failures == []
    after = made(folder)
    assert {path for path in after if after[path] != before.get(path)} == {lost, lost.with_suffix(".csv")}
    assert json.loads(lost.read_text())["value"] == content["value"]
    with pytest.raises(ValueError, match="holds results of another version of 'tiny'"):
        run_study(load_study(written(tmp_path, **ONE | {"measure": {"steps": 7}})), folder, jobs=1)


@pytest.mark.slow
def test_study_repeats_nothing_that_is_finished_and_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    measured = TINY["measure"] | {"masking": False, "limit": 60}
    study, folder = load_study(written(tmp_path, measure=measured)), tmp_path / "run"
    done = run_study(study, folder, jobs=1)
    assert done.failures == []
    values = done.results.load().frame().value
    files = made(folder)

    # What a kill leaves behind: one measurement missing; one model with its first epoch only.
    (lost,) = home_of(folder, "Spheres4-B-seed0").glob("alpha_dx-*.json")
    lost.unlink()
    half = home_of(folder, "Spheres4-P-eps0.1-seed1")
    for path in [*half.glob("*.json"), half / "training/trained.json"]:
        path.unlink()
    again = run_study(study, folder, jobs=1).results.load().frame().value

    np.testing.assert_array_equal(again, values)
    changed = {path for path, time in files.items() if path.exists() and path.stat().st_mtime_ns != time}
    assert {path.parent for path in changed} <= {lost.parent, half, half / "training"}
    assert {path.name for path in changed if path.parent == lost.parent} == {lost.name, f"{lost.stem}.csv"}

    with pytest.raises(ValueError, match="holds results of another version of 'tiny'"):
        run_study(load_study(written(tmp_path, measure={"steps": 7})), folder, jobs=1)

    tables = write_report(folder)
    assert list(tables["Side by side"].frame.recipe) == ["B", "P"]
    page = (folder / "page.html").read_text()
    assert "6 of 6 models" in page
    drawn = {path.stem.partition("-")[0] for path in (folder / "plots").iterdir()}
    assert drawn == {"curves", "sweep", "training_curves", "epoch_cost"}  # no correlation of models that guess
    assert page.count('role="img"') == len([*(folder / "plots").glob("*.svg")])
    assert re.findall(r"(?:src|href)=.?http", page) == []
    assert json.loads((folder / "study.json").read_text())["models"] == 6


def test_a_model_that_stands_in_both_parts_is_trained_once(tmp_path: Path) -> None:
    both = TINY["experiments"]["Spheres4"] | {"sweep": {"recipe": "P", "epsilon": ["1/20", 0.1], "seeds": [0, 1]}}
    cells = load_study(written(tmp_path, experiments={"Spheres4": both})).cells
    assert [(c.model.recipe, c.model.epsilon, c.model.seed, c.model.groups) for c in cells] == [
        ("B", "", 0, ("side by side",)),
        ("P", "1/20", 0, ("side by side", "sweep")),
        ("P", "1/20", 1, ("sweep",)),
        ("P", "0.1", 0, ("sweep",)),
        ("P", "0.1", 1, ("sweep",)),
    ]
    assert len(load_study("quick").cells) == len({cell.identity for cell in load_study("quick").cells})


@pytest.mark.slow
def test_recipes_whose_names_differ_in_a_space_or_slash_are_two_models(tmp_path: Path) -> None:
    names = ("a b", "a_b", "a/_b")
    recipes = {name: {"trainer": {"max_epochs": i + 1}} for i, name in enumerate(names)}
    study = load_study(written(tmp_path, experiments={"Spheres4": {"recipes": recipes}}, measure={"masking": False}))
    done = run_study(study, tmp_path / "run", jobs=1)
    assert len(list((tmp_path / "run/models").iterdir())) == 3
    assert list(write_report(tmp_path / "run")["Side by side"].frame.recipe) == ["a b", "a/_b", "a_b"]
    assert done.failures == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of one model, and its results in `run`."""
    folder = tmp_path_factory.mktemp("finished")
    run_study(load_study(written(folder, **ONE)), folder / "run", jobs=1)
    return folder


@pytest.mark.parametrize(
    ("pattern", "content", "message"),
    [
        ("study.json", b"{", r"study\.json is damaged .*Remove it"),
        ("models/*/training/trained.json", b"", r"trained\.json is damaged .*Remove it"),
        pytest.param(
            "models/*/training/trained.json",
            b'{"other": 1}',
            r"trained\.json should hold best, score.*Remove it",
            marks=pytest.mark.slow,
        ),
        ("models/*/training/best.ckpt", b"PK", r"best\.ckpt is not the checkpoint that training ended with"),
        ("models/*/accuracy-*.json", b"[]", r"accuracy-.*\.json is damaged.*Remove it"),
        ("models/*/training/logs/*/metrics.csv", b"a,b\n1,2\n", r"metrics\.csv is no log of a training\. Remove "),
        pytest.param(
            "models/*/training/logs/*/metrics.csv",
            b"",
            r"metrics\.csv is no log of a training\. Remove ",
            marks=pytest.mark.slow,
        ),
        ("models/*/training/last.ckpt", b"PK", r"last\.ckpt is damaged\. Remove .*training, and"),
    ],
)
def test_a_damaged_file_of_a_study_is_named_with_the_remedy(
    tmp_path: Path, finished: Path, pattern: str, content: bytes, message: str
) -> None:
    study, folder = load_study(str(finished / "tiny.yaml")), tmp_path / "run"
    shutil.copytree(finished / "run", folder)
    (path,) = folder.glob(pattern)
    path.write_bytes(content)
    try:
        said = " ".join(run_study(study, folder, jobs=1).failures)
    except ValueError as error:
        said = str(error)
    assert re.search(message, said)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param(
            {"model": {"network": "mlp", "network_options": {"hiden": [3]}}}, "hiden", marks=pytest.mark.slow
        ),
        ({"model": {"netwrok": "mlp"}}, "'netwrok'"),  # what the parser refuses ends the process, if it is let
        pytest.param({"data": {"class_path": "training.data.Spherez"}}, "Spherez", marks=pytest.mark.slow),
    ],
)
def test_a_model_that_fails_leaves_the_others(tmp_path: Path, broken: dict, said: str) -> None:
    recipes = {"broken": broken, "B": {}}
    study = load_study(written(tmp_path, experiments={"Spheres4": {"recipes": recipes}}, measure={"masking": False}))
    done = run_study(study, tmp_path / "run", jobs=1)
    assert len(done.failures) == 1
    assert said in done.failures[0]
    assert "\n" not in done.failures[0]
    assert set(done.results.load().frame().recipe) == {"B"}


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ({"attacks": ["pdg"]}, "`attacks` should be one of"),
        ({"attacks": "pgd"}, r"`attacks` should be a list, such as \[pgd\]"),
        ({"norms": "L2"}, "`norms` should be a list|`measure` should hold what .*'norms'"),
        ({"norms": ["l2"]}, "`norms` should be one of|`measure` should hold what .*'l2'"),
        ({"epsilons": 0.1}, "`epsilons` should be a list|`measure` should hold what .*'epsilons'"),
        ({"stepz": 3}, "`measure` should be one of .* Found 'stepz'. Did you mean 'steps'"),
        ({"limit": "x"}, "`limit` should be a whole number of at least 1. Found 'x'"),
        ({"attack_options": {"pgd": 5}}, "`measure` should hold what"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_trained(
    tmp_path: Path, measure: dict, message: str
) -> None:
    study = load_study(written(tmp_path, measure=measure))
    with pytest.raises(ValueError, match=message):
        run_study(study, tmp_path / "run", jobs=1)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_another_revision_and_another_folder_of_data_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load_study(
        written(tmp_path, experiments={"Spheres4": {"recipes": {"B": {}}}}, measure={"masking": False})
    )
    monkeypatch.setattr("eval.studies.claim.revision", lambda: "old")
    monkeypatch.setenv("ALPHADX_DATA", "here")
    assert run_study(study, tmp_path / "run", jobs=1).notes == []
    monkeypatch.setattr("eval.studies.claim.revision", lambda: "new")
    monkeypatch.setenv("ALPHADX_DATA", "there")
    revision, root = run_study(study, tmp_path / "run", jobs=1).notes
    assert "was begun with the revision of the code old, and goes on with new" in revision
    assert "was begun with the folder of data here, and goes on with there" in root


OWN = """
from torch import nn

def slope():
    return {slope}

class Net(nn.Sequential):
    def __init__(self, num_classes, **options):
        super().__init__(nn.Linear(4, 8), nn.LeakyReLU(slope()), nn.Linear(8, num_classes))
"""


def test_a_study_of_a_network_that_was_edited_needs_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training is known by its configuration, which does not change with the code that it names."""
    monkeypatch.chdir(tmp_path)

    def claim(code: str, folder: str = "run") -> None:
        (tmp_path / "edited_net.py").write_text(code, encoding="utf-8")
        sys.modules.pop("edited_net", None)
        importlib.invalidate_caches()
        linecache.clearcache()
        claimed(tmp_path / folder, study)

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    recipes = {"B": {"model": {"network": "edited_net.Net", "network_options": {}, "residual": "edited_net.ckpt"}}}
    study = load_study(written(tmp_path, experiments={"Spheres4": {"recipes": recipes}}))
    claim(OWN.format(slope=0.1))
    claim("# A comment." + OWN.format(slope=0.1))
    with pytest.raises(ValueError, match=r"run holds results of other code of edited_net\.Net.*Name a new folder"):
        claim(OWN.format(slope=0.3))
    claim(OWN.format(slope=0.3), "another")


def test_a_file_is_no_module_of_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies beside a checkpoint of the same name may be a program."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text("raise SystemExit('was run')", encoding="utf-8")
    assert own_code({"base": {"model": {"residual": "program.ckpt", "class_path": "training.AT"}}}) == {}
    assert own_code({"measure": {"attacks": ["pgd"]}, "title": "program.ckpt"}) == {}


METRICS, RADII = ["alpha"], ["radius"]


def sweep(pairs: list[tuple[float, float]], settings: list[str] | None = None) -> pd.DataFrame:
    rows = []
    for i, (alpha, radius) in enumerate(pairs):
        row = {"data": "d", "recipe": "P", "epsilon": settings[i] if settings else str(i), "seed": i}
        rows.append(row | {"measurement": "alpha", "value": alpha})
        rows.append(row | {"measurement": "radius", "value": radius})
    return pd.DataFrame(rows)


def test_correlations_are_those_of_scipy() -> None:
    pairs = [(0.1, 0.3), (0.4, 0.2), (0.5, 0.9), (0.6, 0.8), (0.9, 1.0)]
    found = correlations(sweep(pairs), METRICS, RADII).set_index("statistic")
    a, b = np.array(pairs).T
    assert found.value["Pearson"] == pytest.approx(stats.pearsonr(a, b).statistic)
    assert found.value["Spearman"] == pytest.approx(stats.spearmanr(a, b).statistic)
    assert (found.low <= found.value).all()
    assert (found.value <= found.high).all()


def test_resamples_of_one_setting_alone_are_left_out_of_the_interval() -> None:
    """Five models of which one, drawn five times, has a rounded mean that is not itself."""
    found = correlations(sweep([(0.1, 0.3), (0.7, 0.9), (1.3, 1.5), (1.9, 2.1), (2.2, 2.4)]), METRICS, RADII)
    assert found[["value", "low", "high"]].to_numpy() == pytest.approx(1)


def test_perfect_correlation_has_no_width() -> None:
    found = correlations(sweep([(a, 2 * a) for a in (0.1, 0.2, 0.3, 0.7, 0.9)]), METRICS, RADII)
    assert found[["value", "low", "high"]].to_numpy() == pytest.approx(1)


def test_fewer_than_five_settings_have_a_correlation_without_an_interval() -> None:
    """Resamples of three points in a line are the line again, and would say that nothing is in doubt."""
    found = correlations(sweep([(0.1, 0.1), (0.2, 0.25), (0.3, 0.28), (0.4, 0.45)]), METRICS, RADII)
    assert (found.value > 0.9).all()
    assert found[["low", "high"]].isna().all(axis=None)


def test_models_without_a_finite_radius_are_left_out_and_counted() -> None:
    found = correlations(sweep([(0.1, 0.1), (0.2, 0.3), (0.3, 0.2), (0.4, math.inf)]), METRICS, RADII)
    assert set(found.models) == {3}
    assert set(found.left_out) == {1}


@pytest.mark.parametrize("pairs", [[(0.1, 0.1), (0.2, 0.2)], [(0.1, 0.5)] * 4])
def test_too_few_or_equal_models_have_no_correlation(pairs: list[tuple[float, float]]) -> None:
    assert correlations(sweep(pairs), METRICS, RADII).value.isna().all()


def width(frame: pd.DataFrame) -> float:
    found = correlations(frame, METRICS, RADII, resamples=500)
    return found.high[0] - found.low[0]


def test_interval_narrows_with_more_models() -> None:
    rng = np.random.default_rng(0)
    few, many = (
        sweep(list(zip(a, a + 0.3 * rng.normal(size=len(a)), strict=True)))
        for a in (rng.uniform(size=8), rng.uniform(size=80))
    )
    assert width(many) < 0.6 * width(few)


def test_seeds_of_one_setting_do_not_narrow_the_interval() -> None:
    """Six settings, alone and with ten equal seeds each: the evidence is the same."""
    rng = np.random.default_rng(0)
    pairs = [(a, a + 0.3 * rng.normal()) for a in rng.uniform(size=6)]
    alone = width(sweep(pairs))
    repeated = sweep([pair for pair in pairs for _ in range(10)], [str(i) for i in range(6) for _ in range(10)])
    assert width(repeated) == pytest.approx(alone, rel=0.02)
    (models, settings) = correlations(repeated, METRICS, RADII)[["models", "settings"]].to_numpy()[0]
    assert (models, settings) == (60, 6)


@pytest.mark.slow
def test_study_killed_for_real_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "eval.cli", "study", written(tmp_path), "--jobs=2", "--out"]
    subprocess.run([*command, tmp_path / "whole"], check=True, capture_output=True)

    killed = subprocess.Popen([*command, tmp_path / "killed"], start_new_session=True, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "killed").glob("models/*/training/last.ckpt")):
        assert killed.poll() is None
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("models/*/*.json")}
    assert len(before) < 32
    subprocess.run([*command, tmp_path / "killed"], check=True, capture_output=True)

    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    frames = [Results(tmp_path / name).load().frame() for name in ("whole", "killed")]
    values = [frame[frame.measurement != "epoch_cost"].value.to_numpy() for frame in frames]  # seconds are their own
    np.testing.assert_array_equal(*values)
    assert len(values[0]) == 38  # of six models six numbers each, and signs of masking of those side by side


@pytest.mark.parametrize("name", presets())
def test_every_preset_can_be_planned_and_measured(tmp_path: Path, name: str) -> None:
    """Its fast form too: tests/eval/studies/test_forms.py."""
    cells = load_study(name).cells
    assert len({(cell.model.data, cell.identity) for cell in cells}) == len(cells) > 0
    for cell in cells:
        if not isinstance(cell, EstimatorCell):
            assert all(wanted.measurements for wanted in wanted_of(cell, tmp_path))


def test_models_of_a_sweep_alone_are_not_searched_for_masking() -> None:
    for cell in load_study("quick").cells:
        searched = any(settings.get("masking", True) for settings in cell.measure)
        assert searched == ("side by side" in cell.model.groups)


SUBJECT = Subject(Samples("d"))


def logged(tmp_path: Path, epoch: int = 9) -> dict:
    torch.save({"epoch": epoch}, tmp_path / "best.ckpt")
    records = training_records(Model("d", "AT"), SUBJECT, tmp_path, tmp_path / "best.ckpt")
    return {record.quantity.kind: (record, epochs) for record, epochs in records}


def test_what_training_logged_about_its_gradients_becomes_records(tmp_path: Path) -> None:
    """A run that was resumed has two logs; the later one holds for an epoch that is in both."""
    for version, rows in {2: [(0, 0.1, 1.0), (1, 0.9, 9.0)], 10: [(1, 0.3, 3.0)]}.items():
        log = tmp_path / "logs" / f"version_{version}" / "metrics.csv"
        log.parent.mkdir(parents=True)
        pd.DataFrame(rows, columns=["epoch", "train_gop_frequency", "train_mu"]).to_csv(log, index=False)
    found = logged(tmp_path)
    assert found.keys() == {"gop_frequency", "mu", "conflict_course"}
    assert found["gop_frequency"][0].value == pytest.approx(0.2)
    assert found["mu"][0].value == pytest.approx(2.0)
    assert found["mu"][0].samples == 2
    assert list(found["mu"][1].mu) == [1.0, 3.0]


def test_epochs_after_the_checkpoint_that_was_kept_do_not_count(tmp_path: Path) -> None:
    frame = pd.DataFrame({"epoch": [0, 1, 2, 3], "train_mu": [1.0, 3.0, 100.0, 100.0]})
    frame.to_csv(tmp_path / "metrics.csv", index=False)
    assert logged(tmp_path, epoch=1)["mu"][0].value == pytest.approx(2.0)


def test_a_run_that_combined_nothing_logged_nothing(tmp_path: Path) -> None:
    pd.DataFrame({"epoch": [0], "train_loss": [1.0]}).to_csv(tmp_path / "metrics.csv")
    assert logged(tmp_path) == {}


@pytest.mark.slow
def test_a_study_killed_after_its_last_measurement_still_records_what_training_logged(tmp_path: Path) -> None:
    recipe = {"model": {"objective": AT, "combiner": {"class_path": "training.AGR"}}}
    experiments = {"Spheres4": {"recipes": {"AGR": recipe}}}
    study = load_study(written(tmp_path, experiments=experiments, measure={"masking": False, "steps": 3}))
    run_study(study, tmp_path / "run", jobs=1)
    logs = sorted(path for kind in ("gop", "mu", "cosine") for path in tmp_path.glob(f"run/models/*/{kind}*.json"))
    assert len(logs) == 3
    for path in logs:
        path.unlink()
    run_study(study, tmp_path / "run", jobs=1)
    assert all(path.exists() for path in logs)


DIRECT = {
    "class_path": "generators.DirectGAN",
    "init_args": {
        "network": "mlp",
        "network_options": {"hidden": [8]},
        "discriminator": {
            "class_path": "training.build_network",
            "init_args": {"name": "mlp", "shape": [4], "num_classes": 2},
            "dict_kwargs": {"hidden": [8]},
        },
    },
}
LEARNED = {
    "title": "learned",
    "first": {
        "judge": TINY["base"],
        "direct": {
            "data": TINY["base"]["data"],
            "trainer": TINY["base"]["trainer"],
            "model": DIRECT,
        },
    },
    "base": TINY["base"],
    "measure": {"limit": 20},
    "experiments": {
        "Spheres4": {
            "recipes": {"Lα": {"model": {"alignment_weight": 1.0, "residual": "first/direct"}}},
            "measure": {"residual": "first/direct", "norms": ["L2"], "steps": 3, "masking": False},
        },
        "Spheres4, estimators": {
            "estimators": {
                "direct": {"residual": "first/direct", "judge": "first/judge"},
                "nearest": {"residual": "nearest"},
                "both": {
                    "residual": {"consensus": ["nearest", "first/direct"], "judge": "first/judge"},
                    "judge": {"one": "first/judge", "other": "first/judge"},
                },
            },
        },
    },
}


@pytest.mark.slow
def test_what_comes_first_is_trained_once_and_referred_to(tmp_path: Path) -> None:
    (tmp_path / "learned.yaml").write_text(yaml.safe_dump(LEARNED))
    study = load_study(str(tmp_path / "learned.yaml"))
    results = run_study(study, tmp_path / "out", jobs=1).results
    marks = {name: (tmp_path / "out/first" / name / "training/trained.json") for name in LEARNED["first"]}
    found = {(r.model.groups[0], r.model.recipe, r.quantity.kind): r for r in results.load()}
    kinds = ("similarity", "target_share", "cycle", "length_ratio", "energy", "norm", "grid")
    assert {key for key in found if key[0] == "estimators"} == {
        ("estimators", recipe, f"residual_{kind}")
        for recipe in ("direct", "nearest", "both")
        for kind in kinds
        if (recipe, kind) != ("nearest", "target_share")
    }
    shares = [r for r in results.load() if r.model.recipe == "both" and r.quantity.kind == "residual_target_share"]
    assert {share.quantity.settings["judge"] for share in shares} == {"one", "other"}
    assert found["estimators", "both", "residual_norm"].subject.network["estimator"] == "consensus of nearest, direct"
    assert {
        r.samples for (part, _, kind), r in found.items() if part == "estimators" and kind != "residual_grid"
    } == {20}
    used = found["side by side", "Lα", "alpha_dx"].quantity.settings["estimator"]
    assert used["name"] == "direct"
    assert used["digest"] == found["estimators", "direct", "residual_norm"].subject.weights
    before = {name: mark.stat().st_mtime_ns for name, mark in marks.items()}
    run_study(study, tmp_path / "out", jobs=1)
    assert {name: mark.stat().st_mtime_ns for name, mark in marks.items()} == before


@pytest.mark.slow
def test_device_that_is_named_holds_for_trainings_and_measurements(tmp_path: Path) -> None:
    """Over what a training's own configuration says; auto leaves that as it is."""
    elsewhere = TINY["base"] | {"trainer": {"accelerator": "tpu", "max_epochs": 1}}
    study = load_study(written(tmp_path, base=elsewhere, **ONE))
    done = run_study(study, tmp_path / "named", jobs=1, device="cpu")
    assert done.failures == []
    assert {record.provenance["device"] for record in done.results.load()} == {"CPU"}
    assert all("torch_xla" in failure for failure in run_study(study, tmp_path / "auto", jobs=1).failures)
    assert len(run_study(study, tmp_path / "auto", jobs=1).failures) == 1


def test_device_that_is_not_there_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    study = load_study(written(tmp_path, **ONE))
    with pytest.raises(ValueError, match=r"`device` should be one that is there, .* Found 'toaster'"):
        run_study(study, tmp_path / "run", device="toaster")
    assert not (tmp_path / "run").exists()


def test_reference_to_what_is_not_trained_first_is_refused(tmp_path: Path) -> None:
    recipes = {"Lα": {"model": {"residual": "first/mine"}}}
    with pytest.raises(ValueError, match=r"`first` should hold all .* Found \['yours'\], not \['mine'\]"):
        load_study(written(tmp_path, experiments={"a": {"recipes": recipes}}, first={"yours": TINY["base"]}))


def test_what_is_trained_first_may_be_of_the_models_own_seed(tmp_path: Path) -> None:
    recipes = {"Lα": {"model": {"residual": "first/direct-{seed}"}}, "B": {}}
    experiments = {
        "classifiers": {"recipes": recipes, "seeds": [3, 5]},
        "estimators": ESTIMATORS | {"seeds": [3, 5]},
    }
    seeds = {"direct-3": 3, "direct-5": 5, "judge": 0}
    first = {name: TINY["base"] | {"seed_everything": seed} for name, seed in seeds.items()}
    cells = load_study(written(tmp_path, experiments=experiments, first=first)).cells
    assert [(cell.model.recipe, cell.model.seed) for cell in cells] == [
        ("B", 3),
        ("Lα", 3),
        ("B", 5),
        ("Lα", 5),
        ("learned", 3),
        ("learned", 5),
        ("nearest", 3),  # which is the same for every seed
    ]
    assert len({cell.identity for cell in cells}) == len(cells)


def test_estimators_of_several_seeds_are_one_row(tmp_path: Path) -> None:
    direct = {"data": TINY["base"]["data"], "trainer": {"accelerator": "cpu", "max_epochs": 1}, "model": DIRECT}
    first = {f"direct-{seed}": direct | {"seed_everything": seed} for seed in (0, 1)} | {"judge": TINY["base"]}
    experiments = {"Spheres4": ESTIMATORS | {"seeds": [0, 1]}}
    study = load_study(written(tmp_path, experiments=experiments, first=first, measure={"limit": 20}))
    results = run_study(study, tmp_path / "out", jobs=1).results
    found = {
        r.model.seed: r.value
        for r in results.load()
        if r.quantity.kind == "residual_similarity" and r.model.recipe == "learned"
    }
    assert len({*found.values()}) == 2
    (learned, nearest) = quality_table(results.load()).frame["sim(Δx, Δ̂x)"]
    low, high = sorted(found.values())
    assert learned == f"{(low + high) / 2:.3f} ± {(high - low) / 2**0.5:.3f}"
    assert "[" in nearest


def test_a_seed_for_which_nothing_is_trained_first_is_refused(tmp_path: Path) -> None:
    first = {"direct-0": TINY["base"], "judge": TINY["base"]}
    with pytest.raises(ValueError, match=r"`first` should hold all .* not \['direct-1'\]"):
        load_study(written(tmp_path, experiments={"a": ESTIMATORS | {"seeds": [0, 1]}}, first=first))


@pytest.mark.parametrize(
    ("estimators", "message"),
    [
        ({"mine": {}}, r"a, mine: the keys \['residual'\] are missing"),
        ({"mine": {"residual": "nearest", "jury": "x"}}, r"a, mine: should hold the keys .* Found \['jury'\]"),
    ],
)
def test_estimator_with_wrong_keys_is_refused(tmp_path: Path, estimators: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_study(written(tmp_path, experiments={"a": {"estimators": estimators}}))


def test_two_values_of_one_model_have_no_correlation() -> None:
    lines = [("d", "P", "0.1", 0, "a", 0.1), ("d", "P", "0.1", 0, "a", 0.3)]
    frame = pd.DataFrame(lines, columns=["data", "recipe", "epsilon", "seed", "measurement", "value"])
    with pytest.raises(ValueError, match=r"one value per model and measurement\. Found two"):
        correlations(frame, ["a"], ["a"])
