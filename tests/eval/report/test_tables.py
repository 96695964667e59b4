import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from eval.records import Model, Quantity, Record, Records, Results, Samples
from eval.report import all_tables, correlation_table, cost_table, masking_table, side_by_side, theory_check
from tests.eval.made import ACCURACY, ALPHA, PGD, PGD_L2, model, record, written


def test_seeds_become_a_mean_and_a_deviation(tmp_path: Path) -> None:
    made = [record(PGD, value, model(seed=seed)) for seed, value in enumerate((0.2, 0.3, 0.4))]
    (row,) = side_by_side(written(tmp_path, made)).frame.to_dict("records")
    assert row["ε50% PGD L∞"] == "0.300 ± 0.100"
    assert row["models"] == "3"


def test_one_model_has_an_interval_over_samples(tmp_path: Path) -> None:
    made = [record(PGD, 0.25, interval=(0.21, 0.309)), record(ACCURACY, 0.9, interval=(0.8, 0.95))]
    table = side_by_side(written(tmp_path, made))
    assert table.frame["ε50% PGD L∞"][0] == "0.250 [0.210, 0.309]"
    assert table.frame["accuracy %"][0] == "90.0 [80.0, 95.0]"
    assert any("95 % interval over its samples" in note for note in table.notes)


@pytest.mark.parametrize(("value", "text"), [(0.00581, "0.00581"), (0.0, "0.000"), (61.94, "61.9"), (3.384, "3.38")])
def test_numbers_have_three_digits(tmp_path: Path, value: float, text: str) -> None:
    assert side_by_side(written(tmp_path, [record(PGD_L2, value)])).frame["ε50% PGD L2"][0] == text


def test_median_above_everything_tried_is_no_number(tmp_path: Path) -> None:
    assert side_by_side(written(tmp_path, [record(PGD_L2, math.inf)])).frame["ε50% PGD L2"][0] == "> 1.4"


@pytest.mark.parametrize(("value", "text"), [(12.4, "12.4"), (math.inf, "∞"), (0.0, "< 0.7143")])
def test_tau_below_everything_tried_is_no_number(tmp_path: Path, value: float, text: str) -> None:
    """Strength was tried up to 1.4, so τ down to 1/1.4."""
    table = side_by_side(written(tmp_path, [record(Quantity("tau50", "sta"), value)]))
    assert table.frame["τ50% STA"][0] == text


def test_a_mean_with_a_tau_below_everything_tried_lies_below_what_was_tried(tmp_path: Path) -> None:
    """Of 0, which is anything below 1 / 1.4, and 3: a mean of at most (1 / 1.4 + 3) / 2."""
    made = [record(Quantity("tau50", "sta"), value, model(seed=seed)) for seed, value in enumerate((0.0, 3.0))]
    assert side_by_side(written(tmp_path, made)).frame["τ50% STA"][0] == "< 1.857"


def test_recipes_stand_in_the_order_of_the_papers(tmp_path: Path) -> None:
    made = [record(of=model(recipe=recipe)) for recipe in ("P", "mine", "Lα", "B")]
    assert list(side_by_side(written(tmp_path, made)).frame.recipe) == ["B", "Lα", "P", "mine"]


def test_two_checkpoints_of_one_name_are_two_rows(tmp_path: Path) -> None:
    made = [
        record(PGD, value, model(recipe="best", checkpoint=f"{folder}/best.ckpt", named=False), weights=folder)
        for folder, value in (("A", 0.1), ("B", 0.2))
    ]
    frame = side_by_side(written(tmp_path, made)).frame
    assert list(frame.recipe) == ["A/best", "B/best"]
    assert list(frame["ε50% PGD L∞"]) == ["0.100", "0.200"]


def test_checkpoints_that_are_given_one_name_are_repetitions_of_it(tmp_path: Path) -> None:
    made = [record(PGD, value, model(recipe="P"), weights=str(value)) for value in (0.1, 0.2)]
    assert list(side_by_side(written(tmp_path, made)).frame.models) == ["2"]


