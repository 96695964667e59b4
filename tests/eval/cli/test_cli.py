import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torchvision
import yaml

from eval.cli import main
from eval.records import Results
from eval.report import write_report
from eval.studies import Study, StudyRun
from training import build_network
from training.checkpoints import FORMAT, NETWORK_KEY
from training.networks.small import SmallCNN

FIT = {
    "data": {"class_path": "training.data.Digits", "init_args": {"batch_size": 256}},
    "model": {"network": "mlp", "network_options": {"hidden": [8]}},
    "selection": {"steps": 2},
    "checkpoint": {"monitor": "val_accuracy"},  # so that a model that hardly learns is a candidate
    "trainer": {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False, "log_every_n_steps": 1},
}
DESCRIBED = {
    "format": FORMAT, "network": "mlp", "options": {"hidden": [4]}, "shape": [1, 8, 8], "num_classes": 10,
    "bounds": [-1.0, 1.0],
}  # fmt: skip
lightning_hints = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    network = build_network("small_cnn", shape=(1, 8, 8), num_classes=10, width=2)
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}}, tmp_path / "a.pt"
    )
    return tmp_path / "a.pt"


@lightning_hints
def test_what_fit_trains_measure_measures(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    config = FIT | {"trainer": FIT["trainer"] | {"default_root_dir": str(tmp_path)}}
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(config))
    attack = '{"class_path": "training.AT", "init_args": {"epsilon": "8/255", "steps": 1}}'
    main(["fit", str(tmp_path / "fit.yaml"), "--model.objective", attack, "--seed-everything", "3"])
    (best,) = tmp_path.rglob("best.ckpt")
    assert str(best) in capsys.readouterr().out
    (saved,) = tmp_path.rglob("config.yaml")
    assert yaml.safe_load(saved.read_text())["model"]["objective"]["init_args"]["epsilon"] == "8/255"

    main(["measure", str(best), "--data=Digits", "--steps=2", "--limit", "20", "--out", str(tmp_path / "out")])
    records = [*Results(tmp_path / "out").load()]
    assert {r.quantity.name for r in records} == {
        "accuracy", "alpha_dx", "alpha_x", "epsilon50_pgd_linf", "epsilon50_pgd_l2", "gradients", "masking",
    }  # fmt: skip
    assert {r.samples for r in records} == {20, 10}  # gradients are drawn for one sample of each class
    assert {r.model.checkpoint for r in records} == {str(best)}
    printed = capsys.readouterr().out
    assert "ε50% PGD L∞" in printed
    assert "page.html" in printed


@pytest.mark.slow
@lightning_hints
@pytest.mark.filterwarnings("ignore:.*exists and is not empty.*")
def test_fit_goes_on_from_its_last_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    config = FIT | {"trainer": FIT["trainer"] | {"default_root_dir": str(tmp_path)}}
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(config))
    command = ["fit", str(tmp_path / "fit.yaml")]
    with pytest.raises(SystemExit, match=r"no last.ckpt in it.*no checkpoint to go on from"):
        main([*command, "--resume=last"])
    main(command)
    main([*command, "--resume=last", "--trainer.max_epochs=2"])
    (last,) = tmp_path.rglob("last.ckpt")
    assert torch.load(last, weights_only=True)["global_step"] == 2 * 5  # five batches an epoch
    assert str(last.with_name("best.ckpt")) in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"nowhere.ckpt: no checkpoint to go on from"):
        main([*command, "--resume=nowhere.ckpt"])


def test_state_dict_of_a_named_network_is_measured(checkpoint: Path, capsys: pytest.CaptureFixture) -> None:
    options = [
        "--network",
        "small_cnn",
        "--network-options",
        '{"width": 2}',
        "--limit=10",
        "--steps=2",
        "--norms=[L2]",
    ]
    main(["measure", str(checkpoint), "--data=Digits", *options])
    assert "ε50% PGD L2" in capsys.readouterr().out


NAMED = ["--data=Digits", "--network=small_cnn", "--network-options", '{{"width": 2}}']


