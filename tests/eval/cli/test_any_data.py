"""Each kind of data in other libraries' hands is measured in one command."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from eval.cli import main
from eval.records import Model, Results, Sitting, standard_measurements
from eval.records.measurements import Alignment
from tests.training.data import test_tar_data, test_torchvision_data
from tests.training.data.sets import FloatPictures, Module, Pictures, Stream
from training import build_network
from training.data import data_set_of

SETTINGS = [
    "--network=mlp", '--network-options={"hidden": [4]}', "--masking=false", "--norms=[Linf]", "--steps=1",
    "--curve-resolution=null", "--limit=6",
]  # fmt: skip


Printed = Callable[[str], None]


def measured(folder: Path, data: list[str], shape: tuple[int, ...], classes: int) -> None:
    """A command measures a tiny network."""
    network = build_network("mlp", shape=shape, num_classes=classes, hidden=[4])
    torch.save(network.state_dict(), folder / "a.pt")
    main(["measure", str(folder / "a.pt"), *data, *SETTINGS])


@pytest.fixture
def printed(capsys: pytest.CaptureFixture) -> Printed:
    """Checks that all was measured of a data set."""

    def check(name: str) -> None:
        out = capsys.readouterr().out
        assert f"{name}: inputs in [0, 1], the unit of ε; test split, n = 6;" in out
        assert all(title in out for title in ("accuracy %", "ε50% PGD L∞", "α_Δx", "α_x"))

    return check


def test_data_set_of_torch_by_dotted_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: Printed) -> None:
    (tmp_path / "my_pictures.py").write_text("from tests.training.data.sets import FloatPictures as Mine\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    data = ["--data=TorchData", "--data.source=my_pictures:Mine", "--data.bounds=[0,1]", "--data.classes=[a,b,c]"]
    options = ["--data.train-options={first: 0}", "--data.test-options={first: 1}"]
    measured(tmp_path, data + options, (3, 5, 6), 3)
    printed("Mine")


def test_module_by_dotted_path(tmp_path: Path, printed: Printed) -> None:
    data = ["--data=TorchData", "--data.source=tests.training.data.sets:Module", "--data.bounds=[0,1]"]
    measured(tmp_path, data, (3, 5, 6), 3)
    printed("Module")


def test_torchvision_by_name(tmp_path: Path, printed: Printed) -> None:
    test_torchvision_data.pet(tmp_path)
    data = ["--data=TorchvisionData", "--data.set=OxfordIIITPet", f"--data.data_root={tmp_path}", "--data.size=5"]
    measured(tmp_path, data, (3, 5, 5), 2)
    printed("OxfordIIITPet")


@pytest.mark.slow
@pytest.mark.data
def test_real_digits_by_name(tmp_path: Path, real_data: Path, printed: Printed) -> None:
    data = ["--data=TorchvisionData", "--data.set=MNIST", f"--data.data_root={real_data}", "--residual=nearest"]
    measured(tmp_path, data, (1, 28, 28), 10)
    printed("MNIST")


def test_hugging_face_on_disk(tmp_path: Path, printed: Printed) -> None:
    pytest.importorskip("datasets", reason="needs Hugging Face's datasets: pip install 'alphadx[datasets]'")
    from tests.training.data.test_huggingface_data import datasets, rows

    datasets.DatasetDict({"train": rows(), "test": rows()}).save_to_disk(str(tmp_path / "pets"))
    data = ["--data=HuggingFaceData", f"--data.folder={tmp_path / 'pets'}"]
    measured(tmp_path, data, (3, 5, 6), 3)
    printed("pets")


def test_tar_files(tmp_path: Path, printed: Printed) -> None:
    for shard in range(5):
        test_tar_data.write(tmp_path / f"a-{shard:02d}.tar", [2 * shard, 2 * shard + 1])
    files = str(tmp_path / "a-{00..04}.tar")
    data = ["--data=TarData", f"--data.test={files}", f"--data.train={files}", "--data.classes=3"]
    measured(tmp_path, data, (3, 5, 6), 3)
    printed("a")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pictures(),
        lambda: DataLoader(FloatPictures(), 4, shuffle=True),
        lambda: Stream(),
        lambda: Module(),
        lambda: (torch.rand(10, 3, 5, 6), torch.arange(10) % 3),
        lambda: {"train": FloatPictures(), "test": FloatPictures()},
    ],
)
def test_what_a_user_holds_is_measured_in_python(make: Any, tmp_path: Path) -> None:
    network = build_network("mlp", shape=(3, 5, 6), num_classes=3, hidden=[4])
    data = data_set_of(make(), bounds=(0, 1))
    sitting = Sitting.of(network, data, Model(data.name, "mine"), limit=6)
    wanted = standard_measurements(norms=("Linf",), steps=1, curve_resolution=None, masking=False)
    known = [m for m in wanted if "train" in data.sources or not isinstance(m, Alignment)]
    taken = sitting.take_all(known, Results(tmp_path).home(sitting.model, sitting.subject.key))
    assert (taken.failures, [record.samples for record in taken.records]) == ([], [6] * len(known))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["--data=TorchData", "--data.source=tests.training.data.sets:FloatPictures"], r"`bounds` .* \(0, 1\) fits"),
        (["--data=TorchData", "--data.source=nowhere:Data"], "`source` should name something"),
        (["--data=TorchvisionData", "--data.set=Mnist"], "`set` should be one of torchvision's data sets"),
        (["--data=TorchvisionData", "--data.set=SVHN", "--data.data_root=nowhere"], "torchvision's SVHN were"),
        (["--data=TarData", "--data.test=nowhere.tar"], "nowhere.tar: no such tar file"),
        (["--data=HuggingFaceData", "--data.folder=nowhere"], "nowhere: no such folder or file"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_read_are_refused_in_a_sentence(data: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=message):
        measured(tmp_path, data, (3, 5, 6), 3)
