"""Work in tasks: in this process and in several."""

import re
import signal
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from alignment.version import __version__
from eval.progress.sentence import where
from eval.progress.together import Together
from eval.studies import Study, run_study
from eval.studies.engines import Engine, Here, engine_for
from eval.studies.engines.ray_cluster import _connect
from eval.studies.engines.room import lacking, say_lacking
from eval.studies.engines.telling import told_in
from eval.studies.engines.termination import Termination
from eval.studies.engines.worker import Away, wholly_done
from eval.studies.tasks import Done, Parts, Task, failures
from eval.studies.work import all_done


def part(name: str, file: Path, text: str, rest: tuple[Task, ...] = ()) -> Mapping[str, Done]:
    with file.open("a") as log:
        log.write(text)
    return {name: Done(1.0, [], [text], rest=rest)}


def broken(message: str) -> Mapping[str, Done]:
    raise ValueError(message)


def in_three(name: str, file: Path) -> Task:
    """A task with two parts that follow, one of which has another."""
    last = Task((name,), partial(part, name, file, "c"))
    rest = (Task((name,), partial(part, name, file, "b", (last,))), Task((name,), partial(part, name, file, "d")))
    return Task((name,), partial(part, name, file, "a", rest))


def test_parts_of_a_model_are_put_together(tmp_path: Path) -> None:
    done = all_done([in_three("one", tmp_path / "log")], "", Here())
    assert sorted((tmp_path / "log").read_text()) == ["a", "b", "c", "d"]
    assert done["one"].seconds == 4
    assert sorted(done["one"].notes) == ["a", "b", "c", "d"]
    assert done["one"].rest == ()


def test_a_part_that_fails_leaves_the_others(tmp_path: Path) -> None:
    log = tmp_path / "log"
    rest = (Task(("one",), partial(broken, "no")), Task(("one",), partial(part, "one", log, "b")))
    done = all_done([Task(("one",), partial(part, "one", log, "a", rest)), in_three("two", log)], "", Here())
    assert failures(done) == ["one: ValueError: no"]
    assert [*done] == ["one", "two"] or [*done] == ["two", "one"]
    assert sorted(log.read_text()) == [*"aabbcd"]


def test_models_of_a_task_that_fails_are_all_said_to_fail() -> None:
    done = all_done([Task(("one", "two"), partial(broken, "no"))], "", Here())
    assert failures(done) == ["one: ValueError: no", "two: ValueError: no"]


def test_no_cluster_is_joined_for_nothing() -> None:
    assert all_done([], "", Here(jobs=0)) == {}  # a crew of none would be refused


def test_models_that_a_task_leaves_out_are_missing() -> None:
    assert all_done([Task(("one",), dict)], "", Here()) == {}


def test_an_interruption_ends_the_work(tmp_path: Path) -> None:
    def interrupted() -> Mapping[str, Done]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        all_done([Task(("one",), interrupted), in_three("two", tmp_path / "log")], "", Here())
    assert not (tmp_path / "log").exists()


def test_a_model_is_done_when_the_last_of_its_parts_is() -> None:
    parts, two = Parts(), Task(("one",), dict)
    assert [*parts.add({"one": Done(1.0, [], rest=(two, two))})] == []
    assert [*parts.add({"one": Done(1.0, [])})] == []
    assert [*parts.add({"one": Done(1.0, ["no"])})] == [("one", Done(3.0, ["no"]))]


def test_a_job_does_all_parts(tmp_path: Path) -> None:
    done = wholly_done(in_three("one", tmp_path / "log"))
    assert (tmp_path / "log").read_text() == "abcd"
    assert done["one"] == Done(4.0, [], ["a", "b", "c", "d"])


def test_a_worker_of_another_version_is_refused(tmp_path: Path) -> None:
    away = Away(in_three("one", tmp_path / "log"), tmp_path, version="9.9")
    with pytest.raises(ValueError, match=rf"should have alphadx 9.9, .* Found {__version__}"):
        away()


