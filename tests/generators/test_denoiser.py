"""Denoisers of data whose score is known: Gaussians, and Spheres."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from alignment import cosine_similarity
from generators import Denoiser, ScoreDifference, load_estimator, load_generator, score
from generators.networks import DenoisingNetwork
from training.data import Spheres

UNBOUNDED = (-float("inf"), float("inf"))
MEANS = torch.tensor([[0.0, 0.0, 0.0], [1.0, -0.5, 0.25]])
SPREAD = torch.tensor([0.3, 0.6, 0.9])
SIGMA = 0.4


class Samples(NamedTuple):
    x: Tensor
    y: Tensor
    indices: Tensor


def gaussians(count: int, seed: int = 0) -> Samples:
    """Two classes of one covariance, diag(SPREAD²)."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 2
    return Samples(MEANS[y] + SPREAD * torch.randn(count, 3, generator=generator), y, torch.arange(count))


class Best(nn.Module):
    """The posterior mean of these Gaussians; of all classes together for class 2."""

    shape, num_classes, sigma = (3,), 2, SIGMA

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        variance = SPREAD**2 + SIGMA**2
        by_class = torch.stack([(SPREAD**2 * x + SIGMA**2 * mean) / variance for mean in MEANS], dim=1)
        logits = torch.stack([-((x - mean) ** 2 / variance).sum(dim=1) / 2 for mean in MEANS], dim=1)
        together = (logits.softmax(dim=1)[:, :, None] * by_class).sum(dim=1)
        return torch.cat([by_class, together[:, None]], dim=1)[torch.arange(len(x)), c]


def density(x: Tensor) -> Tensor:
    """log p_σ(x) of each class, and of both together, up to constants that do not depend on x."""
    blurred = torch.distributions.Normal(MEANS[:, None], (SPREAD**2 + SIGMA**2).sqrt())
    each = blurred.log_prob(x).sum(dim=2)
    return torch.cat([each, each.logsumexp(dim=0, keepdim=True)])


def test_the_score_is_the_gradient_of_the_blurred_density() -> None:
    x = gaussians(6).x.requires_grad_()
    for c in (0, 1, None):
        (expected,) = torch.autograd.grad(density(x)[2 if c is None else c].sum(), x)
        told = None if c is None else torch.full((6,), c)
        torch.testing.assert_close(score(Best(), x.detach(), told), expected)


def test_the_difference_of_scores_is_the_gradient_of_a_bayes_classifier() -> None:
    """Of one covariance that classifier is linear, and ∇(logit_1 − logit_0) = (Σ + σ²)⁻¹ (μ_1 − μ_0)."""
    x, y, _ = gaussians(8)
    found = ScoreDifference(Best())(x, y, 1 - y)
    expected = (MEANS[1] - MEANS[0]) / (SPREAD**2 + SIGMA**2)
    torch.testing.assert_close(found / SIGMA**2, torch.where(y[:, None] == 0, expected, -expected))


@pytest.mark.parametrize("body", ["mlp", "unet"])
def test_untrained_it_is_the_best_denoiser_of_independent_values(body: str) -> None:
    shape, options = ((5,), {"hidden": [4]}) if body == "mlp" else ((1, 4, 4), {"width": 2, "levels": 1})
    network = DenoisingNetwork(shape, 2, UNBOUNDED, sigma=0.3, deviation=0.4, body=body, body_options=options)
    x = torch.randn(3, *shape)
    torch.testing.assert_close(network(x, torch.tensor([0, 1, 2])), x * 0.16 / 0.25)


def denoiser(**options: Any) -> Denoiser:
    own = {"network": "mlp", "network_options": {"hidden": [32, 32]}, "sigma": SIGMA, "deviation": 0.7}
    return Denoiser(shape=(3,), num_classes=2, bounds=UNBOUNDED, **(own | options))


def loader(*batches: Samples) -> DataLoader:
    return DataLoader(batches, batch_size=None)


def test_a_step_follows_the_squared_error_weighed_by_the_noise() -> None:
    model, batch = denoiser(withheld=0.0), gaussians(4000)
    taken: list[Tensor] = []
    model.step, model.log_dict = lambda which, loss: taken.append(loss), lambda *_, **__: None
    model.training_step(batch, 0)
    # Untrained D = c_skip x: an error of (c_skip − 1) x + c_skip σ n.
    skip = 0.49 / (0.49 + SIGMA**2)
    error = (1 - skip) ** 2 * batch.x.square().mean() + skip**2 * SIGMA**2
    expected = error * (1 / SIGMA**2 + 1 / 0.49)
    assert float(taken[0].detach()) == pytest.approx(float(expected), rel=0.03)


