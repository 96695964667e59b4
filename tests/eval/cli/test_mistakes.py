"""Ten mistakes, each with one short answer: the cause, the nearest name, and a status that says its kind."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from eval.cli import main
from eval.cli.mistakes import FAILED, USAGE, end_of
from eval.fit.lists import bracketed
from eval.records.attack_radii import AttackRadii
from training import build_network

ROOT = Path(__file__).parents[3]
SMALL = {"network": "small_cnn", "network_options": {"width": 2}}
FIT: dict[str, Any] = {
    "data": {"class_path": "training.data.Digits"},
    "model": SMALL,
    "trainer": {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False, "logger": False},
}
STUDY: dict[str, Any] = {
    "title": "one",
    "base": FIT,
    "measure": {"steps": 1, "norms": ["Linf"]},
    "experiments": {"digits": {"recipes": {"B": {}}}},
}
OTHER = {"data": {"class_path": "training.data.Digitz"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with checkpoints and configurations."""
    monkeypatch.chdir(tmp_path)
    network = build_network("small_cnn", shape=(1, 8, 8), num_classes=10, width=2)
    torch.save(network.state_dict(), "model.pt")
    torch.save(build_network("mlp", shape=(1, 8, 8), num_classes=10, hidden=[4]).state_dict(), "other.pt")
    Path("cut.pt").write_bytes(Path("model.pt").read_bytes()[:-900])
    Path("notes.pt").write_text("these are notes\n", encoding="utf-8")
    written = {
        "fit.yaml": FIT,
        "fit_data.yaml": FIT | OTHER,
        "fit_network.yaml": FIT | {"model": {"network": "smal_cnn"}},
        "fit_key.yaml": FIT | {"model": SMALL | {"objectve": {"class_path": "training.AT"}}},
        "fit_class.yaml": FIT | {"model": SMALL | {"objective": {"class_path": "training.TRADSE"}}},
        "study.yaml": STUDY,
        "study_data.yaml": STUDY | {"base": FIT | OTHER},
        "study_network.yaml": STUDY | {"base": FIT | {"model": {"network": "smal_cnn"}}},
        "study_key.yaml": STUDY | {"experiments": {"digits": {"recipes": {"B": {}}, "sedes": [0]}}},
        "study_model.yaml": STUDY | {"base": FIT | {"model": {"netwrok": "small_cnn"}}},
        "study_attack.yaml": STUDY | {"measure": {"attacks": ["pdg"]}},
        "study_norm.yaml": STUDY | {"measure": {"norms": ["linf"]}},
        "measure.yaml": {"data": "Digits", "netwrok": "small_cnn"},
        "models.yaml": [{"checkpoint": "model.pt", "netwrok": "small_cnn"}],
    }
    for name, content in written.items():
        Path(name).write_text(yaml.safe_dump(content), encoding="utf-8")
    return tmp_path


