"""Each kind of data in at most three lines of command, and a data set of a user's own in ten lines of Python."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from eval.cli import main
from training import build_network

OWN = """
import torch
from training.data import DataSet, LazySplit

class Waves(DataSet):
    name, bounds, classes, shape = "waves", (-1.0, 1.0), ("slow", "fast"), (1, 40)

    def make_split(self, name):
        return Recordings(torch.arange(24) % 2, self.bounds)

class Recordings(LazySplit):
    def read(self, indices):
        speed = 1 + 3 * self.labels[list(indices)]
        return torch.sin(torch.linspace(0, 6, 40) * speed[:, None, None])
"""
QUICK = ["--masking=false", "--norms=[Linf]", "--curve-resolution=null", "--limit=12", "--steps=2"]
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(24) % 3


def in_folders(folder: Path) -> list[str]:
    for number, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        path = folder / ("val" if number % 2 else "train") / f"n{label}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return ["--data=ImageFolders", f"--data.folder={folder}", "--data.test=val", "--data.size=8"]


def in_hdf5(folder: Path) -> list[str]:
    with h5py.File(folder / "a.h5", "w") as file:
        file["x"], file["y"] = IMAGES, LABELS
    return ["--data=HDF5Images", f"--data.test={folder}/a.h5", f"--data.train={folder}/a.h5"]


def in_archive(folder: Path) -> list[str]:
    held = {f"{split}_images": IMAGES for split in ("train", "val", "test")}
    np.savez(folder / "a.npz", **held, **{key.replace("images", "labels"): LABELS[:, None] for key in held})
    return ["--data=Arrays", f"--data.test={folder}/a.npz"]


def in_arrays(folder: Path) -> list[str]:
    np.save(folder / "fog.npy", IMAGES)
    np.save(folder / "labels.npy", LABELS)
    return ["--data=Arrays", f"--data.test={folder}/fog.npy", f"--data.train={folder}/fog.npy"]


def in_table(folder: Path) -> list[str]:
    in_folders(folder)
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*.png"))]
    columns = {"path": paths, "label": [p.parts[1] for p in paths], "split": [p.parts[0] for p in paths]}
    pd.DataFrame(columns).replace({"split": {"val": "test"}}).to_csv(folder / "a.csv", index=False)
    return ["--data=ImageTable", f"--data.test={folder}/a.csv", "--data.size=8"]


KINDS = [in_folders, in_hdf5, in_archive, in_arrays, in_table]


def measured(folder: Path, shape: tuple[int, ...], classes: int, data: list[str]) -> None:
    """Measure a tiny network on data that a command names."""
    torch.save(build_network("mlp", shape=shape, num_classes=classes, hidden=[4]).state_dict(), folder / "model.pt")
    network = ["--network=mlp", '--network-options={"hidden": [4]}']
    main(["measure", str(folder / "model.pt"), *network, *data, *QUICK])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_data_is_measured_by_one_command(
    tmp_path: Path, kind: Callable[[Path], list[str]], capsys: pytest.CaptureFixture
) -> None:
    measured(tmp_path, (3, 8, 8), 3, kind(tmp_path))
    printed = capsys.readouterr().out
    assert "inputs in [0, 1]" in printed
    assert "n = 12" in printed


def test_wines_are_measured_by_one_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from sklearn.datasets import load_wine

    load_wine(as_frame=True).frame.to_csv(tmp_path / "wine.csv")
    files = [f"--data.test={tmp_path}/wine.csv", f"--data.train={tmp_path}/wine.csv"]
    measured(tmp_path, (13,), 3, ["--data=Tabular", *files, "--data.bounds=data"])
    assert "wine: inputs in [0.13, 1680]" in capsys.readouterr().out


def test_a_data_set_of_ones_own_is_named_by_its_dotted_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "my_waves.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    measured(tmp_path, (1, 40), 2, ["--data=my_waves.Waves"])
    assert "waves: inputs in [−1, 1]" in capsys.readouterr().out


def test_images_in_0_1_under_unsaid_bounds_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.linspace(0, 1, 24 * 64).reshape(24, 1, 8, 8), y=LABELS)
    with pytest.raises(SystemExit, match=r"`bounds` should say the lowest .* Found values from 0 to 1 .* fit"):
        measured(tmp_path, (1, 8, 8), 3, ["--data=Arrays", f"--data.test={tmp_path}/a.npz"])
