"""Tables of image paths, and tables of features."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from training.data import DataSet, ImageTable, Tabular

SPLITS = ("train", "validation", "test")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Twenty grey images whose shade says their number."""
    (tmp_path / "images").mkdir()
    for number in range(20):
        Image.fromarray(np.full((9, 9), number, np.uint8)).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def paths(numbers: range) -> list[str]:
    return [f"images/{number}.png" for number in numbers]


def write(path: Path, /, **columns: list) -> str:
    pd.DataFrame(columns).to_csv(path, index=False)
    return str(path)


def numbers_in(data: DataSet, name: str) -> list[int]:
    split = data.split(name)
    return split.__getitems__(range(len(split))).x[:, 0, 0, 0].mul(255).round().int().tolist()


@pytest.mark.parametrize(("path", "label"), [("path", "label"), ("image", "class"), ("Filename", "Target")])
def test_usual_columns_are_found_and_paths_start_at_the_table(folder, monkeypatch, path, label):
    table = write(folder / "a.csv", **{path: paths(range(4)), label: [0, 1, 2, 0], "age": [7] * 4})
    monkeypatch.chdir("/")
    data = ImageTable(table, size=8, channels="auto")
    assert (data.name, data.shape, data.classes, data.notes) == ("a", (1, 8, 8), ("0", "1", "2"), ())
    assert numbers_in(data, "test") == [0, 1, 2, 3]
    assert data.split("test").labels.tolist() == [0, 1, 2, 0]


def test_columns_and_folder_may_be_named(folder):
    table = write(folder / "a.csv", where=["3.png", "4.png"], label=["x", "y"], ill=["yes", "no"])
    data = ImageTable(table, path="where", label="ill", root=str(folder / "images"), classes=["yes", "no"], size=8)
    assert numbers_in(data, "test") == [3, 4]
    assert data.split("test").labels.tolist() == [0, 1]


def test_labels_by_name_are_sorted_and_said(folder):
    data = ImageTable(write(folder / "a.csv", path=paths(range(3)), label=["NA", "cat", "NA"]), size=8)
    assert data.classes == ("NA", "cat")
    assert data.split("test").labels.tolist() == [0, 1, 0]
    assert "classes are the 2 names found, sorted: NA, cat" in data.notes[0]


@pytest.mark.parametrize("words", [("train", "val", "test"), ("Train", "validation", "Test")])
@pytest.mark.parametrize("named", ["test", "train"])
def test_a_table_with_a_column_of_splits_is_named_once(folder, words, named):
    split = [words[0]] * 12 + [words[1]] * 3 + [words[2]] * 5
    table = write(folder / "a.csv", path=paths(range(20)), label=[0, 1] * 10, split=split)
    data = ImageTable(**{named: table}, size=8)
    assert {name: numbers_in(data, name) for name in SPLITS} == {
        "train": [*range(12)],
        "validation": [*range(12, 15)],
        "test": [*range(15, 20)],
    }


def test_one_table_a_split_and_a_share_for_validation(folder):
    train = write(folder / "a.csv", path=paths(range(15)), label=[0, 1, 0] * 5)
    test = write(folder / "b.csv", path=paths(range(15, 20)), label=[1] * 5)
    data = ImageTable(test, train, size=8, validation_share=0.2)
    assert numbers_in(data, "test") == [*range(15, 20)]
    assert len(data.split("validation")) == 3
    assert sorted(numbers_in(data, "train") + numbers_in(data, "validation")) == [*range(15)]


def test_missing_images_are_counted_and_named(folder):
    table = write(folder / "a.csv", path=[*paths(range(2)), "gone.png", "too.png"], label=[0, 1, 0, 1])
    with pytest.raises(FileNotFoundError, match=r"a.csv: names 2 of 4 images that do not exist, such as .*gone.png"):
        ImageTable(table, size=8).split("test")