def test_samples_that_differ_are_other_rows_and_say_in_what(tmp_path: Path) -> None:
    others = [
        Samples("d", {"size": 4}, (-1.0, 1.0), "test", 4, "d0"),
        Samples("d", {"size": 4}, (0.0, 1.0), "validation", 30, "d1"),
    ]
    frame = side_by_side(written(tmp_path, [record(samples_of=samples) for samples in others])).frame
    assert list(frame.data) == ["d (bounds [0, 1], split validation, n 30)", "d (bounds [−1, 1], split test, n 4)"]


def test_attacks_with_other_settings_are_columns_that_say_so(tmp_path: Path) -> None:
    made = [record(Quantity("epsilon50", "pgd", "Linf", {"steps": steps}), steps / 100) for steps in (10, 40)]
    frame = side_by_side(written(tmp_path, made)).frame
    assert list(frame.columns[3:5]) == ["ε50% PGD L∞ (steps 10)", "ε50% PGD L∞ (steps 40)"]
    assert list(frame.iloc[0, 3:5]) == ["0.100", "0.400"]


def alpha(name: str, digest: str) -> Quantity:
    return Quantity("alpha_dx", settings={"estimator": {"name": name, "settings": {}, "digest": digest}})


def test_two_estimators_of_one_model_stand_in_two_columns_and_are_named(tmp_path: Path) -> None:
    made = [record(alpha("nearest example", "aa"), 0.3), record(alpha("direct", "bb"), 0.6)]
    table = side_by_side(written(tmp_path, made))
    assert {"α_Δx (name nearest example)", "α_Δx (name direct)"} <= set(table.frame.columns)
    by = table.notes[0].partition("Δx by ")[2].rstrip(".").split(", ")
    assert sorted(by) == ["direct bb", "nearest example aa"]


def test_every_data_sets_own_estimator_shares_a_column_and_is_named(tmp_path: Path) -> None:
    made = [record(alpha(name, name), 0.3, model(data=name)) for name in ("one", "two")]
    table = side_by_side(written(tmp_path, made))
    assert list(table.frame["α_Δx"]) == ["0.300", "0.300"]
    assert [note for note in table.notes if note.startswith("two: ")] == [
        "two: inputs in [−1, 1], the unit of ε; test split, n = 4; network mlp; Δx by two two."
    ]


def test_settings_that_are_not_the_default_are_said(tmp_path: Path) -> None:
    settings = {"steps": 40, "step_size": {"value": 0.02, "written": "0.02"}, "restarts": 1, "loss": "auto"}
    table = side_by_side(written(tmp_path, [record(Quantity("epsilon50", "pgd", "Linf", settings))]))
    assert "ε50% PGD L∞: steps 40, step_size 0.02." in table.notes


TABLE_2 = {
    "network": {"network": "resnet18", "options": {}},
    "training": {
        "model": {"objective": {"class_path": "training.AT", "init_args": {"epsilon": "3/10"}}},
        "trainer": {"max_epochs": 30},
    },
}


def of_paper(**changes: object) -> list[Record]:
    named = Model("MNIST-3/5", "P", "3/10")
    return [record(PGD, 0.5, named, **(TABLE_2 | changes)), record(ACCURACY, 0.9, named, **(TABLE_2 | changes))]


def test_the_papers_row_stands_below_one_of_the_same_thing(tmp_path: Path) -> None:
    frame = side_by_side(written(tmp_path, of_paper())).frame
    assert list(frame.recipe) == ["P", "  paper"]
    assert list(frame.models) == ["1", "5"]
    assert list(frame["ε50% PGD L∞"]) == ["0.500", "0.547 ± 0.007"]
    assert frame["accuracy %"][1] == "99.5 ± 0.2"


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"network": {"network": "small_cnn"}}, "paper, but resnet18"),
        ({"samples_of": Samples("MNIST-3/5", {}, (0.0, 1.0), "test", 4, "d")}, "paper, but [−1, 1]"),
        ({"training": TABLE_2["training"] | {"trainer": {"max_epochs": 2}}}, "paper, but 30 epochs"),
        (
            {"training": {"model": {"objective": {"class_path": "training.TRADES", "init_args": {"epsilon": 0.1}}},
                          "trainer": {"max_epochs": 30}}},
            "paper, but ε = 0.3 and AT",
        ),
        ({"training": {}}, "paper, but combiner none (ours is not known) and 30 epochs (ours is not known) and "
                           "ε = 0.3 (ours is not known) and λ_α 0 (ours is not known) and AT (ours is not known)"),
    ],
)  # fmt: skip
def test_the_papers_row_says_what_differs(tmp_path: Path, changes: dict, label: str) -> None:
    assert list(side_by_side(written(tmp_path, of_paper(**changes))).frame.recipe) == ["P", f"  {label}"]


