"""Penalties in training: what a step follows, and that each goes with all else that a training has."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer
from torch import Tensor
from torch.optim import SGD

from alignment import alignment_penalty, gradient_norm_penalty
from alignment.closest_class import closest_classes
from alignment.jacobian import jacobian_penalty
from alignment.variants import lenient_alignment_penalty, weighted_alignment_penalty
from eval.fit import FitCLI
from eval.studies.configuring import kept_under
from training import (
    AGR,
    AT,
    AWP,
    CAAT,
    TRADES,
    Alignment,
    Classifier,
    Edges,
    GradientNorm,
    Jacobian,
    LenientAlignment,
    PerpendicularAT,
    Plain,
    Strength,
    WeightedAlignment,
    WeightedSum,
)
from training.data import Batch, Digits, Squares
from training.graphs import Alone
from training.penalties import PenaltyStep
from training.penalty import Penalty

REACH = Strength("0.1")
PENALTIES: dict[str, Callable[[], Penalty]] = {
    "lenient": lambda: LenientAlignment(0.5, among=2),
    "weighted": lambda: WeightedAlignment(0.5, power=0.5, threshold=0.1),
    "edges": lambda: Edges(0.5),
    "jacobian": lambda: Jacobian(0.1, projections=2),
}


def made(**options: Any) -> Classifier:
    data = Digits()
    given = {"shape": data.shape, "num_classes": 10, "bounds": data.bounds, "optimizer": partial(SGD, lr=0.1)}
    return Classifier("small_cnn", **(given | {"residual": "nearest-even"} | options))


def first_batch(data: Digits) -> Batch:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(0)  # type: ignore[attr-defined]
    return next(iter(loader))


def trained(
    trainer: Callable[..., Trainer], module: Classifier, *, recorded: bool = False, **settings: Any
) -> tuple[Classifier, dict[str, float]]:
    if recorded:
        module.runner = Alone(torch.device("cpu"))
    fit = trainer(1, limit_val_batches=0, **({"limit_train_batches": 3} | settings))
    fit.fit(module, Digits(batch_size=150))
    return module, {name: float(value) for name, value in fit.callback_metrics.items()}


def expected_value(penalty: Penalty, module: Classifier, batch: Batch) -> Tensor:
    """The penalty of a batch by the functions of `alignment`."""
    network, x, y, residual = module.network, batch.x, batch.y, Digits().residual("nearest-even")
    if isinstance(penalty, LenientAlignment):
        targets = closest_classes(network, x, y, count=penalty.closest)
        residuals = torch.stack([residual(x, y, target) for target in targets.unbind(1)], dim=1)
        return lenient_alignment_penalty(network, x, y, residuals, targets)
    if isinstance(penalty, WeightedAlignment):
        return weighted_alignment_penalty(network, x, y, residual, power=penalty.power, threshold=penalty.threshold)
    return jacobian_penalty(network, x)


@pytest.mark.parametrize(
    "penalty", [LenientAlignment(0.5, among=2), WeightedAlignment(0.5, 0.5), Jacobian(0.1, None)]
)
def test_the_step_follows_cross_entropy_and_the_weighted_penalty(
    penalty: Penalty, quiet_trainer: Callable[..., Trainer]
) -> None:
    module = made(penalty=penalty)
    batch = first_batch(Digits(batch_size=150))
    loss = F.cross_entropy(module.network(batch.x), batch.y) + penalty.weight * expected_value(penalty, module, batch)
    weights = [*module.network.parameters()]
    expected = [w - 0.1 * g for w, g in zip(weights, torch.autograd.grad(loss, weights), strict=True)]
    trained(quiet_trainer, module, limit_train_batches=1)
    for found, wanted in zip(module.network.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), wanted.detach(), rtol=1e-4, atol=1e-6)


def test_short_forms_are_the_penalties_they_are_short_for(quiet_trainer: Callable[..., Trainer]) -> None:
    for short, whole in (
        ({"alignment_weight": 0.3}, Alignment(0.3)),
        ({"gradient_weight": 0.2}, GradientNorm(0.2)),
    ):
        a, logged = trained(quiet_trainer, made(**short))
        b, also = trained(quiet_trainer, made(penalty=whole))
        assert logged == also
        assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_of_two_classes_lenient_is_the_plain_penalty(quiet_trainer: Callable[..., Trainer]) -> None:
    data, weights = Squares(size=8, train_size=40, batch_size=20), []
    for options in ({"alignment_weight": 0.3}, {"penalty": LenientAlignment(0.3, among=4)}):
        module = Classifier("small_cnn", shape=data.shape, bounds=data.bounds, **options)  # type: ignore[arg-type]
        quiet_trainer(1, limit_val_batches=0).fit(module, data)
        weights.append([*module.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


ALL: dict[str, dict[str, Any]] = {
    "alone": {},
    "adversarial": {"objective": AT(REACH, steps=2), "combiner": AGR(), "alignment_with": "adversarial"},
    "own": {"objective": AT(REACH, steps=2), "combiner": CAAT(), "alignment_with": "clean"},
    "AWP": {"objective": AWP(TRADES(REACH, steps=2))},
    "beside": {"alignment_weight": 0.2, "gradient_weight": 0.1},
}


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize(
    "place", [name if name == "own" else pytest.param(name, marks=pytest.mark.slow) for name in ALL]
)
def test_recorded_steps_train_as_plain_ones(name: str, place: str, quiet_trainer: Callable[..., Trainer]) -> None:
    (plain, logged), (recorded, also) = (
        trained(quiet_trainer, made(penalty=PENALTIES[name](), **ALL[place]), recorded=recorded)
        for recorded in (False, True)
    )
    assert also.keys() == logged.keys() >= {f"train_{plain.penalties[-1].name}"}
    assert also == pytest.approx(logged, rel=1e-4, abs=1e-6)
    torch.testing.assert_close(dict(plain.state_dict()), dict(recorded.state_dict()), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("stay", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_perpendicular_training_is_the_same_in_recorded_steps(
    stay: bool, quiet_trainer: Callable[..., Trainer]
) -> None:
    objective = PerpendicularAT(REACH, steps=2, stay=stay)
    (plain, _), (recorded, _), (other, _) = (
        trained(quiet_trainer, made(objective=one), recorded=recorded)
        for one, recorded in ((objective, False), (objective, True), (AT(REACH, steps=2), False))
    )
    torch.testing.assert_close(dict(plain.state_dict()), dict(recorded.state_dict()), rtol=1e-4, atol=1e-6)
    assert not torch.equal(*(next(iter(module.parameters())) for module in (plain, other)))


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_has_a_gradient_of_its_own_by_its_name(name: str, quiet_trainer: Callable[..., Trainer]) -> None:
    penalty = PENALTIES[name]()
    combiner = WeightedSum({"clean": 1.0, penalty.name: 2.0})
    options: dict[str, Any] = {"objective": Plain(), "combiner": combiner, "alignment_with": "own"}
    combined, _ = trained(quiet_trainer, made(penalty=penalty, **options), limit_train_batches=1)
    penalty.weight *= 2
    summed, _ = trained(quiet_trainer, made(penalty=penalty), limit_train_batches=1)
    torch.testing.assert_close(dict(combined.state_dict()), dict(summed.state_dict()), rtol=1e-4, atol=1e-6)


def test_every_gradient_of_its_own_is_asked_of_the_combiner(as_in_production: None) -> None:
    options: dict[str, Any] = {"objective": AT(REACH, steps=2), "alignment_with": "own", "penalty": Edges(1.0)}
    made(combiner=WeightedSum({"clean": 1.0, "adversarial": 1.0, "edges": 1.0}), **options)
    with pytest.raises(ValueError, match="should name the losses adversarial, clean, edges"):
        made(combiner=WeightedSum({"clean": 1.0, "adversarial": 1.0, "alignment": 1.0}), **options)


def test_accumulated_steps_train_as_one(quiet_trainer: Callable[..., Trainer]) -> None:
    """Two batches of 150 with half of each gradient, as one of 300 of the same images."""
    weights = []
    for size, accumulated in ((150, 2), (300, 1)):
        module, data = made(penalty=WeightedAlignment(0.5)), Digits(batch_size=size)
        options = {"limit_val_batches": 0, "accumulate_grad_batches": accumulated, "limit_train_batches": accumulated}
        quiet_trainer(1, **options).fit(module, data)
        weights.append(dict(module.state_dict()))
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-6)


def step_of(module: Classifier, batch: Batch, seed: int = 3) -> PenaltyStep:
    x = batch.x.clone().requires_grad_()
    generator = torch.Generator().manual_seed(seed)
    return PenaltyStep(module.network, x, batch.y, module.network(x), generator)


def test_classes_of_the_edges_are_drawn_from_the_softmax() -> None:
    """A gradient of +E in one class and −E in the other: the mean penalty is 4 times the other's probability."""
    from tests.alignment.classifiers import Answer
    from training.edges import edges_of

    image = torch.rand(1, 1, 8, 8)
    x, edges = image.expand(4000, 1, 8, 8), edges_of(image)
    lead = 0.4

    def logits(z: Tensor) -> Tensor:
        along = ((z - image) * edges).sum(dim=(1, 2, 3))
        return torch.stack([lead + along, -along], dim=1)

    variable = x.clone().requires_grad_()
    classifier = Answer(logits)
    y = torch.zeros(len(x), dtype=torch.int64)
    step = PenaltyStep(classifier, variable, y, classifier(variable), torch.Generator().manual_seed(0))
    probability = torch.tensor(-lead / 0.5).sigmoid().item()
    assert Edges(1.0).value(step).item() == pytest.approx(4 * probability, abs=0.12)