DIGITS = ["--data", "Digits", "--network", "small_cnn", "--network-options", '{"width": 2}', "--normalize", "none"]
MISTAKES: Sequence[tuple[list[str], str]] = [
    # data set
    (["measure", "model.pt", "--data", "Digitz"], "Found 'Digitz'. Did you mean 'Digits'?"),
    (["fit", "fit_data.yaml"], "fit_data.yaml: There is no class 'training.data.Digitz'. Did you mean 'Digits'?"),
    (["study", "study_data.yaml"], "study_data, digits, B: There is no class .*Did you mean 'Digits'?"),
    (["residuals", "nearest", "a.h5", "--data", "Digitz"], "Found 'Digitz'. Did you mean 'Digits'?"),
    # network
    (["measure", "model.pt", "--data", "Digits", "--network", "smal_cnn"], "Did you mean small_cnn?"),
    (["fit", "fit_network.yaml"], "Found 'smal_cnn'. Did you mean small_cnn?"),
    (["study", "study_network.yaml"], "study_network, digits, B: .*Found 'smal_cnn'. Did you mean 'small_cnn'?"),
    # attack
    (["measure", "model.pt", *DIGITS, "--attacks", "square,pdg"], "Found 'pdg'. Did you mean 'pgd'?"),
    (["measure", "model.pt", *DIGITS, "--attacks", "[pdg]"], "Found 'pdg'. Did you mean 'pgd'?"),
    (["study", "study_attack.yaml"], "Found 'pdg'. Did you mean 'pgd'?"),
    # norm
    (["measure", "model.pt", *DIGITS, "--norms", "linf"], "Found 'linf'. Did you mean 'Linf'?"),
    (["measure", "model.pt", *DIGITS, "--norms", "[linf]"], "`norms` .* Found 'linf'. Did you mean 'Linf'?"),
    (["study", "study_norm.yaml"], "Found 'linf'. Did you mean 'Linf'?"),
    # figure, option, word, preset
    (["measure", "model.pt", *DIGITS, "--figures", "linerity"], "Found 'linerity'. Did you mean 'linearity'?"),
    (["measure", "model.pt", "--attcks", "pgd"], "`measure` has no option --attcks. Did you mean --attacks?"),
    (["measure", "model.pt", "--data=Digits", "--data.sizee=3"], "'sizee'"),
    (["fit", "fit.yaml", "--model.alignmnt-weight=1"], "Did you mean --model.alignment_weight?"),
    (["study", "quick", "--fsat"], "`study` has no option --fsat. Did you mean --fast?"),
    (["mesure", "model.pt"], "There is no word 'mesure'. Did you mean 'measure'?"),
    (["study", "quik"], "Found 'quik'. Did you mean 'quick'?"),
    # config key
    (["measure", "--config", "measure.yaml"], "measure.yaml: There is no option 'netwrok'. Did you mean 'network'?"),
    (["measure", "models.yaml", "--data", "Digits"], "models.yaml, model 1: .*'netwrok'.*Did you mean 'network'?"),
    (["fit", "fit_key.yaml"], "fit_key.yaml: `model` has no option 'objectve'. Did you mean 'objective'?"),
    (["fit", "fit_class.yaml"], "fit_class.yaml: There is no class 'training.TRADSE'. Did you mean 'TRADES'?"),
    (["study", "study_key.yaml"], "study_key.yaml: digits: .*'sedes'.*Did you mean 'seeds'?"),
    (["study", "study_model.yaml"], "study_model, digits, B: `model` has no option 'netwrok'. .*'network'?"),
    # missing file
    (["measure", "modle.pt", "--data", "Digits"], "modle.pt: no such checkpoint file. Did you mean 'model.pt'?"),
    (["fit", "fitt.yaml"], "fitt.yaml: no such configuration file. Did you mean 'fit.yaml'?"),
    (["study", "nowhere.yaml"], "nowhere.yaml: no such file of a study"),
    (["report", "nowhere"], "nowhere: no such folder of results"),
    (["export", "nowhere"], "nowhere: no such folder of results"),
    # missing extra
    (["measure", "model.pt", "--data", "Digits", "--network", "timm:resnet10t"], "pip install 'alphadx[timm]'"),
    (["fit", "fit.yaml", "--model.network", "timm:resnet10t"], "pip install 'alphadx[timm]'"),
    # wrong checkpoint
    (["measure", "other.pt", *DIGITS], "other.pt does not match the network"),
    (["measure", "notes.pt", *DIGITS], "notes.pt cannot be read as a checkpoint"),
    (["measure", "cut.pt", *DIGITS], "cut.pt cannot be read as a checkpoint: it is cut off"),
    (["fit", "fit.yaml", "--resume", "notes.pt"], "notes.pt cannot be read as a checkpoint"),
    # no GPU
    (["measure", "model.pt", *DIGITS, "--device", "cuda:77"], "`device` should be one that is there, such as cpu"),
    (["study", "study.yaml", "--device", "cuda:77"], "`device` should be one that is there, such as cpu"),
]  # fmt: skip