def test_a_data_set_of_no_paper_has_no_row_below(tmp_path: Path) -> None:
    assert list(side_by_side(written(tmp_path, [record(of=model("digits", "P"))])).frame.recipe) == ["P"]


def test_theory_check_divides_robustness_by_alignment(tmp_path: Path) -> None:
    named = Model("Spheres", "B")
    frame = theory_check(written(tmp_path, [record(PGD_L2, 0.1, named), record(ALPHA, 0.5, named)])).frame
    assert frame.to_dict("records")[0]["ε50% L2 / α_Δx"] == "0.2000"
    assert frame["off by"][0] == "+33.3 %"


def test_without_spheres_or_sweep_there_is_nothing_to_check(tmp_path: Path) -> None:
    records = written(tmp_path, [record()])
    assert theory_check(records).frame.empty
    assert correlation_table(records).frame.empty
    assert list(all_tables(records)) == ["Side by side", "Cost of the measurements"]


def swept(epsilon: str, seed: int, alpha_dx: float, radius: float, quantity: Quantity = PGD) -> list[Record]:
    named = Model("digits", "P", epsilon, seed, ("sweep",))
    return [record(ALPHA, alpha_dx, named), record(quantity, radius, named)]


@pytest.mark.parametrize("quantity", [PGD, Quantity("epsilon50", "square", "L2")])
def test_correlations_of_a_sweep_say_models_and_settings(tmp_path: Path, quantity: Quantity) -> None:
    pairs = [(i, seed) for i in range(4) for seed in (0, 1)]
    made = [r for i, seed in pairs for r in swept(f"0.{i}", seed, i + seed / 9, i - seed / 9, quantity)]
    (row,) = correlation_table(written(tmp_path, made)).frame.to_dict("records")
    assert (row["models"], row["settings"], row["robustness"]) == (8, 4, quantity.title)
    assert 0.9 < float(row["Pearson"].split()[0]) < 1


def test_a_model_of_both_parts_of_a_study_stands_in_both(tmp_path: Path) -> None:
    both = Model("digits", "P", "0.3", 0, ("side by side", "sweep"))
    records = written(tmp_path, [record(ALPHA, 0.2, both), record(PGD, 0.3, both)])
    assert len(side_by_side(records).frame) == 1
    assert list(correlation_table(records).frame.models) == [1]


def test_too_few_models_have_no_correlation_in_the_table(tmp_path: Path) -> None:
    frame = correlation_table(written(tmp_path, swept("0.1", 0, 0.2, 0.5))).frame
    assert list(frame.Pearson) == ["–"]
    assert list(frame.models) == [1]


def measured(folder: Path, radii: dict[str, list[float]], rows: dict[str, list[int]] | None = None) -> Records:
    results = Results(folder)
    for attack, found in radii.items():
        index = (rows or {}).get(attack, list(range(len(found))))
        frame = pd.DataFrame({"index": index, "label": 0, "radius": found, "failed_at": 0.0})
        made = record(Quantity("epsilon50", attack, "Linf"), float(frame.radius.median()))
        results.home(made.model, made.subject.model_key).write(made, frame.sample(frac=1, random_state=0))
    return results.load()


def test_worst_case_is_taken_sample_by_sample(tmp_path: Path) -> None:
    """Medians of 0.3 and 0.25, but of the smaller radii (0.1, 0.2, 0.1, 0.4) the median is 0.15."""
    records = measured(tmp_path, {"pgd": [0.1, 0.5, 0.1, 0.5], "square": [0.3, 0.2, 0.2, 0.4]})
    frame = side_by_side(records).frame
    assert list(frame.columns[3:]) == ["ε50% PGD L∞", "ε50% Square L∞", "ε50% worst of all L∞"]
    assert frame["ε50% worst of all L∞"][0].startswith("0.150")


