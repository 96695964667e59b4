import pytest
import torch
from torch import Tensor, nn

from generators import LatentProjection, ResidualEstimator, project
from generators.biggan import BigGAN, projection_of
from generators.networks import ConditionalGenerator
from generators.projection import projection_loss

METHODS = ["paper", "ours"]


class Affine(nn.Module):
    """`A_c z + b_c`, whose best z is known in closed form."""

    def __init__(self, classes: int = 3, pixels: int = 12, latent: int = 5) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(1)
        self.maps = nn.Parameter(torch.randn(classes, pixels, latent, dtype=torch.float64, generator=random))
        self.means = nn.Parameter(torch.randn(classes, pixels, dtype=torch.float64, generator=random))
        self.latent_size, self.num_classes, self.shape = latent, classes, (1, 3, pixels // 3)
        self.bounds = (-torch.inf, torch.inf)
        self.drawn = 0
        self.norm = nn.BatchNorm1d(1)  # something with a mode

    def forward(self, z: Tensor, target: Tensor) -> Tensor:
        self.drawn += len(z)
        image = torch.einsum("bnk,bk->bn", self.maps[target], z) + self.means[target]
        return image.reshape(-1, *self.shape)

    def ridge(self, x: Tensor, target: Tensor, regularization: float) -> Tensor:
        """The z at which L_proj has no gradient, one pair at a time."""
        found = []
        for image, c in zip(x.flatten(1), target.tolist(), strict=True):
            A, b = self.maps[c].detach(), self.means[c].detach()
            n, k = A.shape
            normal = A.T @ A / n + regularization / k * torch.eye(k, dtype=torch.float64)
            found.append(torch.linalg.solve(normal, A.T @ (image - b) / n))
        return torch.stack(found)


def problems(count: int = 6, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 1, 3, 4, dtype=torch.float64, generator=random)
    y = torch.arange(count) % 3
    return x, y, (y + 1) % 3


@pytest.fixture(scope="module")
def drawing() -> ConditionalGenerator:
    torch.manual_seed(0)
    network = ConditionalGenerator((1, 28, 28), 3, (-1.0, 1.0), latent_size=4, width=4)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Embedding):
                module.weight.mul_(20)  # an untrained network hardly tells classes
        for _ in range(8):
            network(2 * torch.randn(32, 4), torch.arange(32) % 3)
    return network


def test_loss_is_that_of_the_paper() -> None:
    """Equation 15, number by number; the second mean is over the latent's own size."""
    x, image, z = torch.randn(3, 2, 4, 5), torch.randn(3, 2, 4, 5), torch.randn(3, 7)
    expected = []
    for a, b, latent in zip(x, image, z, strict=True):
        squares = [(float(p) - float(q)) ** 2 for p, q in zip(a.flatten(), b.flatten(), strict=True)]
        expected.append(sum(squares) / 40 + 0.3 * sum(float(value) ** 2 for value in latent) / 7)
    torch.testing.assert_close(projection_loss(x, image, z, 0.3), torch.tensor(expected))


@pytest.mark.parametrize("regularization", [0.03, 1.5])
@pytest.mark.parametrize(("method", "tolerance"), [("paper", 0.01), ("ours", 1e-3)])
def test_search_ends_at_the_ridge_solution(method: str, tolerance: float, regularization: float) -> None:
    generator, (x, _, target) = Affine(), problems()
    found = project(generator, x, target, method=method, regularization=regularization)
    best = generator.ridge(x, target, regularization)
    lowest = projection_loss(x, generator(best, target), best, regularization)
    assert (found.loss <= lowest * (1 + tolerance)).all()
    assert (found.loss >= lowest * (1 - 1e-9)).all()
    torch.testing.assert_close(found.image, generator(found.z, target))
    torch.testing.assert_close(found.loss, projection_loss(x, found.image, found.z, regularization))


