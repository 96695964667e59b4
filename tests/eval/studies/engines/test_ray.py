"""A study on a Ray cluster of two nodes, whose workers, nodes and driver are killed."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.studies.engines import Ray
from tests.eval.studies.engines.slow_study import ended, started, times, trainings, until, values

psutil = pytest.importorskip("psutil", reason="ray is not installed")
pytest.importorskip("ray", reason="ray is not installed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning", "default::ResourceWarning"),
]


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes of one core each, on this machine."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def busy() -> list[Any]:
    """Processes of workers that are doing a task."""
    return [
        p
        for p in psutil.process_iter(["name", "cmdline"])
        if "Spheres4" in "".join(p.info["cmdline"] or []) and "ray::" in "".join(p.info["cmdline"] or [])
    ]


def test_a_cluster_finds_what_one_process_does(folder: Path, alone: dict, cluster: Any) -> None:
    cluster.add_node(num_cpus=1)
    ended(started(folder, "plain", "--ray", cluster.address))
    assert values(folder / "plain") == alone
    assert all(logs == ["version_0"] for logs in trainings(folder / "plain").values())
    assert not [*(folder / "plain").glob(".working*")]


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
    assert process.returncode == 143
    assert "Traceback" not in told
    until(lambda: not busy(), 30)
    assert not [*out.glob(".working*")]
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