def test_worst_case_joins_no_outcomes_of_other_samples(tmp_path: Path) -> None:
    both = {"pgd": [0.1, 0.5, 0.1, 0.5], "square": [0.3, 0.2, 0.2, 0.4]}
    with pytest.raises(ValueError, match="should be of the same samples"):
        side_by_side(measured(tmp_path, both, {"square": [4, 5, 6, 7]}))


def test_worst_case_joins_no_outcomes_of_other_models_or_samples(tmp_path: Path) -> None:
    square = Quantity("epsilon50", "square", "Linf")
    others = Samples("d", {"size": 4}, (-1.0, 1.0), "test", 4, "other samples")
    made = [record(PGD), record(square, weights="other weights"), record(square, samples_of=others)]
    assert not [name for name in side_by_side(written(tmp_path, made)).frame if "worst" in name]


def test_one_attack_has_no_worst_case(tmp_path: Path) -> None:
    made = [record(quantity, 0.2) for quantity in (PGD, PGD_L2, Quantity("tau50", "sta"))]
    assert not [name for name in side_by_side(written(tmp_path, made)).frame if "worst" in name]


def test_accuracies_at_chosen_strengths_have_columns(tmp_path: Path) -> None:
    details = {"accuracy_at": {"8/255": 0.4413}, "epsilon_max": 2.0}
    quantity = Quantity("epsilon50", "autoattack", "Linf")
    frame = side_by_side(written(tmp_path, [record(quantity, 0.02, Model("CIFAR-10", "AT"), details=details)])).frame
    assert [text.split()[0] for text in frame["AutoAttack L∞ 8/255 %"]] == ["44.1", "44.0"]


def test_masking_has_a_table_of_its_own(tmp_path: Path) -> None:
    details = {"signs": [{}] * 8, "summary": "2 of 8 signs of gradient masking: <so>."}
    records = written(tmp_path, [record(Quantity("masking"), 2.0, details=details)])
    (row,) = masking_table(records).frame.to_dict("records")
    assert row["signs of masking"] == "2 of 8"
    assert side_by_side(records).frame.empty


@pytest.mark.parametrize(("square", "said"), [([0.1, 0.2, 0.3, 0.4], False), ([0.1, 0.1, 0.1, 0.4], True)])
def test_a_black_box_ahead_of_the_recorded_gradient_attacks_is_spoken_of(
    tmp_path: Path, square: list[float], said: bool
) -> None:
    measured(tmp_path, {"pgd": [0.1, 0.2, 0.3, 0.4], "square": square})
    details = {"signs": [{}] * 8, "summary": "No sign."}
    (verdict,) = masking_table(written(tmp_path, [record(Quantity("masking"), 0.0, details=details)])).frame.verdict
    assert ("Square fools 25.0 points more than the gradient attacks" in verdict) == said


def told(tmp_path: Path, *records: Record) -> str:
    return " ".join(side_by_side(written(tmp_path, [*records])).notes)


SANE = {"classes": 10, "classes_seen": 10, "inputs": [-1.0, 1.0], "probabilities": 0.0, "confident": 0.5}


@pytest.mark.parametrize(
    ("value", "changes", "said"),
    [
        (0.12, {}, "accuracy 12.0% is near chance, 10.0%"),
        (0.9, {"probabilities": 1.0}, "outputs look like probabilities"),
        (0.9, {"classes_seen": 1}, "all samples are of one class"),
        (0.9, {"inputs": [0.0, 1.0]}, "inputs fill only [0, 1] of their bounds [−1, 1]"),
        (0.4, {}, "more than half of the samples are wrong without attack"),
    ],
)
def test_what_makes_numbers_doubtful_is_said(tmp_path: Path, value: float, changes: dict, said: str) -> None:
    doubtful = record(ACCURACY, value, details=SANE | changes)
    assert said in told(tmp_path / "doubtful", doubtful, record(PGD, 0.0))
    assert said not in told(tmp_path / "sane", record(ACCURACY, 0.9, details=SANE), record(PGD, 0.2))


