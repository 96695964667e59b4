"""A store that fills itself: each residual is computed once, and only for the samples it belongs to."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from generators import LatentProjection, ResidualEstimator, SelfFillingResidual, for_samples, for_training
from training.data import Split


class Searching:
    """(target + 1)·x, told apart by whom it was asked about."""

    name, digest, passes = "search", "abc", 751

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {"method": "paper"}
        self.asked: list[tuple[float, int]] = []

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        self.asked += [(float(image.sum()), int(c)) for image, c in zip(x, target, strict=True)]
        return x * (target + 1).reshape(-1, 1, 1, 1)


def some(count: int = 12) -> Split:
    generator = torch.Generator().manual_seed(1)
    return Split(torch.rand(count, 1, 4, 5, generator=generator) * 2 - 1, torch.arange(count) % 3, (-1.0, 1.0))


def asked(kept: ResidualEstimator, samples: Split, indices: list[int], step: int = 1) -> tuple[Tensor, Tensor]:
    """What is returned for samples, and what should be."""
    batch = samples.__getitems__(indices)
    target = (batch.y + step) % 3
    return for_samples(kept, batch.indices)(batch.x, batch.y, target), Searching()(*batch[:2], target)


def test_pair_is_computed_on_first_use_and_never_again() -> None:
    samples, estimator = some(), Searching()
    kept = SelfFillingResidual(estimator, samples)
    for indices, step, computed in (([0, 5, 3], 1, 3), ([3, 0], 1, 3), ([3, 7], 1, 4), ([3, 7], 2, 6), ([], 1, 6)):
        found, expected = asked(kept, samples, indices, step)
        torch.testing.assert_close(found, expected, rtol=2**-11, atol=2**-11)
        assert len(estimator.asked) == kept.pairs == computed
    assert isinstance(kept, ResidualEstimator)
    assert (kept.name, kept.settings, kept.digest) == ("search", {"method": "paper"}, "abc")


def test_first_use_returns_what_later_ones_do() -> None:
    """Float16 from the start, so that a resumed run sees the same numbers."""
    samples = some()
    kept = SelfFillingResidual(Searching(), samples)
    assert torch.equal(asked(kept, samples, [1, 2])[0], asked(kept, samples, [1, 2])[0])


def test_resumed_run_finds_what_was_computed(tmp_path: Path) -> None:
    samples, path, again = some(), tmp_path / "run" / "residuals", Searching()
    path.parent.mkdir()
    first = asked(SelfFillingResidual(Searching(), samples, path=path), samples, [4, 9, 2])[0]
    assert torch.equal(asked(SelfFillingResidual(again, samples, path=path), samples, [4, 9, 2])[0], first)
    assert again.asked == []


@pytest.mark.parametrize("torn", [1, 20, 60])
def test_torn_end_of_a_killed_run_is_computed_anew(tmp_path: Path, torn: int) -> None:
    samples, path, again = some(), tmp_path / "residuals", Searching()
    asked(SelfFillingResidual(Searching(), samples, path=path), samples, [4, 9, 2])
    path.write_bytes(path.read_bytes()[:-torn])
    for _ in range(2):  # and what follows the torn row is found again
        found, expected = asked(SelfFillingResidual(again, samples, path=path), samples, [4, 9, 2])
        torch.testing.assert_close(found, expected, rtol=2**-11, atol=2**-11)
        assert len(again.asked) == 1


def test_file_of_another_estimator_is_refused(tmp_path: Path) -> None:
    samples, other = some(), Searching()
    SelfFillingResidual(Searching(), samples, path=tmp_path / "residuals")
    other.settings["method"] = "ours"
    with pytest.raises(ValueError, match=r"residuals holds residuals of something else: `settings` is"):
        SelfFillingResidual(other, samples, path=tmp_path / "residuals")


@pytest.mark.parametrize("known", [False, True])
def test_images_that_are_not_those_of_the_split_are_refused(known: bool) -> None:
    samples, estimator = some(), Searching()
    kept = SelfFillingResidual(estimator, samples)
    batch = samples.__getitems__([2, 6])
    if known:
        kept.at(batch.indices)(*batch[:2], (batch.y + 1) % 3)
    x = batch.x.clone()
    x[1] = x[1].flip(-1)
    with pytest.raises(ValueError, match=r"one unaugmented image\. Found other images at the indices 6\."):
        kept.at(batch.indices)(x, batch.y, (batch.y + 1) % 3)
    assert kept.pairs == len(estimator.asked) == (2 if known else 0)


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_residual_that_is_not_finite_is_never_kept(wrong: float) -> None:
    class Broken(Searching):
        def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
            return x + wrong

    kept = SelfFillingResidual(Broken(), some())
    with pytest.raises(ValueError, match="`residual` should be finite"):
        asked(kept, some(), [0])
    assert kept.pairs == 0


def test_indices_are_needed_and_must_exist() -> None:
    kept, batch = SelfFillingResidual(Searching(), some()), some().__getitems__([0])
    with pytest.raises(ValueError, match=r"found by the index of its sample\. Ask `at\(indices\)`"):
        kept(*batch)
    with pytest.raises(ValueError, match=r"`indices` should lie in \[0, 12\).*Found values from 3 to 12"):
        kept.at(torch.tensor([3, 12]))


def test_cost_is_said_beforehand() -> None:
    kept = for_training(Searching(), some(), augmented=False)
    assert isinstance(kept, SelfFillingResidual)
    assert "up to 751 generator passes for a sample and a class: up to 9,012 for 12 samples" in kept.cost


def test_search_in_augmented_images_is_refused_with_its_cost() -> None:
    with pytest.raises(ValueError, match=r"751 generator passes where `data` is augmented.*would cost 9,012 passes"):
        for_training(Searching(), some(), augmented=True)


@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("passes", [0, 1, 2])
def test_cheap_estimator_is_asked_as_it_is(augmented: bool, passes: int) -> None:
    estimator = Searching()
    estimator.passes = passes
    assert for_training(estimator, some(), augmented=augmented) is estimator
    assert for_samples(estimator, torch.tensor([0])) is estimator


class Drawing(torch.nn.Module):
    """Draws a grey image, and counts."""

    latent_size, num_classes, shape, bounds = 2, 3, (1, 4, 5), (-1.0, 1.0)

    def __init__(self, *, guesses: bool = False) -> None:
        super().__init__()
        self.drawn = 0
        self.encoder = (lambda x, y: x.new_zeros(len(x), 2)) if guesses else None

    def forward(self, z: Tensor, target: Tensor) -> Tensor:
        self.drawn += len(z)
        return z.sum(dim=1).tanh()[:, None, None, None].expand(-1, 1, 4, 5) / (1 + target[:, None, None, None])


@pytest.mark.parametrize(
    ("guesses", "options"),
    [
        (False, {}),
        (False, {"difference": "pair"}),
        (False, {"method": "ours", "passes": 9}),
        (False, {"method": "ours", "passes": 9, "difference": "image"}),
        (True, {"method": "ours"}),
    ],
)
def test_passes_of_a_projection_are_those_of_its_generator(guesses: bool, options: dict[str, Any]) -> None:
    generator = Drawing(guesses=guesses)
    estimator = LatentProjection(generator, free_steps=20, regularized_steps=5, **options)
    batch = some().__getitems__([0])
    estimator(batch.x, batch.y, batch.y + 1)
    assert generator.drawn == estimator.passes