def test_papers_schedule_is_its_two_phases_of_adam() -> None:
    """A naive second writing: one pair, textbook Adam, from zero."""
    generator, (x, _, target) = Affine(), problems(1)
    z = torch.zeros(1, 5, dtype=torch.float64)
    for steps, weight, rate in ((600, 0.0, 0.2), (150, 0.3, 0.05)):
        m, v = 0, 0  # the second phase knows nothing of the first
        for step in range(1, steps + 1):
            z.requires_grad_()
            loss = (x - generator(z, target)).square().mean() + weight * z.square().mean()
            (g,) = torch.autograd.grad(loss, z)
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            z = (z - rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)).detach()
    rates = {"learning_rate": 0.2, "regularized_learning_rate": 0.05}
    found = project(generator, x, target, regularization=0.3, **rates)
    torch.testing.assert_close(found.z, z, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_first_step_of_the_second_phase_is_a_whole_one() -> None:
    """Adam's first step is its rate in every coordinate, whatever the gradient: so it is where moments are fresh."""
    generator, (x, _, target) = Affine(), problems(2)
    rates = {"learning_rate": 0.1, "regularized_learning_rate": 0.03}
    before = project(generator, x, target, **rates, free_steps=600, regularized_steps=0)
    after = project(generator, x, target, **rates, free_steps=600, regularized_steps=1)
    moved = (after.z - before.z).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.03), rtol=1e-3, atol=0)
    assert (before.passes.tolist(), after.passes.tolist()) == ([601] * 2, [602] * 2)


def test_both_rates_and_both_counts_of_steps_are_part_of_the_identity() -> None:
    given = {"learning_rate": 0.2, "regularized_learning_rate": 0.1, "free_steps": 3, "regularized_steps": 2}
    made = LatentProjection(Affine(), **given)
    assert {name: made.settings[name] for name in given} == given
    assert made.passes == 6
    assert LatentProjection(Affine(), learning_rate=0.2).settings["regularized_learning_rate"] == 0.2
    assert LatentProjection(Affine(), **given, method="ours").settings.keys().isdisjoint(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rate": 0.0}, r"`learning_rate` should be positive\. Found 0"),
        ({"regularized_learning_rate": -1.0}, r"`regularized_learning_rate` should be positive\. Found -1"),
        ({"free_steps": -1}, r"`free_steps` should not be negative\. Found -1"),
        ({"regularized_steps": -2}, r"`regularized_steps` should not be negative\. Found -2"),
    ],
)
def test_a_schedule_that_is_none_is_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LatentProjection(Affine(), **given)


@pytest.mark.parametrize("method", METHODS)
def test_search_starts_at_zero(method: str) -> None:
    generator, seen = Affine(), []
    generator.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    x, _, target = problems()
    project(generator, x, target, method=method)
    assert torch.equal(seen[0], torch.zeros(6, 5))


@pytest.mark.parametrize("method", METHODS)
def test_passes_are_those_of_the_generator(method: str) -> None:
    generator, (x, _, target) = Affine(), problems()
    found = project(generator, x, target, method=method, regularization=0.03)
    assert int(found.passes.sum()) == generator.drawn
    if method == "paper":
        assert found.passes.tolist() == [751] * 6
    else:
        assert int(found.passes.max()) <= 150


