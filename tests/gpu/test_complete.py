"""Every public part that trains, attacks or finds Δ̂x stands in a table of the GPU tests; looked at on any machine."""

import inspect
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import generators
import training
from eval.attacks.autoattack import auto_attack
from eval.attacks.suite import ATTACKS
from generators.generator_module import GeneratorModule
from tests.gpu.problems import BOUNDS, CLASSES, SIDE
from tests.gpu.test_attacks import BUDGETED, MINIMAL
from tests.gpu.test_generators import ESTIMATORS, GANS, KEPT, Shades
from tests.gpu.test_training import COMBINERS, DRAWING, INNER, OBJECTIVES, PENALISED
from training import Classifier
from training.combiners import Combiner
from training.objective import Objective
from training.penalty import Penalty

Of = Callable[[type], bool]


def takes(*names: str) -> Of:
    """Whether instances of a class are called with arguments of these names."""
    return lambda kind: callable(kind) and [*inspect.signature(kind.__call__).parameters] == ["self", *names]


def as_called(protocol: type) -> Of:
    """Whether instances of a class are called as a protocol says."""
    _, *names = inspect.signature(protocol.__call__).parameters
    return takes(*names)


def exported(package: ModuleType, of: Of) -> set[type]:
    """Classes of a package's public names, but for what only says how others are."""
    classes = {one for name in package.__all__ if inspect.isclass(one := getattr(package, name))}
    made = {one for one in classes if not (inspect.isabstract(one) or getattr(one, "_is_protocol", False))}
    return {one for one in made if of(one)}


def assert_all_tested(wanted: set[type], tested: Iterable[object], tables: str) -> None:
    """Every class that is wanted has an instance among those that are tested."""
    missing = sorted(kind.__name__ for kind in wanted - {type(one) for one in tested})
    assert not missing, f"{', '.join(missing)} should be tested on a GPU: add it to {tables}."


def classifiers() -> list[Classifier]:
    """Those that the tables of whole trainings describe."""
    about: dict[str, Any] = {"shape": (1, SIDE, SIDE), "num_classes": CLASSES, "bounds": BOUNDS}
    own = {"network": "mlp", "network_options": {"hidden": [4]}}
    return [Classifier(**own, **about, **options) for options in (*PENALISED.values(), *DRAWING.values())]


def assert_objectives_tested() -> None:
    made = [make(**INNER) for make in OBJECTIVES.values()] + [one.objective for one in classifiers()]
    wanted = exported(training, as_called(Objective))
    assert_all_tested(wanted, made, "OBJECTIVES, PENALISED or DRAWING of tests/gpu/test_training.py")


def test_every_objective_is_tested_on_a_gpu() -> None:
    assert_objectives_tested()


def test_every_combiner_is_tested_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if TorchJD were installed."""
    for name in ("torchjd", "torchjd.aggregation"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(PCGrad=nn.Identity))
    made = [make() for make in COMBINERS.values()]
    assert_all_tested(exported(training, as_called(Combiner)), made, "COMBINERS of tests/gpu/test_training.py")


def test_every_penalty_is_tested_on_a_gpu() -> None:
    made = [penalty for one in classifiers() for penalty in one.penalties]
    wanted = exported(training, lambda kind: issubclass(kind, Penalty))
    assert_all_tested(wanted, made, "PENALISED or DRAWING of tests/gpu/test_training.py")


def test_every_residual_estimator_is_tested_on_a_gpu(tmp_path: Path) -> None:
    made = [make(torch.device("cpu")) for make in ESTIMATORS.values()]
    for name, make in KEPT.items():
        (folder := tmp_path / name).mkdir()
        made.append(make(Shades().split("train"), folder))
    wanted = exported(generators, takes("x", "y", "target"))
    assert_all_tested(wanted, made, "ESTIMATORS or KEPT of tests/gpu/test_generators.py")


def test_every_trained_generator_is_tested_on_a_gpu() -> None:
    made = [make()[0] for make in GANS.values()]
    wanted = exported(generators, lambda kind: issubclass(kind, GeneratorModule))
    assert_all_tested(wanted, made, "GANS of tests/gpu/test_generators.py")


def test_every_attack_of_the_suite_is_tested_on_a_gpu() -> None:
    """By the function that it binds; AutoAttack has tests of its own."""

    def bound(attack: Any) -> Any:
        return attack.func if isinstance(attack, partial) else attack

    tested = {bound(attack) for attack, *_ in (*BUDGETED.values(), *MINIMAL.values())} | {auto_attack}
    missing = [name for name, entry in ATTACKS.items() if bound(entry.attack) not in tested]
    assert not missing, (
        f"{', '.join(missing)} should be tested on a GPU: add it to BUDGETED or MINIMAL of tests/gpu/test_attacks.py."
    )


class New(training.AT):
    """An objective that no table knows."""


def test_a_new_part_without_a_gpu_test_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "New", New, raising=False)
    monkeypatch.setattr(training, "__all__", [*training.__all__, "New"])
    with pytest.raises(AssertionError, match=r"\bNew\b.* should be tested on a GPU: add it to OBJECTIVES,"):
        assert_objectives_tested()
