import logging
import random
import sys
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eval.attacks.minimum_norm import carlini_wagner, ddn, deepfool, fmn
from tests.eval.classifiers import Half, Radial
from tests.properties import unchanged
from training.attacks import DUAL, ORDER, Norm
from training.passes import CountPasses

if find_spec("foolbox") is None:
    pytest.skip("foolbox is not installed", allow_module_level=True)

UNBOUNDED = (-torch.inf, torch.inf)

# Attack, norm, and how far above the radius of a linear classifier with two classes its median may end.
KINDS = [
    pytest.param(partial(carlini_wagner, steps=100, step_size=0.02), "L2", 1.05, id="cw"),
    pytest.param(partial(ddn, steps=100), "L2", 1.01, id="ddn"),
    pytest.param(partial(fmn, steps=100), "Linf", 1.01, id="fmn-Linf"),
    pytest.param(partial(fmn, steps=100), "L2", 1.01, id="fmn-L2"),
    pytest.param(partial(fmn, steps=100), "L1", 1.02, id="fmn-L1"),
    pytest.param(deepfool, "L2", 1.1, id="deepfool-L2"),
    pytest.param(deepfool, "Linf", 1.2, id="deepfool-Linf"),
]
every_attack = pytest.mark.parametrize(("attack", "norm", "excess"), KINDS)


def numpy_state() -> list[int]:
    return np.random.get_state()[1].tolist()  # noqa: NPY002


def sizes(result: Tensor, x: Tensor, norm: Norm) -> Tensor:
    return torch.linalg.vector_norm((result.double() - x.double()).flatten(1), ord=ORDER[norm], dim=1)


@pytest.mark.parametrize(
    "bounds", [(0.0, 1.0), *(pytest.param(bounds, marks=pytest.mark.slow) for bounds in ((-1.0, 1.0), UNBOUNDED))]
)
@every_attack
def test_reaches_the_radius_of_a_linear_classifier(
    attack: Any, norm: Norm, excess: float, bounds: tuple[float, float]
) -> None:
    slope = torch.randn(20)
    classifier, x = Half(slope), 0.4 + 0.2 * torch.rand(12, 20)
    score = x @ slope
    y = (score > 0).long()
    if norm == "L1":  # all of a perturbation in L1 goes into one coordinate, which has to have room for it
        x, score = 0.5 + 0.1 * (x - 0.5), 0.1 * ((x - 0.5) @ slope)
        classifier = nn.Sequential(_Shift(0.5), classifier)
        y = (score > 0).long()
    radii = score.abs().double() / torch.linalg.vector_norm(slope.double(), ord=DUAL[norm])
    result = attack(classifier, x, y, norm=norm, bounds=bounds, generator=torch.Generator().manual_seed(0))
    assert (classifier(result).argmax(dim=1) != y).all()
    assert result.min() >= bounds[0]
    assert result.max() <= bounds[1]
    share = sizes(result, x, norm) / radii
    assert (share > 1 - 1e-5).all()
    assert share.median() < excess


class _Shift(nn.Module):
    def __init__(self, by: float | Tensor) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        return x - self.by


@pytest.mark.slow
@every_attack
def test_ten_classes_and_images(attack: Any, norm: Norm, excess: float) -> None:
    classifier = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    x = torch.rand(5, 1, 8, 8) * 2 - 1
    x[:, :, 0] = -1
    y = classifier(x).argmax(dim=1)
    result = attack(classifier, x, y, norm=norm, bounds=(-1.0, 1.0))
    assert (classifier(result).argmax(dim=1) != y).all()
    assert (sizes(result, x, norm) > 0).all()
    assert result.abs().max() <= 1


@pytest.mark.slow
def test_spheres_are_vectors_without_bounds() -> None:
    x = nn.functional.normalize(torch.randn(4, 500)) * torch.tensor([[1.0], [1.3], [1.0], [1.3]])
    y = torch.tensor([0, 1, 0, 1])
    for attack in (ddn, fmn):
        result = attack(Radial(), x, y, norm="L2", bounds=UNBOUNDED)
        assert (Radial()(result).argmax(dim=1) != y).all()
        assert torch.allclose(sizes(result, x, "L2"), torch.tensor(0.15, dtype=torch.float64), rtol=0.01)


@pytest.mark.parametrize("norm", ["Linf", *(pytest.param(norm, marks=pytest.mark.slow) for norm in ("L2", "L1"))])
def test_fmn_goes_where_the_bounds_leave_room(norm: Norm) -> None:
    classifier = nn.Sequential(_Shift(torch.tensor([0.0, 0.85, 0.0])), Half(torch.tensor([4.0, -2.0, 1.0])))
    x = torch.tensor([[0.0, 1.0, 0.6]])  # the score is 0.3, and only the third coordinate can lower it
    result = fmn(classifier, x, torch.tensor([1]), norm=norm, bounds=(0.0, 1.0))
    assert classifier(result).argmax(dim=1) == 0
    assert float(sizes(result, x, norm)) == pytest.approx(0.3, rel=0.01)


def test_what_cannot_be_fooled_is_returned() -> None:
    class Certain(Half):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([0 * (x @ self.slope), 1 + 0 * (x @ self.slope)], dim=1)

    x, y = torch.rand(3, 5), torch.ones(3, dtype=torch.int64)
    for case in KINDS:
        attack, norm, _ = case.values
        assert torch.equal(attack(Certain(torch.ones(5)), x, y, norm=norm, bounds=(-1.0, 1.0)), x)


