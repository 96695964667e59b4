"""Every objective goes with the combiners: a training runs, and follows what the combiner makes of its two losses."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.optim import SGD

from training import AGR, AT, AWP, CAAT, CLP, MART, TRADES, AvMixup, Classifier, Strength
from training.data import Digits
from training.objectives import Step

EPSILON = Strength(0.1)
OBJECTIVES = {
    "TRADES apart": lambda: TRADES(EPSILON, beta=1.0, steps=1, clean="apart"),
    "CLP apart": lambda: CLP(EPSILON, 1.0, "apart", "probabilities", False, steps=1),
    "MART": lambda: MART(EPSILON, beta=1.0, steps=1),
    "AvMixup": lambda: AvMixup(EPSILON, steps=1),
    "AvMixup hard": lambda: AvMixup(EPSILON, steps=1, labels="hard"),
    "AWP": lambda: AWP(AT(EPSILON, steps=1)),
    "AWP around TRADES apart": lambda: AWP(TRADES(EPSILON, steps=1, clean="apart")),
    "APGD": lambda: AT(EPSILON, steps=3, solver="apgd"),
    "T-APGD-DLR": lambda: AT(EPSILON, steps=3, solver="apgd", loss="dlr", target="random"),
    "targeted PGD": lambda: AT(EPSILON, steps=2, target="least_likely"),
}


@pytest.mark.parametrize(
    ("objective", "combiner"),
    [*((objective, AGR) for objective in OBJECTIVES.values()), (OBJECTIVES["CLP apart"], partial(CAAT, gamma=0.8))],
    ids=[*OBJECTIVES, "CLP apart, CA-AT"],
)
def test_training_combines_the_clean_and_the_adversarial_loss(quiet_trainer, objective, combiner):
    data = Digits(batch_size=20)
    module = Classifier(
        "small_cnn",
        {"width": 4, "hidden": 32},
        (1, 8, 8),
        10,
        data.bounds,
        objective=objective(),
        combiner=combiner(),
        optimizer=partial(SGD, lr=0.1),
    )
    before = [weight.clone() for weight in module.network.parameters()]
    trainer = quiet_trainer(1, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(module, data)
    logged = trainer.callback_metrics
    assert {"train_clean", "train_adversarial", "train_mu"} <= logged.keys()
    assert all(torch.isfinite(value) for value in logged.values())
    pairs = zip(before, module.network.parameters(), strict=True)
    assert any(not torch.equal(old, new.detach()) for old, new in pairs)


def test_clean_loss_apart_is_not_counted_twice():
    """With a combiner the clean gradient is CE's alone, and the adversarial one KL's alone."""
    objective = TRADES(EPSILON, beta=2.0, steps=1, clean="apart")
    module = Classifier("logistic_regression", {}, (6,), 3, (0.0, 1.0), objective=objective, combiner=AGR())
    x, y = torch.rand(8, 6), torch.arange(8) % 3
    perturbed = objective.perturbed(module.network, x, y, bounds=(0.0, 1.0), generator=seeded())
    losses = objective.losses(Step(module.network, x, y, perturbed, lambda: module.network(x), seeded()))
    found = module.losses(x, y, seeded())
    assert list(found) == ["clean", "adversarial"]
    for name in losses:
        torch.testing.assert_close(found[name], losses[name])
    torch.testing.assert_close(found["clean"], F.cross_entropy(module.network(x), y))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
