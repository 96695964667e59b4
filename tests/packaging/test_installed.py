"""A wheel that was built from the source archive works where nothing else of the checkout is."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from hatchling import build

from training import build_network

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def run(*command: str | Path, at: Path) -> str:
    """What a command prints, in a folder, without what leads Python back to the checkout."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=at, env=clean | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built_wheel(folder: Path) -> Path:
    """Built as an installer builds it that was given the source archive, so without git."""
    here = Path.cwd()
    os.chdir(ROOT)
    try:
        archive = folder / build.build_sdist(str(folder))
    finally:
        os.chdir(here)
    run("tar", "-xzf", archive, at=folder)
    source = folder / archive.name.removesuffix(".tar.gz")
    make = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    run(sys.executable, "-c", make, at=source)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def bin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a fresh environment with the wheel alone; it finds the libraries where these tests do."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", at=folder)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    run(*pip, built_wheel(folder), at=folder)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # A folder named by a .pth file is searched, but its own .pth files are not read: this checkout is not found.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return python.parent


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a user, with a checkpoint."""
    folder = tmp_path_factory.mktemp("elsewhere")
    network = build_network("mlp", shape=(1, 8, 8), num_classes=10, hidden=[8])
    torch.save(network.state_dict(), folder / "tiny.pt")
    return folder


def test_the_packages_are_those_of_the_wheel(bin: Path, elsewhere: Path) -> None:
    program = "import alignment, generators, training, eval; from eval import measure; print(eval.__file__)"
    found = Path(run(bin / "python", "-c", program, at=elsewhere).strip())
    assert found.is_relative_to(bin.parent)


def test_the_command_says_what_it_is(bin: Path, elsewhere: Path) -> None:
    assert "measure" in run(bin / "alphadx", "--help", at=elsewhere)


def test_presets_are_found(bin: Path, elsewhere: Path) -> None:
    listed = run(bin / "alphadx", "study", "--list", at=elsewhere)
    assert all(file.stem in listed for file in (ROOT / "eval/studies/presets").glob("*.yaml"))


def test_a_checkpoint_is_measured_and_a_page_written(bin: Path, elsewhere: Path) -> None:
    options = ["--network", "mlp", "--network-options", '{"hidden": [8]}', "--normalize", "none", "--limit", "20"]
    asked = ["--data", "Digits", "--masking", "false", "--steps", "2", "--figures", "[]", "--out", "mine"]
    printed = run(bin / "alphadx", "measure", "tiny.pt", *options, *asked, at=elsewhere)
    assert "ε50%" in printed
    assert (elsewhere / "mine" / "page.html").stat().st_size > 0
