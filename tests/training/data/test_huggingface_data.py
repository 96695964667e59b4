"""Hugging Face data sets on disk, written by Hugging Face's own library or by others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.data.sets import LABELS, expected, pixels
from training.data import HuggingFaceData, data_set_of

datasets = pytest.importorskip("datasets", reason="needs Hugging Face's datasets: pip install 'alphadx[datasets]'")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
X = torch.stack([expected(i) for i in range(10)])
NAMES = ["ant", "bee", "cat"]


@pytest.fixture(autouse=True)
def _quiet_and_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def rows(numbers: Any = range(10), label: str = "label", image: str = "image") -> Any:
    """A data set as the hub's image data sets are: encoded images and class labels."""
    features = datasets.Features({image: datasets.Image(), label: datasets.ClassLabel(names=NAMES)})
    images = [Image.fromarray(pixels(i)) for i in numbers]
    return datasets.Dataset.from_dict({image: images, label: [LABELS[i] for i in numbers]}, features=features)


def inputs(data: Any, split: str) -> torch.Tensor:
    return data.split(split).__getitems__(range(len(data.split(split)))).x


def test_saved_data_set_with_splits(tmp_path: Path) -> None:
    splits = {"train": rows(range(2, 10)), "test": rows()}
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "pets"))
    data = HuggingFaceData(str(tmp_path / "pets"), validation_share=0.25)
    assert (data.name, data.classes, data.bounds) == ("pets", ("ant", "bee", "cat"), (0.0, 1.0))
    torch.testing.assert_close(inputs(data, "test"), X, rtol=0, atol=1e-6)
    assert data.split("test").labels.tolist() == LABELS
    assert (len(data.split("train")), len(data.split("validation"))) == (6, 2)


def test_saved_data_set_without_splits_is_the_test_split(tmp_path: Path) -> None:
    rows().save_to_disk(str(tmp_path / "pets"))
    data = HuggingFaceData(str(tmp_path / "pets"), bounds=(-1.0, 1.0))
    torch.testing.assert_close(inputs(data, "test"), 2 * X - 1, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"there are no train samples"):
        data.split("train")


def test_splits_may_be_named(tmp_path: Path) -> None:
    datasets.DatasetDict({"train": rows(range(8)), "validation": rows()}).save_to_disk(str(tmp_path / "pets"))
    assert len(HuggingFaceData(str(tmp_path / "pets"), test="validation").split("test")) == 10
    with pytest.raises(ValueError, match=r"`test` should be one of train, validation. Found 'final'"):
        HuggingFaceData(str(tmp_path / "pets"), test="final")
    with pytest.raises(ValueError, match=r"there are no test samples. Found train and validation"):
        HuggingFaceData(str(tmp_path / "pets")).split("test")


@pytest.mark.parametrize("layout", ["data/{}-00000-of-00001.parquet", "{}.parquet", "{}/0000.parquet"])
def test_parquet_files_as_the_hub_keeps_them(layout: str, tmp_path: Path) -> None:
    for split, numbers in (("train", range(2, 10)), ("test", range(10))):
        path = tmp_path / "pets" / layout.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows(numbers).to_parquet(str(path))
    data = HuggingFaceData(str(tmp_path / "pets"), cache=str(tmp_path / "cache"))
    assert (data.classes, "cache" in data.arguments) == (("ant", "bee", "cat"), False)
    torch.testing.assert_close(inputs(data, "test"), X, rtol=0, atol=1e-6)
    assert len(data.split("train")) + len(data.split("validation")) == 8


def test_parquet_of_another_program_holds_bytes_of_files(tmp_path: Path) -> None:
    pd, io = pytest.importorskip("pandas"), pytest.importorskip("io")
    encoded = []
    for number in range(10):
        file = io.BytesIO()
        Image.fromarray(pixels(number)).save(file, "png")
        encoded.append({"bytes": file.getvalue(), "path": f"{number}.png"})
    path = tmp_path / "pets.parquet"
    pd.DataFrame({"image": encoded, "label": LABELS, "id": range(10)}).to_parquet(path)
    data = HuggingFaceData(str(path), cache=str(tmp_path / "cache"))
    torch.testing.assert_close(inputs(data, "test"), X, rtol=0, atol=1e-6)
    assert data.classes == ("0", "1", "2")


