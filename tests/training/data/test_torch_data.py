"""Data sets and LightningDataModules by the dotted path of their class."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.data.sets import LABELS, FloatPictures, expected
from training.data import TorchData
from training.data.foreign.dotted import built, imported
from training.networks.imports import make_current_folder_importable

HERE = "tests.training.data.sets"
X = torch.stack([expected(i) for i in range(10)])


def inputs(data: Any, split: str) -> torch.Tensor:
    return data.split(split).__getitems__(range(len(data.split(split)))).x


def test_data_set_is_made_for_every_split_with_its_options() -> None:
    data = TorchData(
        f"{HERE}:FloatPictures",
        (0.0, 1.0),
        train_options={"first": 2},
        test_options={"first": 0},
        validation_share=0.25,
    )
    assert (data.name, data.classes, data.bounds) == ("FloatPictures", ("ant", "bee", "cat"), (0.0, 1.0))
    torch.testing.assert_close(inputs(data, "test"), X)
    train, kept = inputs(data, "train"), inputs(data, "validation")
    assert (len(train), len(kept)) == (6, 2)
    assert sorted(255 * torch.cat([train, kept])[:, 0, 0, 0]) == pytest.approx(range(2, 10), abs=1e-3)


def test_validation_has_its_own_options() -> None:
    options = [{"first": 2}, {"first": 0}, {"first": 7}]
    data = TorchData(f"{HERE}.FloatPictures", (0.0, 1.0), None, None, *options)
    assert [len(data.split(split)) for split in ("train", "validation", "test")] == [8, 3, 10]


def test_options_describe_transforms() -> None:
    halved = {"class_path": "torchvision.transforms.v2.Normalize", "init_args": {"mean": [0.0], "std": [1.0]}}
    data = TorchData(f"{HERE}:FloatPictures", (0.0, 1.0), options={"transform": halved})
    torch.testing.assert_close(inputs(data, "test"), X)
    away = {"class_path": "torchvision.transforms.v2.Normalize", "init_args": {"mean": [0.5], "std": [0.2]}}
    with pytest.raises(ValueError, match=r"--normalize 0.5,0.2"):
        TorchData(f"{HERE}:FloatPictures", (0.0, 1.0), options={"transform": away})


def test_items_that_are_mappings_have_their_names_and_images_are_brought_to_a_size() -> None:
    item = {"class_path": f"{HERE}.AsMapping", "init_args": {}}
    data = TorchData(
        f"{HERE}:Pictures", (0.0, 1.0), 3, {"item": item}, image="scan", label="diagnosis", size=4, channels=1
    )
    assert (data.shape, data.classes) == ((1, 4, 4), ("0", "1", "2"))
    assert data.split("test").labels.tolist() == LABELS


def test_module_has_its_own_splits() -> None:
    data = TorchData(f"{HERE}:Module", (0.0, 1.0), options={"batch_size": 3})
    assert [len(data.split(split)) for split in ("train", "validation", "test")] == [8, 4, 10]
    assert data.classes == ("ant", "bee", "cat")


def test_current_folder_can_be_imported_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_data.py").write_text(f"from {HERE} import FloatPictures\n\nclass Mine(FloatPictures): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_own_data", raising=False)
    data = TorchData("my_own_data:Mine", (0.0, 1.0))
    assert (data.name, len(data.split("test"))) == ("Mine", 10)
    assert sys.path[0] == str(tmp_path)


@pytest.mark.parametrize("name", ["eval.py", "training"])
def test_current_folder_does_not_hide_our_packages(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir() if name == "training" else (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["first"])
    make_current_folder_importable()
    assert sys.path == ["first", str(tmp_path)]


def test_where_files_lie_is_no_part_of_what_the_data_are(tmp_path: Path) -> None:
    data = TorchData(f"{HERE}:WithRoot", (0.0, 1.0), options={"root": str(tmp_path), "first": 1})
    assert data.arguments["options"] == {"first": 1}
    assert len(data.split("test")) == 9


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("FloatPictures", {}, "`source` should be a dotted path"),
        (
            "nowhere.at.all:Data",
            {},
            "`source` should name something that can be imported here. Found 'nowhere.at.all",
        ),
        (f"{HERE}:Nothing", {}, "has no attribute 'Nothing'"),
        (f"{HERE}:FloatPictures", {"rooot": 1}, "`options` should be what .* takes. Found .*rooot"),
        ("training.data:Digits", {}, "use --data training.data:Digits"),
        (f"{HERE}:LABELS.copy", {}, "an item should be"),
        ("math:pi.hex", {}, "`data` should be a data set"),
    ],
)
def test_what_cannot_be_made_is_refused(source: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TorchData(source, (0.0, 1.0), options=options)


def test_bounds_and_splits_that_are_missing_are_asked_for() -> None:
    with pytest.raises(ValueError, match=r"`bounds` should be .* Found none. FloatPictures \(test\).*\(0, 1\) fits"):
        TorchData(f"{HERE}:FloatPictures")
    with pytest.raises(ValueError, match=r"there are no train samples. Found test. Say in `train_options` what"):
        TorchData(f"{HERE}:FloatPictures", (0.0, 1.0)).split("train")


def test_descriptions_inside_of_lists_and_mappings_are_built() -> None:
    made = built([{"a": {"class_path": f"{HERE}.FloatPictures", "init_args": {"first": 3}}}], "options")
    assert isinstance(made[0]["a"], FloatPictures)
    assert made[0]["a"].first == 3
    with pytest.raises(ValueError, match=r"should hold class_path and init_args. Found first beside them"):
        built({"class_path": f"{HERE}.FloatPictures", "first": 3}, "options")
    assert imported("collections.OrderedDict", "source").__name__ == "OrderedDict"
