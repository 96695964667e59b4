"""One rule says where a command works."""

from typing import Any

import pytest
import torch
from torch import nn

from eval.records.device import best_device, chosen_device, device_name, placed, trainer_on
from eval.records.provenance import provenance


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_is_a_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert best_device() == expected


def test_auto_is_what_was_found_best() -> None:
    assert chosen_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "toaster", "meta"])
def test_device_that_is_not_there_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"^`device` should be one that is there, such as cpu\. Found '{name}' \(.*\)\.$"
    ):
        chosen_device(name)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("auto", {}),
        ("cpu", {"accelerator": "cpu"}),
        ("cuda", {"accelerator": "cuda"}),
        ("cuda:1", {"accelerator": "cuda", "devices": [1]}),
        ("mps", {"accelerator": "mps"}),
    ],
)
def test_trainer_works_where_it_is_told(name: str, options: dict[str, Any]) -> None:
    assert trainer_on(name) == options


def test_records_name_the_card_that_numbers_were_computed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card {device.index}")
    assert provenance()["device"] == "CPU"
    assert provenance(torch.device("cuda", 1))["device"] == "card 1"
    assert device_name("mps") == "MPS"


def test_a_classifier_is_moved_and_on_a_cpu_left_as_it_is_laid_out() -> None:
    classifier = nn.Conv2d(3, 4, 3)
    placed(classifier, torch.device("cpu"))
    assert classifier.weight.is_contiguous()


class Staying(nn.Conv2d):
    """A convolution that notes that it should go to a GPU, and stays."""

    told: torch.device | None = None

    def to(self, *where: Any, **layout: Any) -> "Staying":
        if where and torch.device(where[0]).type == "cuda":
            self.told = where[0]
            return self
        return super().to(*where, **layout)


def test_a_classifier_on_a_gpu_has_its_channels_last() -> None:
    classifier = Staying(3, 4, 3)
    before = classifier.weight.detach().clone()
    placed(classifier, torch.device("cuda", 1))
    assert classifier.told == torch.device("cuda", 1)
    assert classifier.weight.is_contiguous(memory_format=torch.channels_last)
    assert not classifier.weight.is_contiguous()
    assert torch.equal(classifier.weight, before)
