"""Programs in files: run only where their author is trusted, and then the classifier themselves."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.training.checkpoints import tiny
from tests.training.checkpoints.tiny import CLASSES, SHAPE, Tiny, trained
from training.checkpoints import load, load_classifier

Save = Callable[[nn.Module, Path], None]
ANY = {"x": {0: torch.export.Dim("batch")}}


def in_torchscript(make: str) -> Save:
    def save(network: nn.Module, path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch 2.15 says of all of TorchScript that it is old
            arguments = (torch.zeros(2, *SHAPE),) if make == "trace" else ()
            torch.jit.save(getattr(torch.jit, make)(network, *arguments), path)

    return save


def exported(dynamic: object = ANY) -> Save:
    def save(network: nn.Module, path: Path) -> None:
        inputs = (torch.zeros(2, *SHAPE),)
        torch.export.save(torch.export.export(network, inputs, dynamic_shapes=dynamic), path)

    return save


def pickled(network: nn.Module, path: Path) -> None:
    torch.save(network, path)


def in_a_dict(network: nn.Module, path: Path) -> None:
    torch.save({"net": nn.DataParallel(network), "acc": 91.5}, path)


PROGRAMS: dict[str, tuple[str, Save]] = {
    "TorchScript, scripted": ("file.pt", in_torchscript("script")),
    "TorchScript, traced": ("file.ts", in_torchscript("trace")),
    "torch.export": ("file.pt2", exported()),
    "pickled module": ("file.pth", pickled),
    "pickled module in a dict, parallel": ("file.pt", in_a_dict),
}
REASON = r"(is a program: reading it runs what its author wrote|a pickle runs code of whoever made it).*trust=True"


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)  # DataParallel is then the same on every machine
    return trained()


@pytest.mark.parametrize("form", PROGRAMS)
def test_program_is_the_classifier_where_its_author_is_trusted(tmp_path: Path, network: nn.Module, form: str) -> None:
    name, save = PROGRAMS[form]
    save(network, tmp_path / name)
    with pytest.raises(ValueError, match=REASON) as refusal:
        load(checkpoint=tmp_path / name, **tiny.SIZES)
    assert "state_dict()" in str(refusal.value)
    loaded = load(checkpoint=tmp_path / name, trust=True, **tiny.SIZES)
    torch.testing.assert_close(tiny.logits(loaded.classifier), tiny.logits(network), rtol=0, atol=1e-6)
    assert "as it was saved" in loaded.notes[0]
    assert not loaded.classifier.training
    assert loaded.said_by == ""
    assert loaded.classifier.state_dict().keys()


@pytest.mark.parametrize("form", PROGRAMS)
def test_weights_of_a_program_load_into_a_named_network(tmp_path: Path, network: nn.Module, form: str) -> None:
    name, save = PROGRAMS[form]
    save(network, tmp_path / name)
    loaded = load_classifier(tiny.NETWORK, checkpoint=tmp_path / name, trust=True, **tiny.SIZES)
    assert type(loaded) is Tiny
    assert torch.equal(tiny.logits(loaded), tiny.logits(network))


@pytest.mark.parametrize("form", PROGRAMS)
def test_program_is_put_behind_a_normalisation(tmp_path: Path, network: nn.Module, form: str) -> None:
    name, save = PROGRAMS[form]
    save(network, tmp_path / name)
    loaded = load(checkpoint=tmp_path / name, trust=True, normalize="imagenet", **tiny.SIZES)
    expected = tiny.logits(network, "imagenet")
    torch.testing.assert_close(tiny.logits(loaded.classifier), expected, rtol=0, atol=1e-6)
    assert loaded.said_by == "--normalize"


@pytest.mark.parametrize("form", PROGRAMS)
def test_program_of_other_classes_or_inputs_is_refused(tmp_path: Path, network: nn.Module, form: str) -> None:
    name, save = PROGRAMS[form]
    save(network, tmp_path / name)
    for sizes, message in (
        ({"num_classes": 10}, rf"one logit for each of 10 classes. Found \(2, {CLASSES}\)"),
        ({"shape": (1, 6, 6)}, r"should take batches of inputs of the shape \(1, 6, 6\)"),
    ):
        with pytest.raises(ValueError, match=message):
            load(checkpoint=tmp_path / name, trust=True, **(tiny.SIZES | sizes))


def test_what_tells_programs_apart_is_the_whole_file(tmp_path: Path, network: nn.Module) -> None:
    for name in ("a.pt", "b.pt"):
        torch.save({"net": network, "note": name}, tmp_path / name)
    found = [load(checkpoint=tmp_path / name, trust=True).described for name in ("a.pt", "b.pt", "a.pt")]
    assert found[0] == found[2] != found[1]


class OfBatch(nn.Module):
    """Flattens by the number of inputs that it was traced with."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * 6 * 6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.reshape(int(x.shape[0]), -1))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(
    ("name", "save"),
    [("file.ts", in_torchscript("trace")), ("file.pt2", exported(dynamic=None))],
    ids=["traced", "exported"],
)
def test_program_for_batches_of_one_size_is_refused(tmp_path: Path, name: str, save: Save) -> None:
    save(OfBatch().eval(), tmp_path / name)
    with pytest.raises(ValueError, match=r"should take batches of any size. Found a program for 2: .*dynamic_shapes"):
        load(checkpoint=tmp_path / name, trust=True, **tiny.SIZES)