@pytest.mark.parametrize(
    ("options", "free", "regularized"),
    [
        ({"method": "paper"}, 600, 150),
        ({"method": "ours", "passes": 9}, 4, 4),
        ({"method": "ours", "passes": 8}, 3, 4),
    ],
)
def test_first_phase_is_free_and_the_second_regularized(
    options: dict, free: int, regularized: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Section 2.3.2: λ_Regz is 0 at first; the loss that is reported has it."""
    weights = []

    def watched(x: Tensor, image: Tensor, z: Tensor, regularization: float) -> Tensor:
        weights.append(regularization)
        return projection_loss(x, image, z, regularization)

    monkeypatch.setattr("generators.projection.projection_loss", watched)
    x, _, target = problems()
    project(Affine(), x, target, regularization=0.03, **options)
    assert weights == [0.0] * free + [0.03] * regularized + [0.03]


@pytest.mark.parametrize("passes", [1, 2, 3, 7])
def test_no_more_passes_than_allowed_are_taken(passes: int) -> None:
    generator, (x, _, target) = Affine(), problems()
    found = project(generator, x, target, method="ours", passes=passes)
    assert found.passes.tolist() == [passes] * 6
    assert generator.drawn == passes * 6


def test_pairs_that_stand_still_leave() -> None:
    """Where the image is what the generator draws at 0, nothing moves; others go on."""
    generator, (x, _, target) = Affine(), problems()
    x[0] = generator.means[target[0]].detach().reshape(generator.shape)
    found = project(generator, x, target, method="ours")
    assert found.passes[0] < 15 < int(found.passes[1:].min())
    assert torch.equal(found.z[0], torch.zeros(5))


def drawn_by(generator: ConditionalGenerator, seed: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    z, target = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed)), torch.tensor([0, 1, 2])
    generator.eval()
    with torch.no_grad():
        return z, target, generator(z, target)


@pytest.mark.slow
def test_what_the_generator_drew_is_drawn_again(drawing: ConditionalGenerator) -> None:
    _, target, x = drawn_by(drawing)
    found = project(drawing, x, target, method="ours", regularization=0.0)
    error = (found.image - x).flatten(1).norm(dim=1) / (x - x.mean(dim=0)).flatten(1).norm(dim=1)
    assert float(error.max()) < 0.05


@pytest.mark.slow
def test_our_search_ends_lower_with_a_fifth_of_the_passes(drawing: ConditionalGenerator) -> None:
    _, target, x = drawn_by(drawing)
    ours, paper = (project(drawing, x, target.flip(0), method=method) for method in ("ours", "paper"))
    assert float(ours.loss.mean()) <= float(paper.loss.mean()) * 1.001
    assert int(ours.passes.max()) * 5 <= 750


@pytest.mark.parametrize("method", [pytest.param("paper", marks=pytest.mark.slow), "ours"])
def test_results_do_not_depend_on_the_batch(method: str) -> None:
    generator, (x, _, target) = Affine(), problems()
    together = project(generator, x, target, method=method)
    alone = [project(generator, x[i : i + 1], target[i : i + 1], method=method) for i in range(6)]
    torch.testing.assert_close(together.z, torch.cat([found.z for found in alone]), rtol=1e-7, atol=1e-9)
    assert together.passes.tolist() == [int(found.passes) for found in alone]


def test_batch_of_the_estimator_does_not_matter() -> None:
    x, y, target = problems()
    small, large = (LatentProjection(Affine(), method="ours", batch=batch)(x, y, target) for batch in (4, 512))
    torch.testing.assert_close(small, large, rtol=1e-7, atol=1e-9)


def test_papers_residual_ends_at_the_image_found() -> None:
    """Equation 16."""
    generator, (x, y, target) = Affine(), problems()
    found = project(generator, x, target, regularization=1.5, learning_rate=0.2)
    residual = LatentProjection(generator, regularization=1.5, learning_rate=0.2)(x, y, target)
    torch.testing.assert_close(x + residual, found.image)


def test_pair_is_two_classes_drawn_from_one_latent_vector() -> None:
    generator, (x, y, target) = Affine(), problems()
    z = generator.ridge(x, y, 0.03)
    expected = generator(z, target) - generator(z, y)
    residual = LatentProjection(generator, method="ours")(x, y, target)
    torch.testing.assert_close(residual, expected.detach(), rtol=0, atol=0.1)


def test_what_cannot_be_drawn_cancels_in_a_pair() -> None:
    """Classes differ by their mean alone; the rest of x lies outside what the generator draws."""
    generator, (x, y, target) = Affine(), problems()
    with torch.no_grad():
        generator.maps[1:] = generator.maps[0]
    expected = (generator.means[target] - generator.means[y]).reshape(x.shape).detach()
    torch.testing.assert_close(LatentProjection(generator, method="ours")(x, y, target), expected)
    assert not torch.allclose(LatentProjection(generator, method="ours", difference="image")(x, y, target), expected)


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 0.5)])
def test_pair_stays_within_the_bounds(bounds: tuple[float, float]) -> None:
    generator, (x, y, target) = Affine(), problems()
    x = x.clamp(*bounds)
    free = LatentProjection(generator, method="ours")(x, y, target)
    generator.bounds = bounds
    moved = x + LatentProjection(generator, method="ours")(x, y, target)
    assert ((x + free).clamp(*bounds) != x + free).any()
    torch.testing.assert_close(moved, (x + free).clamp(*bounds))


class Guessing(Affine):
    """With an encoder that is right but for a shift."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift, self.asked = shift, 0
        self.encoder = self.guess

    def guess(self, x: Tensor, target: Tensor) -> Tensor:
        self.asked += len(x)
        return self.ridge(x, target, 0.0) + self.shift


def test_encoders_guess_is_taken_as_it_is_unless_passes_are_given() -> None:
    (x, y, target), generator = problems(), Guessing(0.1)
    z = generator.guess(x, y)
    guessed = LatentProjection(generator, method="ours")(x, y, target)
    torch.testing.assert_close(guessed, (generator(z, target) - generator(z, y)).detach())
    z = generator.ridge(x, y, 0.03)
    searched = LatentProjection(generator, method="ours", passes=100)(x, y, target)
    torch.testing.assert_close(searched, (generator(z, target) - generator(z, y)).detach(), rtol=0, atol=0.1)


def test_papers_method_asks_no_encoder() -> None:
    generator, (x, y, target) = Guessing(0.1), problems()
    LatentProjection(generator, difference="pair")(x, y, target)
    assert generator.asked == 0


def test_search_begins_where_it_is_told_to() -> None:
    generator, (x, _, target) = Affine(), problems()
    start = torch.randn(6, 5, dtype=torch.float64)
    assert torch.equal(project(generator, x, target, method="ours", passes=1, start=start).z, start)


def test_estimator_is_one_and_says_what_it_depends_on() -> None:
    generator = Affine()
    paper = LatentProjection(generator, regularization=1.5, learning_rate=0.2)
    ours = LatentProjection(generator, method="ours")
    assert isinstance(paper, ResidualEstimator)
    assert paper.settings == {
        "method": "paper",
        "difference": "image",
        "regularization": 1.5,
        "learning_rate": 0.2,
        "regularized_learning_rate": 0.2,
        "free_steps": 600,
        "regularized_steps": 150,
    }
    assert ours.settings == {"method": "ours", "difference": "pair", "regularization": 0.03, "passes": 150}
    assert LatentProjection(Guessing(0.0), method="ours").settings["passes"] == 1
    before = ours.digest
    with torch.no_grad():
        generator.means[0, 0] += 1
    assert before == paper.digest != LatentProjection(generator).digest


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("training", [True, False])
def test_generator_and_random_state_are_left_alone(
    method: str, training: bool, drawing: ConditionalGenerator
) -> None:
    generator = drawing.train(training)
    generator.blocks[0].eval()
    generator.norm.weight.requires_grad_(False)
    modes = [module.training for module in generator.modules()]
    flags = [weight.requires_grad for weight in generator.parameters()]
    state, random = {k: v.clone() for k, v in generator.state_dict().items()}, torch.get_rng_state()
    x, target = torch.zeros(2, 1, 28, 28), torch.tensor([0, 1])
    with torch.no_grad():  # as where things are measured
        estimator = LatentProjection(generator, method=method, free_steps=20, regularized_steps=5)
        residual = estimator(x, target, 1 - target)
    assert not residual.requires_grad
    assert residual.dtype == torch.float32
    assert residual.shape == x.shape
    assert [module.training for module in generator.modules()] == modes
    assert [weight.requires_grad for weight in generator.parameters()] == flags
    assert all(weight.grad is None for weight in generator.parameters())
    assert all(torch.equal(value, state[key]) for key, value in generator.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("method", METHODS)
def test_wrong_input_is_named(method: str) -> None:
    estimator, (x, y, target) = LatentProjection(Affine(), method=method), problems()
    with pytest.raises(ValueError, match=r"`x` should hold images of shape \(1, 3, 4\).* Found \(1, 4, 4\)"):
        estimator(torch.zeros(6, 1, 4, 4), y, target)
    with pytest.raises(ValueError, match=r"`x` should be finite\. Found 1 NaN"):
        estimator(torch.where(x == x[0, 0, 0, 0], torch.nan, x), y, target)
    with pytest.raises(ValueError, match=r"`target` should lie in \[0, 3\).* Found values from 1 to 3"):
        estimator(x, y, y + 1)


@pytest.mark.usefixtures("as_in_production")
def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"`method` should be one of paper, ours\. Found 'best'"):
        LatentProjection(Affine(), method="best")
    with pytest.raises(ValueError, match=r"`difference` should be one of image, pair\. Found 'both'"):
        LatentProjection(Affine(), difference="both")
    with pytest.raises(ValueError, match=r"`regularization` should not be negative\. Found -1"):
        LatentProjection(Affine(), regularization=-1.0)


@pytest.fixture(scope="module")
def imagenet() -> BigGAN:
    """BigGAN-deep's architecture, tiny and untrained."""
    published = pytest.importorskip("pytorch_pretrained_biggan")
    torch.manual_seed(0)
    layers = [(True, 16, 8), (True, 8, 4), (False, 4, 2), (False, 2, 1)]
    config = published.BigGANConfig(
        output_dim=16, channel_width=4, num_classes=1000, layers=layers, attention_layer_position=2, n_stats=3
    )
    network = published.BigGAN(config)
    nn.init.ones_(network.generator.bn.weight)  # the package leaves what it is about to load as memory was
    nn.init.zeros_(network.generator.bn.bias)
    drawing = BigGAN(network, shape=(3, 24, 24), bounds=(0.0, 1.0))
    with torch.no_grad():
        for _ in range(5):  # spectral norm starts anywhere
            drawing(torch.randn(1, 128), torch.tensor([0]))
    return drawing.eval()


def test_biggan_draws_what_the_protocol_asks_for(imagenet: BigGAN) -> None:
    assert (imagenet.latent_size, imagenet.num_classes, imagenet.shape) == (128, 1000, (3, 24, 24))
    image = imagenet(torch.randn(2, 128), torch.tensor([0, 999]))
    assert image.shape == (2, 3, 24, 24)
    assert 0 <= float(image.detach().min()) < float(image.detach().max()) <= 1


def test_biggan_is_projected_like_any_other(imagenet: BigGAN) -> None:
    target = torch.tensor([3, 400])
    with torch.no_grad():
        x = imagenet(torch.randn(2, 128, generator=torch.Generator().manual_seed(1)), target)
    found = project(imagenet, x, target, method="ours", passes=40)
    at_zero = project(imagenet, x, target, method="ours", passes=1)
    assert (found.loss < at_zero.loss).all()
    assert LatentProjection(imagenet, method="ours", passes=5)(x, target, target.flip(0)).shape == x.shape


def test_biggan_is_named_like_any_estimator(imagenet: BigGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    monkeypatch.setattr(
        BigGAN,
        "pretrained",
        lambda name, shape, bounds: loaded.append(name) or BigGAN(imagenet.network, shape, bounds),
    )
    given = {"shape": (3, 24, 24), "bounds": (0.0, 1.0), "method": "ours", "passes": 3}
    estimator = projection_of("biggan-deep-256", num_classes=1000, weights="folder", **given)
    assert (estimator.name, loaded) == ("biggan-deep-256", ["folder"])
    assert estimator.settings["passes"] == 3
    y = torch.tensor([1])
    assert estimator(torch.rand(1, 3, 24, 24), y, y + 1).shape == (1, 3, 24, 24)
    with pytest.raises(ValueError, match=r"draws 1000 classes, as the data should have\. Found 10"):
        projection_of("biggan-deep-256", num_classes=10, **given)


def test_biggan_wants_colour() -> None:
    with pytest.raises(ValueError, match=r"`shape` should be \(3, height, width\). Found \(1, 24, 24\)"):
        BigGAN(torch.nn.Identity(), shape=(1, 24, 24))
