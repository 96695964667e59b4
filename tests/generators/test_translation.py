"""Translation by a denoiser whose flow is known: two Gaussian classes of one covariance."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from generators import Translation, load_estimator
from generators.denoiser import Denoiser, score
from generators.networks import DenoisingNetwork, FilmUNet
from generators.translation import flow, odds
from training.data import Batch

MEANS = torch.tensor([[0.0, 0.0, 0.0], [1.0, -0.5, 0.25]])
SPREAD = torch.tensor([0.3, 0.6, 0.9])
LOW, HIGH = 0.05, 4.0


class Best(nn.Module):
    """The posterior mean of N(μ_c, diag(SPREAD²)), at every noise level."""

    shape, num_classes, sigma, levels, told = (3,), 2, math.sqrt(LOW * HIGH), (LOW, HIGH), True

    def forward(self, x: Tensor, c: Tensor, sigma: float) -> Tensor:
        return (SPREAD**2 * x + sigma**2 * MEANS[c]) / (SPREAD**2 + sigma**2)


def samples(count: int = 6) -> tuple[Tensor, Tensor]:
    y = torch.arange(count) % 2
    return MEANS[y] + SPREAD * torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), y


def test_the_flow_keeps_the_place_within_the_class() -> None:
    """(x − μ) / √(Σ + σ²) is constant along the flow of a Gaussian."""
    x, y = samples()
    levels = torch.logspace(math.log10(LOW), math.log10(HIGH), 200).tolist()
    widened = ((SPREAD**2 + HIGH**2) / (SPREAD**2 + LOW**2)).sqrt()
    torch.testing.assert_close(flow(Best(), x, y, levels), MEANS[y] + (x - MEANS[y]) * widened, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("guidance", [0.0, 0.5])
def test_gaussian_classes_are_translated_by_the_difference_of_their_means(guidance: float) -> None:
    """Guidance w moves the target's mean on by w times the difference; what σ does not cover is not moved."""
    x, y = samples()
    found = Translation(Best(), steps=100, guidance=guidance)(x, y, 1 - y)
    covered = 1 - ((SPREAD**2 + LOW**2) / (SPREAD**2 + HIGH**2)).sqrt()
    expected = (1 + guidance) * (MEANS[1 - y] - MEANS[y]) * covered
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-3)


def test_few_steps_are_close_to_many_and_to_the_same_class_nothing_moves() -> None:
    x, y = samples()
    many, few = (Translation(Best(), steps=steps)(x, y, 1 - y) for steps in (100, 8))
    assert float((few - many).norm() / many.norm()) < 0.02
    assert not Translation(Best(), steps=2)(x, y, y).any()


def test_the_way_goes_as_high_as_it_is_asked_to() -> None:
    seen: list[float] = []

    class Watched(Best):
        def forward(self, x: Tensor, c: Tensor, sigma: float) -> Tensor:
            seen.append(sigma)
            return super().forward(x, c, sigma)

    x, y = samples()
    estimator = Translation(Watched(), sigma=0.5, steps=3, guidance=1.0)
    low = estimator(x, y, 1 - y)
    assert max(seen) == pytest.approx(0.5)
    assert min(seen) == LOW
    assert len(seen) == 3 * 2 * 4  # up, down with guidance, which asks twice, and down
    assert float(low.norm()) < float(Translation(Best(), guidance=1.0)(x, y, 1 - y).norm())
    assert estimator.settings == {"sigma": 0.5, "steps": 3, "guidance": 1.0}


@pytest.mark.parametrize("guidance", [2, 2.0, [2], [2.0]])
def test_one_guidance_is_told_in_one_way(guidance: Any, as_in_production: None) -> None:
    told = Translation(Best(), guidance=guidance).settings["guidance"]
    assert (type(told), told) == (float, 2.0)


def test_odds_are_those_of_errors_without_what_noise_adds() -> None:
    """D − x = (σ² (μ_c − x) + Σ σ n) / (Σ + σ²), and a draw with its opposite leaves the square of the first term."""
    x, y = samples()
    sigma = Best.sigma
    shares = (sigma / (SPREAD**2 + sigma**2)) ** 2 / 2
    expected = (shares * ((MEANS[y] - x) ** 2 - (MEANS[1 - y] - x) ** 2)).sum(dim=1)
    torch.testing.assert_close(odds(Best(), x, y, 1 - y), expected)


