import json
import math
from pathlib import Path

import pandas as pd
import pytest

from eval.records.results import SCHEMA, Model, Record, Results, provenance, write_json, write_whole
from training import Strength

MODEL = Model("MNIST-3/5", "P", "8/255", 3, "side by side")


def record(value: float = 0.25, model: Model = MODEL, measurement: str = "accuracy") -> Record:
    return Record(model, measurement, value, 10, 1, {"steps": 40, "norm": "L2"}, 20, 30, 1.5, {"a": [1]}, {"b": "c"})


OUTCOMES = pd.DataFrame({"index": [0, 1], "label": [1, 0], "radius": [0.1, math.inf]})


@pytest.mark.parametrize("value", [0.25, 0.1 + 0.2, math.inf, math.nan])
def test_record_is_read_as_it_was_written(tmp_path: Path, value: float) -> None:
    results = Results(tmp_path)
    results.write(record(value), OUTCOMES)
    (read,) = results.records()
    assert read.value == value or (math.isnan(read.value) and math.isnan(value))
    assert read.model == MODEL
    assert read.settings == {"steps": 40, "norm": "L2"}
    pd.testing.assert_frame_equal(results.per_sample(read), OUTCOMES)


def test_files_are_plain_json(tmp_path: Path) -> None:
    Results(tmp_path).write(record(math.inf), OUTCOMES)
    (path,) = tmp_path.glob("models/*/accuracy.json")
    content = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert content["value"] == "inf"
    assert content["schema"] == SCHEMA


def test_models_that_differ_have_their_own_folders() -> None:
    others = [
        Model("MNIST-3/5", "P", "8/255", 4, "side by side"),
        Model("MNIST-3/5", "P", "0.3", 3, "side by side"),
        Model("MNIST-3/5", "B", "8/255", 3, "side by side"),
        Model("MNIST", "P", "8/255", 3, "side by side"),
        Model("MNIST-3/5", "P", "8/255", 3, "sweep"),
    ]
    folders = {Results("x").model_folder(model) for model in [MODEL, *others]}
    assert len(folders) == 6
    assert all(folder.parent == Path("x/models") for folder in folders)


def test_only_what_is_written_is_there(tmp_path: Path) -> None:
    results = Results(tmp_path)
    assert not results.has(MODEL, "accuracy")
    results.write(record(), OUTCOMES)
    assert results.has(MODEL, "accuracy")
    assert not results.has(MODEL, "alpha_x")


def test_another_schema_is_refused(tmp_path: Path) -> None:
    Results(tmp_path).write(record(), OUTCOMES)
    (path,) = tmp_path.glob("models/*/accuracy.json")
    path.write_text(path.read_text().replace(f'"schema": {SCHEMA}', '"schema": 99'))
    with pytest.raises(ValueError, match=f"should have schema {SCHEMA}. Found 99"):
        Results(tmp_path).records()


def test_broken_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")

    def full_disk(self: Path, target: Path) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert path.read_text() == "old"


def test_strengths_are_recorded_in_both_forms(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"epsilon": Strength("8/255")})
    assert json.loads((tmp_path / "a.json").read_text())["epsilon"] == {"value": 8 / 255, "written": "8/255"}


def test_frame_has_a_row_per_record(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(record(), OUTCOMES)
    results.write(record(0.5, measurement="alpha_x"), OUTCOMES)
    frame = results.frame()
    assert list(frame.measurement) == ["accuracy", "alpha_x"]
    assert list(frame.epsilon) == ["8/255"] * 2


def test_nothing_recorded_is_an_empty_frame(tmp_path: Path) -> None:
    assert Results(tmp_path).frame().empty


def test_provenance_names_versions_and_revision() -> None:
    found = provenance()
    assert found["versions"]["torch"][0].isdigit()
    assert found["revision"]
