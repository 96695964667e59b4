import math

import numpy as np
import pytest
import torch
from scipy import stats

from eval.records.energy import LEAST, energy_distance, energy_to_classes


def shifted_energy(shift: float) -> float:
    """2E|A − B| − E|A − A'| − E|B − B'| of N(0, 1) and N(shift, 1), from the mean of a folded normal variable."""
    across = 2 / math.sqrt(math.pi) * math.exp(-(shift**2) / 4) + shift * math.erf(shift / 2)
    return 2 * across - 4 / math.sqrt(math.pi)


def test_in_one_dimension_it_is_scipys_but_for_pairs_of_a_sample_with_itself() -> None:
    a, b = torch.randn(40, 1), 0.5 + 2 * torch.rand(25, 1)
    within = [float(torch.pdist(samples.double()).mean()) for samples in (a, b)]
    biased = stats.energy_distance(a.flatten().numpy(), b.flatten().numpy()) ** 2
    assert energy_distance(a, b) == pytest.approx(biased - within[0] / 40 - within[1] / 25, abs=1e-6)


def test_of_equal_distributions_the_mean_is_zero_and_of_shifted_ones_the_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    for shift in (0.0, 1.0):
        pairs = [
            (torch.randn(10, 1, generator=generator), torch.randn(10, 1, generator=generator)) for _ in range(400)
        ]
        found = np.array([energy_distance(a, b + shift) for a, b in pairs])
        assert found.mean() == pytest.approx(shifted_energy(shift), abs=4 * found.std() / 20)


def test_lengths_are_those_of_one_pixel() -> None:
    a, b = torch.randn(12, 1, 4, 4), torch.randn(15, 1, 4, 4) + 1
    repeated = (part.repeat(1, 1, 3, 3) for part in (a, b))
    assert energy_distance(*repeated) == pytest.approx(energy_distance(a, b), rel=1e-9)
    assert energy_distance(3 * a, 3 * b) == pytest.approx(3 * energy_distance(a, b), rel=1e-6)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    truth, held = shifted_energy(1.0), 0
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        y = torch.randint(2, (120,), generator=generator)
        real = torch.randn(120, 1, generator=generator)
        moved = torch.randn(120, 1, generator=generator) + 1
        low, high = energy_to_classes(moved, 1 - y, real, y, seed).interval
        held += low <= truth <= high
    assert held >= 52  # a binomial of 0.95 is below that once in a hundred times, and that of 0.8 mostly


def test_classes_count_by_their_moved_samples_and_small_ones_not_at_all() -> None:
    y = torch.tensor([0] * 30 + [1] * 30 + [2] * 3)
    target = torch.tensor([1] * 20 + [0] * 40 + [1] * 3)
    real = torch.randn(63, 2) + 5 * y[:, None]
    moved = torch.randn(63, 2)
    found = energy_to_classes(moved, target, real, y)
    parts = [energy_distance(moved[target == c], real[y == c]) for c in (0, 1)]
    assert found.value == pytest.approx((40 * parts[0] + 23 * parts[1]) / 63, rel=1e-9)
    assert found.used == 63
    few = energy_to_classes(moved[:LEAST], target[:LEAST], real[:LEAST], y[:LEAST])
    assert math.isnan(few.value)
    assert few.used == 0


@pytest.mark.usefixtures("as_in_production")
def test_one_sample_is_no_distribution() -> None:
    with pytest.raises(ValueError, match=r"`b` should hold at least two samples. Found 1."):
        energy_distance(torch.zeros(2, 3), torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"`b` should hold samples of shape \(3,\). Found \(4,\)."):
        energy_distance(torch.zeros(2, 3), torch.zeros(2, 4))