def test_a_worker_that_does_not_see_the_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"should see the folder of results. Found no .*elsewhere"):
        Away(in_three("one", tmp_path / "log"), tmp_path / "elsewhere")()


def test_the_folder_that_workers_tell_in_goes_with_the_work(tmp_path: Path) -> None:
    with told_in(tmp_path / "run") as told:
        assert told.parent == tmp_path / "run"
        (told / "state.json").touch()
    assert [*(tmp_path / "run").iterdir()] == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ray": "auto", "slurm": "slurm"}, "`ray` and `slurm` should not be given together"),
        ({"slurm_options": {"timeout_min": 1}}, "`slurm_options` should be given with `slurm`"),
        ({"cpus": 2.0}, "`cpus` and `gpus` should be given with `ray` or `slurm`"),
        ({"gpus": 0.5}, "`cpus` and `gpus` should be given with `ray` or `slurm`"),
    ],
)
def test_what_has_no_cluster_is_refused(tmp_path: Path, options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        engine_for(tmp_path, **options)


def test_a_device_of_the_workers_need_not_be_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Study("none", "none", [], {}, {"title": "none"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="`device` should be one that is there"):
        run_study(plan, "out", device="cuda:99")
    assert run_study(plan, "out", device="cuda:99", engine=Here()).results.folder == tmp_path / "out"


def test_progress_says_while_no_machine_has_room(tmp_path: Path) -> None:
    lack = lacking(
        [{"Alive": True, "Resources": {"CPU": 2.0}}, {"Alive": False, "Resources": {"CPU": 8.0}}], 4.0, 0.5
    )
    work = Together("grid", 3, "model")
    say_lacking(tmp_path, lack)
    work.read(tmp_path)
    assert where(work) == (
        "grid: 0 of 3 models done; waiting, since there is no machine with 4 CPUs and 0.5 GPUs; "
        "the cluster has one of 2 and 0"
    )
    say_lacking(tmp_path, "")
    assert [*tmp_path.iterdir()] == []


class Older:
    """A cluster of another Ray, as a driver meets it."""

    @staticmethod
    def init(*_: object, **__: object) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9\n    Python: 3.11\n")


def test_a_cluster_of_another_version_is_told_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})  # which is left as it was found
    with pytest.raises(ValueError, match=r"of the same versions. The cluster .* with: Ray: 2.9 Python: 3.11"):
        _connect(Older, "auto")


class Waits:
    """Ray, which would look for a cluster for minutes."""

    @staticmethod
    def init(*_: object, **__: object) -> None:
        raise AssertionError("asked though nobody listens")


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "[::1]:{}", "127.0.0.1:99999", "host:a"])
def test_an_address_where_nobody_listens_is_said_at_once(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr("os.environ", {})
    with socket.socket() as taken:  # a port that is bound, and so nobody else's, but not listened at
        taken.bind(("127.0.0.1", 0))
        named = address.format(taken.getsockname()[1])
        with pytest.raises(ValueError, match=re.escape(f"a running cluster. Found none at {named!r}")):
            _connect(Waits, named)


def test_somebody_who_listens_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})
    with socket.create_server(("127.0.0.1", 0)) as listens, pytest.raises(ValueError, match="of the same versions"):
        _connect(Older, f"127.0.0.1:{listens.getsockname()[1]}")


class Asked(KeyboardInterrupt):
    """Raised by a handler of a request to end."""


def test_what_a_handler_raises_outlives_another_that_takes_its_place() -> None:
    def end(number: int, frame: object) -> None:
        raise Asked

    before = signal.signal(signal.SIGTERM, end)
    try:
        termination = Termination()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Ray puts its own there
        termination.heed()
        with pytest.raises(Asked) as raised:
            signal.raise_signal(signal.SIGTERM)
        assert termination.raised is raised.value
        termination.leave()
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)


def test_without_a_cluster_it_is_this_machine(tmp_path: Path) -> None:
    assert engine_for(tmp_path, jobs=3) is None
    assert isinstance(Here(), Engine)