@every_attack
def test_what_is_wrong_already_is_returned(attack: Any, norm: Norm, excess: float) -> None:
    classifier, x = Half(torch.randn(6)), 0.2 * torch.rand(6, 6) - 0.1
    y = classifier(x).argmax(dim=1)
    y[::2] = 1 - y[::2]
    result = attack(classifier, x, y, norm=norm, bounds=(-1.0, 1.0))
    assert torch.equal((result == x).all(dim=1), torch.arange(6) % 2 == 0)
    assert torch.equal(attack(classifier, x[::2], y[::2], norm=norm, bounds=(-1.0, 1.0)), x[::2])


@every_attack
def test_leaves_no_trace(
    attack: Any,
    norm: Norm,
    excess: float,
    capfd: pytest.CaptureFixture,
    as_in_production: None,  # beartype draws from the random state of Python
) -> None:
    classifier = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.ReLU(), nn.Linear(8, 3))
    x, y = torch.rand(4, 5), torch.arange(4) % 3
    clean, handlers = x.clone(), list(logging.getLogger().handlers)
    others = (random.getstate(), numpy_state())
    with unchanged(classifier), torch.inference_mode():
        attack(classifier, x, y, norm=norm, bounds=(-1.0, 1.0))
    assert others == (random.getstate(), numpy_state())
    assert torch.equal(x, clean)
    assert logging.getLogger().handlers == handlers
    assert capfd.readouterr() == ("", "")


def test_root_logger_without_handlers_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    classifier, x = Half(torch.randn(6)), torch.rand(3, 6)
    deepfool(classifier, x, classifier(x).argmax(dim=1), bounds=(-1.0, 1.0))
    assert logging.getLogger().handlers == []


def test_passes_are_those_that_are_documented() -> None:
    x, y = 0.2 * torch.rand(4, 6) - 0.1, torch.zeros(4, dtype=torch.int64)
    for attack, most in (
        (partial(ddn, steps=7), 7),
        (partial(fmn, steps=7), 7),
        (partial(carlini_wagner, steps=3, search_steps=2), 6),
    ):
        counted = CountPasses(nn.Sequential(_Shift(10.0), Half(torch.ones(6))))
        attack(counted, x, y, bounds=(-1.0, 1.0))
        assert counted.backward_passes == most * len(x)
        assert counted.forward_passes == (most + 1) * len(x)


def test_no_samples_are_no_work() -> None:
    assert ddn(
        Half(torch.ones(3)), torch.rand(0, 3), torch.zeros(0, dtype=torch.int64), bounds=(-1.0, 1.0)
    ).shape == (0, 3)


def test_double_precision_is_kept() -> None:
    classifier, x = Half(torch.randn(6, dtype=torch.float64)), torch.rand(4, 6, dtype=torch.float64) - 0.5
    y = classifier(x).argmax(dim=1)
    for case in KINDS:
        attack, norm, _ = case.values
        result = attack(classifier, x, y, norm=norm, bounds=(-1.0, 1.0))
        assert result.dtype == torch.float64
        assert (classifier(result).argmax(dim=1) != y).all()


@pytest.mark.parametrize(
    ("attack", "options", "message"),
    [
        (carlini_wagner, {"norm": "Linf"}, "`norm` should be one of L2. Found 'Linf'"),
        (ddn, {"norm": "L1"}, "`norm` should be one of L2. Found 'L1'"),
        (fmn, {"norm": "L0"}, "`norm` should be one of Linf, L2, L1. Found 'L0'"),
        (deepfool, {"norm": "L1"}, "`norm` should be one of L2, Linf. Found 'L1'"),
        (carlini_wagner, {"steps": 0}, "`steps` should be at least 1. Found 0"),
        (carlini_wagner, {"search_steps": 0}, "`search_steps` should be at least 1. Found 0"),
        (ddn, {"bounds": (0.5, 0.6)}, "`x` should lie within `bounds`"),
        (ddn, {"y": torch.tensor([0, 2, 0, 0])}, r"`y` should lie in \[0, 2\)"),
        (ddn, {"x": torch.full((4, 6), torch.nan)}, "`x` should be finite"),
    ],
)
def test_bad_input_is_refused(attack: Any, options: dict[str, Any], message: str, as_in_production: None) -> None:
    arguments = {"x": torch.rand(4, 6), "y": torch.zeros(4, dtype=torch.int64), "bounds": (-1.0, 1.0)} | options
    with pytest.raises(ValueError, match=message):
        attack(Half(torch.ones(6)), **arguments)


def test_classifiers_that_cannot_be_attacked_are_refused() -> None:
    class Detached(Half):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.detach())

    x, y = torch.rand(4, 6), torch.ones(4, dtype=torch.int64)
    with pytest.raises(ValueError, match="should be differentiable"):
        ddn(Detached(torch.ones(6)), x, y, bounds=(-1.0, 1.0))
    with pytest.raises(ValueError, match=r"`classifier\(x\)` should be finite"):
        ddn(Half(torch.full((6,), torch.nan)), x, y, bounds=(-1.0, 1.0))


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foolbox.attacks", None)
    for attack in (carlini_wagner, ddn, fmn, deepfool):
        with pytest.raises(ValueError, match=r"pip install 'alphadx\[foolbox\]'"):
            attack(Half(torch.ones(3)), torch.rand(2, 3), torch.zeros(2, dtype=torch.int64), bounds=(-1.0, 1.0))
