"""Trainings side by side end as trainings one at a time, and know nothing of each other."""

import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from torch import nn
from torch.optim import SGD

from training import AGR, AT, Classifier, Strength
from training.data import Digits, Spheres
from training.graphs import Repeated
from training.side_by_side import Member, SideBySide, draws, shared
from training.watch import EpochCost, StopAtCollapse

PGD: dict[str, Any] = {"epsilon": Strength("1/10"), "steps": 2}
RECIPES: dict[str, Callable[[], dict[str, Any]]] = {
    "B": dict,
    "Lα": lambda: {"alignment_weight": 1.0},
    "P": lambda: {"objective": AT(**PGD)},
    "AT+AGR": lambda: {"objective": AT(**PGD), "combiner": AGR()},
}


class Weights(Callback):
    """Keeps the weights and what was logged at the end of every epoch."""

    def __init__(self) -> None:
        self.kept: list[torch.Tensor] = []
        self.logged: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.kept.append(torch.cat([weight.detach().flatten().clone() for weight in module.parameters()]))
        self.logged.append({key: float(value) for key, value in trainer.callback_metrics.items()})


class Fails(Callback):
    """Raises an error at the beginning of an epoch."""

    def __init__(self, epoch: int, error: BaseException) -> None:
        self.epoch, self.error = epoch, error

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            raise self.error


def data_set(name: str) -> Spheres | Digits:
    return Spheres(dimensions=8, train_size=120, batch_size=50) if name == "spheres" else Digits(batch_size=400)


def trained(
    member: Member | None,
    recipe: str = "B",
    seed: int = 0,
    *callbacks: Callback,
    epochs: int = 2,
    data: str = "spheres",
    **options: Any,
) -> Weights:
    """Train, with the steps run by a member of a group or else alone."""
    seed_everything(seed, verbose=False)
    samples = data_set(data)
    known = {"shape": samples.shape, "num_classes": samples.num_classes, "bounds": samples.bounds}
    network: dict[str, Any] = {"network": "mlp", "network_options": {"hidden": [12]}}
    module = Classifier(**(network | known | RECIPES[recipe]() | {"seed": seed} | options))
    module.runner = member
    weights = Weights()
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[EpochCost(), weights, *callbacks],
        num_sanity_val_steps=0,
        inference_mode=False,
        **quiet,
    )
    trainer.fit(module, datamodule=samples)
    return weights


def one_at_a_time(*trainings: Callable[[Member], Weights]) -> list[Any]:
    """Each in a group of its own, which takes the same steps."""
    return ended([SideBySide([training]).run()[0] for training in trainings])


def ended(outcomes: list[Any]) -> list[Weights]:
    """What came of trainings, none of which failed."""
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return outcomes


def assert_same(found: Weights, wanted: Weights) -> None:
    assert len(found.kept) == len(wanted.kept) > 0
    assert all(torch.equal(a, b) for a, b in zip(found.kept, wanted.kept, strict=True))
    for a, b in zip(found.logged, wanted.logged, strict=True):
        assert {key: a[key] for key in a if not key.startswith("epoch_")} == {
            key: b[key] for key in b if not key.startswith("epoch_")
        }


@pytest.mark.parametrize("data", ["spheres", "digits"])
def test_trainings_side_by_side_end_as_those_one_at_a_time(data: str) -> None:
    """Digits have ten classes, so that Lα looks for the closest one before a step, where the others do not."""
    seeds = (0, 1) if data == "spheres" else (0,)
    trainings = [partial(trained, recipe=recipe, seed=seed, data=data) for recipe in RECIPES for seed in seeds]
    group = SideBySide(trainings)
    found, wanted = ended(group.run()), one_at_a_time(*trainings)
    for a, b in zip(found, wanted, strict=True):
        assert_same(a, b)
    assert {member.together for member in group.members} == {len(trainings)}
    assert len({tuple(weights.kept[-1].tolist()) for weights in found}) == len(trainings)


