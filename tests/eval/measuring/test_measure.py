import gc
import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eval import measure
from eval.attacks.verdict import distance
from eval.cli import main
from eval.measuring import Report
from eval.records import Results
from eval.records.measurements import Accuracy, ImageAlignment
from tests.eval.classifiers import InMemory, half_problem, known_radii
from tests.eval.measuring.models import TestDigits, as_mnist, trained
from tests.training.data.test_folders import paint
from training.data import Digits, ImageFolders

QUICK = {"norms": ["Linf"], "steps": 2, "resolution": 0.2, "masking": False, "curve_resolution": None}


def quiet(sentence: str) -> None:
    """Says nothing."""


def measured(model: object = None, data: object = None, **options: object) -> Report:
    return measure(trained() if model is None else model, data or Digits(), say=quiet, **{"limit": 20, **options})


def test_a_module_is_measured_in_one_call(tmp_path: Path) -> None:
    report = measured(attacks=["pgd"], recipe="mine", **QUICK)
    assert [record.quantity.name for record in report.records] == [
        "accuracy", "epsilon50_pgd_linf", "alpha_dx", "alpha_x",
    ]  # fmt: skip
    assert 0 < report["epsilon50_pgd_linf"].value < 1
    assert report["accuracy", "mine"] is report["accuracy"]
    assert report.failures == ()
    assert "ε50% PGD L∞" in report.table.frame.columns
    assert "mine" in str(report.table)
    assert list(report.frame.measurement) == [record.quantity.name for record in report.records]

    table = report.per_sample
    assert list(table.columns) == ["index", "label", "predicted", "epsilon50_pgd_linf", "alpha_dx", "alpha_x"]
    assert len(table) == 20
    labels = Digits().split("test").labels
    assert table.label.tolist() == labels[table["index"].tolist()].tolist()
    assert ((table.epsilon50_pgd_linf > 0) == (table.label == table.predicted)).all()

    page = report.save(tmp_path / "kept")
    assert page.is_file()
    assert (tmp_path / "kept" / "table.csv").is_file()
    main(["report", str(tmp_path / "kept")])
    saved = [*Results(tmp_path / "kept").load()]
    assert {record.key for record in saved} == {record.key for record in report.records}


def test_a_name_that_is_not_there_lists_those_that_are() -> None:
    report = measured(attacks=[], masking=False)
    with pytest.raises(ValueError, match=r"`name` should be one of accuracy, alpha_dx, alpha_x\. Found 'robustness'"):
        report["robustness"]
    with pytest.raises(ValueError, match=r"one of none, of one of Sequential\. Found \('accuracy', 'AT'\)"):
        report["accuracy", "AT"]


def test_files_of_a_report_without_a_folder_last_as_long_as_it() -> None:
    report = measured(wanted=[Accuracy()])
    folder = report.folder
    assert folder.is_dir()
    del report
    gc.collect()
    assert not folder.exists()


def test_what_is_recorded_in_a_folder_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = measured(wanted=[Accuracy(), ImageAlignment()], out=tmp_path)
    monkeypatch.setattr("eval.records.taking.Sitting.take", lambda *_: pytest.fail("measured"))
    again = measured(wanted=[Accuracy(), ImageAlignment()], out=tmp_path)
    assert [record.key for record in again.records] == [record.key for record in first.records]
    assert again.folder == tmp_path


def test_the_model_is_left_as_it_was_found() -> None:
    network = trained()
    network.train()
    network[0].eval()
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    network[1].bias.requires_grad_(False)
    measured(network, attacks=["pgd"], **QUICK)
    assert [part.training for part in network.modules()] == [True, False, True, True, True]
    assert [parameter.requires_grad for parameter in network.parameters()] == [True, False, True, True]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in weights.items())
    assert not any(part._forward_hooks or part._backward_hooks for part in network.modules())


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
def test_a_frozen_program_of_torchscript_is_measured_as_the_module_that_it_was_made_of() -> None:
    module = trained().eval()
    traced = torch.jit.trace(module, torch.zeros(2, *Digits().shape))
    frozen = torch.jit.freeze(traced)
    assert not hasattr(frozen, "training")
    asked = {"attacks": ["pgd"], "residual": "nearest", **QUICK}
    expected, found = (measured(one, recipe="r", **asked) for one in (module, frozen))
    assert found.failures == ()
    for record in expected.records:
        assert found[record.quantity.name].value == pytest.approx(record.value, abs=1e-4)