@pytest.mark.parametrize(("high", "near"), [(0.31, False), (0.6, True), (math.inf, True)])
def test_a_radius_of_which_little_is_known_is_not_clearly_above_another(
    tmp_path: Path, high: float, near: bool
) -> None:
    """An interval up to infinity, as of few samples, is the widest of all and no number without one."""
    black = record(Quantity("epsilon50", "square", "Linf"), 0.2, interval=(0.19, 0.21))
    notes = told(tmp_path, record(PGD, 0.3, interval=(0.29, high)), black)
    assert "ε50% L∞ is 0.3 under PGD and 0.2 under the black box Square" in notes
    assert ("within their spread" in notes) == near


def test_left_out_samples_are_said(tmp_path: Path) -> None:
    assert "d, B, seed 0: α_Δx left out 2 of 4 samples." in told(tmp_path, record(ALPHA, invalid=2))
    rules = "3 outputs of PGD L∞ broke its rules and did not count."
    assert rules in told(tmp_path / "two", record(PGD, invalid=3))


def test_unknowns_of_old_records_are_said(tmp_path: Path) -> None:
    samples = Samples("d", {}, None, "test", 4)
    old = replace(record(samples_of=samples, network={}), schema=1)
    notes = side_by_side(Records({tmp_path / "old": old})).notes
    assert "d: inputs of unknown bounds; test split, n = 4; network unknown." in notes


def test_costs_are_per_sample(tmp_path: Path) -> None:
    nothing = record(ALPHA, math.nan, samples=0)  # as of a figure for which no sample was fit
    frame = cost_table(written(tmp_path, [record(PGD), record(PGD, of=model(seed=1)), nothing])).frame
    assert frame.to_dict("records") == [
        {
            "measurement": "ε50% PGD L∞", "forward passes per sample": "2.0", "backward passes per sample": "1.0",
            "seconds, all models": "0.2",
        }
    ]  # fmt: skip


BASE = {"model": {"network": "mlp"}, "trainer": {"max_epochs": 1}}
LONGER = BASE | {"trainer": {"max_epochs": 3}}


def test_models_of_one_recipe_that_were_trained_otherwise_are_two_rows_and_say_in_what(tmp_path: Path) -> None:
    """Two experiments of a study on one data set; seeds alone are repetitions."""
    made = [
        record(PGD, value, model(data=name), weights=str(value), training=training | {"seed_everything": value})
        for name, training, values in (("one", BASE, (0.1, 0.3)), ("two", LONGER, (0.7,)))
        for value in values
    ]
    same = Samples("d", {"size": 4}, (-1.0, 1.0), "test", 4, "d0")
    made = [replace(r, subject=replace(r.subject, samples=same)) for r in made]
    frame = side_by_side(written(tmp_path, made)).frame
    assert list(frame.recipe) == ["B (max_epochs 1)", "B (max_epochs 3)"]
    assert list(frame.models) == ["2", "1"]
    assert list(frame["ε50% PGD L∞"]) == ["0.200 ± 0.141", "0.700"]


def test_what_only_one_of_two_trainings_sets_tells_them_apart(tmp_path: Path) -> None:
    decayed = BASE | {"model": {"network": "mlp", "weight_decay": 0.1}}
    made = [record(PGD, 0.1, weights=str(i), training=training) for i, training in enumerate((BASE, decayed))]
    assert set(side_by_side(written(tmp_path, made)).frame.recipe) == {"B", "B (weight_decay 0.1)"}


def test_a_copied_checkpoint_is_one_model_whatever_it_is_called(tmp_path: Path) -> None:
    named = [model(recipe="X", seed=0), model(recipe="X", seed=1), model(recipe="Y")]
    made = [record(PGD, 0.25, of, weights="w", interval=(0.2, 0.3)) for of in named]
    frame = side_by_side(written(tmp_path, made)).frame
    assert list(frame["ε50% PGD L∞"]) == ["0.250 [0.200, 0.300]"] * 2
    assert list(frame.models) == ["1", "1"]


def test_samples_that_differ_in_their_digest_alone_have_names_of_their_own(tmp_path: Path) -> None:
    samples = [Samples("d", {}, (-1.0, 1.0), "test", n, digest) for n, digest in ((5, "a"), (5, "b"), (6, "c"))]
    made = [record(PGD, 0.1, samples_of=chosen) for chosen in samples]
    assert len(set(side_by_side(written(tmp_path, made)).frame.data)) == 3


