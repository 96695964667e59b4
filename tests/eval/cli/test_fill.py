"""The `residuals` job."""

from pathlib import Path
from typing import Any

import pytest
import torch

from eval.cli.fill import residuals
from eval.cli.mistakes import Failed
from eval.studies.engines import Here
from generators import NearestExample, StoredResidual
from training.data import DataSet, Digits, Split, SplitName


class Dots(DataSet):
    """A few points of three classes."""

    name, classes, shape, bounds = "dots", ("a", "b", "c"), (2,), (-1.0, 1.0)

    def make_split(self, name: SplitName) -> Split:
        count = 24 if name == "train" else 9
        images = torch.rand(count, 2, generator=torch.Generator().manual_seed(len(name))) * 2 - 1
        return Split(images, torch.arange(count) % 3, self.bounds)


def assert_nearest(stored: StoredResidual, data: DataSet, split: SplitName = "train") -> None:
    batch = data.split(split).__getitems__(range(stored.identity["samples"]))
    for step in (1, 2):
        target = (batch.y + step) % data.num_classes
        kept = torch.isin(target, torch.tensor(stored.classes))
        x, y, indices, target = batch.x[kept], batch.y[kept], batch.indices[kept], target[kept]
        expected = data.residual("nearest")(x, y, target)
        torch.testing.assert_close(stored.at(indices)(x, y, target), expected, rtol=5e-4, atol=1e-3)


def test_store_is_filled_and_says_how_large_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = Dots(), tmp_path / "folder" / "dots.h5"
    assert_nearest(residuals("nearest", out, data), data)
    assert f"{out}: 48 residuals of " in capsys.readouterr().out
    assert [file.name for file in out.parent.iterdir()] == ["dots.h5"]


@pytest.mark.parametrize(
    ("options", "pairs"),
    [({"split": "test"}, 18), ({"classes": [2]}, 16), ({"limit": 5}, 10), ({"classes": [0, 2], "limit": 4}, 5)],
)
def test_any_part_can_be_stored(tmp_path: Path, options: dict[str, Any], pairs: int) -> None:
    data = Dots()
    stored = residuals("nearest", tmp_path / "dots.h5", data, **options)
    assert stored.pairs == pairs
    assert_nearest(stored, data, options.get("split", "train"))


def test_store_says_what_it_is_of(tmp_path: Path) -> None:
    data = Dots()
    nearest = data.residual("nearest-even")
    stored = residuals("nearest-even", tmp_path / "dots.h5", data, split="test", batch=4)
    digest = stored.identity.pop("digest")
    assert len(digest) == 16
    assert stored.identity == {
        "data": "dots",
        "split": "test",
        "samples": 9,
        "classes": [0, 1, 2],
        "estimator": "nearest-even",
        "settings": nearest.settings,
        "weights": nearest.digest,
        "format": 1,
    }


def test_store_is_an_estimator_of_its_data_set(tmp_path: Path) -> None:
    data = Dots()
    residuals("nearest", tmp_path / "dots.h5", data)
    found = data.residual(str(tmp_path / "dots.h5"))
    assert isinstance(found, StoredResidual)
    assert_nearest(found, data)
    with pytest.raises(ValueError, match="dots"):
        Digits().residual(str(tmp_path / "dots.h5"))


def test_store_of_another_estimator_is_refused(tmp_path: Path) -> None:
    residuals("nearest-even", tmp_path / "dots.h5", Dots())
    with pytest.raises(ValueError, match=r"`estimator` is 'nearest-even' where 'nearest-odd' is expected"):
        residuals("nearest-odd", tmp_path / "dots.h5", Dots())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"data": None}, "`--data` should name a data set"),
        ({"jobs": 0}, "`jobs` should be at least 1. Found 0"),
        ({"device": "toaster"}, "`device` should be one that is there, such as cpu. Found 'toaster'"),
        ({"classes": [1, 3, -1]}, r"`classes` should lie in \[0, 3\), those of dots. Found \[-1, 3\]"),
        ({"estimator": "nearestt"}, "'nearestt'"),
        ({"estimator": "exact"}, "'exact' is not known for dots"),
    ],
)
def test_bad_requests_are_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        residuals(**{"estimator": "nearest", "out": tmp_path / "dots.h5", "data": Dots()} | options)
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_several_processes_fill_the_same_store(tmp_path: Path) -> None:
    data = Dots()
    alone, together = (residuals("nearest", tmp_path / f"{jobs}.h5", data, jobs=jobs, batch=2) for jobs in (1, 2))
    assert alone.path.read_bytes() == together.path.read_bytes()
    assert_nearest(together, data)


@pytest.mark.slow
@pytest.mark.usefixtures("as_in_production")  # the check of the estimator's type would read its examples
def test_failure_in_a_process_reaches_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="finite"):
        residuals("nearest", tmp_path / "dots.h5", Broken(), jobs=2)


def test_workers_of_a_cluster_look_for_the_device_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.cli.fill.engine_for", lambda *_, **__: Here())
    data = Dots()
    assert_nearest(residuals("nearest", tmp_path / "dots.h5", data), data)
    with pytest.raises(Failed, match=r"`device` should be one that is there.* 3 of 3 parts failed"):
        residuals("nearest", tmp_path / "lost.h5", data, device="cuda:99", limit=6, batch=6)


class Broken(Dots):
    """Its examples are NaN."""

    def residual(self, name: str, **options: Any) -> Any:
        examples = self.split("train").__getitems__(range(6))
        return NearestExample(examples.x * torch.nan, examples.y)
