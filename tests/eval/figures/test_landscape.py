"""The loss along a direction of the weights: closed values on a linear classifier, and what is left alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from eval import measure
from eval.figures.landscape import Landscape, draw, measurements, table, weight_direction
from eval.records import Results
from eval.records.subject import chosen_samples
from tests.eval.classifiers import InMemory
from training.data import Batch
from training.passes import CountPasses


def linear(features: int = 4) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 2))


def given(count: int = 9) -> InMemory:
    return InMemory(2 * torch.rand(count, 4) - 1, torch.randint(2, (count,)))


def _batches(data: InMemory) -> list[Batch]:
    return [*chosen_samples(data)[0]]


def test_each_filter_of_the_direction_is_as_long_as_that_of_the_network() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    found = weight_direction(network, seed=1)
    assert found.keys() == {"0.weight"}  # biases and scales stay
    lengths = [part.flatten(1).norm(dim=1) for part in (found["0.weight"], network[0].weight)]
    torch.testing.assert_close(*lengths)


def test_networks_of_one_architecture_share_the_direction_up_to_lengths() -> None:
    first, second = (F.normalize(weight_direction(linear(), 3)["1.weight"]) for _ in range(2))
    torch.testing.assert_close(first, second)
    assert not torch.allclose(first, F.normalize(weight_direction(linear(), 4)["1.weight"]))


def test_a_network_without_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="weights of two or more dimensions"):
        weight_direction(nn.BatchNorm1d(3))


def test_the_adversarial_loss_of_a_linear_network_is_the_closed_one_at_every_alpha() -> None:
    network, data = linear(), given()
    measure_it = measurements(epsilon=0.1, points=5, at=1.0)[0]
    outcome = measure_it(CountPasses(network), data, _batches(data))
    direction = weight_direction(network, 0)["1.weight"]
    for alpha, clean, adversarial in zip(
        *(outcome.arrays[k] for k in ("alpha", "clean", "adversarial")), strict=True
    ):
        moved = network[1].weight.detach() + float(alpha) * direction
        logits = data.x @ moved.T + network[1].bias.detach()
        assert clean == pytest.approx(float(F.cross_entropy(logits, data.y)), rel=1e-5)
        towards = (moved[1] - moved[0]).sign() * (1 - 2.0 * data.y).unsqueeze(1)
        worst = (data.x + 0.1 * towards).clamp(-1, 1)
        closed = float(F.cross_entropy(worst @ moved.T + network[1].bias.detach(), data.y))
        assert adversarial == pytest.approx(closed, rel=1e-4)
    losses = outcome.arrays["adversarial"]
    assert outcome.value == pytest.approx((losses[0] + losses[-1]) / 2 - losses[2])
    assert outcome.details["clean_rise"] != outcome.value


def test_a_fixed_attack_is_no_stronger_than_one_that_is_found_anew() -> None:
    network, data = linear(), given()
    anew, fixed = (
        measurements(epsilon=0.3, points=3, at=1.0, recomputed=again)[0](CountPasses(network), data, _batches(data))
        for again in (True, False)
    )
    assert fixed.arrays["adversarial"][1] == pytest.approx(anew.arrays["adversarial"][1])
    assert (anew.arrays["adversarial"] >= fixed.arrays["adversarial"] - 1e-6).all()
    assert (anew.arrays["adversarial"] > fixed.arrays["adversarial"] + 1e-3).any()


def test_weights_modes_and_statistics_stay() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    data = given()
    counted = CountPasses(network)
    measurements(epsilon=0.1, points=3, at=1.0)[0](counted, data, _batches(data))
    assert network.training
    assert counted.forward_passes == 9 * 3 * 12  # ten steps, and two losses, at each α
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_the_table_and_the_picture_are_of_the_saved_losses(tmp_path: Path) -> None:
    options = {"landscape": {"epsilon": "1/10", "points": 3, "at": 1.0, "steps": 2}}
    measure(linear(), given(), only="figures", figures=["landscape"], figure_options=options, out=tmp_path)
    records = Results(tmp_path).load()
    (record,) = records
    (figure,) = draw(records, [record]).values()
    clean, adversarial = figure.axes
    arrays = records.arrays(record)
    np.testing.assert_array_equal(clean.lines[0].get_ydata(), arrays["clean"])
    np.testing.assert_array_equal(adversarial.lines[0].get_ydata(), arrays["adversarial"])
    assert (clean.get_ylabel(), adversarial.get_ylabel()) == ("clean loss", "adversarial loss")
    found = table(records, [record])
    assert found.frame.iloc[0]["clean loss at α = 0"] == f"{arrays['clean'][1]:.3f}"
    assert "adversarial loss at ε = 1/10" in found.notes[0]


@pytest.mark.parametrize("asked", [{"points": 4}, {"at": 0.33}, {"reach": 0.0}])
def test_numbers_out_of_range_are_refused(asked: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(asked))):
        Landscape(**asked)