def test_two_estimators_of_one_data_set_share_no_cell(tmp_path: Path) -> None:
    """Two models of one recipe, each measured with another estimator of Δx."""
    made = [record(alpha(name, name), 0.3, model(seed=i)) for i, name in enumerate(("nearest", "direct"))]
    table = side_by_side(written(tmp_path, made))
    assert list(table.frame["α_Δx (name nearest)"]) == list(table.frame["α_Δx (name direct)"]) == ["0.300"]
    assert "d, B: α_Δx is of 1 of the 2 models." in table.notes


def test_cosines_say_what_is_not_their_default(tmp_path: Path) -> None:
    settings = {"of": "closest_to_true", "candidates": 3, "estimator": {"name": "e", "settings": {}, "digest": ""}}
    table = side_by_side(written(tmp_path, [record(Quantity("alpha_dx", settings=settings))]))
    assert "α_Δx: candidates 3." in table.notes
    usual = side_by_side(written(tmp_path / "usual", [record(Quantity("alpha_x", settings={"of": "predicted"}))]))
    assert not any(note.startswith("α_x:") for note in usual.notes)


def test_a_mean_with_a_model_that_never_fell_is_a_bound(tmp_path: Path) -> None:
    made = [record(PGD_L2, value, model(seed=seed)) for seed, value in enumerate((0.2, math.inf))]
    assert side_by_side(written(tmp_path, made)).frame["ε50% PGD L2"][0] == "> 0.8"


def test_theory_check_joins_no_attacks_of_other_settings(tmp_path: Path) -> None:
    named, weaker = Model("Spheres", "B"), Quantity("epsilon50", "pgd", "L2", {"steps": 1})
    accuracy = Quantity("accuracy", "pgd", "L2", {"steps": 40}, "0.1")
    made = [record(PGD_L2, 0.1, named), record(weaker, 0.3, named), record(accuracy, 1.0, named)]
    frame = theory_check(written(tmp_path, [*made, record(ALPHA, 0.5, named)])).frame
    assert dict(zip(frame.recipe, frame["ε50% L2 / α_Δx"], strict=True)) == {
        "B (steps 40)": "0.2000", "B (steps 1)": "0.6000",
    }  # fmt: skip


def test_theory_check_without_alignment_is_no_number(tmp_path: Path) -> None:
    named = Model("Spheres", "B")
    frame = theory_check(written(tmp_path, [record(PGD_L2, 0.1, named), record(ALPHA, 0.0, named)])).frame
    assert list(frame["off by"]) == ["–"]


def test_two_sweeps_on_one_data_set_are_two_correlations(tmp_path: Path) -> None:
    same = Samples("digits", {"size": 4}, (-1.0, 1.0), "test", 4, "d0")
    made = [
        replace(r, model=replace(r.model, data=name), subject=replace(r.subject, samples=same, training=training))
        for name, training in (("one", BASE), ("two", LONGER))
        for i in range(4)
        for r in swept(f"0.{i}", 0, float(i), float(i if name == "one" else -i))
    ]
    frame = correlation_table(written(tmp_path, made)).frame
    assert dict(zip(frame.data, frame.Pearson.str[:6], strict=True)) == {
        "digits, one": "1.000", "digits, two": "-1.000",
    }  # fmt: skip
    assert list(frame.models) == [4, 4]


def test_the_papers_correlation_says_what_its_models_had(tmp_path: Path) -> None:
    def found(folder: str, network: str) -> str:
        made = []
        for i in range(3):
            named = Model("MNIST-3/5", "P", f"0.{i}", 0, ("sweep",))
            made += [
                record(q, float(i), named, **(TABLE_2 | {"network": {"network": network}})) for q in (ALPHA, PGD)
            ]
        return correlation_table(written(tmp_path / folder, made)).frame["paper's Pearson"][0]

    assert found("same", "resnet18") == "0.861"
    assert found("other", "small_cnn") == "0.861, but resnet18"


def test_the_worst_case_stands_in_every_row_of_a_model(tmp_path: Path) -> None:
    square = Quantity("epsilon50", "square", "Linf")
    made = [record(q, 0.2, model(recipe=name), weights="w") for name in "XY" for q in (PGD, square)]
    worst = side_by_side(written(tmp_path, made)).frame["ε50% worst of all L∞"]
    assert [cell.split()[0] for cell in worst] == ["0.200", "0.200"]
