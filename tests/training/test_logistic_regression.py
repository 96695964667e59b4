"""Paper 3's logistic regression, whose inner maximum is known: ε* = −y·δ·sign(w) (Eqs. 3, 15, 16)."""

import math

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import linregress
from torch import Tensor, nn

from training import AT, Strength, build_network, pgd
from training.conflict import conflict
from training.data import MNISTPair

UNBOUNDED = (-math.inf, math.inf)
BUDGETS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)


def logistic_regression(shape: tuple[int, ...]) -> nn.Module:
    network = build_network("mlp", shape=shape, num_classes=2, one_logit=True, hidden=[])
    return network.double()


def slope(classifier: nn.Module) -> Tensor:
    """The w of f(x) = w·x + b."""
    weight, _ = classifier.parameters()
    return weight[0]


def signs(y: Tensor) -> Tensor:
    """The paper's labels, −1 and +1."""
    return 2.0 * y.double() - 1


def margins(classifier: nn.Module, x: Tensor, y: Tensor, delta: float = 0.0) -> Tensor:
    """The paper's y·f(x) − δ‖w‖₁, the worst within the budget (Eq. 16)."""
    logits = classifier(x)
    return signs(y) * (logits[:, 1] - logits[:, 0]) - delta * slope(classifier).abs().sum()


@pytest.mark.parametrize("loss", ["margin", "cross_entropy"])
@pytest.mark.parametrize("random_start", [False, True])
@pytest.mark.parametrize("bounds", [UNBOUNDED, (0.0, 1.0)])
def test_pgd_finds_the_analytic_inner_maximum_exactly(loss, random_start, bounds):
    classifier, y = logistic_regression((1, 4, 4)), torch.randint(2, (32,))
    x, delta = torch.rand(32, 1, 4, 4, dtype=torch.float64), 0.1
    optimum = x - delta * (signs(y)[:, None] * slope(classifier).detach().sign()).reshape(x.shape)
    answer = pgd(classifier, x, y, delta, steps=10, loss=loss, bounds=bounds, random_start=random_start)
    assert torch.equal(answer, optimum.clamp(*bounds))


def test_adversarial_loss_is_that_of_equation_16():
    classifier, y = logistic_regression((5,)), torch.randint(2, (32,))
    x = torch.randn(32, 5, dtype=torch.float64)
    losses = AT(Strength(0.2), steps=10)(
        classifier, x, y, lambda: classifier(x), bounds=UNBOUNDED, generator=torch.Generator()
    )
    expected = F.softplus(-margins(classifier, x, y, 0.2)).mean()
    torch.testing.assert_close(losses["adversarial"], expected, rtol=1e-12, atol=0)


@pytest.fixture(scope="module")
def ones_and_twos(real_data) -> dict[str, tuple[Tensor, Tensor]]:
    """MNIST 1-vs-2, padded to 32×32 in [0, 1]; every sixteenth training image."""
    data = MNISTPair(a=1, b=2, data_root=str(real_data))
    parts = {"train": data.split("train").images[::16], "test": data.split("test").images}
    labels = {"train": data.split("train").labels[::16], "test": data.split("test").labels}
    return {name: (F.pad(images.double() / 255, (2, 2, 2, 2)), labels[name]) for name, images in parts.items()}


def trained(x: Tensor, y: Tensor, delta: float, steps: int) -> nn.Module:
    """Full-batch vanilla adversarial training with λ = 1/2, the inner maximum taken analytically (Eq. 3)."""
    torch.manual_seed(0)
    classifier = logistic_regression(tuple(x.shape[1:]))
    optimiser = torch.optim.Adam(classifier.parameters(), lr=0.02)
    for _ in range(steps):
        clean = margins(classifier, x, y)
        worst = clean - delta * slope(classifier).abs().sum()
        optimiser.zero_grad()
        (F.softplus(-clean).mean() / 2 + F.softplus(-worst).mean() / 2).backward()
        optimiser.step()
    return classifier


def mu(classifier: nn.Module, x: Tensor, y: Tensor, delta: float) -> float:
    """Paper 3's μ between the gradient at x and that of adversarial training, whose one step reaches the maximum."""
    objective = AT(Strength(delta), steps=1, step_size=Strength(delta), random_start=False)
    logits = classifier(x)
    losses = objective(classifier, x, y, lambda: logits, bounds=UNBOUNDED, generator=torch.Generator())
    clean, adversarial = (
        list(torch.autograd.grad(loss, list(classifier.parameters())))
        for loss in (F.cross_entropy(logits, y), losses["adversarial"])
    )
    return float(conflict(clean, adversarial).mu)


@pytest.mark.data
def test_conflict_grows_with_the_square_of_a_small_budget(ones_and_twos):
    classifier = trained(*ones_and_twos["train"], delta=0.1, steps=20)
    budgets = torch.logspace(-5, -3, 5, dtype=torch.float64)
    conflicts = torch.tensor([mu(classifier, *ones_and_twos["train"], delta) for delta in budgets.tolist()])
    fitted = linregress(budgets.log(), conflicts.log())
    assert 1.9 < fitted.slope < 2.1
    assert fitted.rvalue > 0.999


def accuracy(classifier: nn.Module, x: Tensor, y: Tensor, delta: float = 0.0) -> float:
    return float((margins(classifier, x, y, delta) > 0).double().mean())


@pytest.mark.data
def test_both_accuracies_fall_as_the_budget_grows(ones_and_twos):
    models = {delta: trained(*ones_and_twos["train"], delta, steps=60) for delta in BUDGETS}
    standard = [accuracy(model, *ones_and_twos["test"]) for model in models.values()]
    adversarial = [accuracy(model, *ones_and_twos["test"], delta) for delta, model in models.items()]
    for falling in (standard, adversarial):
        assert falling == sorted(falling, reverse=True)
    assert standard[0] - standard[-1] > 0.01
    assert adversarial[0] - adversarial[-1] > 0.1
