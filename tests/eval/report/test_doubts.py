"""Rules for numbers that contradict each other, on the papers' own and on made ones."""

import pytest

from eval.records import Quantity
from eval.report.doubts import Known, doubts_of, repeated
from eval.report.published import models
from eval.report.published.content import model_of, quantity


def known(**numbers: float | tuple[float, float]) -> dict[Quantity, Known]:
    """Such as `pgd_Linf_0o1=0.5` for 50 % under PGD at L∞ 0.1, `clean=0.9`, and `radius_pgd_Linf=0.3`."""
    found = {}
    for name, value in numbers.items():
        *attack, norm, epsilon = name.split("_") if name.count("_") > 1 else ("", "", "")
        column = f"accuracy {'_'.join(attack)} {norm} {epsilon.replace('o', '.')}"
        if name.startswith("radius"):
            column = f"epsilon50 {norm} {epsilon}"
        found[quantity("accuracy" if name == "clean" else column)] = (
            Known(*value) if isinstance(value, tuple) else Known(value)
        )
    return found


def of_paper(paper: str, name: str) -> str:
    return " ".join(
        doubts_of({of: Known(n.value, n.deviation or 0.0) for of, n in model_of(paper, name).numbers.items()})
    )


def test_paper_3_s_pgd_lies_far_above_its_autoattack() -> None:
    told = of_paper("paper 3", "ResNet18 γ = 0.8")
    assert "at L∞ 8/255 AutoAttack leaves 35.17 % correct, and PGD 74.42 %, APGD-CE 63.01 %, MI-FGSM 74.19 %" in told
    assert "a sign of gradient masking" in told


def test_paper_1_s_pgd_lies_above_its_black_box_on_three_of_six_data_sets() -> None:
    above = [m.name for m in models() if m.paper == "paper 1" and "the black box" in of_paper(m.paper, m.name)]
    assert above == ["Q-Lα", "Q-P", "µ-Lα", "µ-P", "M-Lα", "M-P"]
    assert "within their spread" in of_paper("paper 1", "µ-Lα")
    assert "within their spread" not in of_paper("paper 1", "µ-P")


def test_a_run_of_figures_that_stands_twice_in_paper_3_is_told() -> None:
    (told,) = repeated(model_of("paper 3", "ResNet34 λ = 0.5"))
    assert told.startswith(
        "0.5327, 0.2762, 0.1428, 0.0880 under FGSM L∞ are the figures of ResNet18 λ = 0.5 under APGD-T"
    )
    assert not repeated(model_of("paper 3", "ResNet34 γ = 0.8"))


@pytest.mark.parametrize(
    ("broken", "sound", "said"),
    [
        (
            {"pgd_Linf_0o1": 0.5, "autoattack_Linf_0o1": 0.39},
            {"pgd_Linf_0o1": 0.5, "autoattack_Linf_0o1": 0.41},
            "AutoAttack leaves 39.00 % correct, and PGD 50.00 %",
        ),
        (
            {"pgd_Linf_0o1": 0.5, "square_Linf_0o1": 0.4},
            {"pgd_Linf_0o1": 0.5, "apgd_ce_Linf_0o1": 0.3, "square_Linf_0o1": 0.4},
            "the black box Square leaves 40.00 % correct, and PGD 50.00 %",
        ),
        (
            {"pgd_Linf_0o1": 0.5, "fgsm_Linf_0o1": 0.4},
            {"pgd_Linf_0o1": (0.5, 0.06), "fgsm_Linf_0o1": (0.4, 0.05)},
            "the single step of FGSM leaves 40.00 % correct, and PGD 50.00 %",
        ),
        (
            {"clean": 0.9, "pgd_Linf_0o1": 0.6, "pgd_Linf_0o4": 0.4},
            {"clean": 0.99, "pgd_Linf_0o1": 0.98, "pgd_Linf_0o4": 0.93},  # robust up to 0.4 and more, as on MNIST
            "PGD L∞ leaves 90.00 % without attack, 60.00 % at 0.1, still 40.00 % at 0.4",
        ),
        (
            {"pgd_Linf_0o1": 0.5, "pgd_Linf_0o2": 0.6},
            {"pgd_Linf_0o1": 0.6, "pgd_Linf_0o2": 0.5},
            "PGD L∞ leaves 50.00 % at 0.1 and 60.00 % at 0.2",
        ),
        (
            {"pgd20_Linf_0o1": 0.5, "pgd100_Linf_0o1": 0.6},
            {"pgd20_Linf_0o1": 0.6, "pgd100_Linf_0o1": 0.5},
            "at L∞ 0.1 PGD-100 60.00 %, PGD-20 50.00 %",
        ),
        (
            {"clean": 0.5, "pgd_Linf_0o1": 0.6},
            {"clean": 0.6, "pgd_Linf_0o1": 0.5},
            "50.00 % are correct without attack, and at L∞ 0.1 PGD 60.00 %",
        ),
        (
            {"radius_pgd_Linf": (0.3, 0.01), "radius_square_Linf": (0.25, 0.01)},
            {"radius_pgd_Linf": (0.2, 0.01), "radius_square_Linf": (0.25, 0.01)},
            "ε50% L∞ is 0.3 under PGD and 0.25 under the black box Square",
        ),
    ],
)  # fmt: skip
def test_every_rule_tells_what_breaks_it_and_nothing_else(broken: dict, sound: dict, said: str) -> None:
    (told,) = doubts_of(known(**broken))
    assert said in told
    assert not doubts_of(known(**sound))


def test_numbers_of_other_norms_and_strengths_do_not_contradict_each_other() -> None:
    assert not doubts_of(known(pgd_L2_0o1=0.9, autoattack_Linf_0o1=0.1, fgsm_Linf_0o2=0.05, square_L1_0o1=0.0))


def test_a_budget_that_is_not_stated_and_what_is_no_number_say_nothing() -> None:
    unstated = Quantity("accuracy", "ddn", "L2", epsilon="unstated")
    nothing = {unstated: Known(0.9), quantity("epsilon50 pgd Linf"): Known(float("inf"))}
    assert not doubts_of(nothing | known(clean=0.5, radius_square_Linf=0.1))