def test_a_seed_repeats_what_a_penalty_draws() -> None:
    module, batch = made(), first_batch(Digits(batch_size=20))
    for penalty in (Edges(1.0), Jacobian(1.0)):
        values = [penalty.value(step_of(module, batch, seed)).item() for seed in (3, 3, 4)]
        assert values[0] == values[1] != values[2]


def test_a_step_with_penalties_does_not_wait_to_look_at_values(quiet_trainer: Callable[..., Trainer]) -> None:
    asked: list[Any] = []

    class Watching(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
                asked.append(function)
            return function(*args, **(kwargs or {}))

    def runner(key: Any, work: Callable[[], None], generator: torch.Generator) -> None:
        with Watching():
            work()

    for options in (
        *({"penalty": one()} for one in PENALTIES.values()),
        {"objective": PerpendicularAT(REACH, steps=2)},
    ):
        module = made(**options)
        module.runner = runner
        trained(quiet_trainer, module, limit_train_batches=1)
    assert not asked


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty": Alignment(0.1), "alignment_weight": 0.2}, "`alignment_weight` should be 0 beside .* Found 0.2"),
        ({"penalty": GradientNorm(1.0), "gradient_weight": 2.0}, "`gradient_weight` should be 0 beside .* Found 2.0"),
        ({"penalty": Edges(1.0, sigma=3.0)}, "at least 10×10 pixels to have edges at sigma 3.0"),
    ],
)
def test_penalties_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(**options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Jacobian(-1.0), "`weight` should be finite and at least 0"),
        (lambda: Jacobian(1.0, 0), "`projections` should be at least 1"),
        (lambda: LenientAlignment(1.0, 0), "`among` should be at least 1"),
        (lambda: WeightedAlignment(1.0, threshold=2.0), r"`threshold` should lie in \[0, 1\]"),
        (lambda: Edges(1.0, temperature=0.0), "`temperature` should be finite and above 0"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(make: Callable[[], Penalty], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("options", "who"),
    [
        ({"penalty": WeightedAlignment(0.1)}, "`penalty` Weighted"),
        ({"objective": PerpendicularAT(REACH)}, "`objective`"),
    ],
)
def test_what_needs_residuals_needs_a_data_set(
    options: dict[str, Any], who: str, quiet_trainer: Callable[..., Trainer]
) -> None:
    loader, module = torch.utils.data.DataLoader(Digits().split("train"), batch_size=20), made(**options)
    with pytest.raises(ValueError, match=f"{who}.* needs residuals, and so a DataSet of training.data"):
        quiet_trainer(1).fit(module, loader, loader)


def test_a_penalty_of_weight_zero_is_not_computed() -> None:
    assert made(penalty=Jacobian(0.0)).penalties == []


def test_a_configuration_names_a_penalty_as_it_does_an_objective(tmp_path: Path) -> None:
    fit = {
        "data": {"class_path": "training.data.Digits"},
        "model": {
            "network": "small_cnn",
            "objective": {"class_path": "training.AWP", "init_args": {"objective": {
                "class_path": "training.PerpendicularAT", "init_args": {"epsilon": "8/255", "stay": True}}}},
            "penalty": {"class_path": "training.LenientAlignment", "init_args": {"weight": 0.3, "among": 2}},
        },
    }  # fmt: skip
    model = FitCLI(kept_under(fit, tmp_path / "run", "cpu")).model
    (penalty,) = model.penalties
    assert isinstance(penalty, LenientAlignment)
    assert (penalty.weight, penalty.closest, model.search.found) == (0.3, 2, 2)
    assert model.objective.takes_residual


def test_alignment_and_length_are_what_their_penalties_train(quiet_trainer: Callable[..., Trainer]) -> None:
    """After a few steps of each, its own value has fallen against plain training."""
    x, y, _ = Digits().split("validation").__getitems__(range(60))
    network = trained(quiet_trainer, made())[0].network
    length = gradient_norm_penalty(network, x, y).item()
    aligned = alignment_penalty(network, x, y, Digits().residual("nearest-even")).item()
    jacobian = trained(quiet_trainer, made(penalty=Jacobian(1.0)))[0].network
    weighted = trained(quiet_trainer, made(penalty=WeightedAlignment(10.0, power=0.0)))[0].network
    assert gradient_norm_penalty(jacobian, x, y).item() < length
    assert alignment_penalty(weighted, x, y, Digits().residual("nearest-even")).item() < aligned
