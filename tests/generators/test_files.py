"""A file is there whole or not at all."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from generators.files import part_of, remove_leftovers, write_reserved, write_whole


@pytest.mark.parametrize("content", ["ε = 0.3, Δ̂x\n", b"\x00\xff", ""])
def test_content_is_written_into_a_folder_that_is_made(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "new" / "record.json"
    write_whole(path, content)
    assert path.read_bytes() == (content.encode("utf-8") if isinstance(content, str) else content)
    assert [*path.parent.iterdir()] == [path]


def test_space_is_taken_beyond_the_content(tmp_path: Path) -> None:
    write_reserved(tmp_path / "store", b"begin", 3 * 2**20 + 7)
    assert (tmp_path / "store").stat().st_size == 3 * 2**20 + 7
    assert (tmp_path / "store").read_bytes()[:6] == b"begin\x00"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path, opened = tmp_path / "record.json", Path.open
    write_whole(path, "old")

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def write(self, content: bytes) -> None:
            self.file.write(content[:1])
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", lambda *given: Full(opened(*given)))
    with pytest.raises(OSError, match=r"record\.json.*: the disk is full; 3 bytes are needed") as refusal:
        write_whole(path, "new")
    assert refusal.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_another_error_is_passed_on_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file"):
        write_whole(tmp_path / "file" / "record.json", "content")


def test_file_is_whole_when_the_process_dies_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    write_whole(path, "old")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "new")
    assert path.read_text() == "old"


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append(f"{os.fstat(descriptor).st_size} on disk"))
    replace = os.replace

    def named(*names: Any) -> None:
        done.append("named")
        replace(*names)

    monkeypatch.setattr(os, "replace", named)
    write_whole(tmp_path / "record.json", "12345")
    assert done == ["5 on disk", "named"]


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EACCES])
def test_a_file_that_is_busy_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    replace, tried = os.replace, [0]

    def busy(*names: Any) -> None:
        tried[0] += 1
        if tried[0] < 3:
            raise OSError(number, os.strerror(number))
        replace(*names)

    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    write_whole(tmp_path / "record.json", "new")
    assert (tmp_path / "record.json").read_text() == "new"
    assert tried == [3]


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EBUSY, errno.EIO])
def test_a_file_that_cannot_be_replaced_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "record.json"
    write_whole(path, "old")

    def refused(*names: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refused)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(OSError, match="so what was there before is kept") as refusal:
        write_whole(path, "new")
    assert (refusal.value.errno, refusal.value.filename) == (number, str(path))
    assert [(file, file.read_text()) for file in tmp_path.iterdir()] == [(path, "old")]


def test_parts_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    mine = part_of(tmp_path / "deep" / "a.json")
    host = mine.name.split(".")[2].partition("-")[0]
    old, new = tmp_path / "b.csv.00000000-1.part", tmp_path / "c.csv.00000000-1.part"  # of another host
    left = tmp_path / "deep" / f"a.json.{host}-{gone}.part"
    others = [tmp_path / "notes.part", tmp_path / "a.json~", tmp_path / ".DS_Store"]
    mine.parent.mkdir()
    for path in (mine, left, old, new, *others):
        path.write_text("")
    os.utime(old, (1e9, 1e9))
    assert {*remove_leftovers(tmp_path)} == {left, old}
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {mine, new, *others}
