"""What to show of an attack of one's own: what it finds on a linear model, whose radii are known."""

from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from eval import critical_radii, measure
from eval.attacks import ATTACKS
from training.data import Digits

PATH = "own_attack:random_signs"


@pytest.fixture
def attack(here: Path):
    from own_attack import random_signs

    yield random_signs
    ATTACKS.pop(PATH, None)


@pytest.fixture
def classifier() -> nn.Module:
    """Sees class 1 where the sum is above 0: in two dimensions a corner has to move each number by half the sum."""
    return Sum()


class Sum(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = x.sum(dim=1)
        return torch.stack([-total, total], dim=1)


def test_it_finds_the_radius_of_a_linear_model(attack, classifier) -> None:
    x = torch.tensor([[0.3, 0.1], [-0.2, -0.6]])
    batches = [(x, (x.sum(dim=1) > 0).long(), torch.arange(2))]
    radii = critical_radii(classifier, batches, partial(attack, tries=40), bounds=(-2.0, 2.0))
    torch.testing.assert_close(radii.per_sample.float(), torch.tensor([0.2, 0.4]), rtol=0.02, atol=0)


def test_it_stays_in_ball_and_bounds(attack, classifier) -> None:
    x = torch.tensor([[0.9, 0.9]])
    found = attack(classifier, x, torch.ones(1).long(), torch.full((1,), 0.5), bounds=(-1.0, 1.0))
    assert (found - x).abs().max() <= 0.5
    assert found.abs().max() <= 1


def test_a_seed_repeats_it(attack, classifier) -> None:
    x, y = torch.full((4, 9), 0.1), torch.ones(4).long()

    def once(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return attack(classifier, x, y, torch.full((4,), 1.0), bounds=(-2.0, 2.0), generator=generator)

    assert torch.equal(once(0), once(0))
    assert not torch.equal(once(0), once(1))


def measured(asked: str, folder: Path, **options) -> pd.Series:
    torch.manual_seed(0)  # the same weights in every call
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    usual = {"norms": ["Linf"], "masking": False, "limit": 10, "say": lambda _: None, "figures": ()}
    report = measure(model, Digits(), attacks=[asked], out=folder, **usual, **options)
    return report.frame.set_index("measurement").loc[f"epsilon50_{asked}_linf"]


def test_it_is_measured_by_its_path(attack, tmp_path: Path) -> None:
    assert measured(PATH, tmp_path)["samples"] == 10


def test_an_attack_that_was_edited_is_another_one(attack, here: Path, tmp_path: Path) -> None:
    measured(PATH, tmp_path)
    before = set(tmp_path.glob("models/*/*.json"))
    ATTACKS.pop(PATH)
    (here / "own_attack.py").write_text((here / "own_attack.py").read_text() + "# edited\n", encoding="utf-8")
    measured(PATH, tmp_path)
    assert len(set(tmp_path.glob("models/*/*.json")) - before) == 1


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("own_attack:nothing", "has no attribute 'nothing'"),
        ("no_such:attack", "No module named"),
        ("json:dumps", "→ x_adv"),
    ],
)
def test_a_path_that_names_no_attack_is_refused(attack, path: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        measured(path, tmp_path)
