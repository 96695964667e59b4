"""Inputs that are read whenever they are needed: no more than a batch of them is in memory."""

import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from eval.robustness import estimates as module
from eval.robustness.estimates import Estimates
from eval.robustness.masking import masking_signs
from eval.robustness.radii import critical_radii, minimal_radii
from eval.robustness.samples import ReadAgain
from tests.eval.classifiers import half_problem
from training import pgd

BATCH = 10
OPTIONS: dict[str, Any] = {"bounds": (-1.0, 1.0), "batch_size": BATCH}


class Reading:
    """Samples that are handed out as copies, and how many of those are alive at most."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y, self.alive, self.most, self.read = x, y, 0, 0, 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        raise AssertionError

    def inputs(self, places: Tensor) -> Tensor:
        found = self.x[places]
        self.alive, self.read = self.alive + len(found), self.read + len(found)
        self.most = max(self.most, self.alive)
        weakref.finalize(found.untyped_storage(), self._gone, len(found))
        return found

    def marks(self) -> tuple[Tensor, Tensor]:
        return torch.arange(len(self.y)), self.y

    def _gone(self, count: int) -> None:
        self.alive -= count


def nearest(classifier: Any, x: Tensor, y: Tensor, **_: Any) -> Tensor:
    return (x - 0.5 * torch.where(y == 1, 1, -1).unsqueeze(1) * classifier.classifier.slope.sign()).clamp(-1, 1)


SEARCHES = {
    "all": partial(critical_radii, attack=partial(pgd, steps=3), resolution=0.1),
    "median": partial(critical_radii, attack=partial(pgd, steps=3), only="median", interval=True),
    "minimal": partial(minimal_radii, attack=nearest),
}


@pytest.mark.slow
@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES.keys())
def test_radii_of_samples_that_are_read_again_are_those_of_samples_that_are_held(search: Any) -> None:
    classifier, x, y = half_problem(95)
    reading = Reading(x, y)
    assert isinstance(reading, ReadAgain)
    held, read = (search(classifier, batches, **OPTIONS) for batches in ([(x, y)], reading))
    assert torch.equal(held.upper, read.upper)
    assert torch.equal(held.lower, read.lower)
    assert reading.most <= 2 * BATCH
    assert reading.read > len(x)


def test_signs_of_masking_hold_no_samples() -> None:
    classifier, x, y = half_problem(45)
    reading = Reading(x, y)
    options = OPTIONS | {"epsilon": 0.1, "steps": 2, "black_box": partial(pgd, steps=2)}
    assert masking_signs(classifier, reading, **options) == masking_signs(classifier, [(x, y)], **options)
    assert reading.most <= 2 * BATCH


def test_samples_that_are_read_again_are_checked_as_others_are() -> None:
    classifier, x, y = half_problem(25)
    wrong = x.clone()
    wrong[21, 0] = 3.0
    with pytest.raises(ValueError, match="`x` should lie within `bounds`"):
        critical_radii(classifier, Reading(wrong, y), pgd, **OPTIONS)
    with pytest.raises(ValueError, match="at least one sample"):
        critical_radii(classifier, Reading(x[:0], y[:0]), pgd, **OPTIONS)
    with pytest.raises(ValueError, match=r"`y` should lie in \[0, 2\)"):
        critical_radii(classifier, Reading(x, y + 5), pgd, **OPTIONS)


def test_a_quantile_is_counted_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many samples the table of all radii that are tried would be larger than all else."""

    def quantile() -> Tensor:
        estimates = Estimates(predicted, predicted > 0.1)
        estimates.learn(predicted / 3, predicted * 2, predicted > 0)
        return estimates.quantile(40)

    predicted = torch.rand(101, generator=torch.Generator().manual_seed(0)).double()
    whole = quantile()
    asked: list[int] = []
    below = Estimates.below

    def told(self: Estimates, radius: Tensor) -> Tensor:
        asked.append(len(self.predicted))
        return below(self, radius)

    monkeypatch.setattr(module, "PORTION", 30)
    monkeypatch.setattr(Estimates, "below", told)
    torch.testing.assert_close(quantile(), whole, rtol=1e-12, atol=0)
    assert set(asked) == {30, 11}
