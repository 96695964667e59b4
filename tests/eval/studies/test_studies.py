import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from eval.records.measurements import standard_measurements
from eval.records.results import Model, Results
from eval.report import write_report
from eval.studies import correlations, load_study, run_study
from eval.studies.plan import presets
from eval.studies.run import training_records

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
    "measure": {"steps": 5, "resolution": 0.05},
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


def written(folder: Path, **changes: object) -> str:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY | changes))
    return str(path)


def test_grid_is_every_recipe_and_every_epsilon_with_every_seed(tmp_path: Path) -> None:
    cells = load_study(written(tmp_path)).cells
    assert [(c.model.group, c.model.recipe, c.model.epsilon, c.model.seed) for c in cells] == [
        ("side by side", "B", "", 0),
        ("side by side", "P", "1/20", 0),
        ("sweep", "P", "1/50", 0),
        ("sweep", "P", "1/50", 1),
        ("sweep", "P", "0.1", 0),
        ("sweep", "P", "0.1", 1),
    ]
    assert cells[3].fit["seed_everything"] == 1
    assert cells[3].fit["model"]["objective"]["init_args"] == {"epsilon": "1/50", "steps": 3}
    assert "objective" not in cells[0].fit["model"]


@pytest.mark.parametrize("name", presets())
def test_presets_can_be_planned(name: str) -> None:
    study = load_study(name)
    assert len({cell.model for cell in study.cells}) == len(study.cells) > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiment": {}}, r"should hold the keys .* Found \['experiment'\]"),
        ({"experiments": {"a": {}}}, r"a: the keys \['recipes'\] are missing"),
        ({"experiments": {"a": {"recipes": {"B": {}}, "sweep": {"recipe": "B", "epsilon": [1]}}}}, "Found 'B'"),
        ({"experiments": {"a": None}}, r"a: should hold the keys \['recipes'\]. Found None"),
    ],
)
def test_mistakes_in_a_study_are_named(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_study(written(tmp_path, **changes))


def test_unknown_study_lists_the_presets() -> None:
    with pytest.raises(ValueError, match=r"should be one of .*mnist35, mnist35_fast, .*quick, .*or an existing"):
        load_study("nothing")


def test_study_repeats_nothing_that_is_finished_and_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    study, folder = load_study(written(tmp_path)), tmp_path / "run"
    values = run_study(study, folder, jobs=1).frame().value
    files = {path: path.stat().st_mtime_ns for path in folder.glob("models/*/**/*.*") if path.is_file()}

    # What a kill leaves behind: one measurement missing; one model with its first epoch only.
    lost = folder / "models/side_by_side-Spheres4-B-seed0/alpha_dx.json"
    lost.unlink()
    half = folder / "models/sweep-Spheres4-P-eps0.1-seed1"
    for path in [*half.glob("*.json"), half / "training/trained.json"]:
        path.unlink()
    again = run_study(study, folder, jobs=1).frame().value

    np.testing.assert_array_equal(again, values)
    changed = {path for path, time in files.items() if path.exists() and path.stat().st_mtime_ns != time}
    assert {path.parent for path in changed} <= {lost.parent, half, half / "training"}
    assert {path.name for path in changed if path.parent == lost.parent} == {"alpha_dx.json", "alpha_dx.csv"}

    with pytest.raises(ValueError, match="holds results of another study"):
        run_study(load_study(written(tmp_path, measure={"steps": 7})), folder, jobs=1)

    tables = write_report(folder)
    assert list(tables["Side by side"].recipe) == ["B", "P"]
    page = (folder / "page.html").read_text()
    assert "6 of 6 models" in page
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page.replace("http-equiv", "")
    assert json.loads((folder / "study.json").read_text())["models"] == 6


def sweep(pairs: list[tuple[float, float]]) -> pd.DataFrame:
    rows = []
    for seed, (alpha, radius) in enumerate(pairs):
        row = {"data": "d", "recipe": "P", "epsilon": "1", "seed": seed, "group": "sweep"}
        rows.append(row | {"measurement": "alpha_dx", "value": alpha})
        rows.append(row | {"measurement": "epsilon50_pgd_linf", "value": radius})
    return pd.DataFrame(rows)


def test_correlations_are_those_of_scipy() -> None:
    pairs = [(0.1, 0.3), (0.4, 0.2), (0.5, 0.9), (0.6, 0.8), (0.9, 1.0)]
    found = correlations(sweep(pairs)).set_index("statistic")
    a, b = np.array(pairs).T
    assert found.value["Pearson"] == pytest.approx(stats.pearsonr(a, b).statistic)
    assert found.value["Spearman"] == pytest.approx(stats.spearmanr(a, b).statistic)
    assert (found.low <= found.value).all()
    assert (found.value <= found.high).all()


def test_perfect_correlation_has_no_width() -> None:
    found = correlations(sweep([(a, 2 * a) for a in (0.1, 0.2, 0.3, 0.7)]))
    assert found[["value", "low", "high"]].to_numpy() == pytest.approx(1)


def test_models_without_a_finite_radius_are_left_out_and_counted() -> None:
    found = correlations(sweep([(0.1, 0.1), (0.2, 0.3), (0.3, 0.2), (0.4, math.inf)]))
    assert set(found.models) == {3}
    assert set(found.left_out) == {1}


@pytest.mark.parametrize("pairs", [[(0.1, 0.1), (0.2, 0.2)], [(0.1, 0.5)] * 4])
def test_too_few_or_equal_models_have_no_correlation(pairs: list[tuple[float, float]]) -> None:
    assert correlations(sweep(pairs)).value.isna().all()


def test_interval_narrows_with_more_models() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for count in (8, 80):
        a = rng.uniform(size=count)
        found = correlations(sweep(list(zip(a, a + 0.3 * rng.normal(size=count), strict=True))))
        widths.append(found.high[0] - found.low[0])
    assert widths[1] < 0.6 * widths[0]


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
    values = [Results(tmp_path / name).frame().value.to_numpy() for name in ("whole", "killed")]
    np.testing.assert_array_equal(*values)
    assert len(values[0]) == 32  # of six models five numbers each, and signs of masking of those side by side


@pytest.mark.parametrize("name", presets())
def test_every_preset_can_be_measured_and_its_training_be_read(name: str) -> None:
    study = load_study(name)
    measured = {}
    for cell in study.cells:
        if cell.model.group == "estimators":
            assert cell.measure.keys() <= {"residual", "options", "judge", "limit"}
            measured[cell.model] = ["residual_norm"]
            continue
        settings = {key: value for key, value in cell.measure.items() if key != "limit"}
        names = [m.name for m in standard_measurements(**settings)]
        assert len(set(names)) == len(names)
        measured[cell.model] = names
    assert len(measured) == len(study.cells)


def test_models_of_a_sweep_are_not_searched_for_masking() -> None:
    for cell in load_study("quick").cells:
        assert cell.measure.get("masking", True) == (cell.model.group != "sweep")


def test_what_training_logged_about_its_gradients_becomes_records(tmp_path: Path) -> None:
    """A run that was resumed has two logs; the later one holds for an epoch that is in both."""
    for version, rows in enumerate(([(0, 0.1, 1.0), (1, 0.9, 9.0)], [(1, 0.3, 3.0)])):
        log = tmp_path / "logs" / f"version_{version}" / "metrics.csv"
        log.parent.mkdir(parents=True)
        pd.DataFrame(rows, columns=["epoch", "train_gop_frequency", "train_mu"]).to_csv(log, index=False)
    records = training_records(Model("d", "AT"), tmp_path, {})
    found = {record.measurement: (record, epochs) for record, epochs in records}
    assert found.keys() == {"gop_frequency", "mu"}
    assert found["gop_frequency"][0].value == pytest.approx(0.2)
    assert found["mu"][0].value == pytest.approx(2.0)
    assert found["mu"][0].samples == 2
    assert list(found["mu"][1].mu) == [1.0, 3.0]


def test_a_run_that_combined_nothing_logged_nothing(tmp_path: Path) -> None:
    pd.DataFrame({"epoch": [0], "train_loss": [1.0]}).to_csv(tmp_path / "metrics.csv")
    assert list(training_records(Model("d", "B"), tmp_path, {})) == []


LEARNED = {
    "title": "learned",
    "first": {
        "judge": TINY["base"],
        "direct": {
            "data": TINY["base"]["data"],
            "trainer": TINY["base"]["trainer"],
            "model": {
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
            },
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
            },
        },
    },
}


