"""A worker, or a driver, that is killed: the same command ends with the same files, and nothing is left over."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from eval.records import store
from eval.studies import load_study, run_study, starting
from eval.studies.engines.telling import told_in
from generators.files import write_whole
from generators.store import writing
from tests.faults.commands import assert_same_files, storing
from tests.faults.points import forked
from tests.faults.test_full import FAILED
from tests.faults.test_killed import KILLED
from tests.faults.tiny import TINY, numbers

ENDED = "a process was ended from outside, perhaps for want of memory. Start again, with fewer --jobs."


def kill_a_worker(module: ModuleType, ending: str, mark: Path) -> None:
    """Let the first worker of this process be killed that writes a file of some ending through a module."""
    driver = os.getpid()

    def write(path: Path, content: str | bytes) -> None:
        if path.name.endswith(ending) and os.getpid() != driver and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        write_whole(path, content)

    starting.START = "fork"  # so that workers write as this process does
    module.write_whole = write  # type: ignore[attr-defined]


def test_store_ends_the_same_after_a_worker_was_killed(tmp_path: Path) -> None:
    command = storing(tmp_path)
    several = replace(command, args=[*command.args, "--jobs=2"])
    folder = tmp_path / "several"
    folder.mkdir()

    def killed() -> None:
        kill_a_worker(writing, ".h5", tmp_path / "killed")
        several.work(folder)

    assert forked(killed, tmp_path / "told") == FAILED
    assert (tmp_path / "killed").exists()
    assert ENDED in (tmp_path / "told").read_text()
    assert forked(killed, tmp_path / "told") == 0, (tmp_path / "told").read_text()  # but nothing is killed twice
    assert_same_files(command, folder, "a worker")


@pytest.mark.slow
def test_study_ends_with_the_same_records_after_a_worker_was_killed(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    recipes = {"B": {}, "C": {"model": {"alignment_weight": 1.0}}}
    file.write_text(yaml.safe_dump(TINY | {"experiments": {"Spheres4": {"recipes": recipes}}}))

    def run(name: str, jobs: int) -> None:
        starting.START = "fork"
        if failed := run_study(load_study(str(file)), tmp_path / name, jobs=jobs).failures:
            raise SystemExit(*failed[:1])

    def killed() -> None:
        kill_a_worker(store, ".json", tmp_path / "killed")
        failed = run_study(load_study(str(file)), tmp_path / "two", jobs=2).failures
        print(*failed)
        sys.exit(len(failed) > 0)

    assert forked(killed, tmp_path / "told") == FAILED
    assert (tmp_path / "killed").exists()
    assert ENDED in (tmp_path / "told").read_text()
    assert forked(lambda: run("two", 2), tmp_path / "told") == 0, (tmp_path / "told").read_text()
    assert forked(lambda: run("one", 1), tmp_path / "told") == 0, (tmp_path / "told").read_text()
    assert numbers(tmp_path / "two") == numbers(tmp_path / "one")
    assert not [*(tmp_path / "two").rglob("*.part")]


def test_what_workers_told_a_driver_that_was_killed_is_removed(tmp_path: Path) -> None:
    """Workers of a cluster tell it in the folder of results; those of a driver that lives are left to it."""

    def driven() -> None:
        with told_in(tmp_path) as told:
            write_whole(told / "worker.json", "{}")
            os.kill(os.getpid(), signal.SIGKILL)

    assert forked(driven, tmp_path / "said") == KILLED
    (left,) = tmp_path.glob(".working*")
    other = left.with_name(left.name.replace(left.name.split("-")[-1], f"{os.getppid()}.part"))
    other.mkdir()
    with told_in(tmp_path) as told:
        assert {*tmp_path.glob(".working*")} == {told, other}
    assert {*tmp_path.glob(".working*")} == {other}
