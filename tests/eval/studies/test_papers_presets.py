"""Presets of paper 1 on data that is made here."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from eval import measure
from eval.figures.gradients import draw
from eval.records import Results
from eval.report import write_report
from eval.studies import load_study, run_study
from eval.studies.plan import ModelCell
from tests.eval.made import said
from training import build_network
from training.data import ImageFolders

PAPERS = ("spheres", "squares", "mnist35", "mnist", "cifar10", "copd")


@pytest.mark.parametrize("name", PAPERS)
def test_settings_are_those_of_table_s1(name: str) -> None:
    """ε of PGD training, λ_α, epochs and batch size."""
    table = {
        "spheres": (0.005, 0.1, 80, 50),
        "squares": (0.2, 0.1, 30, 12),
        "mnist35": (0.3, 0.1, 30, 12),
        "mnist": (0.3, 0.3, 30, 64),
        "cifar10": (0.01, 0.3, 100, 128),
        "copd": (0.006, 10, 30, 12),
    }
    cells = [cell for cell in load_study(name).cells if isinstance(cell, ModelCell)]
    by_recipe = {cell.model.recipe: cell.fit for cell in cells if "side by side" in cell.model.groups}
    attack = by_recipe["P"]["model"]["objective"]["init_args"]
    penalty = by_recipe["Lα"]["model"]["alignment_weight"]
    fit = by_recipe["B"]
    found = (attack["epsilon"], penalty, fit["trainer"]["max_epochs"], fit["data"]["init_args"]["batch_size"])
    assert found == table[name]
    assert (attack["steps"], attack["step_size"]) == (40, 0.002 if name == "spheres" else 0.02)
    assert {cell.model.seed for cell in cells} == {0, 1, 2, 3, 4}
    swept = {cell.model.epsilon for cell in cells if "sweep" in cell.model.groups}
    assert len(swept) in (6, 7)
    for cell in cells:
        (settings,) = cell.measure[:1]
        assert {"gradients", "linearity"} <= {*settings["figures"]}
        assert ("sta" in settings["attacks"]) == (name != "spheres")


def patients(path: Path, first: int, count: int) -> None:
    """Two images of each patient, whose class is the brightness of the middle."""
    rng = np.random.default_rng(first)
    labels = np.repeat(np.arange(count) % 2, 2)
    images = rng.uniform(-0.5, 0.5, (2 * count, 16, 16)).astype(np.float32)
    images[:, 4:12, 4:12] += 0.4 * (2 * labels - 1)[:, None, None]
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        file["images"], file["labels"] = images, labels
        file["group"] = np.repeat(np.arange(first, first + count), 2)


@pytest.mark.slow
def test_copd_is_any_grouped_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    patients(tmp_path / "copd" / "train.h5", 0, 100)
    patients(tmp_path / "copd" / "test.h5", 100, 20)
    done = run_study(load_study("copd", fast=True), tmp_path / "out", jobs=1, device="cpu")
    assert done.failures == []
    records = [*Results(tmp_path / "out").load()]
    assert {record.model.recipe for record in records} == {"B", "Lα", "P"}
    assert {record.model.data for record in records} == {"COPD"}
    assert {"alpha_dx", "epsilon50_pgd_linf", "tau50_sta", "linearity", "gradients"} <= {
        record.quantity.name for record in records
    }
    rows = write_report(tmp_path / "out")["Side by side"].frame.recipe.tolist()
    assert [recipe for recipe in rows if not recipe.startswith("  paper")] == ["B", "Lα", "P"]
    assert len(rows) == 6  # the paper's below ours


def test_networks_of_a_list_are_measured_on_listed_images_and_correlated(tmp_path: Path) -> None:
    """The form of Tables 5 and 6, with random weights and ten classes of small images."""
    rng = np.random.default_rng(0)
    for split, images in (("train", 2), ("val", 2)):
        for c in range(3):
            for number in range(images):
                path = tmp_path / "data" / split / f"n0{c}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    names = [f"n0{c}/1.png" for c in range(3)]
    (tmp_path / "ids.txt").write_text("\n".join(names))
    lines = []
    for seed in range(3):
        torch.manual_seed(seed)
        network = build_network("small_cnn", shape=(3, 16, 16), num_classes=3, width=2, hidden=4)
        torch.save(network.state_dict(), tmp_path / f"{seed}.pt")
        lines.append(f"- {{checkpoint: {seed}.pt, recipe: net {seed}, normalize: none}}")
    (tmp_path / "list.yaml").write_text("\n".join(lines))
    data = ImageFolders(str(tmp_path / "data"), size=16, test="val", listed=str(tmp_path / "ids.txt"))
    report = measure(
        tmp_path / "list.yaml", data, network="small_cnn", network_options={"width": 2, "hidden": 4},
        attacks=["pgd"], norms=["Linf"], steps=2, resolution=0.2, curve_resolution=None, masking=False,
        residual="nearest", out=tmp_path / "out", say=lambda _: None,
    )  # fmt: skip
    assert not report.failures
    assert {record.samples for record in report.records} == {3}
    assert "Correlation of alignment with robustness" in report.tables
    records = Results(tmp_path / "out").load()
    (figure,) = draw(records, [record for record in records if record.quantity.kind == "gradients"]).values()
    assert sum(text.startswith("∇ℓ, net ") for text in said(figure)) >= 3


def test_a_model_has_the_epsilon_of_the_objective_that_its_own_goes_around() -> None:
    """AWP has none itself; where a model has none, a correlation takes it for one without attack."""
    cells = load_study("agr_methods").cells
    assert {cell.model.recipe for cell in cells} >= {"AT", "AWP", "AWP + AGR"}
    assert {cell.model.epsilon for cell in cells} == {"8/255"}
