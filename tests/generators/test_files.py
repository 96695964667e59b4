"""A file is there whole or not at all."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from generators.files import write_reserved, write_whole


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
