"""Steps on buffers, as a graph holds them: weights, what is logged, schedules and checkpoints are Lightning's own."""

import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from generators import DirectResidual
from generators.networks import build_generator
from tests.waits import waits
from training import (
    AGR,
    AT,
    AWP,
    CAAT,
    CLP,
    MART,
    TRADES,
    AvMixup,
    Classifier,
    Plain,
    Strength,
    WeightedSum,
    build_network,
)
from training.data import DataSet, Digits, Spheres, Squares
from training.graphs import Alone, Repeated
from training.known_residuals import KnownNearest, known_residuals
from training.left_out import left_out
from training.optimizers import constants, in_plain_form, laid_out_as, make_recordable
from training.recorded import why_plain

CPU = torch.device("cpu")


def data_of(name: str) -> DataSet:
    if name == "digits":
        return Digits(batch_size=300)
    if name == "squares":
        return Squares(size=8, train_size=90, batch_size=40)
    return Spheres(dimensions=8, train_size=100, batch_size=40)


def made(data: DataSet, **options: Any) -> Classifier:
    given = {"network": "small_cnn", "optimizer": partial(SGD, lr=0.05, momentum=0.9)}
    if data.name.startswith("Spheres"):
        given |= {"network": "mlp", "network_options": {"hidden": [16]}}
    shape = {"shape": data.shape, "num_classes": data.num_classes, "bounds": data.bounds}
    return Classifier(**(given | shape | options))


def trained(
    data: DataSet, module: Classifier, trainer: Callable[..., Trainer], *, recorded: bool, **settings: Any
) -> tuple[Classifier, dict[str, float]]:
    if recorded:
        module.runner = Alone(CPU)
    fit = trainer(epochs=2, **settings)
    fit.fit(module, data)
    return module, {name: float(value) for name, value in fit.callback_metrics.items()}


def assert_same(left: tuple[Classifier, dict], right: tuple[Classifier, dict]) -> None:
    torch.testing.assert_close(dict(left[0].state_dict()), dict(right[0].state_dict()))
    assert left[1].keys() == right[1].keys()
    assert left[1] == pytest.approx(right[1], rel=1e-5, abs=1e-6)


OBJECTIVES = {
    "plain": Plain,
    "AT": lambda: AT(Strength("0.1"), steps=3),
    "TRADES": lambda: TRADES(Strength("0.1"), steps=2),
    "MART": lambda: MART(Strength("0.1"), steps=2),
    "CLP": lambda: CLP(Strength("0.1"), steps=2),
    "AvMixup": lambda: AvMixup(Strength("0.1"), steps=2),
    "AWP": lambda: AWP(TRADES(Strength("0.1"), steps=2)),
}
COMBINERS = {
    "none": lambda: None,
    "AGR": AGR,
    "CAAT": CAAT,
    "sum": lambda: WeightedSum({"clean": 1.0, "adversarial": 2.0}),
}


PAIRS = [pair for pair in product(OBJECTIVES, COMBINERS) if pair[0] != "plain" or pair[1] == "none"]


# Every objective and every combiner once; the slow tests take all pairs.
DIAGONAL = {*zip(OBJECTIVES, cycle(COMBINERS), strict=False)}


@pytest.mark.parametrize(
    ("objective", "combiner"),
    [pair if pair in DIAGONAL else pytest.param(*pair, marks=pytest.mark.slow) for pair in PAIRS],
)
def test_every_objective_and_combiner_trains_as_in_a_plain_step(
    objective: str, combiner: str, quiet_trainer: Callable[..., Trainer]
) -> None:
    runs = []
    for recorded in (False, True):
        data = data_of("digits")
        module = made(data, objective=OBJECTIVES[objective](), combiner=COMBINERS[combiner](), log_layers=True)
        runs.append(trained(data, module, quiet_trainer, recorded=recorded))
    assert_same(*runs)


