import math
from pathlib import Path

import pandas as pd
import pytest

from eval.records.results import Model, Record, Results
from eval.report import correlation_table, masking_table, side_by_side, theory_check, write_report
from eval.report.titles import rank, title

OUTCOMES = pd.DataFrame({"index": range(4), "label": 0, "radius": [0, 0.1, 0.3, math.inf], "failed_at": 0.0})


def filled(folder: Path, rows: list[tuple[Model, str, float]], invalid: int = 0) -> Results:
    results = Results(folder)
    for model, measurement, value in rows:
        settings = {"epsilon_max": 1.4}
        record = Record(model, measurement, value, 4, invalid, settings, 8, 4, 0.1, {}, {"versions": {"torch": "2"}})
        results.write(record, OUTCOMES)
    return results


def test_seeds_become_a_mean_and_a_deviation(tmp_path: Path) -> None:
    rows = [(Model("d", "B", seed=seed), "epsilon50_pgd_linf", value) for seed, value in enumerate((0.2, 0.3, 0.4))]
    (row,) = side_by_side(filled(tmp_path, rows)).to_dict("records")
    assert row["ε50% PGD L∞"] == "0.300 ± 0.100"
    assert row["seeds"] == "3"


@pytest.mark.parametrize(("value", "text"), [(0.00581, "0.00581"), (0.0, "0.000"), (61.94, "61.9"), (3.384, "3.38")])
def test_numbers_have_three_digits(tmp_path: Path, value: float, text: str) -> None:
    table = side_by_side(filled(tmp_path, [(Model("d", "B"), "epsilon50_pgd_l2", value)]))
    assert table["ε50% PGD L2"][0] == text


def test_median_above_everything_tried_is_no_number(tmp_path: Path) -> None:
    table = side_by_side(filled(tmp_path, [(Model("d", "B"), "epsilon50_pgd_l2", math.inf)]))
    assert table["ε50% PGD L2"][0] == "> 1.4"


def test_recipes_stand_in_the_order_of_the_papers(tmp_path: Path) -> None:
    rows = [(Model("d", recipe), "accuracy", 0.5) for recipe in ("P", "mine", "Lα", "B")]
    assert list(side_by_side(filled(tmp_path, rows)).recipe) == ["B", "Lα", "P", "mine"]


def test_paper_stands_below_ours_where_it_reports(tmp_path: Path) -> None:
    rows = [(Model("MNIST-3/5", "P", "0.3"), "epsilon50_pgd_linf", 0.5), (Model("digits", "B"), "accuracy", 0.9)]
    table = side_by_side(filled(tmp_path, rows))
    assert list(table.recipe) == ["B", "P", "  paper"]
    assert table["ε50% PGD L∞"][0] == "–"
    assert table["ε50% PGD L∞"][2] == "0.547 ± 0.007"
    assert table["accuracy %"][2] == "99.5 ± 0.2"


def test_theory_check_divides_robustness_by_alignment(tmp_path: Path) -> None:
    model = Model("Spheres", "B")
    table = theory_check(filled(tmp_path, [(model, "epsilon50_pgd_l2", 0.1), (model, "alpha_dx", 0.5)]))
    assert table.to_dict("records")[0]["ε50% L2 / α_Δx"] == "0.2000"
    assert table["off by"][0] == "+33.3 %"


def test_without_spheres_or_sweep_there_is_nothing_to_check(tmp_path: Path) -> None:
    results = filled(tmp_path, [(Model("d", "B"), "accuracy", 0.5)])
    assert theory_check(results).empty
    assert correlation_table(results).empty


def test_left_out_samples_are_said(tmp_path: Path) -> None:
    filled(tmp_path, [(Model("d", "B"), "alpha_dx", 0.5)], invalid=2)
    write_report(tmp_path)
    assert "d B seed 0: α_Δx left out 2 of 4 samples." in (tmp_path / "page.html").read_text()


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    filled(tmp_path, [(Model("<script>", "B&B"), "accuracy", 0.5)])
    write_report(tmp_path)
    page = (tmp_path / "page.html").read_text()
    assert "<script>" not in page
    assert "B&amp;B" in page