def test_of_several_guidances_each_sample_takes_the_least_that_leads_it_to_its_target() -> None:
    """A sample in the middle of its class needs much, one near the border little, one far behind gets the last."""
    y, between = torch.zeros(3, dtype=torch.int64), MEANS[1] - MEANS[0]
    x = MEANS[0] + torch.tensor([[0.3], [-0.6], [-9.0]]) * between
    ladder = (0.0, 0.5, 1.0, 2.0)
    each = [Translation(Best(), guidance=guidance)(x, y, 1 - y) for guidance in ladder]
    there = torch.stack([odds(Best(), x + residual, y, 1 - y) > 0 for residual in each])
    first = [ladder[int(column.int().argmax())] if column.any() else ladder[-1] for column in there.T]
    assert first[0] < first[1] < first[2] == ladder[-1]
    found = Translation(Best(), guidance=ladder)(x, y, 1 - y)
    for row, guidance in enumerate(first):
        torch.testing.assert_close(found[row], each[ladder.index(guidance)][row])


def test_guidance_ends_where_all_samples_are_led() -> None:
    """Two classes so far apart that no guidance is needed: the next one would cost passes for nothing."""
    asked: list[int] = []

    class Watched(Best):
        def forward(self, x: Tensor, c: Tensor, sigma: float) -> Tensor:
            asked.append(len(x))
            return super().forward(x, c, sigma)

    y = torch.zeros(2, dtype=torch.int64)
    x = MEANS[y] + 0.9 * (MEANS[1] - MEANS[0])
    found = Translation(Watched(), steps=2, guidance=[0.0, 1.0, 2.0])(x, y, 1 - y)
    torch.testing.assert_close(found, Translation(Best(), steps=2)(x, y, 1 - y))
    assert asked == [2] * (3 * 2 * 2 + 2 * 4)  # three ways of two Heun steps, and odds by four draws of two classes


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sigma": 5.0}, r"`sigma` should lie in \[0.05, 4.0\], for which the denoiser is made. Found 5.0"),
        ({"sigma": math.nan}, "`sigma` should lie in .* Found nan"),
        ({"sigma": 0.05}, "`sigma` should be above 0.05, where the way starts. Found 0.05."),
        ({"steps": 0}, "`steps` should be at least 1. Found 0."),
        ({"guidance": -1.0}, "`guidance` should be 0 or more, or several such numbers that rise. Found -1.0."),
        ({"guidance": math.inf}, "several such numbers that rise. Found inf."),
        ({"guidance": [0.0, math.nan]}, r"several such numbers that rise. Found \[0.0, nan\]."),
        ({"guidance": [1.0, 0.5]}, r"several such numbers that rise. Found \[1.0, 0.5\]."),
        ({"guidance": []}, r"several such numbers that rise. Found \[\]."),
        ({"batch": 0}, "`batch` should be at least 1"),
        ({"sigma": "0.3"}, "`sigma` should lie in .* Found '0.3'"),
        ({"steps": 2.5}, "`steps` should be a whole number. Found 2.5."),
        ({"guidance": None}, "several such numbers that rise. Found None."),
        ({"guidance": "1"}, "several such numbers that rise. Found '1'."),
        ({"guidance": [0.0, "a"]}, r"several such numbers that rise. Found \[0.0, 'a'\]."),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, Any], sentence: str, as_in_production: None) -> None:
    with pytest.raises(ValueError, match=sentence):
        Translation(Best(), **options)


def network(sigma: Any, body: str = "film") -> DenoisingNetwork:
    torch.manual_seed(0)
    made = DenoisingNetwork((1, 4, 4), 2, (-1.0, 1.0), sigma=sigma, body=body, body_options={"width": 4, "levels": 1})
    if body == "film":
        nn.init.normal_(made.body.last.weight, std=0.1)
    return made


def test_a_network_of_a_range_is_told_the_noise() -> None:
    made, x, c = network([0.1, 0.9]), torch.rand(2, 1, 4, 4), torch.tensor([0, 1])
    assert made.sigma == pytest.approx(0.3)
    torch.testing.assert_close(made(x, c), made(x, c, 0.3))
    torch.testing.assert_close(made(x, c, torch.tensor([0.1, 0.9]))[1], made(x[1:], c[1:], 0.9)[0])
    told = [made.body(x, c, c, torch.full((2,), sigma)) for sigma in (0.1, 0.9)]
    assert not torch.allclose(*told)
    torch.testing.assert_close(score(made, x, c, 0.1), (made(x, c, 0.1) - x) / 0.01)


def test_a_denoiser_of_one_level_has_no_flow() -> None:
    with pytest.raises(ValueError, match=r"should be a denoiser of a range of σ. Found one of 0.3 alone"):
        Translation(network(0.3))
    sentence = "`sigma` should be 0.3, for which the denoiser is made. Found "
    with pytest.raises(ValueError, match=sentence + "0.5"):
        network(0.3)(torch.rand(1, 1, 4, 4), torch.tensor([0]), 0.5)
    with pytest.raises(ValueError, match=sentence + "tensor"):
        network(0.3)(torch.rand(1, 1, 4, 4), torch.tensor([0]), torch.tensor([0.3]))


