"""A study through submitit, on its executor of local processes."""

import os
import signal
from pathlib import Path

import pytest

from eval.studies.engines import Slurm
from tests.eval.studies.engines.slow_study import ended, started, times, until, values

psutil = pytest.importorskip("psutil", reason="psutil is not installed")
pytest.importorskip("submitit", reason="submitit is not installed")


@pytest.mark.slow
def test_an_array_finds_what_one_process_does_though_a_job_is_killed(folder: Path, alone: dict) -> None:
    out = folder / "slurm"
    process = started(folder, "slurm", "--slurm", "local")
    until(lambda: [*out.rglob("metrics.csv")])
    jobs = [
        p for p in psutil.process_iter(["cmdline"]) if "submitit.core._submit" in " ".join(p.info["cmdline"] or [])
    ]
    os.kill(min(jobs, key=lambda job: job.pid).pid, signal.SIGKILL)
    ended(process)
    assert values(out) == alone
    before = times(out)
    ended(started(folder, "slurm", "--slurm", "local"))
    assert times(out) == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"cluster": "pbs"}, "`slurm` should be one of slurm, local, debug. Found 'pbs'"),
        ({"cpus": 1.5}, "`cpus` should be a whole number with Slurm"),
        ({"gpus": 0.5}, "`gpus` should be a whole number with Slurm"),
        ({"cpus": 0.0}, "`cpus` should be above 0"),
    ],
)
def test_what_slurm_cannot_do_is_refused(tmp_path: Path, options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Slurm(tmp_path, **options)


def test_options_that_submitit_does_not_know_are_refused(tmp_path: Path) -> None:
    engine = Slurm(tmp_path, "local", options={"slurm_partitions": "gpu"})
    with pytest.raises(ValueError, match="`slurm_options` should be options of submitit"), engine.crew():
        pass
