"""Transcribed figures are held against what the papers themselves say twice."""

import math
from collections import defaultdict
from itertools import product

import pytest

from eval.records import Quantity
from eval.records.quantity import KINDS
from eval.report.published import models
from eval.report.published.content import model_of, parsed, quantity, tables


def cells_of(of: str, paper: str, table: str, model: str) -> list[float]:
    (content,) = [content for where, content in tables(of) if where == f"{paper}, {table}"]
    found = [parsed(cell) for cell in content["rows"][model].split()]
    return [cell[0] for cell in found if cell is not None]


def test_every_row_names_a_model_and_fills_its_columns() -> None:
    known = {(model.paper, model.name) for model in models()}
    for where, content in [*tables("models"), *tables("figure")]:
        parts = content.get("at", {"": content.get("rows", {})})
        for part in parts.values():
            for name, cells in part.items():
                assert (where.partition(",")[0], name) in known, (where, name)
                assert len(cells.split()) == len(content["columns"]), (where, name)


def test_every_model_has_numbers_and_every_number_a_kind_that_is_measured() -> None:
    for model in models():
        in_figures = any(model.name in content.get("rows", {}) for _, content in tables("figure"))
        assert model.numbers or in_figures, model.name
        assert {of.kind for of in model.numbers} <= KINDS.keys()


def test_shares_lie_between_0_and_1_and_cosines_between_minus_1_and_1() -> None:
    for model in models():
        for of, number in model.numbers.items():
            highest = math.inf if of.kind in ("epsilon50", "tau50") else 1
            assert 0 <= number.value <= highest, (model.name, of.name)


def test_what_two_tables_say_of_one_model_is_the_same() -> None:
    """Paper 2's rows with AGR stand in Tables 1, 3 and 4; paper 3's with γ = 0.8 in Tables 1, 2, 3 and 4."""
    said: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
    for where, content in tables("models"):
        parts = content.get("at", {content.get("epsilon", ""): content.get("rows", {})})
        for epsilon, rows in parts.items():
            for name, cells in rows.items():
                for column, cell in zip(content["columns"], cells.split(), strict=True):
                    if cell != "-":
                        of = quantity(column, str(epsilon))
                        said[where.partition(",")[0], name, of.name, ""].add(str(parsed(cell)))
    twice = {key: cells for key, cells in said.items() if len(cells) > 1}
    assert not twice


@pytest.mark.parametrize("model", ["M-B", "M-Lα", "M-P", "C-B", "C-Lα", "C-P"])
def test_paper_1_repeats_its_metrics_in_tables_7_and_s2(model: str) -> None:
    of_model = model_of("paper 1", model).numbers
    assert cells_of("figure", "paper 1", "Table 7", model)[0] == of_model[Quantity("alpha_dx")].value
    assert max(cells_of("figure", "paper 1", "Table S2", model)) == of_model[Quantity("alpha_x")].value


@pytest.mark.parametrize("model", ["S-B", "S-Lα", "S-P"])
def test_on_spheres_both_metrics_of_paper_1_are_one_and_the_radius_is_their_multiple(model: str) -> None:
    """Section 3.3: α_Δx reduces to α_x, and ε50% / α_Δx lies between 0.148 and 0.151, where 0.15 is ½‖Δx‖."""
    numbers = model_of("paper 1", model).numbers
    alpha = numbers[Quantity("alpha_dx")].value
    assert alpha == numbers[Quantity("alpha_x")].value
    assert 0.148 <= round(numbers[quantity("epsilon50 pgd L2")].value / alpha, 3) <= 0.151


@pytest.mark.parametrize("model", ["ResNet18 γ = 0.8", "ResNet18 γ = 0.8, PGD-DLR", "ResNet18 γ = 0.9"])
def test_paper_3_prints_the_mean_of_its_attacks(model: str) -> None:
    (content,) = [content for where, content in tables("models") if where == "paper 3, Table 2"]
    attacked = cells_of("models", "paper 3", "Table 2", model)[1:]
    assert sum(attacked) / len(attacked) == pytest.approx(content["means"][model], abs=5.1e-5)


def test_paper_2_says_its_gains_in_words() -> None:
    """Section 5.2: 1.36 points of accuracy on CIFAR-10; at worst 0.45 points less robust, TRADES on CIFAR-100."""
    clean = [model_of("paper 2", f"CIFAR10 {name}").numbers[Quantity("accuracy")] for name in ("AT", "AT + AGR")]
    assert 100 * (clean[1].value - clean[0].value) == pytest.approx(1.36)
    fgsm = quantity("accuracy fgsm Linf 8/255")
    plain, agr = (model_of("paper 2", f"CIFAR100 {name}").numbers[fgsm] for name in ("TRADES", "TRADES + AGR"))
    assert 100 * (plain.value - agr.value) == pytest.approx(0.45)
    assert plain.table == "paper 2, Table 1"


def test_paper_1_has_every_recipe_of_six_data_sets_under_every_attack() -> None:
    names = [f"{data}-{recipe}" for data, recipe in product("SQµXMC", ("B", "Lα", "P"))]
    for name in names:
        kinds = [of.name for of in model_of("paper 1", name).numbers]
        assert len(kinds) == (6 if name.startswith("S") else 7)  # STA moves pixels, which Spheres has not


def test_table_s1_has_a_cell_for_every_data_set() -> None:
    (content,) = [content for _, content in tables("settings")]
    assert {len(str(cells).split()) for cells in content["rows"].values()} == {len(content["columns"])}