class Deaf(SmallCNN):
    """Fails in a way that nobody foresaw."""

    def __init__(self) -> None:
        super().__init__((1, 8, 8), 10, width=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("deaf")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["measure", "{checkpoint}"], "`--data` should name a data set"),
        (["measure", "{checkpoint}", "--data=Digits"], "does not say which network it holds"),
        (["measure", "{checkpoint}", "--data=Digits", "--network=mlp"], "Missing keys: .* Unexpected keys: "),
        (["measure", "nowhere.pt", "--data=Digits"], "nowhere.pt: no such checkpoint"),
        (["study", "nothing"], "`study` should be one of"),
        (["study"], "`study` should be told a preset or a YAML file"),
        (["report", "{folder}"], "holds no records"),
        (["measure", "{checkpoint}", "--data=Digits", "--stepz=3"], "no option --stepz. Did you mean --steps"),
        (["measure", "{checkpoint}", "--data=Digits", "--data.width=3"], "`data` has no option 'width'"),
        (
            ["measure", "{checkpoint}", "--data=HDF5Images", "--data.train=[a.h5]", "--data.test=[a.h5]"],
            "a.h5: no such",
        ),
        (["measure", "{checkpoint}", *NAMED, "--out={checkpoint}"], "`--out` should be a folder. Found the file"),
        (["measure", "{checkpoint}", *NAMED, "--judge=a.ckpt"], "`--judge` should be left out where a classifier"),
        (
            ["measure", "{checkpoint}", *NAMED, "--attack-options", '{{"pgd": {{"norms": ["l2"]}}}}'],
            "one of Linf, L2, L1",
        ),
        (
            [
                "measure",
                "{checkpoint}",
                "--data=Digits",
                "--network=mlp",
                "--network-options",
                '{{"num_classes": 3}}',
            ],
            "`--network-options` should leave out num_classes",
        ),
        (
            ["measure", "{checkpoint}", "--data=Digits", "--network=tests.eval.cli.test_cli.Deaf"],
            "`classifier` should take inputs of shape .* It failed: deaf",
        ),
    ],
)
def test_mistakes_end_in_one_sentence(
    checkpoint: Path, args: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    places = {"checkpoint": checkpoint, "folder": checkpoint.parent}
    with pytest.raises(SystemExit, match=f"^alphadx: .*{message}") as found:
        main([arg.format(**places) for arg in args])
    assert "\n" not in str(found.value)
    assert capsys.readouterr().err == f"{found.value}\n"


@pytest.mark.usefixtures("without_pictures")
def test_study_runs_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    plan = {"title": "one", "base": FIT, "measure": {"steps": 2, "norms": ["Linf"]}}
    plan |= {"experiments": {"digits": {"recipes": {"B": {}}}}}
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(plan))
    main(["study", str(tmp_path / "one.yaml"), "--out", str(tmp_path / "out")])
    assert "Side by side" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/study.json").read_text())["title"] == "one"
    main(["report", str(tmp_path / "out")])
    assert "Side by side" in capsys.readouterr().out


def test_presets_are_listed(capsys: pytest.CaptureFixture) -> None:
    main(["study", "--list"])
    printed = capsys.readouterr().out
    assert "choice: The choice of λ_α and ε" in printed
    assert "no fast form" in printed