def test_what_comes_first_is_trained_once_and_referred_to(tmp_path: Path) -> None:
    (tmp_path / "learned.yaml").write_text(yaml.safe_dump(LEARNED))
    study = load_study(str(tmp_path / "learned.yaml"))
    results = run_study(study, tmp_path / "out", jobs=1)
    marks = {name: (tmp_path / "out/first" / name / "training/trained.json") for name in LEARNED["first"]}
    found = {(r.model.group, r.model.recipe, r.measurement): r for r in results.records()}
    assert {key for key in found if key[0] == "estimators"} == {
        ("estimators", "direct", "residual_similarity"),
        ("estimators", "direct", "residual_target_share"),
        ("estimators", "direct", "residual_norm"),
        ("estimators", "nearest", "residual_similarity"),
        ("estimators", "nearest", "residual_norm"),
    }
    assert {r.samples for r in found.values() if r.settings.get("source") != "training log"} == {20}
    used = found["side by side", "Lα", "alpha_dx"].settings["residual"]
    assert used == str(marks["direct"].parent / "best.ckpt")
    before = {name: mark.stat().st_mtime_ns for name, mark in marks.items()}
    run_study(study, tmp_path / "out", jobs=1)
    assert {name: mark.stat().st_mtime_ns for name, mark in marks.items()} == before


def test_reference_to_what_is_not_trained_first_is_refused(tmp_path: Path) -> None:
    recipes = {"Lα": {"model": {"residual": "first/mine"}}}
    with pytest.raises(ValueError, match=r"`first` should hold all .* Found \['yours'\], not \['mine'\]"):
        load_study(written(tmp_path, experiments={"a": {"recipes": recipes}}, first={"yours": TINY["base"]}))


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
