"""One model, measured by several processes: what they return is what one does, bit for bit."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eval import measure
from eval.attacks.square import square_attack
from eval.records import EstimatorQuality, Model, Results
from eval.records.attack_radii import AttackRadii
from eval.records.measurements import Accuracy, Alignment, ImageAlignment, Masking
from eval.records.robust_accuracy import RobustAccuracyAt
from eval.robustness.fixed_strength import robust_accuracy
from eval.robustness.keeping import Kept
from eval.robustness.masking import masking_signs
from eval.robustness.radii import critical_radii, minimal_radii
from eval.robustness.together import processes, rank, together
from tests.distributed.meeting import in_processes
from training import pgd
from training.data import Spheres
from training.strength import Strength

BOUNDS = (-1.0, 1.0)
FEATURES, SAMPLES, BATCH = 6, 47, 6


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(FEATURES, 9), nn.Tanh(), nn.Linear(9, 3))


def samples() -> list[tuple[Tensor, Tensor]]:
    """Uneven batches; every seventh is misclassified."""
    x = 2 * torch.rand(SAMPLES, FEATURES, generator=torch.Generator().manual_seed(2)) - 1
    y = network()(x).argmax(dim=1)
    y[::7] = (y[::7] + 1) % 3
    return [(x[:5], y[:5]), (x[5:30], y[5:30]), (x[30:], y[30:])]


def nearest(classifier: nn.Module, x: Tensor, y: Tensor, *, generator: torch.Generator, **_: Any) -> Tensor:
    return (x + torch.randn(x.shape, generator=generator)).clamp(*BOUNDS)


RANDOM = partial(pgd, steps=4, leave_when_fooled=True)
OPTIONS: dict[str, Any] = {"bounds": BOUNDS, "batch_size": BATCH}


def of_radii(attack: Any = RANDOM, search: Callable[..., Any] = critical_radii, **options: Any) -> list[Any]:
    """All that a search finds, but for its seconds, and the adversarial examples."""
    keep = Kept()
    found = search(network(), samples(), attack, keep=keep, **OPTIONS, **options)
    return [*(value for name, value in vars(found).items() if name != "seconds"), keep.x_adv, keep.size]


CASES: dict[str, Callable[[], list[Any]]] = {
    "all": partial(of_radii, curve_resolution=0.05, at=(0.1, 0.3)),
    "median": partial(of_radii, only="median"),
    "interval": partial(of_radii, only="median", interval=True, norm="L2", guess=0.4),
    "square": partial(of_radii, partial(square_attack, queries=20), only="median", resolution=0.1),
    "minimal": partial(of_radii, nearest, minimal_radii),
    "robust accuracy": partial(of_radii, RANDOM, partial(robust_accuracy, epsilon=0.2)),
    "masking": lambda: masking_signs(
        network(), samples(), epsilon=0.2, steps=3, black_box=partial(square_attack, queries=20), **OPTIONS
    ),
}


class Failing(nn.Module):
    """A classifier that fails in one process, late."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.shown = network(), 0

    def forward(self, x: Tensor) -> Tensor:
        self.shown += 1
        if rank() == 1 and self.shown > 20:
            raise ArithmeticError("no more numbers")
        return self.network(x)


def error_of(work: Callable[[], Any]) -> str:
    try:
        work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "none"


WANTED = [
    Accuracy(),
    AttackRadii("pgd", "Linf", {"steps": 3}, curve_resolution=None),
    RobustAccuracyAt("pgd", "L2", Strength("0.1")),
    Alignment(),
    ImageAlignment(),
    Masking(steps=2, limit=20),
]


def spheres() -> Spheres:
    return Spheres(dimensions=FEATURES, eval_batch_size=20)


def sphere_network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, 2))


def records(out: Path) -> dict[str, Any]:
    """What a whole command measures and writes."""
    report = measure(sphere_network(), spheres(), limit=50, wanted=WANTED, out=out, progress=False, say=print)
    kept = measure(sphere_network(), spheres(), limit=50, wanted=WANTED[:1], progress=False)
    return {
        "values": {r.quantity.name: (r.key, r.value, r.interval, r.passes) for r in map(plain, report.records)},
        "failures": report.failures,
        "without a folder": kept["accuracy"].value,
    }


def plain(record: Any) -> Any:
    """A record with its passes in one."""
    object.__setattr__(record, "passes", (record.forward_passes, record.backward_passes))
    return record


def files(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*.csv"))}


def quality(out: Path) -> list[Any]:
    data = spheres()
    model = Model(data.name, "exact")
    found = EstimatorQuality(data.residual("exact"), data, model, sphere_network(), limit=30)
    taken = found.measured(Results(out).home(model, "x"))
    return [(record.key, record.value, record.interval) for record in taken]


QUICK = ("robust accuracy",)
"""Of every day; a search for a median stands behind the model that fails, whatever the cases."""


def everything(folder: Path, cases: Sequence[str], whole: bool, number: int = 0) -> dict[str, Any]:
    """All cases of one process; errors last, since a model that fails is not to leave others waiting."""
    with together():
        found: dict[str, Any] = {name: CASES[name]() for name in cases}
    if whole:
        with together():
            found["quality"] = quality(folder / f"quality {processes()}")
        found["records"] = records(folder / "records")
    with together():
        failing = Failing()
        found["error"] = error_of(lambda: critical_radii(failing, samples(), RANDOM, **OPTIONS))
        found["after"] = CASES["median"]()
    return found


def same(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right) or (left != left and right != right)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "cases"), [(2, QUICK), *(pytest.param(n, tuple(CASES), marks=pytest.mark.slow) for n in (2, 3))]
)
def test_processes_find_together_what_one_finds_alone(tmp_path: Path, count: int, cases: Sequence[str]) -> None:
    folders = [tmp_path / "together", tmp_path / "alone"]
    whole = cases != QUICK
    alone = everything(folders[1], cases, whole)
    found = in_processes(count, tmp_path, partial(everything, folders[0], cases, whole))
    for each in found:
        assert each["error"] == "ArithmeticError: no more numbers"
        assert alone["error"] == "none"
        for name in each.keys() - {"error"}:
            assert same(each[name], alone[name]), name
    outcomes = [files(folder / "records") for folder in folders]
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0]) == (len(WANTED) if whole else 0)


def lose_one(rank_: int) -> str:
    """The second process ends while the first needs its share."""
    with together():
        if rank_ == 1:
            os._exit(0)  # as abruptly as if it were killed, but without the others being ended for it
        return error_of(CASES["median"])


def test_a_process_that_is_killed_leaves_no_other_waiting(tmp_path: Path) -> None:
    told, _ = in_processes(2, tmp_path, lose_one)
    assert told.startswith("ProcessLost: Another process that measured with this one has ended. Start all of them")


def come_alone(rank_: int) -> str:
    """The first calls what the second never does."""

    def work() -> None:
        with together(arrival=1.0):
            pass

    return error_of(work) if rank_ == 0 else "elsewhere"


def test_a_process_that_is_not_there_is_missed_in_a_sentence(tmp_path: Path) -> None:
    first, _ = in_processes(2, tmp_path, come_alone)
    assert first.startswith("ValueError: All 2 processes of the process group should measure together. Found")