def test_fast_and_hyphens_are_understood(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    planned = []
    monkeypatch.setenv("ALPHADX_DATA", "before")

    def run(plan: Study, folder: Path, jobs: int, device: str, **options: object) -> StudyRun:
        planned.append((plan.name, folder, device))
        return StudyRun(Results(tmp_path), [], [])

    monkeypatch.setattr("eval.cli.commands.run_study", run)
    monkeypatch.setattr("eval.cli.commands.write_report", lambda folder: {})
    main(["study", "mnist35", "--fast", "--data-root", str(tmp_path), "--jobs=1"])
    main(["study", "choice,lambda_alpha", "--fast"])
    both = "choice_fast,lambda_alpha_fast"
    assert planned == [("mnist35_fast", Path("runs/mnist35_fast"), "auto"), (both, Path("runs") / both, "auto")]
    assert "note: choice_fast takes about 5 minutes on one core." in capsys.readouterr().err


@pytest.mark.slow
def test_options_of_the_data_set_are_given_behind_its_name(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    network = build_network("mlp", shape=(7,), num_classes=2, hidden=[4])
    torch.save(network.state_dict(), tmp_path / "a.pt")
    named = ["--network=mlp", "--network-options", '{"hidden": [4]}', "--data", "Spheres", "--data.dimensions", "7"]
    main(["measure", str(tmp_path / "a.pt"), *named, "--limit=10", "--steps=2", "--curve-resolution=null"])
    assert "α_Δx" in capsys.readouterr().out


@lightning_hints
@pytest.mark.usefixtures("without_pictures")
def test_generator_is_fitted_measured_and_stored(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    discriminator = {"name": "mlp", "shape": [1, 8, 8], "num_classes": 10}
    options = {"network": "unet", "network_options": {"width": 2, "levels": 1}, "average": 0.5}
    options["discriminator"] = {"class_path": "training.build_network", "init_args": discriminator}
    model = {"class_path": "generators.TransportGAN", "init_args": options}
    config = {"data": FIT["data"], "model": model, "trainer": FIT["trainer"] | {"default_root_dir": str(tmp_path)}}
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(config))
    main(["fit", str(tmp_path / "fit.yaml")])
    (best,) = tmp_path.rglob("best.ckpt")
    assert f"best epoch by val_energy_distance on validation: {best}" in capsys.readouterr().out

    network = build_network("mlp", shape=(1, 8, 8), num_classes=10, hidden=[4])
    torch.save({"state_dict": network.state_dict(), NETWORK_KEY: DESCRIBED}, tmp_path / "judge.ckpt")
    given = ["--data=Digits", "--limit=30", "--judge", str(tmp_path / "judge.ckpt"), "--out", str(tmp_path / "out")]
    main(["measure", str(best), *given])
    assert "x̂' of target class %" in capsys.readouterr().out
    records = [*Results(tmp_path / "out").load()]
    assert {(r.model.recipe, r.quantity.kind) for r in records} == {
        (recipe, f"residual_{name}")
        for recipe in ("best", "nearest example")
        for name in ("target_share", "cycle", "length_ratio", "energy", "norm", "grid")
    }

    main(["residuals", str(best), str(tmp_path / "store.h5"), "--data=Digits", "--split=test", "--limit=30"])
    assert "270 residuals" in capsys.readouterr().out
    main(["measure", str(tmp_path / "store.h5"), "--data=Digits", "--limit=30"])
    printed = capsys.readouterr().out
    norm = next(r.value for r in records if (r.model.recipe, r.quantity.kind) == ("best", "residual_norm"))
    assert f"{norm:.3g}" in printed


@lightning_hints
def test_generator_that_collapsed_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generators.gan.COLLAPSED", 2.0)
    options = {"network": "mlp", "network_options": {"hidden": [2]}}
    options["discriminator"] = {
        "class_path": "training.build_network",
        "init_args": {"name": "mlp", "shape": [4], "num_classes": 2},
    }
    data = {"class_path": "training.data.Spheres", "init_args": {"dimensions": 4, "train_size": 50}}
    model = {"class_path": "generators.DirectGAN", "init_args": options}
    config = {"data": data, "model": model, "trainer": FIT["trainer"] | {"default_root_dir": str(tmp_path)}}
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit, match=r"^alphadx: The generator collapsed: .* holds no result"):
        main(["fit", str(tmp_path / "fit.yaml")])


def small(tmp_path: Path, name: str, seed: int) -> Path:
    torch.manual_seed(seed)
    path = tmp_path / name / "best.pt"
    path.parent.mkdir()
    torch.save(build_network("small_cnn", shape=(1, 8, 8), num_classes=10, width=2).state_dict(), path)
    return path


SMALL = ["--data=Digits", "--network=small_cnn", "--network-options", '{"width": 2}', "--masking=false"]
SMALL += ["--norms=[Linf]", "--curve-resolution=null", "--steps=2"]


@pytest.mark.slow
@pytest.mark.usefixtures("without_pictures")
def test_two_checkpoints_called_best_are_two_rows_and_nothing_is_measured_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    first, second = (small(tmp_path, name, seed) for seed, name in enumerate("AB"))
    main(["measure", str(first), *SMALL, "--attacks=[pgd,fgsm]", "--limit=30", "--out", str(out)])
    before = {path: path.stat().st_mtime_ns for path in out.glob("models/*/*")}
    main(["measure", str(second), *SMALL, "--limit=20", "--split=validation", "--out", str(out)])
    main(["measure", str(first), *SMALL, "--attacks=[pgd,fgsm]", "--limit=30", "--out", str(out)])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    frame = write_report(out)["Side by side"].frame
    assert len(frame) == 2
    assert list(frame["ε50% FGSM L∞"]).count("–") == 1
    assert sorted("validation" in name for name in frame.data) == [False, True]
    main(["measure", str(second), *SMALL, "--limit=30", "--out", str(out)])
    assert {"A/best", "B/best"} <= set(write_report(out)["Side by side"].frame.recipe)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--device=cuda:7"], "`device` should be one that is there"),
        (["--device=toaster"], "`device` should be one that is there"),
        (["--limit=0"], "`limit` should be at least 1. Found 0"),
        (["--epsilons=[3]"], r"`epsilons` should lie in \[0, 2\]"),
        (["--residual=nowhere"], "`residual` should be one of auto, exact"),
        (["--attacks=[pgd,square]", "--attack-options", '{"square": {"querys": 9}}'], "Square .*queries"),
        (
            ["--attack-options", '{"pgd": {"restarts": 0}}'],
            "PGD cannot run: `restarts` should be at least 1. Found 0",
        ),
        (["--attacks=[sqare]"], "`attacks` should be one of"),
    ],
)
def test_what_can_be_refused_is_refused_before_anything_is_measured(
    tmp_path: Path, args: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eval.records.taking.Sitting.take", lambda *_: pytest.fail("measured"))
    with pytest.raises(SystemExit, match=f"^alphadx: .*{message}"):
        main(["measure", str(small(tmp_path, "A", 0)), *SMALL, *args])


def test_a_measurement_that_fails_is_said_after_the_others_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("`x` should be whole. Found half.")

    monkeypatch.setattr("eval.records.attack_radii.critical_radii", broken)
    with pytest.raises(
        SystemExit, match=r"^alphadx: 1 failed, all else was finished:\n.*PGD L∞ failed: `x` should be"
    ):
        main(["measure", str(small(tmp_path, "A", 0)), *SMALL, "--limit=20"])
    assert "accuracy %" in capsys.readouterr().out


def test_a_network_of_torchvision_gets_the_classes_of_the_data(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    name = "torchvision.models.squeezenet1_1"
    torch.save(torchvision.models.squeezenet1_1(num_classes=3).state_dict(), tmp_path / "a.pt")
    for split in ("train", "test"):
        with h5py.File(tmp_path / f"{split}.h5", "w") as file:
            file["images"] = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
            file["labels"] = np.arange(6) % 3
    files = [f"--data.{split}=[{tmp_path / split}.h5]" for split in ("train", "test")]
    given = ["--data=HDF5Images", *files, "--network", name, "--masking=false", "--norms=[Linf]", "--steps=1"]
    main(["measure", str(tmp_path / "a.pt"), *given])
    assert f"network {name}" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("without_pictures")
def test_two_stores_called_best_are_two_estimators(tmp_path: Path) -> None:
    for name in ("nearest", "nearest-even"):
        (tmp_path / name).mkdir()
        store = str(tmp_path / name / "best.h5")
        main(["residuals", name, store, "--data=Digits", "--split=test", "--limit=5"])
        main(["measure", store, "--data=Digits", "--limit=5", "--out", str(tmp_path / "out")])
    frame = write_report(tmp_path / "out")["Quality of residual estimators"].frame
    assert list(frame.estimator) == ["nearest example", "nearest-even/best", "nearest/best"]


@pytest.mark.parametrize("option", ["--attacks=[square]", "--network=mlp", "--key=ema"])
def test_options_that_change_nothing_for_an_estimator_are_refused(tmp_path: Path, option: str) -> None:
    main(["residuals", "nearest", str(tmp_path / "a.h5"), "--data=Digits", "--limit=5"])
    with pytest.raises(SystemExit, match="should be left out where a residual estimator is measured"):
        main(["measure", str(tmp_path / "a.h5"), "--data=Digits", "--limit=5", option])


def test_a_judge_of_other_data_is_refused(tmp_path: Path) -> None:
    main(["residuals", "nearest", str(tmp_path / "a.h5"), "--data=Digits", "--split=test", "--limit=5"])
    network = build_network("mlp", shape=(1, 8, 8), num_classes=12, hidden=[4])
    described = DESCRIBED | {"num_classes": 12}
    torch.save({"state_dict": network.state_dict(), NETWORK_KEY: described}, tmp_path / "judge.ckpt")
    with pytest.raises(SystemExit, match=r"judge\.ckpt .*12"):
        main(
            ["measure", str(tmp_path / "a.h5"), "--data=Digits", "--limit=5", "--judge", str(tmp_path / "judge.ckpt")]
        )


@pytest.mark.slow
def test_a_reader_may_stop_reading(tmp_path: Path) -> None:
    listing = [sys.executable, "-m", "eval.cli", "study", "--list"]
    with subprocess.Popen(listing, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