class Without(MetaPathFinder):
    """Nobody has installed timm."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] == "timm":
            raise ModuleNotFoundError("No module named 'timm'", name="timm")


@pytest.mark.usefixtures("folder", "as_in_production")
@pytest.mark.parametrize(("args", "message"), MISTAKES, ids=lambda value: " ".join(value)[:60])
def test_mistake_has_a_short_answer(
    args: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    if any("timm" in arg for arg in args):
        monkeypatch.setattr(sys, "meta_path", [Without(), *sys.meta_path])
        for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SystemExit) as found:
        main(args)
    assert found.value.code == USAGE
    told = capfd.readouterr().err
    answer = [line for line in told.splitlines() if line.startswith("alphadx: ")]
    assert answer == told.splitlines()[-1:]
    assert len(told.splitlines()) <= 3
    pattern = message.replace("?", r"\?").replace("[timm]", r"\[timm\]")
    assert re.search(pattern, answer[0])


def full(*args: Any, **options: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.usefixtures("folder")
def test_full_disk_names_the_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("eval.report.write_report", full)
    monkeypatch.setattr("generators.files.write_reserved", full)
    with pytest.raises(SystemExit) as found:
        main(
            ["measure", "model.pt", *DIGITS, "--only=accuracy", "--epsilons=0.1", "--steps=1", "--limit=5", "--out=o"]
        )
    assert found.value.code == FAILED
    assert "o/models/" in str(found.value)
    assert "No space left" in str(found.value) or "the disk is full" in str(found.value)
    assert "Traceback" not in capsys.readouterr().err


def test_full_disk_is_told_from_other_errors(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        full()

    def nameless() -> None:
        with (tmp_path / "a.json").open("w") as written:
            written.write("")
            full()

    def moved() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "part", None, "best.ckpt")

    def wrapped() -> None:
        try:
            write(tmp_path / "inner.csv")
        except OSError as error:
            raise ValueError("could not") from error

    named = {"b.csv": lambda: write(tmp_path / "b.csv"), "a.json": nameless, "best.ckpt": moved, "inner.csv": wrapped}
    for name, work in named.items():
        with pytest.raises((OSError, ValueError)) as found:
            work()
        end = end_of(found.value, [])
        assert end.status == FAILED
        assert f"{name}: the disk is full" in end.told
    assert "disk" not in end_of(ValueError("other"), []).told
    assert end_of(PermissionError(errno.EACCES, "Permission denied", "a.csv"), []) == (
        "a.csv: Permission denied.",
        USAGE,
    )


@pytest.mark.usefixtures("folder")
def test_fault_of_ours_comes_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def broken(*args: Any) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("eval.cli.command.check_at_once", broken)
    with pytest.raises(SystemExit) as found:
        main(["report", "nowhere"])
    told = capsys.readouterr().err
    assert found.value.code == FAILED
    assert "Traceback" in told
    assert "in broken" in told
    assert "Please report it" in told.splitlines()[-1]


@pytest.mark.parametrize("by", ["option", "environment"])
def test_traceback_is_shown_where_it_is_asked_for(
    by: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    if by == "environment":
        monkeypatch.setenv("ALPHADX_DEBUG", "1")
    with pytest.raises(SystemExit, match="no such folder"):
        main(["report", "nowhere", *(["--traceback"] if by == "option" else [])])
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.delenv("ALPHADX_DEBUG", raising=False)
    with pytest.raises(SystemExit, match="no such folder"):
        main(["report", "nowhere"])
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_lists_need_no_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    monkeypatch.setattr("eval.cli.measuring.measure_models", lambda *args, wanted, **options: asked.append(wanted))
    common = ["measure", "model.pt", *DIGITS, "--steps=1"]
    for form in ("{}", "[{}]"):
        values = {"attacks": "pgd,fgsm", "norms": "Linf,L2", "epsilons": "8/255,0.1", "figures": "linearity,boundary"}
        options = [part for name, value in values.items() for part in (f"--{name}", form.format(value))]
        with pytest.raises(SystemExit, match="AttributeError"):  # there is no report
            main([*common, *options])
    assert asked[0] == asked[1]
    attacked = [one for one in asked[0] if isinstance(one, AttackRadii)]
    assert [(one.attack, one.norm) for one in attacked] == [(a, n) for a in ("pgd", "fgsm") for n in ("Linf", "L2")]
    assert [len(one.epsilons) for one in attacked] == [2, 0, 2, 0]


def test_every_list_of_a_data_set_and_of_a_trainer_is_taken(folder: Path) -> None:
    from eval.fit.lightning_cli import FitParser, Trainer
    from training.data import DataSet

    parser = FitParser(exit_on_error=False)
    parser.add_subclass_arguments(DataSet, "data")
    parser.add_class_arguments(Trainer, "trainer")
    typed = ["--data", "Digits", "--data.bounds", "0,1", "--trainer.devices=0,1", "--data.size", "8"]
    found = ["--data", "Digits", "--data.bounds", "[0,1]", "--trainer.devices=[0,1]", "--data.size", "8"]
    assert parser.in_lists(typed) == found
    assert bracketed("[0,1]", list[int]) == "[0,1]"


@pytest.mark.parametrize("foreign", ["eval.py", "training/__init__.py"])
def test_command_works_beside_modules_of_the_same_names(foreign: str, tmp_path: Path) -> None:
    (tmp_path / foreign).parent.mkdir(exist_ok=True)
    (tmp_path / foreign).write_text("raise SystemExit('foreign')\n", encoding="utf-8")
    script = tmp_path / "bin" / "alphadx"
    script.parent.mkdir()
    script.write_text("from eval.cli import main\nmain()\n", encoding="utf-8")
    run = [sys.executable, "-W", "error", str(script), "--version"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    by_script = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (by_script.returncode, by_script.stderr) == (0, "")
    by_module = [sys.executable, "-P", "-W", "error", "-m", "eval.cli", "--version"]
    found = subprocess.run(by_module, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, by_script.stdout)
