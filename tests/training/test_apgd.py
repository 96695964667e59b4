"""APGD and targeted ascent inside training: closed values on linear models, and their place in an objective."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from training import AT, Classifier, Strength
from training.apgd import apgd, checkpoints, towards
from training.attacks import pgd
from training.data import Digits

BOUNDS = (-10.0, 10.0)


def linear(features: int = 6, classes: int = 5) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(features, classes)


def samples(count: int = 7, features: int = 6, classes: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, features, generator=generator)
    return x, torch.randint(classes, (count,), generator=generator)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("random_start", [False, True])
def test_the_margin_of_two_classes_of_a_linear_model_reaches_its_maximum(norm: str, random_start: bool) -> None:
    """The maximum of wᵀx over the ball is at ε · ‖w‖ of the dual norm, and a start in the ball does not change it."""
    network, (x, y) = linear(classes=2), samples(classes=2)
    found = apgd(network, x, y, 0.3, norm=norm, steps=20, bounds=BOUNDS, random_start=random_start,
                 generator=torch.Generator().manual_seed(0))  # fmt: skip
    w = network.weight[1] - network.weight[0]
    sign = 1 - 2.0 * y  # of the margin of the wrong class
    reached = (found - x) @ w * sign
    most = 0.3 * (w.abs().sum() if norm == "Linf" else w.norm())
    torch.testing.assert_close(reached.detach(), most.detach().expand(len(x)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_a_target_is_a_wrong_class_and_is_approached(loss: str) -> None:
    network, (x, y) = linear(), samples()
    for adaptive in (True, False):
        found = apgd(network, x, y, 5.0, loss=loss, targeted=True, adaptive=adaptive, steps=20, bounds=BOUNDS,
                     generator=torch.Generator().manual_seed(3))  # fmt: skip
        told = network(found).argmax(dim=1)
        assert (told != y).all()
        assert len(told.unique()) > 1


def test_losses_towards_a_target_have_their_formulas() -> None:
    logits = torch.tensor([[3.0, 1.0, -1.0, 0.5], [0.0, 2.0, 1.0, 4.0]])
    y, target = torch.tensor([0, 1]), torch.tensor([2, 0])
    margin = torch.tensor([-4.0, -2.0])
    torch.testing.assert_close(towards(logits, y, target, "margin"), margin)
    scale = torch.tensor([3 - (0.5 - 1) / 2, 4 - (1 + 0) / 2])
    torch.testing.assert_close(towards(logits, y, target, "dlr"), margin / scale)
    expected = logits.log_softmax(dim=1)[[0, 1], [2, 0]]
    torch.testing.assert_close(towards(logits, y, target, "cross_entropy"), expected)


def test_checkpoints_are_those_of_the_paper() -> None:
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(10) == [3, 5, 6, 7, 8, 9, 10]


class Narrow(nn.Module):
    """Two logits whose margin is the highest at 0.3: steps that do not halve jump over it."""

    def forward(self, x: Tensor) -> Tensor:
        margin = -(x - 0.3).abs().sum(dim=1)
        return torch.stack([-margin / 2, margin / 2], dim=1)


def test_steps_halve_where_they_no_longer_help() -> None:
    x, y = torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64)
    common = {"loss": "margin", "bounds": BOUNDS, "random_start": False, "steps": 40}
    halving = apgd(Narrow(), x, y, 1.0, **common)
    jumping = pgd(Narrow(), x, y, 1.0, step_size=2.0, **common)
    assert abs(float(halving) - 0.3) < 0.05 < abs(float(jumping) - 0.3)


def test_apgd_returns_its_best_point_and_never_a_worse_one_than_its_start() -> None:
    network, (x, y) = nn.Sequential(linear(6, 8), nn.Tanh(), linear(8, 5)), samples()
    loss = partial(nn.functional.cross_entropy, reduction="none")
    found = apgd(network, x, y, 0.4, steps=10, bounds=BOUNDS, random_start=False)
    assert (loss(network(found), y) >= loss(network(x), y)).all()
    assert ((found - x).abs() <= 0.4 + 1e-6).all()


@pytest.mark.parametrize(
    "options", [{"solver": "apgd"}, {"targeted": True}, {"solver": "apgd", "targeted": True, "loss": "dlr"}]
)
@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
def test_an_objective_trains_at_what_the_solver_finds(options: dict, quiet_trainer) -> None:
    data = Digits(batch_size=300)
    objective = AT(Strength("0.1"), steps=3, **options)
    module = Classifier(
        "mlp", {"hidden": [16]}, shape=data.shape, num_classes=10, bounds=data.bounds, objective=objective
    )
    before = [weight.detach().clone() for weight in module.parameters()]
    trainer = quiet_trainer(1, limit_val_batches=0)
    trainer.fit(module, datamodule=data)
    assert trainer.callback_metrics["train_adversarial"].isfinite()
    assert not all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_what_cannot_be_solved_is_refused() -> None:
    with pytest.raises(ValueError, match="`norm` should be Linf or L2 with the solver apgd"):
        AT(Strength("0.1"), norm="L1", solver="apgd")
    network, (x, y) = linear(), samples()
    with pytest.raises(ValueError, match="`loss` should not be 'kl' with `targeted`"):
        apgd(network, x, y, 0.1, loss="kl", targeted=True, bounds=BOUNDS)
    with pytest.raises(ValueError, match="'dlr' with `targeted` needs four classes. Found 3"):
        apgd(linear(classes=3), *samples(classes=3), 0.1, loss="dlr", targeted=True, bounds=BOUNDS)