def test_a_module_of_half_precision_within_is_measured() -> None:
    class Within(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = trained().bfloat16()

        def forward(self, x: Tensor) -> Tensor:
            return self.network(x.bfloat16()).float()

    report = measured(Within(), attacks=[], masking=False)
    assert report.failures == ()
    assert report["accuracy"].value > 0.5


def test_a_module_that_normalises_in_place_is_as_accurate_as_one_that_does_not() -> None:
    class InPlace(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mul_(-1)

    module = nn.Sequential(InPlace(), trained())
    values = [measured(module, wanted=[Accuracy()])["accuracy"].value for _ in range(2)]
    with torch.no_grad():
        held = Digits().split("test").__getitems__(list(range(len(Digits().split("test")))))
        right = module(held.x.clone()).argmax(dim=1) == held.y
    assert values[0] == values[1]
    whole = measured(module, wanted=[Accuracy()], limit=None)
    assert whole["accuracy"].value == pytest.approx(float(right.double().mean()))


def test_the_right_normalisation_is_a_part_of_what_was_measured() -> None:
    network = trained(as_mnist)
    ways = "mnist", (0.1307, 0.3081), "none"
    right, pair, none = (measured(network, normalize=way, wanted=[Accuracy()], limit=None) for way in ways)
    assert right["accuracy"].value > none["accuracy"].value
    assert right["accuracy"].key == pair["accuracy"].key != none["accuracy"].key
    told = [{**report["accuracy"].subject.network} for report in (right, none)]
    assert all(len(network.pop("code")) == 16 for network in told)
    assert told == [{"network": "Sequential", "normalize": "mnist"}, {"network": "Sequential"}]
    assert "Inputs are normalised with mnist, as `normalize` says." in right.notes
    assert "inputs normalised with mnist" in str(right.table)


def test_what_a_probe_found_and_what_is_said_is_recorded() -> None:
    report = measured(data=TestDigits(), wanted=[Accuracy(), ImageAlignment()])
    for record in report.records:
        assert record.details["notes"][0] == "The files name no classes, which are numbered."
        assert record.details["probe"]["samples"] == 512
        assert record.details["probe"]["forward_passes"] == 512 * 3
    assert report.notes[0] == "The files name no classes, which are numbered."


def test_a_line_of_sanity_is_said_before_the_measurements_and_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(ImageAlignment, "__call__", lambda *_: said.append("measured") or pytest.fail("later"))
    with pytest.raises(BaseException, match=r"later"):
        measure(trained(), Digits(), wanted=[Accuracy(), ImageAlignment()], say=said.append)
    line = next(number for number, sentence in enumerate(said) if "% of the outputs are confident" in sentence)
    assert line < said.index("measured")
    assert "on 540 samples of 10 of 10 classes; inputs from -1 to 1 within the bounds [-1, 1]" in said[line]


def test_wrong_bounds_and_chance_are_warned_of() -> None:
    classifier, x, y = half_problem(50)
    notes = " ".join(measured(classifier, InMemory(x, 1 - y), wanted=[Accuracy()]).notes)
    assert "warning: accuracy" in notes
    assert "cannot be told from chance, 50.0%" in notes
    assert "of the bounds [-1, 1], which are likely wrong" in notes


def test_without_training_samples_there_is_no_alpha_dx_and_it_is_said() -> None:
    report = measured(data=TestDigits(), attacks=[], masking=False)
    assert [record.quantity.name for record in report.records] == ["accuracy", "alpha_x"]
    assert "α_Δx is left out, for which test digits has no closest example: `split` should be test" in report.notes[0]
    with pytest.raises(ValueError, match=r"`split` should be test"):
        measured(data=TestDigits(), attacks=[], masking=False, residual="nearest")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bounds": (0, 1)}, r"`bounds` should be left out, or be that of digits, \(-1.0, 1.0\)"),
        ({"device": "cpu"}, "`device` should be left out for a module"),
        ({"network": "mlp"}, "`network` should be left out for a module, which is loaded already. Found 'mlp'"),
        ({"attaks": ["pgd"]}, "`measurements` should be one of .*Found 'attaks'. Did you mean 'attacks'"),
        ({"wanted": [Accuracy()], "attacks": ["pgd"]}, "`wanted` should stand alone. Found attacks beside it"),
        ({"limit_order": "last"}, "`limit_order` should be one of first, random. Found 'last'"),
        ({"normalize": "imagnet"}, "`normalize` should be none, imagenet, .*Found 'imagnet'"),
        ({"only": "accuracy"}, "`epsilons` should name a strength"),
        ({"only": "accuracy", "attacks": ["sta"], "epsilons": [1]}, "should leave out sta with only='accuracy'"),
        ({"keep_adversarial": "a.h5", "attacks": []}, "`keep_adversarial` needs an attack"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    options: dict, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, as_in_production: None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("eval.records.taking.Sitting.take", lambda *_: pytest.fail("measured"))
    with pytest.raises(ValueError, match=message):
        measured(**options)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(("model", "data"), [("net", None), (None, "digits"), (3, Digits())])
def test_data_or_models_that_are_none_are_refused(model: object, data: object, as_in_production: None) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=r"`data` should|`model` should|no such"):
        measure(model, data, say=quiet)


def test_accuracy_at_an_epsilon_is_that_of_the_known_radii_at_the_cost_of_the_attack_alone() -> None:
    classifier, x, y = half_problem(60)
    radii = known_radii(classifier, x, y, "Linf")
    at = [float(radii.quantile(share)) for share in (0.4, 0.7)]
    options = {"attacks": ["pgd"], "epsilons": [f"{epsilon:.6f}" for epsilon in at], "steps": 20, "limit": None}
    report = measured(classifier, InMemory(x, y), only="accuracy", **options)
    assert [record.quantity.kind for record in report.records] == ["accuracy", *["robust_accuracy"] * 2]
    for record, epsilon in zip(report.records[1:], at, strict=True):
        assert record.value == pytest.approx(float((radii > epsilon).double().mean()), abs=0.02)
        assert record.forward_passes <= 60 * (20 + 5)
        assert record.quantity.title == f"accuracy under PGD L∞ {epsilon:.6f} %"
    assert len([name for name in report.per_sample if name.startswith("robust_accuracy_pgd_linf_")]) == 2
    assert f"accuracy under PGD L∞ {at[0]:.6f} %" in report.table.frame.columns


def test_several_models_are_told_apart_and_correlated() -> None:
    models = {f"seed {seed}": trained(seed=seed) for seed in range(3)}
    report = measured(models, attacks=["fgsm"], limit=10, **QUICK)
    assert report.models == [*models]
    assert "Correlation of alignment with robustness" in report.tables
    assert list(report.per_sample.recipe.unique()) == [*models]
    assert len(report.per_sample) == 3 * 10
    with pytest.raises(ValueError, match=r"such as report\['accuracy', 'seed 0'\]\. Found 3 that have it"):
        report["accuracy"]
    assert report["accuracy", "seed 2"].model.recipe == "seed 2"


def test_two_names_of_one_model_are_two_models() -> None:
    network = trained()
    report = measured({"a": network, "b": network}, wanted=[Accuracy()])
    assert report["accuracy", "a"].value == report["accuracy", "b"].value
    assert len(report.per_sample) == 40


class Loud(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise TypeError("loud")


def test_one_model_that_fails_leaves_the_others() -> None:
    report = measured({"loud": Loud(), "fine": trained()}, wanted=[Accuracy()])
    assert report.models == ["fine"]
    assert report.failures == ("loud failed: TypeError: loud",)
    with pytest.raises(ValueError, match=r"not one of the models could be measured:\n  a failed: TypeError: loud"):
        measured({"a": Loud(), "b": Loud()}, wanted=[Accuracy()])


@pytest.mark.parametrize("only", ["accuracy", "all"])
def test_adversarial_examples_are_kept_and_are_such(only: str, tmp_path: Path) -> None:
    network, data = trained(), Digits()
    file = tmp_path / "kept" / "adversarial.h5"
    options = {**QUICK, "attacks": ["pgd"], "epsilons": ["1/8"], "only": only, "keep_adversarial": file}
    report = measured(network, data, out=tmp_path / "out", **options)
    name = "robust_accuracy_pgd_linf_1/8" if only == "accuracy" else "epsilon50_pgd_linf"
    with h5py.File(file) as opened:
        group = opened["pgd/Linf/1over8" if only == "accuracy" else "pgd/Linf/smallest"]
        x, x_adv, labels, found = (torch.from_numpy(group[key][:]) for key in ("x", "x_adv", "labels", "found"))
        predicted, distances, indices = (group[key][:] for key in ("predicted", "distance", "indices"))
        assert group.attrs["attack"] == "pgd"
        assert group.attrs["epsilon"] == ("1/8" if only == "accuracy" else "smallest")
        assert list(group.attrs["bounds"]) == [-1, 1]
        assert json.loads(group.attrs["versions"])["torch"]
    assert torch.equal(x, data.split("test").__getitems__(indices.tolist()).x)
    with torch.no_grad():
        assert torch.equal(network(x_adv).argmax(dim=1), torch.from_numpy(predicted))
    assert torch.equal(torch.from_numpy(predicted) != labels, found)
    size = distance(x_adv, x, "Linf")
    assert torch.equal(size[found], torch.from_numpy(distances)[found])
    assert np.isinf(distances[~found.numpy()]).all()
    if only == "accuracy":
        assert 1 - float(found.double().mean()) == pytest.approx(report[name].value)
        assert size.max() <= 1 / 8 * (1 + 1e-6)
    else:
        assert report.per_sample[name].to_numpy() == pytest.approx(distances, rel=1e-6)

    file.unlink()  # recorded numbers hold no examples, so that the attack runs again
    again = measured(network, data, out=tmp_path / "out", **options)
    assert file.is_file()
    assert again[name].value == report[name].value


def test_where_an_attack_fails_no_adversarial_examples_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("`x` should be whole. Found half.")

    monkeypatch.setattr("eval.records.robust_accuracy.robust_accuracy", broken)
    file = tmp_path / "a.h5"
    report = measured(attacks=["pgd"], epsilons=["1/8"], only="accuracy", keep_adversarial=file)
    assert [*tmp_path.iterdir()] == []
    assert "was not written" in report.failures[-1]
    assert math.isfinite(report["accuracy"].value)


def test_adversarial_examples_of_several_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"keeps the adversarial examples of one model. Found 2"):
        measured({"a": trained(), "b": trained()}, keep_adversarial=tmp_path / "a.h5")
    with pytest.raises(ValueError, match=r"should be a file, such as adversarial.h5. Found the folder"):
        measured(keep_adversarial=tmp_path)


@pytest.mark.parametrize("bounds", [255, (0, 1, 2), "0,1", (0,)])
def test_bounds_are_two_numbers(bounds: object, as_in_production: None) -> None:
    with pytest.raises(ValueError, match=r"`bounds` should be two numbers, the lower one first, such as \(0, 1\)"):
        measured(data=(torch.rand(4, 1, 8, 8), torch.arange(4)), bounds=bounds)


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((1, 9, 9), 10, r"`classifier` should take inputs of shape \(1, 9, 9\), as tensors has them\. It failed: "),
        ((1, 8, 8), 11, r"`classifier` should return one logit for each of the 11 classes of tensors\. Found 10"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_the_probe(shape: tuple, labels: int, message: str) -> None:
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(ValueError, match=message):
        measured(classifier, (torch.rand(22, *shape), torch.arange(22) % labels), bounds=(0, 1))


def test_a_folder_of_one_split_is_measured_without_alpha_dx(tmp_path: Path) -> None:
    for name, shade in {"a": 0, "b": 255}.items():
        for number in range(2):
            paint(tmp_path / "val" / name / f"{number}.png", shade)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    data = ImageFolders(str(tmp_path), size=8, test="val")
    report = measured(classifier, data, attacks=[], masking=False, normalize="none")
    assert [record.quantity.name for record in report.records] == ["accuracy", "alpha_x"]
    assert "α_Δx is left out, for which" in report.notes[0]
    with pytest.raises(FileNotFoundError, match=r"gone: no folders of classes"):
        measured(classifier, ImageFolders(str(tmp_path), size=8, train="val", test="gone"), attacks=[], masking=False)


def test_a_file_of_something_else_is_not_replaced_by_adversarial_examples(tmp_path: Path) -> None:
    options = {**QUICK, "attacks": ["fgsm"], "only": "accuracy", "epsilons": ["1/8"]}
    for name in ("images.h5", "notes.txt"):
        file = tmp_path / name
        if name == "notes.txt":
            file.write_text("mine")
        else:
            with h5py.File(file, "w") as opened:
                opened["images"] = np.zeros(3)
        before = file.read_bytes()
        with pytest.raises(ValueError, match=rf"`keep_adversarial` should be a new file, .*{name}, which holds"):
            measured(keep_adversarial=file, **options)
        assert file.read_bytes() == before
    for _ in range(2):
        measured(keep_adversarial=tmp_path / "kept.h5", **options)
