import pytest

from eval.records.legacy import quantity
from eval.records.quantity import Quantity, titles
from eval.records.subject import distinguished


def test_columns_stand_in_order() -> None:
    names = [
        "accuracy", "epsilon50_pgd_linf", "epsilon50_pgd_l2", "epsilon50_square_linf", "epsilon50_cw_l2", "tau50_sta",
        "epsilon50_worst_linf",
    ]  # fmt: skip
    ordered = [quantity(name, {}) for name in names]
    ordered += [Quantity("accuracy", attack, "Linf", epsilon="8/255") for attack in ("pgd", "autoattack")]
    ordered += [quantity(name, {}) for name in ("alpha_dx", "alpha_x", "gop_frequency", "mine")]
    assert sorted(ordered[5:] + ordered[:5], key=lambda one: one.rank) == ordered


def test_titles_are_the_fields_words() -> None:
    found = [quantity(name, {}).title for name in ("epsilon50_cw_linf_linf", "epsilon50_cw_l2", "tau50_sta", "new")]
    assert found == ["ε50% CW L∞", "ε50% CW L2", "τ50% STA", "new"]
    assert Quantity("epsilon50", "worst", "L2").title == "ε50% worst of all L2"


def test_the_order_of_settings_is_no_difference() -> None:
    assert Quantity("a", settings={"x": 1, "y": 2}) == Quantity("a", settings={"y": 2, "x": 1})
    assert Quantity("a", settings={"x": 1}) != Quantity("a", settings={"x": 2})


def test_quantities_of_one_title_say_what_tells_them_apart() -> None:
    pair = [
        Quantity("alpha_dx", settings={"of": "true", "estimator": {"name": name, "digest": digest}})
        for name, digest in (("direct", "aa"), ("nearest example", "bb"))
    ]
    assert list(titles(pair).values()) == ["α_Δx (name direct)", "α_Δx (name nearest example)"]
    same = [Quantity("alpha_dx", settings={"estimator": {"name": "direct", "digest": d}}) for d in ("aa", "bb")]
    assert list(titles(same).values()) == ["α_Δx (digest aa)", "α_Δx (digest bb)"]
    alone = Quantity("epsilon50", "square", "L2", {"queries": 5})
    assert titles([*pair, alone])[alone] == "ε50% Square L2"
    steps = [Quantity("epsilon50", "pgd", "L2", {"step_size": size}) for size in (None, 160**0.5)]
    assert list(titles(steps).values()) == ["ε50% PGD L2 (step_size none)", "ε50% PGD L2 (step_size 12.6491)"]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["A/best.ckpt", "B/best.ckpt"], ["A/best", "B/best"]),
        (["x/A/best.ckpt", "y/A/best.ckpt", "last.pt"], ["x/A/best", "y/A/best", "last"]),
        (["best.ckpt"], ["best"]),
        (["a/best", "best"], ["a/best", "best"]),
    ],
)
def test_checkpoints_are_told_apart_as_far_as_needed(names: list[str], shown: list[str]) -> None:
    assert distinguished(names) == shown