def test_arrays_are_taken_with_their_bounds(tmp_path: Path) -> None:
    features = datasets.Features({"x": datasets.Array3D((3, 5, 6), "float32"), "y": datasets.Value("int64")})
    datasets.Dataset.from_dict({"x": X.numpy(), "y": LABELS}, features=features).save_to_disk(str(tmp_path / "a"))
    torch.testing.assert_close(inputs(HuggingFaceData(str(tmp_path / "a")), "test"), X, rtol=0, atol=1e-6)


def test_vectors_are_taken(tmp_path: Path) -> None:
    vectors = np.linspace(0, 1, 40).reshape(10, 4)
    datasets.Dataset.from_dict({"features": vectors.tolist(), "label": LABELS}).save_to_disk(str(tmp_path / "v"))
    data = HuggingFaceData(str(tmp_path / "v"))
    assert data.shape == (4,)
    torch.testing.assert_close(inputs(data, "test"), torch.from_numpy(vectors).float())


def test_columns_are_found_by_their_kind_or_named(tmp_path: Path) -> None:
    rows(label="species", image="scan").save_to_disk(str(tmp_path / "a"))
    torch.testing.assert_close(inputs(HuggingFaceData(str(tmp_path / "a")), "test"), X, rtol=0, atol=1e-6)
    two = rows(label="fine").add_column("coarse", [i % 2 for i in range(10)])
    two = two.cast_column("coarse", datasets.ClassLabel(names=["dark", "light"]))
    two.save_to_disk(str(tmp_path / "b"))
    with pytest.raises(ValueError, match=r"`label` should name the column of the labels. Found none that can"):
        HuggingFaceData(str(tmp_path / "b"))
    assert HuggingFaceData(str(tmp_path / "b"), label="coarse").classes == ("dark", "light")
    with pytest.raises(ValueError, match=r"`image` should name the column of the images. Found picture among image"):
        HuggingFaceData(str(tmp_path / "b"), image="picture", label="fine")


def test_data_set_in_the_hands_of_a_user_is_taken() -> None:
    for given in (rows(), datasets.DatasetDict({"test": rows()})):
        data = data_set_of(given, bounds=(0, 1), name="mine")
        torch.testing.assert_close(inputs(data, "test"), X, rtol=0, atol=1e-6)
        assert data.classes == ("ant", "bee", "cat")


def test_transform_of_rows_is_kept() -> None:
    def halved(batch: dict[str, Any]) -> dict[str, Any]:
        arrays = [torch.from_numpy(np.array(image)).permute(2, 0, 1) / 510 for image in batch["image"]]
        return {"image": arrays, "label": batch["label"]}

    data = data_set_of(rows().with_transform(halved), bounds=(0, 1))
    torch.testing.assert_close(inputs(data, "test"), X / 2, rtol=0, atol=1e-6)


def test_stream_of_rows_is_held() -> None:
    data = data_set_of(rows().to_iterable_dataset(), bounds=(0, 1))
    torch.testing.assert_close(inputs(data, "test"), X, rtol=0, atol=1e-6)


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone: no such folder or file"):
        HuggingFaceData(str(tmp_path / "gone"))
    with pytest.raises(
        ValueError, match=r"should be a folder of `save_to_disk`, or hold Parquet files. Found neither"
    ):
        HuggingFaceData(str(tmp_path))
    (tmp_path / "broken.parquet").write_bytes(b"not Parquet")
    with pytest.raises(ValueError, match=r"broken.parquet: no Parquet files that can be read"):
        HuggingFaceData(str(tmp_path / "broken.parquet"))


def test_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'alphadx\[datasets\]'"):
        HuggingFaceData(str(tmp_path))
