"""The account of a study's seconds, as printed beside the goals for a GPU."""

from pathlib import Path

import pytest
import yaml

from benchmarks.study_time import account, clock_of, phase, table_of, timed, whole_epochs, with_changes
from eval.records.store import read_json, write_json
from eval.studies import ModelCell, Study, load_study, run_study
from eval.studies.source import content_of


def written(folder: Path, content: dict, name: str = "table") -> Study:
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return load_study(str(file))


def test_the_table_is_five_seeds_of_three_recipes_and_two_generators(tmp_path: Path) -> None:
    study = written(tmp_path, with_changes(table_of(content_of("mnist35"), ["pgd"]), 1, "none"))
    assert [*study.first] == ["residual-0", "residual-1"]
    assert {(c.model.recipe, c.model.seed) for c in study.cells} == {
        (r, s) for r in ("B", "Lα", "P") for s in range(5)
    }
    assert all(isinstance(c, ModelCell) and [m["attacks"] for m in c.measure] == [["pgd"]] for c in study.cells)
    assert whole_epochs(study) == 1
    assert whole_epochs(load_study("mnist35")) == 30
    assert "imagenet" not in str((study.first, study.cells))


def test_other_attacks_in_the_same_folder_measure_the_same_models(tmp_path: Path) -> None:
    pgd, others = (written(tmp_path, table_of(content_of("mnist35"), a), a[0]) for a in (["pgd"], ["square", "sta"]))
    assert {cell.identity for cell in pgd.cells} == {cell.identity for cell in others.cells}


def test_a_phase_ends_when_all_of_it_is_trained(tmp_path: Path) -> None:
    study = load_study("mnist35")
    assert phase(study, tmp_path) == "first"
    for name in study.first:
        write_json(tmp_path / "first" / name / "training/trained.json", {})
    assert phase(study, tmp_path) == "models"
    for number in range(len(study.cells)):
        write_json(tmp_path / "models" / str(number) / "training/trained.json", {})
    assert phase(study, tmp_path) == "measuring"


def test_seconds_of_a_run_that_was_ended_count(tmp_path: Path) -> None:
    study = load_study("mnist35")
    write_json(clock_of(study, tmp_path), {"first": 100.0, "models": 7.0})
    with pytest.raises(KeyboardInterrupt), timed(study, tmp_path):
        raise KeyboardInterrupt
    kept = read_json(clock_of(study, tmp_path), {"first", "models"})
    assert 100 < kept["first"] < 101
    assert kept["models"] == 7


def test_trainings_of_more_epochs_are_foretold_to_take_longer(tmp_path: Path) -> None:
    spheres = {"class_path": "training.data.Spheres", "init_args": {"dimensions": 4, "train_size": 100}}
    model = {"network": "mlp", "network_options": {"hidden": [8]}}
    trainer = {"accelerator": "cpu", "max_epochs": 2}
    content = {
        "title": "tiny",
        "base": {"data": spheres, "model": model, "trainer": trainer, "checkpoint": {"monitor": "val_accuracy"}},
        "measure": {"attacks": ["pgd"], "norms": ["L2"], "steps": 3, "figures": [], "masking": False, "limit": 20},
        "experiments": {"Spheres4": {"recipes": {"B": {}}}},
    }
    study, folder = written(tmp_path, content), tmp_path / "out"
    folder.mkdir()
    with timed(study, folder):
        run_study(study, folder, jobs=1)
    write_json(clock_of(study, folder), {"models": 10.0, "measuring": 3.0})
    found = account(study, folder, epochs=8)
    assert found["foretold"] == {"epochs": 8, "total": 43.0}
    assert found["total"] == 13
    assert account(study, folder, epochs=2)["foretold"] is None
    assert "ε50% PGD L2" in found["measured"]
    assert [told["side_by_side"] for told in found["of each"].values()] == [1]
