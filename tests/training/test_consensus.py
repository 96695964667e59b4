from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from generators import Consensus, rated_weights
from training import Classifier, build_network
from training.checkpoints import NETWORK_KEY
from training.consensus import consensus_of, rated
from training.data import Digits, Spheres
from training.data.residuals import named_residual
from training.estimator import check_residual


class Radius(nn.Module):
    """Which sphere is closer."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(x)), x.norm(dim=1) - 1.15], dim=1)


class Part:
    """A part of the way to the other sphere."""

    digest = ""

    def __init__(self, data: Spheres, part: float) -> None:
        self.data, self.name, self.settings = data, f"part {part}", {"part": part}

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        return self.settings["part"] * self.data.exact_residual(x, y, target)


def test_a_judge_rates_by_the_share_that_reaches_the_class_and_the_median_length() -> None:
    data = Spheres(dimensions=8)
    estimators = [data.residual("exact"), Part(data, 2.0), Part(data, 0.1)]
    (exact, far, short) = rated(estimators, data, Radius(), limit=100)
    assert exact == (1.0, pytest.approx(0.3))
    assert far == (1.0, pytest.approx(0.6))
    assert short == (0.0, pytest.approx(0.03))
    assert rated_weights(*zip(exact, far, short, strict=True)) == pytest.approx([2 / 3, 1 / 3, 0])


def test_a_data_set_makes_it_by_name_with_equal_weights_or_a_judge(tmp_path: Path) -> None:
    data = Digits()
    named = {"consensus": ["nearest-even", {"residual": "nearest-odd", "options": {"examples_per_class": 5}}]}
    equal = data.residual(named)
    assert isinstance(equal, Consensus)
    assert equal.weights == (0.5, 0.5)
    assert equal.members[1].settings["examples_per_class"] == 5
    options: dict[str, Any] = {"shape": (1, 8, 8), "num_classes": 10}
    network = build_network("mlp", **options, hidden=[4])
    described = {"format": 1, "network": "mlp", "options": {"hidden": [4]}, **options, "shape": [1, 8, 8]}
    described["bounds"] = [*data.bounds]
    torch.save({"state_dict": network.state_dict(), NETWORK_KEY: described}, tmp_path / "judge.ckpt")
    found = data.residual(named | {"judge": str(tmp_path / "judge.ckpt"), "limit": 200})
    expected = rated_weights(*zip(*rated(equal.members, data, network, 200), strict=True))
    assert found.weights == pytest.approx(expected)
    assert found.weights != equal.weights


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (
            {"consensus": ["nearest"]},
            r"`consensus` should be a list of at least two estimators, .* Found \['nearest'\]",
        ),
        ({"consensus": "nearest"}, r"`consensus` should be a list .* Found 'nearest'"),
        ({"consensus": ["nearest", "exact"], "weights": [1, 2]}, r"of a consensus should hold .* Found weights"),
        ({"consensus": ["nearest", {"options": {}}]}, r"`residual` should be a name, or hold"),
    ],
)
def test_a_consensus_of_another_form_is_refused(named: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        named_residual(named)


def test_its_members_are_checked_before_anything_is_built() -> None:
    with pytest.raises(ValueError, match=r"`residual` should be one of auto, exact, .* Found 'nearst'"):
        check_residual(Digits(), {"consensus": ["nearest", "nearst"]})
    with pytest.raises(ValueError, match=r"`residual` 'exact' is not known for digits"):
        check_residual(Digits(), {"consensus": ["nearest", "exact"]})
    check_residual(Digits(), {"consensus": ["nearest-odd", "nearest-even"], "judge": "not there yet.ckpt"})


def test_a_judge_that_is_not_there_and_no_samples_are_refused() -> None:
    with pytest.raises(FileNotFoundError):
        consensus_of(Digits(), ["nearest-odd", "nearest-even"], "no.ckpt")
    with pytest.raises(ValueError, match=r"`limit` should be at least 1. Found 0."):
        consensus_of(Digits(), ["nearest-odd", "nearest-even"], "no.ckpt", 0)


def test_a_penalty_can_be_trained_with_it(quiet_trainer: Callable[..., Any]) -> None:
    data = Spheres(dimensions=4, train_size=60)
    residual = {"consensus": ["exact", "nearest"]}
    classifier = Classifier(
        "mlp", {"hidden": [4]}, shape=(4,), num_classes=2, bounds=data.bounds, alignment_weight=0.5, residual=residual
    )
    trainer = quiet_trainer(1)
    trainer.fit(classifier, data)
    assert isinstance(classifier.estimator, Consensus)