def test_exported_program_for_one_batch_is_refused_before_it_is_run(tmp_path: Path, network: nn.Module) -> None:
    exported(dynamic=None)(network, tmp_path / "file.pt2")
    with pytest.raises(ValueError, match="Found a program for 2"):
        load(checkpoint=tmp_path / "file.pt2", trust=True)


def test_program_exported_in_training_is_refused(tmp_path: Path, network: nn.Module) -> None:
    exported()(network.train(), tmp_path / "file.pt2")
    with pytest.raises(ValueError, match=r"should be exported in evaluation mode, after model.eval\(\)"):
        load(checkpoint=tmp_path / "file.pt2", trust=True, **tiny.SIZES)


@pytest.mark.parametrize("save", [pickled, in_torchscript("script")], ids=["pickled", "TorchScript"])
def test_program_of_half_precision_is_widened_and_said(tmp_path: Path, network: nn.Module, save: Save) -> None:
    save(network.half(), tmp_path / "file.pt")
    loaded = load(checkpoint=tmp_path / "file.pt", trust=True, **tiny.SIZES)
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(network.float()))
    assert loaded.notes[1] == "Weights of float16 were taken as float32."


@pytest.mark.parametrize("given", [{"key": "model"}, {"width": 3}])
def test_program_takes_neither_key_nor_options(tmp_path: Path, network: nn.Module, given: dict) -> None:
    pickled(network, tmp_path / "file.pt")
    with pytest.raises(ValueError, match="`key` and options of a network should be left out"):
        load(checkpoint=tmp_path / "file.pt", trust=True, **tiny.SIZES, **given)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_only_trust_runs_what_a_file_holds(tmp_path: Path) -> None:
    torch.save({"state_dict": tiny.weights(), "extra": Trap(tmp_path / "trapped")}, tmp_path / "file.pt")
    with pytest.raises(ValueError, match=r"a pickle runs code of whoever made it.*GLOBAL getattr"):
        load(tiny.NETWORK, checkpoint=tmp_path / "file.pt", **tiny.SIZES)
    assert not (tmp_path / "trapped").exists()
    load(tiny.NETWORK, checkpoint=tmp_path / "file.pt", trust=True, **tiny.SIZES)
    assert (tmp_path / "trapped").exists()


def test_trust_does_not_run_what_can_be_read_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"net": tiny.weights(), "acc": 1.0}, tmp_path / "file.pt")
    original = torch.load

    def careful(*given: object, weights_only: bool, **named: object) -> object:
        assert weights_only
        return original(*given, weights_only=weights_only, **named)

    monkeypatch.setattr(torch, "load", careful)
    load(tiny.NETWORK, checkpoint=tmp_path / "file.pt", trust=True, **tiny.SIZES)


def test_pickle_of_a_class_that_is_gone_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tiny, "__module__", "their.models")
    monkeypatch.setitem(__import__("sys").modules, "their", None)
    with pytest.MonkeyPatch.context() as patch:
        fake = type(torch)("their.models")
        fake.Tiny = Tiny
        patch.setitem(__import__("sys").modules, "their", type(torch)("their"))
        patch.setitem(__import__("sys").modules, "their.models", fake)
        pickled(Tiny(CLASSES), tmp_path / "file.pt")
    with pytest.raises(ValueError, match=r"run in the folder of the program that saved it, or save .*state_dict\(\)"):
        load(checkpoint=tmp_path / "file.pt", trust=True)


def test_program_that_was_cut_off_is_named(tmp_path: Path, network: nn.Module) -> None:
    in_torchscript("script")(network, tmp_path / "file.pt")
    content = (tmp_path / "file.pt").read_bytes()
    (tmp_path / "file.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"file.pt cannot be read as a file of torch"):
        load(checkpoint=tmp_path / "file.pt", trust=True)