@pytest.mark.parametrize(("withheld", "told"), [(0.0, {0, 1}), (1.0, {2}), (0.5, {0, 1, 2})])
def test_the_class_is_withheld_from_a_part(withheld: float, told: set[int]) -> None:
    model, seen = denoiser(withheld=withheld), []
    forward = model.generator.body.forward
    model.generator.body.forward = lambda x, y, target: (seen.append(y), forward(x, y, target))[1]
    model.step, model.log_dict = lambda which, loss: None, lambda *_, **__: None
    model.training_step(gaussians(200), 0)
    assert {*seen[0].tolist()} == told


def test_validation_meets_the_same_noise_every_epoch(quiet_trainer: Callable[..., Any]) -> None:
    model, one, two = denoiser(), gaussians(40, 1), gaussians(20, 2)
    found = []
    for batches in ((one, two), (one, two)):
        trainer = quiet_trainer(1)
        trainer.validate(model, loader(*batches), verbose=False)
        found.append(float(trainer.callback_metrics["val_denoising_loss"]))
        torch.rand(3)
    assert found[0] == found[1] > 0


def saved(model: Denoiser, folder: Path, quiet_trainer: Callable[..., Any], epochs: int = 1, count: int = 8) -> Path:
    trainer = quiet_trainer(epochs, num_sanity_val_steps=0)
    trainer.fit(model, loader(*[gaussians(100, seed) for seed in range(count)]), loader(gaussians(64, 99)))
    path = folder / "denoiser.ckpt"
    trainer.save_checkpoint(path)
    return path


def test_a_checkpoint_gives_the_denoiser_back(tmp_path: Path, quiet_trainer: Callable[..., Any]) -> None:
    model = denoiser(average=0.5)
    path = saved(model, tmp_path, quiet_trainer)
    network, description = load_generator(path)
    assert (description["kind"], network.sigma) == ("denoiser", SIGMA)
    x, y, _ = gaussians(5)
    torch.testing.assert_close(network(x, y), model.drawing.eval()(x, y))
    estimator = load_estimator(path, data="", shape=(3,), num_classes=2)
    assert (estimator.name, estimator.settings) == ("score", {"sigma": SIGMA})
    torch.testing.assert_close(estimator(x, y, 1 - y), network(x, 1 - y) - network(x, y))
    with pytest.raises(ValueError, match="classes"):
        load_estimator(path, data="", shape=(3,), num_classes=3)


def test_what_is_no_denoiser_is_refused() -> None:
    with pytest.raises(ValueError, match="`sigma` should be a positive number"):
        denoiser(sigma=0.0)
    with pytest.raises(ValueError, match="`deviation` should be a positive number"):
        denoiser(deviation=-1.0)
    with pytest.raises(ValueError, match=r"`withheld` should lie in \[0, 1\]. Found 1.5"):
        denoiser(withheld=1.5)
    with pytest.raises(ValueError, match=r"`body` should be one of film, mlp, unet. Found 'vae'"):
        denoiser(network="vae")
    with pytest.raises(ValueError, match="`c` should"):
        score(Best(), torch.zeros(1, 3), torch.tensor([2]))


def mean_cosine(a: Tensor, b: Tensor) -> float:
    return float(cosine_similarity(a, b).value.mean())


@pytest.mark.slow
def test_trained_it_agrees_with_the_score_of_gaussians(tmp_path: Path, quiet_trainer: Callable[..., Any]) -> None:
    """Mean cosines with what is known; untrained there is no difference, and the score is along x."""
    network, _ = load_generator(saved(denoiser(lr=3e-3, average=0.99), tmp_path, quiet_trainer, 30, 60))
    x, y, _ = gaussians(500, 123)
    assert mean_cosine(ScoreDifference(network)(x, y, 1 - y), ScoreDifference(Best())(x, y, 1 - y)) > 0.97
    assert mean_cosine(score(network, x, y), score(Best(), x, y)) > 0.97
    assert mean_cosine(score(network, x), score(Best(), x)) > 0.95
    fresh = denoiser().generator
    assert mean_cosine(score(fresh, x, y), score(Best(), x, y)) < 0.9


@pytest.mark.slow
def test_trained_on_spheres_the_difference_of_scores_is_radial(quiet_trainer: Callable[..., Any]) -> None:
    """D(x | c) of a sphere is r_c A(r_c ‖x‖ / σ²) x / ‖x‖, so the difference points along x, as Δx does."""
    data = Spheres(dimensions=10, batch_size=100)
    model = Denoiser(
        "mlp",
        {"hidden": [64, 64]},
        0.2,
        0.35,
        shape=data.shape,
        num_classes=2,
        bounds=data.bounds,
        lr=3e-3,
        average=0.99,
    )
    quiet_trainer(15, num_sanity_val_steps=0).fit(model, data)
    samples = data.split("test").__getitems__(range(300))
    found = ScoreDifference(model.drawing)(samples.x, samples.y, 1 - samples.y)
    assert mean_cosine(found, data.residual("exact")(samples.x, samples.y, 1 - samples.y)) > 0.95
