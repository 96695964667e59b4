"""Public names are imported when they are first used, and a module that hides one of our packages is named."""

import importlib
import pkgutil
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

import alignment
from alignment import sisters

ROOT = Path(__file__).parents[2]
LAZY = ("alignment", "generators", "training", "eval", "eval.report", "eval.studies")
HEAVY = ("torch", "torchmetrics", "pytorch_lightning", "torchvision", "sklearn", "pandas", "matplotlib", "kornia")


def loaded(code: str) -> set[str]:
    """Which of the heavy libraries a fresh interpreter has loaded after some code."""
    told = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-P", "-c", told], capture_output=True, text=True, check=True)
    return {*run.stdout.split("\n")[-2].split()} & {*HEAVY}


def test_packages_load_no_library() -> None:
    assert loaded("import alignment, generators, training, eval, eval.report, eval.studies") == set()


def test_alpha_dx_needs_torch_alone() -> None:
    assert loaded("from alignment import alpha_dx, closest_class, alignment_penalty") == {"torch"}


@pytest.mark.parametrize("package", LAZY)
def test_every_public_name_is_there(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name).__class__ is not ModuleType
        assert name in dir(module)


@pytest.mark.parametrize("package", LAZY)
def test_names_are_those_that_type_checkers_see(package: str) -> None:
    module = importlib.import_module(package)
    assert {*module.__all__} == {*vars(module)["_lazy_places"]} - {"__version__"}


def test_all_names_at_once() -> None:
    found: dict[str, object] = {}
    exec("from alignment import *", found)
    assert {*alignment.__all__} <= found.keys()


def test_function_with_the_name_of_its_module_stays_a_function() -> None:
    assert loaded(
        "import alignment.closest_class, alignment; from alignment import closest_class as f; "
        "assert callable(f) and alignment.closest_class is f"
    ) == {"torch"}


def test_submodules_are_found_as_before() -> None:
    assert loaded("import eval; assert eval.studies.catalogue.__class__.__name__ == 'function'") == set()
    with pytest.raises(AttributeError, match="module 'alignment' has no attribute 'nothing'"):
        _ = alignment.nothing


@pytest.fixture
def none_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sisters, "_told", set())


def foreign(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str) -> None:
    """A module of that name lies in a folder that Python looks in first, and is not imported yet."""
    (folder / f"{name}.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("none_told")
def test_warns_once_of_a_foreign_eval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("eval")
    foreign(monkeypatch, tmp_path, "eval")
    with pytest.warns(UserWarning, match=r"package `eval` is hidden by .*eval\.py, which Python finds first") as told:
        sisters.check_sisters("alignment")
    sisters.check_sisters("generators")  # warnings are errors here
    assert "`alphadx` works in any folder" in str(told[0].message)
    assert "python -P" in str(told[0].message)


@pytest.mark.usefixtures("none_told")
@pytest.mark.parametrize("package", ["training", "eval"])
def test_refuses_a_foreign_package_that_is_needed(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importlib.import_module(package)
    foreign(monkeypatch, tmp_path, "generators")
    with pytest.raises(ImportError, match=r"package `generators` is hidden by .*generators\.py"):
        sisters.check_sisters(package)


@pytest.mark.usefixtures("none_told")
def test_sees_one_that_is_imported_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("training")
    other = ModuleType("training")
    other.__file__, other.__spec__ = str(tmp_path / "training" / "__init__.py"), ModuleSpec("training", None)
    monkeypatch.setitem(sys.modules, "training", other)
    with pytest.raises(ImportError, match="package `training` is hidden by"):
        sisters.check_sisters("eval")


def test_says_nothing_where_all_are_ours(recwarn: pytest.WarningsRecorder) -> None:
    for package in sisters.PACKAGES:
        importlib.import_module(package)
        sisters.check_sisters(package)
    assert not recwarn
    assert {*sisters.PACKAGES} <= {module.name for module in pkgutil.iter_modules([str(ROOT)])}


def test_foreign_alignment_is_named(tmp_path: Path) -> None:
    (tmp_path / "alignment.py").write_text("")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import eval"
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert run.stderr.splitlines()[-1].startswith("ImportError: alphadx's package `alignment` is hidden")
