import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eval.records import Model, Quantity, Results
from eval.records.provenance import provenance
from eval.records.record import SCHEMA
from eval.records.store import read_json, write_json
from generators.files import write_whole
from tests.eval.made import OUTCOMES, PGD, record, written
from training import Strength

MODEL = Model("MNIST-3/5", "P", "8/255", 3, ("side by side", "sweep"))


@pytest.mark.parametrize("value", [0.25, 0.1 + 0.2, math.inf, math.nan])
def test_record_is_read_as_it_was_written(tmp_path: Path, value: float) -> None:
    made = record(PGD, value, MODEL, details={"a": 1}, interval=(0.1, math.inf), training={"x": [1, "8/255"]})
    (read,) = records = written(tmp_path, [made])
    assert read.value == value or (math.isnan(read.value) and math.isnan(value))
    assert (read.model, read.quantity, read.subject) == (MODEL, made.quantity, made.subject)
    assert read.interval == (0.1, math.inf)
    assert read.details == {"a": 1}
    assert read.key == made.key
    pd.testing.assert_frame_equal(records.per_sample(read), OUTCOMES)


def test_unbounded_data_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = record()
    samples = replace(made.subject.samples, bounds=(-math.inf, math.inf))
    made = replace(made, subject=replace(made.subject, samples=samples))
    (read,) = written(tmp_path, [made])
    assert read.subject.samples.bounds == (-math.inf, math.inf)
    assert read.key == made.key


def test_files_are_plain_json(tmp_path: Path) -> None:
    written(tmp_path, [record(value=math.inf)])
    (path,) = tmp_path.glob("models/*/accuracy-*.json")
    content = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert content["value"] == "inf"
    assert content["schema"] == SCHEMA


def test_names_that_a_file_cannot_tell_apart_have_their_own_folders() -> None:
    names = ["AT + AGR", "AT_+_AGR", "AT/ + AGR", "AT  + AGR"]
    folders = {Results("x").home(Model("d", name), f"{i}2345678").path for i, name in enumerate(names)}
    assert len(folders) == 4
    assert all(folder.parent == Path("x/models") for folder in folders)


def test_a_number_is_found_again_by_all_that_it_is_a_number_of(tmp_path: Path) -> None:
    """What differs in anything is another record; what is equal is the same, whatever it is called."""
    home = Results(tmp_path).home(MODEL, "0" * 8)
    made = record(PGD, 0.25, MODEL)
    home.write(made, OUTCOMES)
    subject = made.subject
    assert home.find(PGD, subject).value == 0.25
    assert home.find(Quantity("epsilon50", "pgd", "Linf", {"steps": 10}), subject) is None
    assert home.find(Quantity("epsilon50", "pgd", "L2", {"steps": 40}), subject) is None
    for changes in (
        {"weights": "others"},
        {"network": {"network": "cnn"}},
        {"training": {"seed": 1}},
        {"samples": replace(subject.samples, digest="others")},
        {"samples": replace(subject.samples, bounds=(0.0, 1.0))},
        {"samples": replace(subject.samples, split="validation")},
        {"samples": replace(subject.samples, arguments={"size": 5})},
    ):
        assert home.find(PGD, replace(subject, **changes)) is None


def test_a_record_without_its_outcomes_is_not_there(tmp_path: Path) -> None:
    home = Results(tmp_path).home(MODEL, "0" * 8)
    made = record(PGD, 0.25, MODEL)
    home.write(made, OUTCOMES)
    next(home.path.glob("*.csv")).unlink()
    assert home.find(PGD, made.subject) is None


def without_content(text: str) -> str:
    """The record as the first of schema 2 were, without a digest of all of it."""
    return json.dumps({key: value for key, value in json.loads(text).items() if key != "content"})


DAMAGES = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:40]), "is damaged or no record"),
    "empty": (lambda path: path.write_bytes(b""), "is damaged or no record"),
    "of another shape": (lambda path: path.write_text("[1, 2]"), "is damaged or no record"),
    "of another program": (lambda path: path.write_text('{"schema": 2, "loss": 1}'), "is damaged or no record"),
    "not text": (lambda path: path.write_bytes(b"\xff\xfe\x00"), "codec can't decode"),
    "edited": (
        lambda path: path.write_text(path.read_text().replace('"count": 4', '"count": 5')),
        "does not belong to its own key",
    ),
    "with another value": (
        lambda path: path.write_text(path.read_text().replace('"value": 0.5', '"value": 0.9')),
        "does not belong to its own key",
    ),
    "renamed": (
        lambda path: path.rename(path.with_name("accuracy-copy.json")),
        "was renamed, copied or swapped",
    ),
    "of other types": (
        lambda path: path.write_text(without_content(path.read_text().replace('"samples": 4', '"samples": "four"'))),
        "is damaged or no record .*'four'",
    ),
    "later": (
        lambda path: path.write_text(path.read_text().replace(f'"schema": {SCHEMA}', '"schema": 99')),
        f"has schema 99, where this version of alphadx reads up to {SCHEMA}",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_gives_one_sentence_with_its_name_and_the_remedy(tmp_path: Path, damage: str) -> None:
    written(tmp_path, [record()])
    (path,) = tmp_path.glob("models/*/*.json")
    spoil, said = DAMAGES[damage]
    spoil(path)
    with pytest.raises(ValueError, match=rf"accuracy-.*\.json.*{said}.*Remove it") as found:
        Results(tmp_path).load()
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("content", [b"", b"index,radius\n0", b"\xff\xfe", None])
def test_damaged_outcomes_give_one_sentence_with_their_name_and_the_remedy(
    tmp_path: Path, content: bytes | None
) -> None:
    (read,) = records = written(tmp_path, [record()])
    (path,) = tmp_path.glob("models/*/*.csv")
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ValueError, match=r"accuracy-.*\.csv .*Remove it and accuracy-.*\.json"):
        records.per_sample(read)


