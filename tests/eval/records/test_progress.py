"""How much of a measurement is done, and how long it still takes."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eval.progress.sentence import seconds_left
from eval.records import Model, Results, Sitting
from eval.records.attack_radii import AttackRadii
from eval.records.measurements import Accuracy
from eval.records.progress import Measurements, Measuring, expected_passes
from eval.records.quantity import Quantity
from eval.robustness.fixed_strength import robust_accuracy
from eval.robustness.radii import critical_radii, minimal_radii
from generators.progress import Stage, stage
from tests.eval.measuring.models import digits, trained
from training import pgd
from training.data import Digits

STEPS = 10


@dataclass
class Passes:
    forward_passes: int = 0
    backward_passes: int = 0


def seen_while(search: Any, **options: Any) -> list[tuple[int, int]]:
    """Samples that are settled, and evaluations, whenever the attack is called."""
    classifier, found = trained(), []
    x, y = (part[:40] for part in digits())
    passes = 0

    def attack(network: nn.Module, x: Tensor, y: Tensor, *args: Any, **given: Any) -> Tensor:
        nonlocal passes
        part = watched.part
        assert part is not None
        assert part.total == 40
        found.append((part.done, passes))
        passes += len(x)
        strength = args[0] if args else torch.full((len(x),), 0.3)
        return pgd(network, x, y, strength, steps=STEPS, **given)

    with stage(Stage("measurement", 1), outermost=True) as watched:
        search(classifier, [(x, y)], attack, bounds=(-1.0, 1.0), norm="Linf", batch_size=10, **options)
        assert watched.part is None
    return found


@pytest.mark.parametrize("only", ["all", "median"])
def test_search_counts_the_samples_of_which_nothing_more_is_to_be_found(only: str) -> None:
    found = seen_while(partial(critical_radii, only=only, resolution=0.1))
    assert found[0][0] < 10
    assert found[-1][0] >= 20
    assert all(done < 40 for done, _ in found)  # else it would not attack


@pytest.mark.parametrize("search", [partial(robust_accuracy, epsilon=0.3), minimal_radii])
def test_one_run_counts_the_samples_that_were_attacked(search: Any) -> None:
    done = [settled for settled, _ in seen_while(search)]
    wrong = done[0]
    assert wrong == int((trained()(digits()[0][:40]).argmax(dim=1) != digits()[1][:40]).sum())
    assert done == [wrong + 10 * number for number in range(len(done))]


def test_nobody_who_looks_costs_nothing() -> None:
    """A report for each batch that was attacked, and no count of samples where nobody looks."""
    calls = 0

    def counted(*args: Any) -> int:
        nonlocal calls
        calls += 1
        return 0

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("eval.robustness.settling._unsettled", counted)
        x, y = (part[:40] for part in digits())
        options = {"bounds": (-1.0, 1.0), "batch_size": 40, "resolution": 0.05}
        attack = partial(pgd, steps=STEPS)
        critical_radii(trained(), [(x, y)], attack, **options)
        assert calls == 0
        with stage(Stage("", 1), outermost=True):
            radii = critical_radii(trained(), [(x, y)], attack, **options)
    assert 0 < calls < radii.backward_passes / 40 / 2  # some dozen for thousands of evaluations


def test_time_left_of_measurements_is_right_within_a_factor_of_two() -> None:
    """A search as it goes: it settles hardly anything in its first half; the second measurement takes three times."""
    passes, clock = Passes(), 0.0
    work = Measurements("a", 2, expected=[1000.0, 3000.0])
    whole, lefts = 4000.0, []
    with stage(work, outermost=True):
        for expected in (1000.0, 3000.0):
            passes = Passes()
            measuring = Measuring("ε50%", expected=expected, counts=passes, settles=True)
            with stage(measuring), stage(Stage("", 100, "sample")) as search:
                for step in range(1, 101):
                    passes.forward_passes = passes.backward_passes = round(expected * step / 200)
                    search.done = 2 if step < 50 else 2 * step - 100
                    clock += expected / 100
                    if clock > 200:
                        lefts.append((seconds_left(work.share, 0.0, clock), whole - clock))
    assert work.share == 1
    for told, true in lefts:
        assert true / 2 - 60 <= told <= 2 * true + 60


@pytest.mark.parametrize("wrong", [0.3, 3.0])
def test_a_wrong_expectation_is_mended_by_what_is_settled(wrong: float) -> None:
    passes = Passes(forward_passes=800)
    measuring = Measuring("ε50%", expected=1000 * wrong, counts=passes, settles=True)
    with stage(measuring, outermost=True), stage(Stage("", 100, "sample", done=95)):
        assert measuring.left == pytest.approx(800 * 5 / 95)
        assert measuring.share == pytest.approx(0.95)


def test_what_was_recorded_before_counts_for_nothing(tmp_path: Any) -> None:
    network, data = trained(), Digits()
    sitting = Sitting.of(network, data, Model("digits", "B", seed=0), limit=20)
    home = Results(tmp_path).home(sitting.model, "1")
    wanted = [Accuracy(), AttackRadii("pgd", options={"steps": 2})]
    sitting.take_all(wanted[:1], home)
    work = sitting.progress_of(wanted, "B")
    with stage(work, outermost=True):
        taken = sitting.take_all(wanted, home)
    assert (taken.new, work.done, work.share) == (1, 2, 1)
    assert work.spent == taken.records[1].forward_passes + taken.records[1].backward_passes


def test_expected_passes_of_unknown_measurements_are_not_known() -> None:
    assert expected_passes(Quantity("of_my_own")) != expected_passes(Quantity("of_my_own"))
    assert expected_passes(Quantity("epsilon50", "cw", "L2", {"steps": 300})) == 600


def test_expected_passes_are_those_that_are_taken_within_a_factor_of_three() -> None:
    measurement = AttackRadii("pgd", options={"steps": 20})
    sitting = Sitting.of(trained(), Digits(), Model("digits", "B", seed=0), limit=60)
    record, _ = sitting.take(measurement)
    expected = expected_passes(measurement.quantity(Digits()))
    assert 1 / 3 < (record.forward_passes + record.backward_passes) / 60 / expected < 3
