"""Terminals and locales of other letters."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pandas as pd
import pytest

from eval.cli.showing import show
from eval.cli.terminal import in_plain_letters
from eval.report import Table

C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""The locale of a bare machine, with all taken away by which Python helps itself."""
CP1252 = {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "cp1252"}


def printed(encoding: str, work: Callable[[], None]) -> str:
    """What some work writes to a terminal of an encoding."""
    raw = BytesIO()
    with redirect_stdout(TextIOWrapper(raw, encoding=encoding, write_through=True)):
        in_plain_letters()
        work()
        return raw.getvalue().decode(encoding)


def test_a_path_is_not_spelled_as_another_one() -> None:
    table = Table(pd.DataFrame({"α_Δx": [0.5]}))
    lines = printed("ascii", lambda: show({"α_Δx": table}, Path("runs") / "Lα")).splitlines()
    assert lines == ["", "alpha_dx", " alpha_dx", "      0.5", "", str(Path("runs") / "L?" / "page.html")]


def test_what_is_printed_is_never_refused() -> None:
    assert printed("cp1252", lambda: print("note: ε ± 1 of Lα")) == "note: eps ± 1 of L_alpha\n"


def command(*args: str, **environment: str) -> subprocess.CompletedProcess:
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-m", "eval.cli", *args], env=bare | environment, capture_output=True)


def test_command_speaks_ascii_in_the_locale_c() -> None:
    """Without HOME and DISPLAY, too."""
    done = command("study", "--list", **C)
    assert done.returncode == 0, done.stderr
    assert b"quick" in done.stdout
    assert done.stdout.isascii()
    assert done.stderr.isascii()


@pytest.mark.slow
@pytest.mark.parametrize("environment", [C, CP1252], ids=["C", "cp1252"])
def test_measuring_and_training_work_in_every_locale(tmp_path: Path, environment: dict[str, str]) -> None:
    """A folder, a configuration and a recipe with letters that it lacks; a page is drawn without a display."""
    folder = tmp_path / "ε dir"
    folder.mkdir()
    (folder / "fit α.yaml").write_text(FIT.format(folder=folder), encoding="utf-8")
    done = command("fit", str(folder / "fit α.yaml"), **environment)
    assert done.returncode == 0, done.stderr
    best = folder / "checkpoints" / "best.ckpt"
    options = ["--data", "Digits", "--attacks", "[]", "--masking", "false", "--limit", "20", "--recipe", "Lα"]
    done = command("measure", str(best), *options, "--out", str(folder / "Lα"), **environment)
    assert done.returncode == 0, done.stderr
    assert b"alpha_dx" in done.stdout
    assert b"L_alpha" in done.stdout
    assert "α_Δx" in (folder / "Lα" / "page.html").read_text(encoding="utf-8")
    assert [path.name[:9] for path in (folder / "Lα" / "models").iterdir()] == ["digits-Lα"]


FIT = """\
# ε of the paper
data: {{class_path: training.data.Digits, init_args: {{batch_size: 256}}}}
model: {{network: mlp, network_options: {{hidden: [8]}}}}
selection: {{steps: 2}}
checkpoint: {{monitor: val_accuracy}}
trainer: {{max_epochs: 1, accelerator: cpu, logger: false, default_root_dir: '{folder}'}}
"""
