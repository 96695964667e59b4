"""A training that goes on with other data than it began with says so."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eval.fit.same_data import DATA_KEY
from tests.eval.fit.runs import saved
from tests.faults.stopping import trained

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


def write(file: Path, count: int = 60, **changes: Any) -> None:
    """Two classes that a line parts, in a file that a data set reads."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (count, 2)).astype(np.float32)
    arrays = {"x": x, "y": (x[:, 0] > 0).astype(np.int64)} | changes
    np.savez(file, **arrays)


def fit(folder: Path, resume: str | None = None, epochs: int = 1) -> None:
    arrays = {
        "class_path": "training.data.Arrays",
        "init_args": {"train": str(folder / "a.npz"), "bounds": [-1.0, 1.0]},
    }
    trained(
        folder,
        {"data": arrays, "checkpoint": {"monitor": "val_accuracy"}, "selection": {"steps": 1}},
        {"collapse": {"margin": -1.0}, "resume": resume, "trainer": {"max_epochs": epochs}, "save": {"steps": None}},
    )


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    write(tmp_path / "a.npz")
    fit(tmp_path)
    return tmp_path


def test_other_data_are_refused(begun: Path) -> None:
    before = (begun / "checkpoints/last.ckpt").read_bytes()
    write(begun / "a.npz", count=50)
    with pytest.raises(ValueError, match=r"Found other training samples \(45 where it was 54\), .*validation"):
        fit(begun, "last", epochs=2)
    y = np.arange(60) % 2
    write(begun / "a.npz", y=y)
    with pytest.raises(ValueError, match=r"Found other training labels, .* Bring the data back, or leave out"):
        fit(begun, "last", epochs=2)
    write(begun / "a.npz", y=np.arange(60) % 3)
    with pytest.raises(ValueError, match=r"Found other classes \(3 where it was 2\), names of classes"):
        fit(begun, "last", epochs=2)
    assert (begun / "checkpoints/last.ckpt").read_bytes() == before


@pytest.mark.slow
def test_other_values_of_samples_are_said(begun: Path) -> None:
    x = np.load(begun / "a.npz")["x"]
    write(begun / "a.npz", x=x * np.float32(0.5))
    with pytest.warns(UserWarning, match=r"Found other training values of samples, validation values of .* What"):
        fit(begun, "last", epochs=2)
    assert saved(begun)["epoch"] == 1


@pytest.mark.slow
def test_the_same_data_go_on(begun: Path) -> None:
    fit(begun, "last", epochs=2)
    assert saved(begun)["epoch"] == 1


@pytest.mark.slow
def test_checkpoint_that_does_not_say_its_data_goes_on(begun: Path) -> None:
    content = saved(begun)
    assert content.pop(DATA_KEY)["training samples"] == 54
    torch.save(content, begun / "checkpoints/last.ckpt")
    write(begun / "a.npz", count=50)
    fit(begun, "last", epochs=2)
    assert saved(begun)[DATA_KEY]["training samples"] == 45
