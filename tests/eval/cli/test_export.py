"""The `export` job."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from eval.cli import main
from eval.records import Quantity
from tests.eval.made import record, written
from training import build_network

AUTOATTACK = Quantity("accuracy", "autoattack", "Linf", epsilon="8/255")


@pytest.mark.parametrize(
    ("form", "files"),
    [
        ("csv", ["models.csv", "samples.csv"]),
        ("model-card", ["B.md"]),
        ("robustbench", ["model_info/d/Linf/B.json"]),
    ],
)
def test_every_form_is_written_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, files: list[str]
) -> None:
    written(tmp_path, [record(), record(AUTOATTACK, 0.4)])
    main(["export", str(tmp_path), "--form", form])
    paths = [tmp_path / "exports" / form / name for name in files]
    assert capsys.readouterr().out.split() == [str(path) for path in paths]
    assert all(path.stat().st_size for path in paths)


def test_csv_is_the_form_that_nobody_named(tmp_path: Path) -> None:
    written(tmp_path, [record()])
    main(["export", str(tmp_path), "--out", str(tmp_path / "elsewhere")])
    assert len(pd.read_csv(tmp_path / "elsewhere" / "models.csv")) == 1


def test_what_is_known_besides_is_written_too(tmp_path: Path) -> None:
    written(tmp_path, [record(AUTOATTACK, 0.4)])
    main(["export", str(tmp_path), "--form=robustbench", "--about", '{"authors": "A, B", "additional_data": true}'])
    (file,) = tmp_path.rglob("B.json")
    entry = json.loads(file.read_text())
    assert (entry["authors"], entry["additional_data"]) == ("A, B", True)


def test_what_is_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, [record(AUTOATTACK, 0.4), record(weights="other")])
    main(["export", str(tmp_path), "--form=robustbench"])
    assert "note: Without an accuracy under the standard AutoAttack" in capsys.readouterr().err


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no such folder of results"):
        main(["export", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match=r"`records` should hold at least one"):
        main(["export", str(tmp_path)])
    written(tmp_path, [record()])
    with pytest.raises(SystemExit, match=r"--only accuracy --out FOLDER"):
        main(["export", str(tmp_path), "--form=robustbench"])


@pytest.mark.slow
def test_what_measure_records_leaves_in_every_table(tmp_path: Path) -> None:
    torch.save(build_network("small_cnn", shape=(1, 8, 8), num_classes=10, width=2).state_dict(), tmp_path / "a.pt")
    out = tmp_path / "out"
    options = ["--network=small_cnn", "--network-options", '{"width": 2}', "--data=Digits", "--limit=10"]
    attack = ["--attacks=[pgd]", "--norms=[Linf]", "--steps=2", "--epsilons=[8/255]", "--masking=false"]
    main(["measure", str(tmp_path / "a.pt"), *options, *attack, "--out", str(out)])
    main(["export", str(out)])
    models = pd.read_csv(out / "exports" / "csv" / "models.csv").set_index("measurement")
    samples = pd.read_csv(out / "exports" / "csv" / "samples.csv")
    assert {"accuracy", "epsilon50_pgd_linf", "accuracy_pgd_linf_8/255", "alpha_dx", "alpha_x", "gradients"} == {
        *models.index
    }
    clean = samples[samples.measurement == "accuracy"]
    assert (clean.predicted == clean.label).mean() == pytest.approx(models.value["accuracy"])
