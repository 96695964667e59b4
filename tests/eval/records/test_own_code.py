"""Networks that compute something else from the same weights are told apart, and the same ones are not."""

import copy
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eval import measure
from eval.cli import main
from eval.records import Results
from eval.records.measurements import Accuracy
from eval.records.own_code import code_digest, is_own
from training.data import Digits

MEAN = torch.tensor([0.5])
FACTOR = 2.0


def centred(x: Tensor) -> Tensor:
    return (x - MEAN) / FACTOR


class Settings:
    def __init__(self, quality: int) -> None:
        self.quality = quality


class Own(nn.Module):
    """Holds what networks of research hold beside their weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 2)
        self.temperature = 1.0
        self.mean = torch.zeros(1)
        self.activation = F.relu
        self.others = [nn.Linear(2, 2)]
        self.myself = [self]
        self.settings = Settings(75)
        self.last = partial(F.softplus, beta=2)
        self.allowed = frozenset({"a", "b", "c"})

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.activation(centred(x) - self.mean)) / self.temperature


def with_hook(network: Own) -> None:
    network.register_forward_pre_hook(lambda _, given: (given[0] * 2,))


def with_other_weights_of_a_part_in_a_list(network: Own) -> None:
    with torch.no_grad():
        network.others[0].weight += 1


CHANGES: dict[str, Callable[[Own], object]] = {
    "a number": lambda network: setattr(network, "temperature", 2.0),
    "a tensor that is no buffer": lambda network: setattr(network, "mean", torch.ones(1)),
    "a function": lambda network: setattr(network, "activation", F.gelu),
    "arguments of a function": lambda network: setattr(network, "last", partial(F.softplus, beta=3)),
    "an object's value": lambda network: setattr(network.settings, "quality", 50),
    "a set": lambda network: setattr(network, "allowed", frozenset({"a", "b"})),
    "a hook": with_hook,
    "a part in a list": with_other_weights_of_a_part_in_a_list,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_stands_in_no_state_dict_counts(change: str) -> None:
    before, network = code_digest(Own()), Own()
    assert code_digest(network) == before == code_digest(copy.deepcopy(network))
    CHANGES[change](network)
    assert code_digest(network) != before


@pytest.mark.parametrize(
    ("name", "value"),
    [("MEAN", torch.tensor([0.4])), ("FACTOR", 3.0), ("centred", lambda x: x - MEAN)],
    ids=["tensor", "number", "function"],
)
def test_what_the_code_names_counts(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    before = code_digest(Own())
    monkeypatch.setattr(sys.modules[__name__], name, value)
    assert code_digest(Own()) != before
    monkeypatch.undo()
    assert code_digest(Own()) == before


def test_what_the_code_does_not_name_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digest(Own())
    monkeypatch.setattr(
        sys.modules[__name__], "temperature", 3, raising=False
    )  # an attribute of that name is another
    monkeypatch.setattr(sys.modules[__name__], "CHANGES", {})
    assert code_digest(Own()) == before


def test_weights_do_not_count() -> None:
    network = Own()
    before = code_digest(network)
    nn.init.zeros_(network.layer.weight)
    assert code_digest(network) == before


def test_parts_of_torch_are_known_by_what_they_are_set_to() -> None:
    digests = [code_digest(part) for part in (nn.ReLU(), nn.GELU(), nn.LeakyReLU(0.1), nn.LeakyReLU(0.2))]
    assert len({*digests}) == 4
    assert not is_own(nn.Sequential(nn.ReLU()))
    assert is_own(nn.Sequential(Own()))


def test_frozen_programs_are_known_by_their_constants(tmp_path: Path) -> None:
    x = torch.zeros(2, 4)
    first, other = nn.Linear(4, 2), nn.Linear(4, 2)
    with pytest.warns():  # torch says of all of TorchScript that it is old
        frozen = [torch.jit.freeze(torch.jit.trace(layer.eval(), x)) for layer in (first, first, other)]
    digests = [code_digest(program) for program in frozen]
    assert digests[0] == digests[1] != digests[2]


class Signed(nn.Module):
    def __init__(self, num_classes: int = 10, sign: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(64, num_classes)
        self.sign = sign

    def forward(self, x: Tensor) -> Tensor:
        return self.sign * self.layer(x.flatten(1))


def test_the_same_weights_with_another_attribute_are_measured_anew(tmp_path: Path) -> None:
    def accuracy(network: nn.Module, out: Path | None) -> float:
        quiet = {"say": lambda _: None, "progress": False, "normalize": "none"}
        return measure(network, Digits(), wanted=[Accuracy()], out=out, **quiet)["accuracy"].value

    alone = [accuracy(Signed(sign=sign), None) for sign in (1, -1)]
    assert not math.isclose(*alone)
    assert [accuracy(Signed(sign=sign), tmp_path) for sign in (1, -1, 1)] == [*alone, alone[0]]
    assert len(Results(tmp_path).load()) == 2  # the third is that of the first


def test_a_network_by_dotted_path_that_was_edited_is_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def edited(self: Signed, x: Tensor) -> Tensor:
        return -self.layer(x.flatten(1))

    torch.save(Signed().state_dict(), tmp_path / "model.pt")
    asked = ["--data=Digits", f"--network={__name__}:Signed", "--normalize=none", "--attacks=[]", "--masking=false"]
    command = ["measure", str(tmp_path / "model.pt"), *asked, "--figures=[]", "--out", str(tmp_path / "out")]
    main(command)
    main(command)
    assert len({record.subject.key for record in Results(tmp_path / "out").load()}) == 1
    monkeypatch.setattr(Signed, "forward", edited)
    main(command)
    found = {record.value for record in Results(tmp_path / "out").load() if record.quantity.name == "accuracy"}
    assert len(found) == 2
    assert "model (code " in capsys.readouterr().out
