"""`torchrun -m eval.cli`: what the command prints and writes is what it does in one process."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training import build_network

ROOT = Path(__file__).parents[2]
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "eval.cli")
SECONDS = re.compile(r" +[\d.]+$", re.MULTILINE)


def command(*words: str, launcher: tuple[str, ...] = ("-m", "eval.cli")) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *launcher, *words], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def told(folder: Path) -> dict[str, object]:
    """Values, passes and keys of all records."""
    found = {}
    for file in sorted(folder.rglob("models/*/*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        found[file.name] = {name: record[name] for name in ("value", "interval", "forward_passes", "backward_passes")}
    return found


@pytest.mark.slow
def test_torchrun_measures_and_prints_what_one_process_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network("small_cnn", shape=(1, 8, 8), num_classes=10, bounds=(0.0, 1.0))
    torch.save(network.state_dict(), tmp_path / "a.pt")
    next(network.parameters()).data += 0.1
    torch.save(network.state_dict(), tmp_path / "b.pt")
    models = ["measure", str(tmp_path / "models.yaml"), "--data", "Digits"]
    options = [
        "--data",
        "Digits",
        "--network",
        "small_cnn",
        "--normalize",
        "none",
        "--split",
        "train",
        "--limit",
        "700",
    ]
    options += ["--data.eval_batch_size", "100", "--attacks", "pgd", "--norms", "Linf", "--masking", "false"]
    (tmp_path / "models.yaml").write_text("- {checkpoint: a.pt}\n- {checkpoint: b.pt}\n", encoding="utf-8")
    one = command(*models, *options, "--out", str(tmp_path / "one"))
    two = command(*models, *options, "--out", str(tmp_path / "two"), launcher=TORCHRUN)
    assert (one.returncode, two.returncode) == (0, 0), two.stderr
    assert told(tmp_path / "one") == told(tmp_path / "two")
    assert told(tmp_path / "one")
    tables = [SECONDS.sub("", ran.stdout).replace("/two/", "/one/") for ran in (one, two)]
    assert tables[0] == tables[1]
    for file in (tmp_path / "one").rglob("models/*/*.csv"):
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()


@pytest.mark.slow
def test_torchrun_tells_a_mistake_once(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "none.pt")
    words = ("measure", str(tmp_path / "none.pt"), "--data", "Digits", "--network", "small_cnn")
    ran = command(*words, launcher=TORCHRUN)
    assert ran.returncode
    assert ran.stderr.count("alphadx: ") == 1
    assert "none.pt" in ran.stderr