@pytest.mark.slow
def test_a_training_side_by_side_ends_as_lightning_alone_would() -> None:
    found = ended(SideBySide([partial(trained, recipe=recipe) for recipe in RECIPES]).run())
    for recipe, weights in zip(RECIPES, found, strict=True):
        torch.testing.assert_close(weights.kept[-1], trained(None, recipe).kept[-1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("error", [ValueError("broken"), RuntimeError("CUDA out of memory")])
def test_one_that_fails_leaves_the_others_as_they_were(error: Exception) -> None:
    others = [partial(trained, recipe="P"), partial(trained, recipe="AT+AGR")]

    def failing(member: Member) -> Weights:
        return trained(member, "B", 0, Fails(1, error))

    found = SideBySide([others[0], failing, others[1]]).run()
    assert found[1] is error
    for weights, wanted in zip(ended([found[0], found[2]]), one_at_a_time(*others), strict=True):
        assert_same(weights, wanted)


class Broken(nn.Module):
    """A network that raises an error at its tenth call in training."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(8, num_classes), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        if self.calls == 10:
            raise RuntimeError("broken")
        return self.layer(x)


def test_an_error_within_what_is_done_together_is_that_of_its_training() -> None:
    """The work of all is done in the thread of one; the error belongs to another."""
    broken = partial(trained, epochs=9, network=f"{__name__}.Broken", network_options={})
    found = SideBySide([partial(trained, epochs=9), broken]).run()
    assert isinstance(found[1], RuntimeError)
    assert str(found[1]) == "broken"
    assert_same(found[0], *one_at_a_time(partial(trained, epochs=9)))


@pytest.mark.filterwarnings("ignore:training collapsed")
def test_one_that_collapses_leaves_the_others_as_they_were() -> None:
    group = SideBySide(
        [
            partial(trained, epochs=3),
            lambda member: trained(member, "B", 0, StopAtCollapse(), epochs=3, optimizer=partial(SGD, lr=1e38)),
        ]
    )
    left, collapsed = ended(group.run())
    assert len(collapsed.kept) == 1
    assert_same(left, *one_at_a_time(partial(trained, epochs=3)))


def test_trainings_of_different_lengths_and_batches_end_as_alone() -> None:
    trainings = [
        partial(trained, recipe="P", epochs=1),
        partial(trained, recipe="Lα", epochs=3, data="digits"),
        partial(trained, recipe="B", epochs=2),
    ]
    group = SideBySide(trainings)
    for weights, wanted in zip(ended(group.run()), one_at_a_time(*trainings), strict=True):
        assert_same(weights, wanted)
    assert [member.together for member in group.members] == [3, 3, 3]


def order_of(handed: list[list[str]]) -> list[str]:
    """In which order the work of several trainings is done, each of which hands in work of some phases."""
    done: list[str] = []

    def hand_in(phases: list[str], name: str, member: Member) -> None:
        for phase in phases:
            member((phase,), partial(done.append, f"{name} {phase}"), torch.Generator())

    SideBySide([partial(hand_in, phases, "abc"[i]) for i, phases in enumerate(handed)]).run()
    return done


def test_steps_are_taken_together_where_some_have_a_phase_before_them() -> None:
    assert order_of([["step"] * 2, ["closest class", "step"] * 2, ["step"]]) == [
        *("b closest class", "a step", "b step", "c step"),
        *("b closest class", "a step", "b step"),
    ]


def test_one_that_hands_in_nothing_runs_to_its_end_while_the_others_wait() -> None:
    assert order_of([["step"], [], ["step"]]) == ["a step", "c step"]
    assert SideBySide([lambda member: 1, lambda member: 2]).run() == [1, 2]
    assert SideBySide([]).run() == []


def test_only_one_runs_at_a_time_and_gives_way_only_where_it_hands_in_work() -> None:
    seen: list[str] = []

    def training(name: str, member: Member) -> None:
        for _ in range(3):
            seen.append(f"{name} enters")
            time.sleep(0.002)
            seen.append(f"{name} leaves")
            member(("step",), lambda: None, torch.Generator())

    SideBySide([partial(training, name) for name in "abc"]).run()
    assert [entry.split()[1] for entry in seen] == ["enters", "leaves"] * 9
    assert all(a.split()[0] == b.split()[0] for a, b in zip(seen[::2], seen[1::2], strict=True))
    assert [entry[0] for entry in seen[:6:2]] == ["a", "b", "c"]


def draw() -> list[float]:
    """Of each global source of random numbers."""
    return [float(torch.rand(())), float(np.random.rand()), random.random()]  # noqa: NPY002


def drawn(seed: int, steps: int, member: Member) -> list[list[float]]:
    seed_everything(seed, verbose=False)
    found = []
    for _ in range(steps):
        found.append(draw())
        member(("step",), lambda: None, torch.Generator())
    return found


def test_each_has_its_own_global_random_numbers_and_the_process_keeps_its_own() -> None:
    trainings = [partial(drawn, seed, 3) for seed in (1, 2)]
    wanted = [SideBySide([training]).run()[0] for training in trainings]
    seed_everything(5, verbose=False)
    after = draw()
    group = SideBySide(trainings)
    seed_everything(5, verbose=False)
    found = group.run()
    assert draw() == after
    assert found == wanted
    assert wanted[0] != wanted[1]


@pytest.mark.parametrize("where", ["before a step", "within a step"])
def test_an_interruption_of_one_ends_all(where: str) -> None:
    """Within Lightning a thread cannot be interrupted; what raises it by hand must not leave the others hanging."""
    steps = []

    def interrupted(member: Member) -> None:
        member(("step",), lambda: None, torch.Generator())
        if where == "before a step":
            raise KeyboardInterrupt
        member(("step",), interrupt, torch.Generator())

    def interrupt() -> None:
        raise KeyboardInterrupt

    def going_on(member: Member) -> None:
        for step in range(100):
            member(("step",), partial(steps.append, step), torch.Generator())

    with pytest.raises(KeyboardInterrupt):
        SideBySide([going_on, interrupted]).run()
    assert len(steps) < 4


def test_an_interruption_of_the_process_ends_all_at_their_next_step() -> None:
    """As Ctrl-C does: the signal reaches the thread that waits for all."""
    steps: list[int] = []

    def going_on(member: Member) -> None:
        for step in range(10_000):
            if step == 5 and member.number == 0:
                signal.raise_signal(signal.SIGINT)
            time.sleep(0.001)
            member(("step",), partial(steps.append, step), torch.Generator())

    group = SideBySide([going_on, going_on])
    # A process that was started in the background ignores the signal, and so would this one.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            group.run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(steps) < 1000
    assert not any(member.active for member in group.members)


def test_seconds_are_those_of_the_wall_divided_among_the_members() -> None:
    """Each is charged for what it does itself and its part of what is done together."""

    def training(own: float, work: float, member: Member) -> float:
        for _ in range(3):
            time.sleep(own)
            member(("step",), partial(time.sleep, work), torch.Generator())
        return member.clock()

    started = time.perf_counter()
    short, long = SideBySide([partial(training, 0.0, 0.02), partial(training, 0.1, 0.02)]).run()
    assert short + long == pytest.approx(time.perf_counter() - started, rel=0.2)
    assert 3 * 0.02 <= short < 3 * 0.1 < long


def test_an_epoch_costs_the_seconds_that_are_its_trainings_own() -> None:
    started = time.perf_counter()
    found = ended(SideBySide([trained] * 4).run())
    whole = time.perf_counter() - started
    each = [sum(logged["epoch_seconds"] for logged in weights.logged) for weights in found]
    assert 0 < max(each) < whole / 2
    assert sum(each) < whole


def test_graphs_of_a_training_that_has_ended_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """They hold its tensors; those of the others stay."""
    kept: list[list[Any]] = []

    class Remembers(Repeated):
        def __call__(self, key: Any, pieces: Any, generators: Any = ()) -> None:
            self.graphs[key] = "a graph"  # type: ignore[assignment]

        def forget(self, which: Callable[[Any], bool]) -> None:
            super().forget(which)
            kept.append([*self.graphs])

    def training(phases: list[str], member: Member) -> None:
        for phase in phases:
            member((phase,), lambda: None, torch.Generator())

    monkeypatch.setattr("training.side_by_side.Repeated", Remembers)
    long, short = ["closest class", "step", "step"], ["step"]
    SideBySide([partial(training, phases) for phases in (long, short)]).run()
    assert kept == [[((0, "closest class"),)], []]


def test_autograds_watch_for_nan_and_lightnings_seed_are_those_of_each() -> None:
    def training(watch: bool, member: Member) -> list[tuple[bool, str]]:
        seen = []
        with torch.autograd.set_detect_anomaly(watch):
            for step in range(3 if watch else 1):
                seed_everything(7 * member.number + step, verbose=False)
                member(("step",), lambda: None, torch.Generator())
                seen.append((torch.is_anomaly_enabled(), os.environ["PL_GLOBAL_SEED"]))
        return seen

    before = os.environ.get("PL_GLOBAL_SEED")
    watched, plain = SideBySide([partial(training, True), partial(training, False)]).run()
    assert watched == [(True, "0"), (True, "1"), (True, "2")]
    assert plain == [(False, "7")]
    assert not torch.is_anomaly_enabled()
    assert os.environ.get("PL_GLOBAL_SEED") == before


def test_networks_that_draw_random_numbers_are_found() -> None:
    plain = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 2))
    assert not draws(plain, (4,))
    assert int(plain[1].num_batches_tracked) == 0  # left as it was found
    assert not draws(nn.Sequential(plain, nn.Dropout(0.0)), (4,))
    assert draws(nn.Sequential(plain, nn.Dropout(0.5)), (4,))
    assert draws(nn.TransformerEncoderLayer(4, 1, 4, dropout=0.1, batch_first=True), (3, 4))
    assert draws(nn.Sequential(plain, nn.RReLU()).eval(), (4,))


def test_what_is_shared_is_shared_equally() -> None:
    members = SideBySide([lambda member: None] * 2).members
    with shared(members):
        time.sleep(0.02)
    assert members[0].seconds == pytest.approx(members[1].seconds, rel=0.2)
    assert members[0].seconds == pytest.approx(0.01, rel=0.5)