def test_report_is_drawn_from_files_alone_and_is_always_the_same(tmp_path: Path) -> None:
    model = Model("d", "B")
    filled(tmp_path, [(model, "accuracy", 0.5), (model, "epsilon50_pgd_linf", 0.2), (model, "epsilon50_pgd_l2", 1.0)])
    write_report(tmp_path)
    first = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write_report(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first
    assert {"table.csv", "records.csv", "cost.csv", "page.html", "curves-d.png"} <= first.keys()


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no records"):
        write_report(tmp_path)


def test_too_few_models_have_no_correlation_in_the_table(tmp_path: Path) -> None:
    model = Model("d", "P", "0.1", 0, "sweep")
    table = correlation_table(filled(tmp_path, [(model, "alpha_x", 0.2), (model, "epsilon50_pgd_l2", 0.5)]))
    assert list(table.Pearson) == ["–"]
    assert list(table.models) == [1]


def test_worst_case_is_taken_sample_by_sample(tmp_path: Path) -> None:
    """Medians of 0.3 and 0.25, but of the smaller radii (0.1, 0.2, 0.1, 0.4) the median is 0.15."""
    results, model = Results(tmp_path), Model("d", "B")
    for attack, radii in (("pgd_linf", [0.1, 0.5, 0.1, 0.5]), ("square_linf", [0.3, 0.2, 0.2, 0.4])):
        frame = pd.DataFrame({"index": range(4), "label": 0, "radius": radii, "failed_at": 0.0})
        value = float(frame.radius.median())
        results.write(
            Record(model, f"epsilon50_{attack}", value, 4, 0, {}, 8, 4, 0.1), frame.sample(frac=1, random_state=0)
        )
    table = side_by_side(results)
    assert list(table.columns[3:]) == ["ε50% PGD L∞", "ε50% Square L∞", "ε50% worst of all L∞"]
    assert table["ε50% worst of all L∞"][0] == "0.150"


def test_one_attack_has_no_worst_case(tmp_path: Path) -> None:
    rows = [(Model("d", "B"), name, 0.2) for name in ("epsilon50_pgd_linf", "epsilon50_pgd_l2", "tau50_sta")]
    assert not [name for name in side_by_side(filled(tmp_path, rows)) if "worst" in name]


@pytest.mark.parametrize(("value", "text"), [(12.4, "12.4"), (math.inf, "∞"), (0.0, "< 0.71")])
def test_tau_below_everything_tried_is_no_number(tmp_path: Path, value: float, text: str) -> None:
    """Strength was tried up to 1.4, so τ down to 1/1.4."""
    table = side_by_side(filled(tmp_path, [(Model("d", "B"), "tau50_sta", value)]))
    assert table["τ50% STA"][0] == text


def test_accuracies_at_chosen_strengths_have_columns(tmp_path: Path) -> None:
    results = Results(tmp_path)
    settings = {"accuracy_at": {"8/255": 0.4413}, "epsilon_max": 2.0}
    results.write(
        Record(Model("CIFAR-10", "AT"), "epsilon50_autoattack_linf", 0.02, 4, 0, settings, 8, 4, 0.1), OUTCOMES
    )
    table = side_by_side(results)
    assert list(table["AutoAttack L∞ 8/255 %"]) == ["44.1", "44.0"]


def test_masking_has_a_table_of_its_own(tmp_path: Path) -> None:
    results = Results(tmp_path)
    settings = {"signs": [{}] * 8, "summary": "2 of 8 signs of gradient masking: <so>."}
    results.write(Record(Model("d", "B"), "masking", 2.0, 4, 0, settings, 8, 4, 0.1), OUTCOMES)
    (row,) = masking_table(results).to_dict("records")
    assert row["signs of masking"] == "2 of 8"
    assert "masking" not in " ".join(side_by_side(results).columns)
    write_report(tmp_path)
    assert "signs of gradient masking: &lt;so&gt;." in (tmp_path / "page.html").read_text()


def test_columns_stand_in_order() -> None:
    names = [
        "accuracy", "epsilon50_pgd_linf", "epsilon50_pgd_l2", "epsilon50_square_linf", "epsilon50_cw_l2", "tau50_sta",
        "epsilon50_worst_linf", "accuracy_pgd_linf_8/255", "accuracy_autoattack_linf_8/255", "alpha_dx", "alpha_x",
        "gop_frequency", "mine",
    ]  # fmt: skip
    assert sorted(names[5:] + names[:5], key=rank) == names
    assert [title(name) for name in ("epsilon50_cw_linf_linf", "epsilon50_cw_l2")] == ["ε50% CW L∞", "ε50% CW L2"]


def test_many_attacks_on_one_model_share_a_plot(tmp_path: Path) -> None:
    names = ("epsilon50_pgd_linf", "epsilon50_square_linf", "epsilon50_cw_l2", "tau50_sta")
    filled(tmp_path, [(Model("d", "B"), name, 0.2) for name in names])
    write_report(tmp_path)
    assert (tmp_path / "plots" / "attacks-measure-d-B-seed0.png").exists()


@pytest.mark.parametrize(("square", "said"), [([0.1, 0.2, 0.3, 0.4], False), ([0.1, 0.1, 0.1, 0.4], True)])
def test_a_black_box_ahead_of_the_recorded_gradient_attacks_is_spoken_of(
    tmp_path: Path, square: list[float], said: bool
) -> None:
    results, model = Results(tmp_path), Model("d", "B")
    for attack, radii in (("pgd", [0.1, 0.2, 0.3, 0.4]), ("square", square)):
        frame = pd.DataFrame({"index": range(4), "label": 0, "radius": radii, "failed_at": 0.0})
        results.write(Record(model, f"epsilon50_{attack}_linf", 0.25, 4, 0, {}, 8, 4, 0.1), frame)
    settings = {"signs": [{}] * 8, "summary": "No sign."}
    results.write(Record(model, "masking", 0.0, 4, 0, settings, 8, 4, 0.1), OUTCOMES)
    (verdict,) = masking_table(results).verdict
    assert ("Square fools 25.0 points more than the gradient attacks" in verdict) == said
