"""Files that cannot be read are named with what is wrong, and none is opened that was not asked for."""

import json
import pickle
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from generators.checkpoints import read_checkpoint
from tests.training.checkpoints import tiny
from tests.training.checkpoints.tiny import weights
from training.checkpoints import load
from training.checkpoints.files import OTHERS, read


@pytest.mark.parametrize("ending", OTHERS)
def test_file_of_another_program_is_named(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"file{ending}").write_bytes(b"content")
    with pytest.raises(ValueError, match=r"should be a file of torch or safetensors. Found .*: "):
        read(tmp_path / f"file{ending}")


@pytest.mark.parametrize("name", ["gone.pt", "gone", "gone.safetensors"])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"{name}: no such checkpoint file"):
        read(tmp_path / name)


def test_folder_without_weights_says_what_it_should_hold(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"A folder should hold model.safetensors or model.safetensors.index"):
        read(tmp_path)


def test_folder_with_one_file_of_safetensors_is_read(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch", reason="an extra")
    safetensors.save_file(weights(), tmp_path / "mine.safetensors")
    assert read(tmp_path).holds.keys() == weights().keys()
    safetensors.save_file(weights(), tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError, match="A folder should hold"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": {"a": "../secret.bin"}}, "should list files of its own folder. Found ../secret.bin"),
        ({"weight_map": {"a": "/secret.bin"}}, "should list files of its own folder. Found /secret.bin"),
        (
            {"weight_map": {"stem.weight": "part.bin", "b": "part.bin"}},
            "lists weights that its files lack, such as b",
        ),
        ({"weight_map": ["part.bin"]}, "should list weights under `weight_map`"),
        ({"weight_map": {"a": 3}}, "should list weights under `weight_map`"),
        ([], "should list weights under `weight_map`"),
        ({}, "should list weights under `weight_map`"),
    ],
)
def test_index_is_checked_before_files_are_opened(tmp_path: Path, index: object, message: str) -> None:
    torch.save(weights(), tmp_path / "part.bin")
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_index_of_a_part_that_is_gone_names_it(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": "gone.bin"}}))
    with pytest.raises(FileNotFoundError, match=r"gone.bin: no such checkpoint file"):
        read(tmp_path)


def test_part_of_an_index_runs_nothing(tmp_path: Path) -> None:
    torch.save(tiny.trained(), tmp_path / "part.bin")
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": "part.bin"}}))
    with pytest.raises(ValueError, match="a pickle runs code of whoever made it"):
        read(tmp_path, trust=True)


def test_safetensors_that_was_cut_off_is_named(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch", reason="an extra")
    safetensors.save_file(weights(), tmp_path / "file.safetensors")
    content = (tmp_path / "file.safetensors").read_bytes()
    (tmp_path / "file.safetensors").write_bytes(content[:-20])
    with pytest.raises(ValueError, match="cannot be read as safetensors, it may be cut off"):
        read(tmp_path / "file.safetensors")


def test_safetensors_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file.safetensors").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match=r"needs safetensors: pip install 'alphadx\[safetensors\]'"):
        read(tmp_path / "file.safetensors")


@pytest.mark.parametrize("content", [b"", b"x", b"\x01\x00\x00\x00\x00\x00\x00\x00{", b"\xff" * 8 + b"{"])
def test_odd_bytes_are_no_safetensors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"file.pt cannot be read as"):
        read(tmp_path / "file.pt")


def test_configuration_beside_weights_that_is_broken_is_named(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "pytorch_model.bin")
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(ValueError, match=r"preprocessor_config.json should be a file of JSON"):
        load(tiny.NETWORK, checkpoint=tmp_path, **tiny.SIZES)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5], "image_std": [0]}))
    with pytest.raises(ValueError, match=r"preprocessor_config.json: image_mean` should be none, imagenet"):
        load(tiny.NETWORK, checkpoint=tmp_path, **tiny.SIZES)


def test_package_of_torch_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "file.pt", "w") as archive:
        archive.writestr("file/.data/extern_modules", "torch")
    with pytest.raises(ValueError, match=r"Found a package of torch.package"):
        read(tmp_path / "file.pt", trust=True)


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "a.pt").touch()
    with pytest.raises(ValueError, match=r"a.pt cannot be read as a checkpoint: it is empty"):
        read(tmp_path / "a.pt", trust=True)


def test_pythons_own_pickle_is_read_where_it_is_trusted(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"state_dict": weights()}))
    with pytest.raises(ValueError, match=r"say so with trust=True"):
        read(tmp_path / "a.pkl")
    assert read(tmp_path / "a.pkl", trust=True).holds["state_dict"].keys() == weights().keys()


def test_torchs_hints_for_a_program_are_not_printed_beside_ours(tmp_path: Path, recwarn) -> None:
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(tmp_path / "a.pt"))
    recwarn.clear()
    with pytest.raises(ValueError, match="cannot be read"):
        read_checkpoint(tmp_path / "a.pt")
    assert not recwarn.list