@pytest.mark.parametrize(
    "name", ["digits", *(pytest.param(n, marks=pytest.mark.slow) for n in ("squares", "spheres"))]
)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"objective": AT(Strength("0.1"), steps=2), "combiner": AGR(), "alignment_with": "own"},
    ],
)
def test_the_penalty_trains_as_in_a_plain_step(
    name: str, options: dict, quiet_trainer: Callable[..., Trainer]
) -> None:
    runs = []
    for recorded in (False, True):
        data = data_of(name)
        module = made(data, alignment_weight=0.5, **options)
        runs.append(trained(data, module, quiet_trainer, recorded=recorded))
    assert_same(*runs)


SCHEDULES = {
    "steps": {"scheduler": partial(StepLR, step_size=1, gamma=0.1)},
    "cosine": {"scheduler": partial(CosineAnnealingLR, T_max=10), "scheduler_interval": "step"},
    "one cycle": {
        "optimizer": partial(Adam, lr=0.01),
        "scheduler": partial(OneCycleLR, max_lr=0.1, total_steps=20),
        "scheduler_interval": "step",
    },
    "AdamW": {"optimizer": partial(AdamW, lr=0.01)},
}


@pytest.mark.parametrize("options", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("settings", [{}, {"gradient_clip_val": 0.01}], ids=["free", "clipped"])
def test_schedules_and_clips_take_effect(
    options: dict, settings: dict, quiet_trainer: Callable[..., Trainer]
) -> None:
    runs = [
        trained(data_of("spheres"), made(data_of("spheres"), **options), quiet_trainer, recorded=recorded, **settings)
        for recorded in (False, True)
    ]
    assert_same(*runs)


def test_a_run_goes_on_from_its_checkpoint_in_either_way(
    tmp_path: Path, quiet_trainer: Callable[..., Trainer]
) -> None:
    data = data_of("digits")
    options = {"objective": AT(Strength("0.1"), steps=2), "optimizer": partial(Adam, lr=0.01)}
    at_once = trained(data, made(data, **options), quiet_trainer, recorded=True)
    for first in (False, True):
        module = made(data, **options)
        module.runner = Alone(CPU) if first else None
        begun = quiet_trainer(epochs=1)
        begun.fit(module, data)
        begun.save_checkpoint(tmp_path / "last.ckpt")
        after = made(data, **options)
        after.runner = None if first else Alone(CPU)
        whole = quiet_trainer(epochs=2)
        whole.fit(after, data, ckpt_path=tmp_path / "last.ckpt")
        torch.testing.assert_close(dict(after.state_dict()), dict(at_once[0].state_dict()))


def test_what_is_wrong_in_a_step_is_said(quiet_trainer: Callable[..., Trainer]) -> None:
    data = data_of("spheres")
    module = made(data, objective=AT(Strength("0.1"), steps=2), optimizer=partial(SGD, lr=1e30))
    with pytest.raises(ValueError, match="should be finite"):
        trained(data, module, quiet_trainer, recorded=True)


class LooksAtGradients(Callback):
    def on_after_backward(self, trainer: Trainer, pl_module: Any) -> None:
        """Look."""


class Own(Plain):
    """An objective that is not of the package."""


class Chances(nn.Linear):
    """Leaves itself out at random, as stochastic depth does, by Python's random numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if random.random() < 0.5 else x[:, :2]


class Counts(nn.Linear):
    """Does something else after so many calls."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) * (1 + (self.calls > 5))


class Caches(nn.Linear):
    """Keeps the size of its input, as networks of patches do."""

    size: int | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.size = x.shape[1]
        return super().forward(x)


class Normed(nn.Module):
    """Dropout and batch norm, whose counters are tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(5), nn.Linear(5, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def hooked() -> nn.Module:
    network = nn.Linear(5, 2)
    network.register_forward_hook(lambda *given: None)
    return network


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (lambda: nn.Linear(5, 2), None),
        (Normed, None),
        (lambda: Caches(5, 2), None),
        (hooked, "the network has hooks"),
        (lambda: Chances(5, 2), "the network draws random numbers of Python or NumPy"),
        (lambda: nn.Sequential(Counts(5, 2)), "the network changes its `0.calls` with every call"),
    ],
)
@pytest.mark.usefixtures("as_in_production")  # types are checked by random numbers
def test_a_network_that_a_graph_would_not_ask_again_is_told(
    network: Callable[[], nn.Module], reason: str | None
) -> None:
    made_network = network().eval()
    weights, before = deepcopy(made_network.state_dict()), (random.getstate(), torch.get_rng_state())
    assert left_out(made_network, (5,)) == reason
    torch.testing.assert_close(made_network.state_dict(), weights, rtol=0, atol=0)
    assert not made_network.training
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert getattr(made_network, "calls", 0) == 0


@pytest.mark.parametrize(
    ("options", "settings", "reason"),
    [
        ({}, {}, None),
        ({"optimizer": Adam}, {}, None),
        ({}, {"accumulate_grad_batches": 2}, "accumulated"),
        ({}, {"callbacks": [LooksAtGradients()]}, "LooksAtGradients looks at gradients"),
        ({"optimizer": partial(torch.optim.LBFGS)}, {}, "LBFGS has no form"),
        ({"objective": Own()}, {}, "not of this package"),
        ({}, {"plugins": [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))]}, "float16 scales losses"),
        ({"hooked": True}, {}, "the network has hooks"),
    ],
)
def test_what_a_graph_cannot_hold_is_named(
    options: dict, settings: dict, reason: str | None, quiet_trainer: Callable[..., Trainer]
) -> None:
    data = data_of("spheres")
    found = []

    class Asks(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
            found.append(why_plain(pl_module, trainer))
            trainer.should_stop = True

    module = made(data, **{key: value for key, value in options.items() if key != "hooked"})
    if "hooked" in options:
        module.network.register_forward_hook(lambda *given: None)
    callbacks = [Asks(), *settings.pop("callbacks", [])]
    quiet_trainer(epochs=1, callbacks=callbacks, **settings).fit(module, data)
    assert found[0] is None if reason is None else reason in found[0]


def known_of(data: DataSet, trainer: Trainer, **options: Any) -> Any:
    """What steps of a training look up."""
    found: list[Any] = []

    class Asks(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
            found.append(known_residuals(pl_module))
            trainer.should_stop = True

    trainer.callbacks.append(Asks())  # type: ignore[attr-defined]
    trainer.fit(made(data, alignment_weight=0.5, **options), data)
    return found[0]


def test_residuals_that_are_known_are_looked_up(quiet_trainer: Callable[..., Trainer]) -> None:
    data = data_of("squares")
    known = known_of(data, quiet_trainer(epochs=1), residual="nearest")
    x, y, indices = data.split("train").__getitems__([5, 2, 9])
    torch.testing.assert_close(known(indices, x, 1 - y), data.residual("nearest")(x, y, 1 - y))


def test_residuals_of_a_generator_are_found_once_for_all(
    quiet_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass of a generator before every step would wait for the step before it."""
    data, digits = data_of("squares"), data_of("digits")
    estimator = DirectResidual(build_generator("unet", shape=data.shape, num_classes=2, width=4, levels=2))
    monkeypatch.setattr(data, "residual", lambda *named: estimator)
    known = known_of(data, quiet_trainer(epochs=1), residual="nearest")
    x, y, indices = data.split("train").__getitems__([5, 2, 9])
    torch.testing.assert_close(known(indices, x, 1 - y), estimator(x, y, 1 - y))
    monkeypatch.setattr(digits, "residual", lambda *named: DirectResidual(_Zero()))
    assert known_of(digits, quiet_trainer(epochs=1), residual="nearest") is None  # each target has its own


class _Zero(torch.nn.Module):
    """A generator of ten classes whose residuals are 0."""

    shape, num_classes = (1, 8, 8), 10

    def forward(self, x: torch.Tensor, y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


def test_of_several_classes_the_nearest_examples_are_known_on_a_gpu(
    quiet_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of("digits")
    assert known_of(data, quiet_trainer(epochs=1), residual="nearest-even") is None  # a CPU searches when it must
    monkeypatch.setattr("training.known_residuals.SEARCHED_BEFORE", ("cpu",))
    known = known_of(data, quiet_trainer(epochs=1), residual="nearest-even")
    assert isinstance(known, KnownNearest)
    x, y, indices = data.split("train").__getitems__([*range(0, 300, 7)])
    for shift in range(1, data.num_classes):
        target = (y + shift) % data.num_classes
        torch.testing.assert_close(known(indices, x, target), data.residual("nearest-even")(x, y, target))
    monkeypatch.setattr("training.known_residuals.MOST_SEARCHES", 100)
    assert known_of(data, quiet_trainer(epochs=1), residual="nearest-even") is None


def test_a_checkpoint_keeps_nothing_that_only_a_gpu_reads() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = Adam([weight], lr=0.1)
    weight.grad = torch.ones(3)
    optimizer.step()
    state = optimizer.state_dict()
    state["param_groups"][0] |= {"lr": torch.tensor(0.1), "capturable": True}
    checkpoint = {"optimizer_states": [state], "lr_schedulers": [{"_last_lr": [torch.tensor(0.1)]}]}
    mine = state["state"][0]
    in_plain_form(checkpoint)
    assert checkpoint["optimizer_states"][0]["state"][0] is not mine  # the optimiser's own, which goes on training
    group = checkpoint["optimizer_states"][0]["param_groups"][0]
    assert (group["lr"], group["capturable"], checkpoint["lr_schedulers"][0]["_last_lr"]) == (0.1, False, [0.1])
    Adam([weight], lr=0.5).load_state_dict(state)


class Rehearsal:
    """Does recorded work anew at every replay."""

    made = 0

    def __init__(
        self, pieces: Sequence[Callable[[], None]], generators: Sequence[torch.Generator] = (), beside: Any = None
    ) -> None:
        self.pieces = pieces
        type(self).made += 1

    def replay(self) -> None:
        for work in self.pieces:
            work()


def test_work_is_recorded_after_it_was_done_plainly_and_each_kind_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.graphs.Graph", Rehearsal)
    monkeypatch.setattr("training.graphs.may_record", lambda device: True)
    repeated, done = Repeated(CPU), []
    for key in "aababbcaab":
        repeated(key, [partial(done.append, key), partial(done.append, key.upper())])
    assert "".join(done) == "aAaAbBaAbBbBcCaAaAbB"
    assert sorted(repeated.graphs) == ["a", "b"]


def test_of_many_graphs_those_that_were_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule that moves what a graph holds, as one cycle does the momentum, needs a new one every epoch."""
    monkeypatch.setattr("training.graphs.Graph", Rehearsal)
    monkeypatch.setattr("training.graphs.may_record", lambda device: True)
    repeated, done = Repeated(CPU), []
    for key in (0, *range(20)):
        for _ in range(4):
            repeated("often", [partial(done.append, "often")])
            repeated(key, [partial(done.append, key)])
    assert len(repeated.graphs) == 8
    assert {"often", 19} <= repeated.graphs.keys()
    assert done.count(7) == 4
    assert done.count("often") == 84


def test_work_that_cannot_be_recorded_is_done_plainly_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*given: Any, **options: Any) -> None:
        raise RuntimeError("a reason\nand more")

    monkeypatch.setattr("training.graphs.Graph", refuses)
    monkeypatch.setattr("training.graphs.may_record", lambda device: True)
    repeated, done = Repeated(CPU), []
    work = [partial(done.append, 1)]
    for _ in range(2):
        repeated("a", work)
    with pytest.warns(UserWarning, match="one kernel at a time, not as a CUDA graph: a reason$"):
        repeated("a", work)
    repeated("a", work)
    assert len(done) == 4


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("small_cnn", {}),
        ("resnet18", {"weights": None, "frozen_batch_norm": True}),
        ("preact_resnet18", {"width": 4}),
        ("wide_resnet", {"depth": 10, "widen": 1}),
    ],
)
def test_networks_of_ours_are_recorded(name: str, options: dict) -> None:
    network = build_network(name, shape=(3, 8, 8), num_classes=3, bounds=(0.0, 1.0), **options)
    assert left_out(network, (3, 8, 8)) is None


WATCHED: dict[str, Callable[[], dict]] = {
    "plain": dict,
    "AT in L1": lambda: {"objective": AT(Strength("0.1"), steps=3, norm="L1")},
    "TRADES, AGR": lambda: {"objective": TRADES(Strength("0.1"), steps=3), "combiner": AGR()},
    "MART, CA-AT": lambda: {"objective": MART(Strength("0.1"), steps=3), "combiner": CAAT()},
    "CLP": lambda: {"objective": CLP(Strength("0.1"))},
    "AvMixup": lambda: {"objective": AvMixup(Strength("0.1"), steps=3)},
    "AWP": lambda: {"objective": AWP(TRADES(Strength("0.1"), steps=3)), "combiner": CAAT()},
    "penalty": lambda: {"alignment_weight": 0.3},
    "penalty with a gradient of its own": lambda: {
        "objective": AT(Strength("0.1"), steps=3),
        "combiner": AGR(),
        "alignment_weight": 0.3,
        "alignment_with": "own",
    },
}


@pytest.mark.parametrize("recipe", WATCHED)
def test_a_step_does_not_wait_to_look_at_values(recipe: str, quiet_trainer: Callable[..., Trainer]) -> None:
    """By the operators that are called from the batch to the moved weights."""
    data, asked, kinds = data_of("digits"), [], set()
    module = made(data, **WATCHED[recipe]())

    def watched(key: Any, work: Callable[[], None], generator: torch.Generator) -> None:
        with waits() as found:
            work()
        asked.extend(found)
        kinds.add(key[0])

    module.runner = watched
    quiet_trainer(epochs=1, limit_train_batches=2, limit_val_batches=0).fit(module, data)
    assert "step" in kinds
    assert not asked


def test_recorded_training_lets_go_at_the_end(quiet_trainer: Callable[..., Trainer]) -> None:
    data = data_of("spheres")
    module, _ = trained(data, made(data), quiet_trainer, recorded=True)
    assert module.recorded is None


def test_a_graph_is_made_anew_where_a_schedule_moves_more_than_learning_rates() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    for optimizer, name, value in ((SGD([weight], 0.1, 0.9), "momentum", 0.8), (Adam([weight]), "betas", (0.5, 0.9))):
        before = constants(optimizer)
        optimizer.param_groups[0]["lr"] = 7.0
        assert constants(optimizer) == before
        optimizer.param_groups[0][name] = value
        assert constants(optimizer) != before


def test_gradients_and_moments_come_in_the_layout_of_their_weight() -> None:
    """Steps of SGD in fused form refuse others; a convolution from one channel has gradients of either."""
    weight = nn.Parameter(torch.rand(4, 1, 3, 3).to(memory_format=torch.channels_last))
    other = torch.rand(4, 1, 3, 3)
    assert other.stride() != weight.stride()
    found = laid_out_as(weight, other)
    assert found.stride() == weight.stride()
    assert torch.equal(found, other)
    assert laid_out_as(weight, found) is found
    optimizer = SGD([weight], lr=0.1, momentum=0.9)
    optimizer.state[weight] = {"momentum_buffer": other}
    make_recordable(optimizer)
    weight.grad = found
    optimizer.step()
    assert optimizer.state[weight]["momentum_buffer"].stride() == weight.stride()