def test_outcomes_that_were_swapped_are_noticed(tmp_path: Path) -> None:
    records = [record(of=Model("d", name)) for name in "ab"]
    results = Results(tmp_path)
    for i, made in enumerate(records):
        results.home(made.model, made.subject.model_key).write(made, OUTCOMES + i)
    first, second = sorted(tmp_path.glob("models/*/*.csv"))
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    loaded = results.load()
    with pytest.raises(ValueError, match="does not belong to accuracy"):
        loaded.per_sample(next(iter(loaded)))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"best": 1}'])
def test_our_other_files_are_refused_in_one_sentence_too(tmp_path: Path, content: str) -> None:
    (tmp_path / "trained.json").write_text(content)
    with pytest.raises(ValueError, match=r"trained\.json .*Remove it"):
        read_json(tmp_path / "trained.json", {"best", "score"})


def test_broken_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")

    def full_disk(*paths: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert path.read_text() == "old"


def test_strengths_are_recorded_in_both_forms(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"epsilon": Strength("8/255")})
    assert json.loads((tmp_path / "a.json").read_text())["epsilon"] == {"value": 8 / 255, "written": "8/255"}


def test_frame_has_a_row_per_record(tmp_path: Path) -> None:
    frame = written(tmp_path, [record(of=MODEL), record(Quantity("alpha_x"), 0.3, MODEL)]).frame()
    assert sorted(frame.measurement) == ["accuracy", "alpha_x"]
    assert list(frame.epsilon) == ["8/255"] * 2
    assert list(frame.bounds) == ["(-1.0, 1.0)"] * 2


def test_nothing_recorded_is_an_empty_frame(tmp_path: Path) -> None:
    assert Results(tmp_path).load().frame().empty


def test_provenance_names_versions_revision_and_the_folder_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHADX_DATA", "somewhere")
    found = provenance()
    assert found["versions"]["torch"][0].isdigit()
    assert found["revision"]
    assert found["data_root"] == "somewhere"


OLD = {
    "model": {"data": "MNIST-3/5", "recipe": "P", "epsilon": "0.3", "seed": 1, "group": "sweep"},
    "measurement": "epsilon50_cw_linf_linf",
    "value": "inf",
    "samples": 100,
    "invalid": 2,
    "settings": {"attack": "cw_linf", "split": "test", "limit": 9, "epsilon_max": 2.0, "accuracy_at": {}},
    "forward_passes": 1,
    "backward_passes": 2,
    "seconds": 3.0,
    "training": {"trainer": {"max_epochs": 3}},
    "provenance": {"revision": "abc"},
    "schema": 1,
}  # fmt: skip


def test_records_of_schema_1_are_read_and_what_they_do_not_say_is_unknown(tmp_path: Path) -> None:
    home = tmp_path / "models" / "sweep-MNIST-35-P-eps0.3-seed1"
    write_whole(home / "epsilon50_cw_linf_linf.json", json.dumps(OLD))
    write_whole(home / "epsilon50_cw_linf_linf.csv", OUTCOMES.to_csv(index=False))
    (read,) = records = Results(tmp_path).load()
    assert read.model == Model("MNIST-3/5", "P", "0.3", 1, ("sweep",))
    assert (read.quantity.kind, read.quantity.attack, read.quantity.norm) == ("epsilon50", "cw_linf", "Linf")
    assert (read.value, read.samples, read.invalid, read.schema) == (math.inf, 100, 2, 1)
    assert read.details == {"epsilon_max": 2.0, "accuracy_at": {}}
    assert read.subject.samples.bounds is None
    assert read.subject.samples.digest == "unknown"
    assert read.subject.weights == f"unknown: {home.name}"
    assert np.isnan(read.interval).all()
    pd.testing.assert_frame_equal(records.per_sample(read), OUTCOMES)


def test_the_first_records_of_schema_2_are_still_read(tmp_path: Path) -> None:
    written(tmp_path, [record(value=0.25)])
    (path,) = tmp_path.glob("models/*/*.json")
    path.write_text(without_content(path.read_text()))
    assert [read.value for read in Results(tmp_path).load()] == [0.25]


def test_two_records_that_were_swapped_with_their_outcomes_are_noticed(tmp_path: Path) -> None:
    home, made = Results(tmp_path).home(MODEL, "a" * 8), [record(q, 0.1, MODEL) for q in (PGD, Quantity("alpha_x"))]
    for one in made:
        home.write(one, OUTCOMES)
    for ending in ("json", "csv"):
        first, second = sorted(home.path.glob(f"*.{ending}"))
        kept, other = first.read_bytes(), second.read_bytes()
        first.write_bytes(other)
        second.write_bytes(kept)
    with pytest.raises(ValueError, match="was renamed, copied or swapped"):
        home.find(PGD, made[0].subject)


def test_old_outcomes_without_radii_are_refused(tmp_path: Path) -> None:
    home = tmp_path / "models" / "old"
    write_whole(home / "epsilon50_cw_linf_linf.json", json.dumps(OLD))
    write_whole(home / "epsilon50_cw_linf_linf.csv", "index,label\n0,1\n")
    (read,) = records = Results(tmp_path).load()
    with pytest.raises(ValueError, match=r"lacks failed_at, radius\. Remove it"):
        records.per_sample(read)


def test_a_name_of_any_length_has_a_folder(tmp_path: Path) -> None:
    named = [Model("d", "Lα模" * 200 + end) for end in "ab"]
    assert len(written(tmp_path, [record(of=one) for one in named])) == 2
    assert len(list((tmp_path / "models").iterdir())) == 2
