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


SWEPT = {"recipes": {"B": {}, "P": {}}, "sweep": [{"recipe": "P", "epsilon": [0.1, "8/255"]}]}


@pytest.mark.parametrize("at", [{"epsilon": 0.1}, {"epsilon": "8/255"}])
def test_a_claim_may_name_a_setting_of_a_sweep(at: dict[str, Any]) -> None:
    whole = study(claim(more=ABOUT | {"at": at}))
    whole["experiments"]["d"] = SWEPT
    check_claims(whole, "s")
    (found,) = claims_of(whole)
    assert found.at == {name: str(value) for name, value in at.items()}


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ({"epsilon": 0.2}, "which are {'epsilon': ['0.1', '8/255']}. Found {'epsilon': '0.2'}."),
        ({"gamma": 0.1}, "of 'P' or 'B', which is over ['epsilon']. Found ['gamma']."),
        ({"epsilon": 0.1, "gamma": 1}, "`at` should name settings of one sweep of 'P' or 'B'"),
        ({}, "`at` should hold settings of a sweep, such as {epsilon: 0.2}. Found {}."),
        (0.1, "Found 0.1."),
    ],
)
def test_a_setting_that_no_sweep_has_is_refused(at: Any, said: str) -> None:
    whole = study(claim(more=ABOUT | {"at": at}))
    whole["experiments"]["d"] = SWEPT
    with pytest.raises(ValueError, match="s") as error:
        check_claims(whole, "s")
    assert said in str(error.value)


def test_a_setting_of_another_recipe_s_or_experiment_s_sweep_is_refused() -> None:
    whole = study(claim(more=ABOUT | {"at": {"epsilon": 0.1}}, data="d"))
    for sweep in ({"recipes": {"Q": {}}, "epsilon": [0.1]}, None):
        whole["experiments"] = {"d": {"recipes": {"B": {}, "P": {}}, "sweep": sweep}, "e": SWEPT}
        with pytest.raises(ValueError, match="which is over none"):
            check_claims(whole, "s")


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