def test_what_says_nothing_of_levels_has_its_own_alone() -> None:
    class Alone(nn.Module):
        shape, num_classes, sigma = (3,), 2, 0.5

    with pytest.raises(ValueError, match=r"should be a denoiser of a range of σ. Found one of 0.5 alone"):
        Translation(Alone())


@pytest.mark.parametrize("sigma", [0.0, -0.3, 0.09, 0.91, math.nan, math.inf])
def test_a_level_outside_the_range_is_refused(sigma: float) -> None:
    made, x, c = network([0.1, 0.9]), torch.rand(1, 1, 4, 4), torch.tensor([0])
    with pytest.raises(ValueError, match=rf"`sigma` should lie in \[0.1, 0.9\], for which .* Found {sigma}"):
        made(x, c, sigma)
    torch.testing.assert_close(made(x, c, 0.9 * (1 + 1e-9)), made(x, c, 0.9))  # the ends but for rounding


def test_a_denoiser_of_one_level_is_scaled_in_double_precision() -> None:
    """As before there were ranges, to the last bit, so that old checkpoints give the same numbers."""
    made = network(0.3)
    x, c = torch.rand(4, 1, 4, 4), torch.tensor([0, 1, 2, 0])
    together = 0.3**2 + 0.5**2
    inner = made.body(together**-0.5 * x, c, c)
    assert inner.any()
    assert torch.equal(made(x, c), 0.5**2 / together * x + 0.3 * 0.5 / together**0.5 * inner)


def test_noise_is_told_where_it_is_asked_for_and_nowhere_else() -> None:
    x, c = torch.rand(1, 1, 4, 4), torch.tensor([0])
    untold, told = (FilmUNet((1, 4, 4), 2, (-1.0, 1.0), width=4, levels=1, noise=noise) for noise in (False, True))
    with pytest.raises(ValueError, match=r"`sigma` should be left out, since `noise` is not set. Found \(1,\)"):
        untold(x, c, c, torch.ones(1))
    with pytest.raises(ValueError, match=r"`sigma` should be given, since `noise` is set. Found None"):
        told(x, c, c)
    for sigma, noise in ((0.3, True), ([0.1, 0.9], False)):
        options: dict[str, Any] = {"width": 4, "levels": 1, "noise": noise}
        with pytest.raises(ValueError, match=f"`body_options` should leave out noise, .* Found {noise}"):
            DenoisingNetwork((1, 4, 4), 2, (-1.0, 1.0), sigma=sigma, body="film", body_options=options)


def test_a_checkpoint_gives_both_estimators(tmp_path: Path, quiet_trainer: Callable[..., Any]) -> None:
    options = {"network": "film", "network_options": {"width": 4, "levels": 1}, "sigma": [0.1, 1.0]}
    model = Denoiser(**options, shape=(1, 4, 4), num_classes=2, lr=0.01, cooling=0.5)
    y = torch.arange(8) % 2
    batch = Batch(torch.rand(8, 1, 4, 4) + y[:, None, None, None], y, torch.arange(8))
    loader = DataLoader([batch, batch], batch_size=None)
    trainer = quiet_trainer(2, num_sanity_val_steps=0)
    trainer.fit(model, loader, loader)
    assert trainer.callback_metrics["val_denoising_loss"] > 0
    rates = trainer.optimizers[0].param_groups
    assert rates[0]["lr"] == pytest.approx(0.005)  # half of the half is over at the last step
    trainer.save_checkpoint(path := tmp_path / "denoiser.ckpt")
    made_for: dict[str, Any] = {"data": "", "shape": (1, 4, 4), "num_classes": 2}
    translation = load_estimator(path, **made_for, method="translation", steps=3)
    assert (translation.name, translation.settings["sigma"]) == ("translation", 1.0)
    assert translation(batch.x, y, 1 - y).any()
    difference = load_estimator(path, **made_for, sigma=0.5)
    assert (difference.name, difference.settings) == ("score", {"sigma": 0.5})
    with pytest.raises(ValueError, match=r"`method` should be one of difference, translation. Found 'flow'"):
        load_estimator(path, **made_for, method="flow")
    with pytest.raises(ValueError, match="does not take these options"):
        load_estimator(path, **made_for, method="translation", eta=1)


@pytest.mark.parametrize("sigma", [[0.5, 0.1], [0.1, 0.2, 0.3], [0.0, 1.0], 0.0, [0.1, math.inf], None, math.nan, {}])
def test_a_range_that_is_none_is_refused(sigma: Any, as_in_production: None) -> None:
    sentence = "`sigma` should be a positive number, or the lowest and the highest one. Found"
    with pytest.raises(ValueError, match=sentence):
        network(sigma)
    with pytest.raises(ValueError, match=sentence):
        Denoiser(sigma=sigma)


def test_a_range_needs_a_network_that_is_told() -> None:
    with pytest.raises(ValueError, match="`sigma` should be one number, unless the network is film, not 'unet'"):
        network([0.1, 1.0], "unet")
