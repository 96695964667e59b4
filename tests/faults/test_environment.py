"""What a machine may lack, or have otherwise, changes no file; names that are none are said."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from eval.cli.command import main
from tests.faults.commands import DATA, Command, assert_same_files, measuring, storing
from tests.faults.conftest import Whole
from tests.faults.points import forked
from tests.faults.tiny import TINY, numbers, ran

LONG = "n" * 300
TYPED = 2
TOO_LONG = ("File name too long. Choose shorter names.",)
STORE = [*DATA, "--split=test", "--limit=6", "--batch=3", "--quiet"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return storing(tmp_path_factory.mktemp("stored"))


def elsewhere() -> None:
    """Temporary files on another file system than everything else, to which nothing can be renamed."""
    os.environ["TMPDIR"], tempfile.tempdir = "/dev/shm", None


def nowhere() -> None:
    """No folder for temporary files that can be written to."""

    def refused(*args: object, **options: object) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    tempfile.mkdtemp = refused


def homeless() -> None:
    for name in ("HOME", "DISPLAY", "USER", "LANG"):
        os.environ.pop(name, None)


@pytest.mark.parametrize("place", [nowhere, pytest.param(elsewhere, marks=pytest.mark.slow)])
def test_study_ends_the_same_wherever_temporary_files_are(
    whole: Whole, tmp_path: Path, place: Callable[[], None]
) -> None:
    if place is elsewhere and not (
        Path("/dev/shm").is_dir() and os.stat("/dev/shm").st_dev != os.stat(tmp_path).st_dev
    ):
        pytest.skip("no second file system at /dev/shm")

    def work() -> None:
        place()
        ran(whole.file, tmp_path / "out")

    assert forked(work, tmp_path / "told") == 0, (tmp_path / "told").read_text()
    assert numbers(tmp_path / "out") == whole.numbers


@pytest.mark.parametrize("place", [elsewhere, nowhere, homeless])
def test_store_ends_the_same_whatever_a_machine_lacks(
    stored: Command, tmp_path: Path, place: Callable[[], None]
) -> None:
    def work() -> None:
        place()
        stored.work(tmp_path)

    assert forked(work, tmp_path / "told") == 0, (tmp_path / "told").read_text()
    (tmp_path / "told").unlink()
    assert_same_files(stored, tmp_path, place.__name__)


def locales() -> list[str]:
    """Of those whose letters or numbers differ from English ones, the ones that this machine has."""
    found = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.split()
    return ["C", *(name for name in found if name.startswith(("tr_TR", "de_DE")))]


@pytest.mark.slow
def test_measure_ends_the_same_without_home_and_display_in_any_locale(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    command = measuring(tmp_path / "net")
    for name in locales():
        folder = tmp_path / name
        folder.mkdir()
        bare = {"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1", "LC_ALL": name}
        ended = subprocess.run(
            [sys.executable, "-m", "eval.cli", *command.args], cwd=folder, env=bare, capture_output=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        left = {path.relative_to(folder / "out") for path in (folder / "out").rglob("*") if path.is_file()}
        assert left == {*command.files}
        for path in (one for one in command.files if one.suffix == ".csv" and one.parts[0] == "models"):
            assert (folder / "out" / path).read_bytes() == command.files[path], path


def test_files_of_the_future_are_kept_as_they_are(stored: Command, tmp_path: Path) -> None:
    """The clock was set back: what is there is from tomorrow."""
    assert stored.run(tmp_path) == 0
    os.utime(tmp_path / "out" / "r.h5", (4e9, 4e9))
    assert stored.run(tmp_path) == 0
    assert (tmp_path / "out" / "r.h5").stat().st_mtime == 4e9


WRONG = {
    "a file as a folder of a study": (["study", "{tiny}", "--out=file", "--quiet"], ("should be a folder", "file")),
    "a file as a folder on the way": (["study", "{tiny}", "--out=file/x", "--quiet"], ("file/x: Not a directory.",)),
    "a folder as a store": (["residuals", "exact", "folder", *STORE], ("should be a file", "Found a folder")),
    "a file as a folder of a store": (["residuals", "exact", "file/r.h5", *STORE], ("Not a directory.",)),
    "another file as a store": (["residuals", "exact", "file", *STORE], ("cannot be read as a store",)),
    "a report on a file": (["report", "file"], ("no such folder of results. Found a file.",)),
    "a long name of a store": (["residuals", "exact", LONG, *STORE], TOO_LONG),
    "a long name of a study": (["study", LONG], TOO_LONG),
    "a long name of a folder": (["study", "{tiny}", f"--out={LONG}", "--quiet"], TOO_LONG),
}


@pytest.mark.parametrize("name", WRONG)
def test_name_that_is_none_is_said_in_a_sentence(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, name: str
) -> None:
    args, said = WRONG[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("of somebody")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SystemExit) as ended:
        main([arg.format(tiny=whole.file) for arg in args])
    assert ended.value.code == TYPED
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert [part for part in said if part not in told[0]] == []
    assert (tmp_path / "file").read_text() == "of somebody"


@pytest.mark.slow
def test_long_name_of_a_recipe_is_cut_in_the_names_of_files(whole: Whole, tmp_path: Path) -> None:
    (recipe,) = TINY["experiments"]["Spheres4"]["recipes"].values()
    file = tmp_path / "long.yaml"
    file.write_text(
        yaml.safe_dump(TINY | {"experiments": {"Spheres4": {"recipes": {LONG: recipe, LONG + "ü": recipe}}}})
    )
    assert forked(lambda: ran(file, tmp_path / "out"), tmp_path / "told") == 0, (tmp_path / "told").read_text()
    assert len([*(tmp_path / "out" / "models").iterdir()]) == 2