@pytest.mark.parametrize(
    ("columns", "given", "message"),
    [
        (
            {"file": ["a"], "kind": [0]},
            {},
            "`label` should name one of the columns file, kind. Found 0 have",
        ),
        ({"file": ["a"], "image": ["a"], "label": [0]}, {}, "`path` should name one of .* Found 2 have usual names"),
        ({"file": ["a"], "label": [0]}, {"path": "x"}, "`path` should name .* Found none is called so"),
        (
            {"file": ["a", "b"], "label": [0, None]},
            {},
            "column `label` should be filled. Found 1 empty .* row 2",
        ),
        (
            {"file": ["a"], "label": [0], "fold": ["3"]},
            {"split": "fold"},
            "column `fold` should hold .* Found '3'",
        ),
        ({"file": ["a", "b"], "label": [1, 2]}, {}, r"labels should number the classes from 0.*`classes: \[1, 2\]`"),
    ],
)
def test_table_that_cannot_be_right_is_refused(folder, columns, given, message):
    with pytest.raises(ValueError, match=message):
        ImageTable(write(folder / "a.csv", **columns), size=8, **given)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("a.csv", "", "a.csv: not a table that can be read"), ("a.xls", "", "a.xls: a table should be a .csv")],
)
def test_file_that_is_no_table_is_named(folder, name, content, message):
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        ImageTable(str(folder / name))


@pytest.fixture(scope="module")
def wine() -> pd.DataFrame:
    """scikit-learn's wines: thirteen features, three classes, 178 samples."""
    from sklearn.datasets import load_wine

    return load_wine(as_frame=True).frame


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "npz"])
def test_wines_are_read_in_every_form(tmp_path, wine, ending):
    path = tmp_path / f"wine.{ending}"
    if ending == "npz":
        np.savez(path, x=wine.drop(columns="target").to_numpy(), y=wine.target.to_numpy())
    elif ending == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet files need the extra `parquet`")
        wine.to_parquet(path)
    else:
        wine.to_csv(path, sep="\t" if ending == "tsv" else ",")  # with the numbers of the rows, as pandas does
    data = Tabular(str(path), str(path), bounds="data")
    assert (data.name, data.shape, data.classes) == ("wine", (13,), ("0", "1", "2"))
    batch = data.split("test").__getitems__(range(178))
    assert torch.equal(batch.x, torch.tensor(wine.drop(columns="target").to_numpy(np.float32)))
    assert batch.y.tolist() == wine.target.tolist()
    assert data.bounds == (float(batch.x.min()), float(batch.x.max()))
    assert "`bounds: data`, the lowest and highest value found: [0.13, 1680]" in data.notes[-1]


def test_features_and_their_order_may_be_named(tmp_path, wine):
    wine.to_csv(tmp_path / "wine.csv", index=False)
    data = Tabular(str(tmp_path / "wine.csv"), features=["hue", "alcohol"], bounds=(0.0, 20.0))
    x = data.split("test").__getitems__([0]).x
    assert x[0].tolist() == pytest.approx([wine.hue[0], wine.alcohol[0]])


def test_bounds_of_the_data_hold_all_files_that_are_named(tmp_path):
    train = write(tmp_path / "a.csv", f=[0.5, 1.0] * 5, label=[0, 1] * 5)
    test = write(tmp_path / "b.csv", f=[-3.0, 0.7], label=[0, 1])
    data = Tabular(test, train, bounds="data")
    assert data.bounds == (-3.0, 1.0)
    assert len(data.split("test")) == 2
    with pytest.raises(ValueError, match=r"b.csv: images should lie within \(0.0, 1.0\). Found values from -3"):
        Tabular(test, train, bounds=(0.0, 1.0)).split("test")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"f": [0.5, 1], "label": [0, 1]}, "`bounds` should say .* or be `data`, .* Found features from 0.5 to 1"),
        (
            {"f": ["red", "blue"], "g": [1, 2], "label": [0, 1]},
            "features should be numbers. Found texts in f. Grad",
        ),
        ({"f": [1.0, None], "label": [0, 1]}, "column `f` should be filled. Found 1 empty cells"),
    ],
)
def test_features_that_cannot_be_right_are_refused(tmp_path, columns, message):
    with pytest.raises(ValueError, match=message):
        Tabular(write(tmp_path / "a.csv", **columns))


def test_other_features_in_the_test_split_are_refused(tmp_path):
    train = write(tmp_path / "a.csv", f=[0.5, 1.0] * 5, label=[0, 1] * 5)
    test = write(tmp_path / "b.csv", f=[0.5, 1.0], g=[1, 2], label=[0, 1])
    with pytest.raises(ValueError, match=r"b.csv: should have 1 features, as the first. Found 2"):
        Tabular(test, train, bounds=(0.0, 2.0)).split("test")
