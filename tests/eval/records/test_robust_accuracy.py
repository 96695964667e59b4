import pytest
import torch

from eval.attacks import ATTACKS
from eval.records import Model, Sitting
from eval.records.attack_radii import AttackRadii
from eval.records.measurements import standard_measurements
from eval.records.robust_accuracy import RobustAccuracyAt
from eval.robustness.fixed_strength import robust_accuracy
from eval.robustness.keeping import Kept
from tests.eval.classifiers import InMemory, half_problem, known_radii
from training.strength import Strength

MODEL = Model("given", "B")


@pytest.mark.parametrize(("attack", "norm"), [("pgd", "Linf"), ("pgd", "L2"), ("apgd_ce", "Linf"), ("ddn", "L2")])
def test_accuracy_is_that_of_the_known_radii(attack: str, norm: str) -> None:
    classifier, x, y = half_problem(40)
    radii = known_radii(classifier, x, y, norm)
    epsilon = Strength(float(radii.sort().values[24:26].mean()))
    record, table = Sitting.of(classifier, InMemory(x, y), MODEL).take(RobustAccuracyAt(attack, norm, epsilon))
    assert record.value == pytest.approx(float((radii > epsilon).double().mean()), abs=0.026)
    assert (table.correct == (radii > 0).numpy()).all()
    assert not (table.robust & ~table.correct).any()
    assert (table.distance[~table.robust] <= epsilon * (1 + 1e-6)).all()
    assert table.distance[table.robust].isna().all()


@pytest.mark.parametrize("far", [1.01, float("nan")])
def test_what_leaves_the_ball_does_not_count(far: float) -> None:
    right, x, y = half_problem(20)

    def cheat(classifier, x, y, strength, *, norm, bounds, generator):
        return x + far * strength.reshape(-1, 1) * (1 - 2 * y).reshape(-1, 1) * right.slope.sign()

    found = robust_accuracy(right, InMemory(x, y).batches("test"), cheat, 0.3, bounds=(-1.0, 1.0))
    assert torch.equal(found.robust, found.correct)
    assert found.rejected == int(found.correct.sum())


def test_what_an_attack_without_strength_finds_beyond_the_ball_is_not_kept() -> None:
    """So that a file of adversarial examples at ε has none beyond ε."""
    torch.manual_seed(0)
    right, x, y = half_problem(20)
    radii, kept = known_radii(right, x, y, "Linf").float(), Kept()
    epsilon = float(radii.sort().values[12])

    def nearest(classifier, x, y, *, norm, bounds, generator):
        size = 1.0001 * known_radii(right, x, y, norm).float().reshape(-1, 1)
        return x + size * (1 - 2 * y).reshape(-1, 1) * right.slope.detach().sign()

    batches = InMemory(x, y).batches("test")
    found = robust_accuracy(right, batches, nearest, epsilon, bounds=(-1.0, 1.0), minimal=True, keep=kept)
    assert 0 < found.accuracy < 1
    assert torch.equal(found.robust, radii * 1.0001 > epsilon)
    assert torch.equal(kept.size, found.distance)
    assert torch.equal(kept.x_adv[found.robust], x[found.robust])


def test_each_strength_in_each_norm_is_a_measurement_and_one_norm_is_meant_where_none_is_named() -> None:
    several = standard_measurements(["pgd"], ["Linf", "L2"], ["8/255", 0.5], only="accuracy")
    assert [(m.norm, str(m.epsilon)) for m in several[1:]] == [
        ("Linf", "8/255"), ("Linf", "0.5"), ("L2", "8/255"), ("L2", "0.5"),
    ]  # fmt: skip
    (clean, one) = standard_measurements(["autoattack"], epsilons=["8/255"], only="accuracy")
    assert one == RobustAccuracyAt("autoattack", "Linf", Strength("8/255"))
    assert one.norm in ATTACKS["autoattack"].norms
    assert type(clean).__name__ == "Accuracy"


def test_a_strength_above_the_diameter_is_refused() -> None:
    _, x, y = half_problem(4)
    with pytest.raises(
        ValueError, match=r"`epsilons` should lie in \[0, 2\], the diameter of given in Linf. Found 3"
    ):
        RobustAccuracyAt("pgd", "Linf", Strength(3.0)).check(InMemory(x, y))


BY_NORM = {"Linf": ["8/255", 0.1], "L2": [0.5]}


def test_strengths_by_norm_are_those_of_that_norm() -> None:
    searched = standard_measurements(["pgd", "square"], ["Linf", "L2"], BY_NORM, masking=False)
    at = {(m.attack, m.norm): m.epsilons for m in searched if isinstance(m, AttackRadii)}
    assert at == {(attack, norm): (*map(float, map(Strength, BY_NORM[norm])),) for attack in ("pgd", "square")
                  for norm in BY_NORM}  # fmt: skip
    _, *alone = standard_measurements(["pgd"], epsilons=BY_NORM, only="accuracy")
    assert [(m.norm, m.epsilon.written) for m in alone] == [("Linf", "8/255"), ("Linf", "0.1"), ("L2", "0.5")]


def test_a_list_of_strengths_is_the_same_measurement_as_those_of_the_first_norm() -> None:
    """So that records of before are found again."""
    listed = standard_measurements(["pgd"], ["Linf", "L2"], ["8/255"])
    assert listed == standard_measurements(["pgd"], ["Linf", "L2"], {"Linf": ["8/255"]})


def test_strengths_of_a_norm_in_which_nothing_is_measured_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`epsilons` should name norms of the attacks, Linf\. Found L1"):
        standard_measurements(["pgd"], ["Linf"], {"Linf": ["8/255"], "L1": [1.0]})
