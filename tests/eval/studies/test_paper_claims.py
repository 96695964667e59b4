"""Claims that could never be judged are refused before anything is trained."""

from typing import Any

import pytest

from eval.studies.paper_claims import check_claims, claims_of, is_measurement

ABOUT = {"measurement": "epsilon50_pgd_linf", "of": "P", "than": "B"}


def study(*claims: dict[str, Any], **rest: Any) -> dict[str, Any]:
    recipes: dict[str, Any] = {"B": {}, "P": {}}
    return {"claims": [*claims], "experiments": {"d": {"recipes": recipes}}} | rest


def claim(**changes: Any) -> dict[str, Any]:
    return {"says": "so it is", "more": ABOUT} | changes


def test_a_claim_knows_its_kind_and_what_it_is_about() -> None:
    (found,) = claims_of(study(claim(paper="paper 1, Table 2", data="d")))
    assert (found.says, found.paper, found.data, found.kind) == ("so it is", "paper 1, Table 2", "d", "more")
    assert found.about == ABOUT


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"more": ABOUT}, "should hold `says` and one of more, less, same"),
        (claim(less=ABOUT), "should hold `says` and one of"),
        (claim(more={"measurement": "accuracy", "of": "P"}), "`more` should hold measurement, of, than"),
        (claim(more=ABOUT | {"measurement": "epsilon50_pdg_linf"}), "a measurement should be named as records are"),
        (claim(more=ABOUT | {"of": "Q"}), "a claim should be about one of ['B', 'P']. Found 'Q'"),
        (claim(data="other"), "`data` of a claim should be one of ['d']. Found 'other'"),
        (claim(why="so"), "should hold says, paper, data and more. Found why"),
    ],
)
def test_a_claim_that_could_not_be_judged_is_refused(broken: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=r"s, claim 1|^s: ") as error:
        check_claims(study(broken), "s")
    assert said in str(error.value)


@pytest.mark.parametrize(
    "about",
    [
        {"same": ABOUT | {"within": "0.1"}},
        {"value": {"measurement": "accuracy", "of": "P", "between": [0.1]}},
        {"value": {"measurement": "accuracy", "of": "P", "between": [0.1, "x"]}},
        {"correlates": {"measurement": "alpha_dx", "with": "accuracy", "above": True}},
    ],
)
def test_what_is_no_number_where_one_belongs_is_refused(about: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"should (hold numbers|be a pair of numbers)"):
        claims_of(study({"says": "so"} | about))


def test_recipes_of_sweeps_and_of_the_fast_form_are_known() -> None:
    swept = {"sweep": [{"recipes": {"vanilla": {}}, "weight": [0.1]}]}
    front = {"says": "so", "front": {"x": "accuracy", "y": "accuracy_pgd_linf_8/255", "of": "Q", "than": "vanilla"}}
    fast = {"experiments": {"e": {"recipes": {"Q": {}}}}, "claims": [claim(data="e")]}
    whole = study(front, fast=fast)
    whole["experiments"]["e"] = swept
    check_claims(whole, "s")
    with pytest.raises(ValueError, match="Found 'Q'"):
        check_claims(whole | {"fast": {}}, "s")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("accuracy", True),
        ("tau50_sta", True),
        ("epsilon50_worst_l2", True),
        ("robust_accuracy_autoattack_linf_8/255", True),
        ("accuracy_pgd20_l2_0.5", True),
        ("alpha_dx_other", True),
        ("mu", True),
        ("accuracy_pgd_linf", True),
        ("epsilon50_pgd_linf_8/255", False),
        ("epsilon50", False),
        ("epsilon50_cw_linf", False),
        ("accuracy_pgd_linf_much", False),
    ],
)
def test_measurements_are_named_as_records_are(name: str, known: bool) -> None:
    assert is_measurement(name) is known
