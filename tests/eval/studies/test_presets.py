"""Every preset loads in both forms, and each of its trainings can begin."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from eval.fit import FitCLI
from eval.records.identity import digest
from eval.studies.configuring import kept_under
from eval.studies.overlay import laid_over
from eval.studies.plan import ModelCell, load_study
from eval.studies.source import presets

FORMS = [False, True]


def loaded(name: str, fast: bool) -> Any:
    try:
        return load_study(name, fast=fast)
    except ValueError as error:
        if "has no fast form" not in str(error):
            raise
        return pytest.skip("has no fast form")


@pytest.mark.parametrize("fast", FORMS)
@pytest.mark.parametrize("name", presets())
def test_every_preset_loads(name: str, fast: bool) -> None:
    study = loaded(name, fast)
    assert study.cells
    assert study.title


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of images where presets look for them, with one image per class."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALPHADX_DATA", str(tmp_path))
    for folder in ("data/cub", "data/stanford_dogs"):
        for part in ("train", "test"):
            for name in "ab":
                (tmp_path / folder / part / name).mkdir(parents=True)
                Image.new("RGB", (8, 8)).save(tmp_path / folder / part / name / "1.png")
    for name in ("n1", "n2"):
        images = tmp_path / "tiny-imagenet-200/train" / name / "images"
        images.mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(images / f"{name}_0.JPEG")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("fast", FORMS)
@pytest.mark.parametrize("name", [name for name in presets() if name.startswith(("agr_", "caat_", "combiners"))])
def test_every_training_of_a_preset_can_begin(name: str, fast: bool, folders: Path) -> None:
    """Each configuration once, whatever its seed, with a small network in place of its own."""
    cells = [cell for cell in loaded(name, fast).cells if isinstance(cell, ModelCell)]
    by_training = {digest(laid_over(cell.fit, {"seed_everything": 0})): cell.fit for cell in cells}
    for fit in by_training.values():
        whole = laid_over(fit, {"model": {"network": "mlp"}})
        whole["model"]["network_options"] = {"hidden": [2]}
        cli = FitCLI(kept_under(whole, folders / "run", "cpu"))
        assert cli.model.optimizer(cli.model.parameters()).param_groups
        if cli.model.scheduler is not None:
            cli.model.configure_optimizers()
