"""What is built: a wheel with every file that the packages read, and a source archive from which it can be built."""

import os
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest
from hatchling import build
from hatchling.builders.sdist import SdistBuilder
from packaging.requirements import Requirement

import alignment
import eval as judging
import generators
import training

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("alignment", "generators", "training", "eval")
ANYWHERE = r"[ \t]*"
CALLED = {  # modules whose name is not that of the distribution that has them
    "PIL": "pillow",
    "lightning_fabric": "pytorch-lightning",
    "sklearn": "scikit-learn",
    "vl_convert": "vl-convert-python",
    "yaml": "pyyaml",
}


def project() -> dict:
    """The `project` table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def files_of(package: str) -> set[str]:
    """Every file of a package in this checkout, from the root; without what Python and editors leave."""
    found = (file for file in (ROOT / package).rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(ROOT).as_posix() for file in found if file.suffix != ".pyc"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        name = build.build_wheel(str(folder))
    finally:
        os.chdir(before)
    with zipfile.ZipFile(folder / name) as archive:
        yield archive


@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_holds_every_file_of_a_package(wheel: zipfile.ZipFile, package: str) -> None:
    assert {name for name in wheel.namelist() if name.startswith(f"{package}/")} == files_of(package)


def test_among_them_are_the_files_that_are_no_python(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {"eval/studies/presets/quick.yaml", "eval/report/published/index.yaml"} <= names
    assert any(name.startswith("eval/report/") and name.endswith(".html") for name in names)


def test_the_wheel_holds_the_four_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_wheel_says_what_pyproject_says(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    said = message_from_bytes(wheel.read(metadata))
    assert (said["Name"], said["Version"]) == ("alphadx", project()["version"])
    assert set(said.get_all("Provides-Extra")) == set(project()["optional-dependencies"])
    assert b"alphadx = eval.cli:main" in wheel.read(metadata.replace("METADATA", "entry_points.txt"))


def test_every_package_says_the_version_that_is_installed() -> None:
    assert {package.__version__ for package in (alignment, generators, training, judging)} == {version("alphadx")}


def test_the_newest_heading_of_the_changelog_is_of_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0].rstrip(",") == project()["version"]


def test_the_source_archive_holds_what_the_wheel_and_the_tests_need() -> None:
    names = {file.distribution_path for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    assert set.union(*map(files_of, PACKAGES)) <= names
    assert {"LICENSE", "README.md", "CHANGELOG.md", "tests/conftest.py"} <= names
    assert not [name for name in names if name.startswith(("runs/", "data/", ".git/", ".venv/", "docs/_build/"))]


@cache
def sources() -> str:
    """All lines of the four packages."""
    return "\n".join(
        file.read_text(encoding="utf-8") for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))
    )


def foreign(within: str) -> set[str]:
    """Distributions of others that the four packages import.

    Args:
        within: pattern of what may stand before an import: nothing, for what is imported at once.
    """
    found = re.findall(
        rf"^{within}(?:from (\w+)[\w.]* import |import (\w+)[\w.]*(?: as \w+)?$)", sources(), re.MULTILINE
    )
    names = {one or other for one, other in found} - {*PACKAGES, *sys.stdlib_module_names}
    return {CALLED.get(name, name).lower().replace("_", "-") for name in names}


def named(requirements: list[str]) -> set[str]:
    """Names of the distributions in requirements."""
    return {Requirement(one).name.lower() for one in requirements}


def test_whatever_is_imported_at_once_is_a_dependency() -> None:
    assert foreign("") <= named(project()["dependencies"])


def test_whatever_is_imported_at_all_is_a_dependency_or_in_an_extra() -> None:
    extras = [one for wanted in project()["optional-dependencies"].values() for one in wanted]
    assert foreign(ANYWHERE) <= named([*project()["dependencies"], *extras])


def test_every_dependency_is_imported() -> None:
    assert named(project()["dependencies"]) <= foreign(ANYWHERE)
