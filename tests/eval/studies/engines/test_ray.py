"""A study on a Ray cluster of two nodes, whose workers, nodes and driver are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from eval.records import Results
from eval.studies.engines import Ray

psutil = pytest.importorskip("psutil", reason="ray is not installed")
pytest.importorskip("ray", reason="ray is not installed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning", "default::ResourceWarning"),
]
PLAN = {
    "title": "tiny",
    "base": {
        "trainer": {"accelerator": "cpu", "max_epochs": 3},
        "model": {"network": "mlp", "network_options": {"hidden": [16]}},
        "selection": {"steps": 3},
        "checkpoint": {"monitor": "val_accuracy"},
        "data": {
            "class_path": "slow_data.SlowSpheres",
            "init_args": {"dimensions": 4, "train_size": 200, "batch_size": 50},
        },
    },
    "measure": {"steps": 5, "resolution": 0.05, "figures": [], "masking": False},
    "experiments": {
        "Spheres4": {
            "recipes": {
                "B": {},
                "P": {
                    "model": {
                        "objective": {"class_path": "training.AT", "init_args": {"epsilon": "1/20", "steps": 3}}
                    }
                },
            },
            "seeds": [0, 1],
        }
    },
}
SLOW = '''
import time
from training.data import Spheres

class SlowSpheres(Spheres):
    """Every training takes a second or two, so that there is time to kill it."""

    def train_dataloader(self):
        time.sleep(1.5)
        return super().train_dataloader()
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a plan, and a class of the user's own, which workers must find as well."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    (folder / "slow_data.py").write_text(SLOW)
    return folder


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes of one core each, on this machine."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def started(folder: Path, out: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "eval.cli", "study", "plan.yaml", "--out", out, "--device", "cpu", *options]
    source = str(Path(__file__).parents[4])
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    told, _ = process.communicate(timeout=500)
    assert process.returncode == 0, told
    return told


def until(holds: Callable[[], object], seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def values(out: Path) -> dict[tuple[str, str], float]:
    return {
        (r.model.recipe + str(r.model.seed), r.key): r.value
        for r in Results(out).load()
        if r.quantity.kind != "epoch_cost"
    }


def trainings(out: Path) -> dict[str, list[str]]:
    """The logs of each model: one for each time that its training was begun."""
    return {
        home.name: sorted(file.parent.name for file in home.rglob("metrics.csv")) for home in out.glob("models/*")
    }


def times(out: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in out.glob("models/*/*.json")}


def busy() -> list[Any]:
    """Processes of workers that are doing a task."""
    return [
        p
        for p in psutil.process_iter(["name", "cmdline"])
        if "Spheres4" in "".join(p.info["cmdline"] or []) and "ray::" in "".join(p.info["cmdline"] or [])
    ]


@pytest.fixture(scope="module")
def alone(folder: Path) -> dict[tuple[str, str], float]:
    """What one process finds that is not interrupted."""
    ended(started(folder, "alone", "--jobs", "1"))
    return values(folder / "alone")


def test_a_cluster_finds_what_one_process_does(folder: Path, alone: dict, cluster: Any) -> None:
    cluster.add_node(num_cpus=1)
    ended(started(folder, "plain", "--ray", cluster.address))
    assert values(folder / "plain") == alone
    assert all(logs == ["version_0"] for logs in trainings(folder / "plain").values())
    assert not [*(folder / "plain").glob(".working-*")]


def test_a_worker_that_is_killed_is_replaced(folder: Path, alone: dict, cluster: Any) -> None:
    process = started(folder, "worker", "--ray", cluster.address)
    until(lambda: [*(folder / "worker").rglob("metrics.csv")])
    (victim, *_) = busy()
    victim.kill()
    ended(process)
    assert values(folder / "worker") == alone
    assert sum(len(logs) for logs in trainings(folder / "worker").values()) <= 5


def test_a_node_that_is_lost_is_done_without(folder: Path, alone: dict, cluster: Any) -> None:
    node = cluster.add_node(num_cpus=1)
    process = started(folder, "node", "--ray", cluster.address)
    until(lambda: len([*(folder / "node").rglob("metrics.csv")]) > 1)
    cluster.remove_node(node, allow_graceful=False)
    ended(process)
    assert values(folder / "node") == alone


def test_a_driver_that_is_killed_goes_on_where_it_was(folder: Path, alone: dict, cluster: Any) -> None:
    out = folder / "driver"
    process = started(folder, "driver", "--ray", cluster.address)
    until(lambda: len(times(out)) > 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: not busy())
    before = times(out)
    ended(started(folder, "driver", "--ray", cluster.address))
    assert values(out) == alone
    assert before.items() <= times(out).items()


def test_an_interruption_cancels_what_is_under_way(folder: Path, alone: dict, cluster: Any) -> None:
    out = folder / "interrupted"
    process = started(folder, "interrupted", "--ray", cluster.address)
    until(lambda: [*out.rglob("metrics.csv")])
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in told
    until(lambda: not busy(), 30)
    assert not [*out.glob(".working-*")]
    ended(started(folder, "interrupted", "--ray", cluster.address))
    assert values(out) == alone


def test_no_cluster_is_said_in_a_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="should be the address of a running cluster"),
        Ray(tmp_path, "127.0.0.1:1").crew(),
    ):
        pass


def test_more_than_this_machine_has_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="no machine with 10000 CPUs and 0 GPUs; the cluster has one of"),
        Ray(tmp_path, "local", cpus=10_000.0).crew(),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"cpus": 0.0}, "`cpus` should be above 0"),
        ({"gpus": -1.0}, "`gpus` should be at least 0"),
        ({"gpus": 1.5}, "`gpus` above 1 should be a whole number"),
    ],
)
def test_resources_that_no_task_can_have_are_refused(tmp_path: Path, options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Ray(tmp_path, **options)
