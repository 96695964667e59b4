"""What the system refuses: one sentence names the file and the remedy."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from eval.cli.mistakes import end_of
from eval.progress.workers import reported
from generators.files import write_whole
from generators.progress import Stage
from tests.faults.conftest import Whole
from tests.faults.points import Fault, forked
from tests.faults.tiny import numbers, ran

DAMAGES = ["empty", "NUL", "cut", "other"]


def slow(value: object) -> Any:
    """A case that the suite of every day leaves out, since each takes seconds."""
    return pytest.param(value, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EROFS, "Read-only file system. Name another folder with --out."),
        (errno.EMFILE, "Too many open files. Raise the limit with `ulimit -n`, or start with fewer --jobs."),
        (errno.EIO, "Input/output error. The disk or its cable may be failing; what was finished is kept."),
    ],
)
def test_refused_file_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    path = tmp_path / "record.json"

    def refused(opened: Path, mode: str = "r") -> None:
        raise OSError(number, os.strerror(number), str(opened))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(OSError, match="record") as refusal:
        write_whole(path, "content")
    assert remedy in end_of(refusal.value, ["study"]).told
    assert str(path) in end_of(refusal.value, ["study"]).told


def test_work_goes_on_where_the_temporary_folder_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def full(path: Path, content: str) -> None:
        tried.append(path)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("eval.progress.workers.write_whole", full)
    monkeypatch.setattr("eval.progress.workers.OFTEN", 0.01)
    with reported(Stage("work", 1, ""), tmp_path / "state.json"):
        while not tried:
            os.sched_yield()


@pytest.mark.slow
def test_clock_that_is_set_back_changes_no_number(whole: Whole, tmp_path: Path) -> None:
    def back() -> None:
        import time

        clock = iter(range(2_000_000_000, 0, -100))
        time.time = lambda: float(next(clock))
        ran(whole.file, tmp_path / "out")

    assert forked(back, tmp_path / "told") == 0, (tmp_path / "told").read_text()
    assert numbers(tmp_path / "out") == whole.numbers


@pytest.mark.parametrize("name", [slow("with a space"), slow("ε=½ 图"), slow("-dash")])
def test_names_of_any_letters_are_folders(whole: Whole, tmp_path: Path, name: str) -> None:
    out, real = tmp_path / name, tmp_path / "real"
    real.mkdir()
    out.symlink_to(real)

    def elsewhere() -> None:
        os.chdir(tmp_path)
        ran(whole.file, Path(name))

    assert forked(elsewhere, tmp_path / "told") == 0, (tmp_path / "told").read_text()
    assert numbers(real) == whole.numbers


@pytest.mark.slow
def test_stray_files_change_nothing(whole: Whole, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert forked(lambda: ran(whole.file, out), tmp_path / "told") == 0
    (home,) = (out / "models").iterdir()
    for stray in (out / ".DS_Store", home / ".DS_Store", home / "accuracy.json~", home / ".nfs00001", home / "x.csv"):
        stray.write_bytes(b"\0stray")
    (out / "models" / ".DS_Store").write_bytes(b"\0")
    assert forked(lambda: ran(whole.file, out), tmp_path / "told") == 0, (tmp_path / "told").read_text()
    assert numbers(out) == whole.numbers


@pytest.mark.parametrize("content", [slow(b""), slow(b"\0" * 100), slow(b'{"value": 1'), slow(b"[]")], ids=DAMAGES)
def test_damaged_record_is_named_with_the_remedy(whole: Whole, tmp_path: Path, content: bytes) -> None:
    out = tmp_path / "out"
    assert forked(lambda: ran(whole.file, out), tmp_path / "told") == 0
    (damaged,) = out.glob("models/*/accuracy-*.json")
    damaged.write_bytes(content)
    assert forked(lambda: ran(whole.file, out), tmp_path / "told") == 1
    told = (tmp_path / "told").read_text()
    assert str(damaged) in told
    assert "Remove it, and the same command makes it again." in told
    damaged.unlink()
    assert forked(lambda: ran(whole.file, out), tmp_path / "told") == 0
    assert numbers(out) == whole.numbers


@pytest.mark.parametrize("number", [errno.ENOLCK, slow(errno.ENOSYS), slow(errno.EOPNOTSUPP)])
def test_study_on_a_file_system_without_locks(whole: Whole, tmp_path: Path, number: int) -> None:
    def without() -> None:
        import fcntl

        def refused(file: object, operation: int) -> None:
            raise OSError(number, os.strerror(number))

        fcntl.flock = refused
        ran(whole.file, tmp_path / "out")

    assert forked(without, tmp_path / "told") == 0, (tmp_path / "told").read_text()
    assert numbers(tmp_path / "out") == whole.numbers


@pytest.mark.slow
def test_renaming_that_is_refused_once_is_tried_again(whole: Whole, tmp_path: Path) -> None:
    (at, *_) = [number for number, one in enumerate(whole.points) if one.startswith("replace")]
    fault = Fault(at, errno.EBUSY)
    assert forked(lambda: ran(whole.file, tmp_path / "out"), tmp_path / "told", fault) == 0
    assert numbers(tmp_path / "out") == whole.numbers
