"""A sweep trains some recipes at every value of a setting, or of two."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from eval.records import Model, Results
from eval.records.subject import SETTINGS
from eval.studies import ModelCell, load_study
from eval.studies.sweeping import PLACES
from eval.studies.wanted import wanted_of
from training.data import Spheres

AT = {"model": {"objective": {"class_path": "training.AT", "init_args": {"epsilon": 0.1, "steps": 3}}}}
CAAT = {"model": {**AT["model"], "combiner": {"class_path": "training.CAAT"}}}
VANILLA = {"model": {**AT["model"], "combiner": {"class_path": "training.WeightedSum"}}}


def cells(folder: Path, sweep: Any, recipes: dict | None = None, **rest: Any) -> list[ModelCell]:
    experiment = {"sweep": sweep, **({"recipes": recipes} if recipes else {}), **rest}
    (folder / "s.yaml").write_text(yaml.safe_dump({"title": "s", "experiments": {"d": experiment}}, sort_keys=False))
    return [cell for cell in load_study(str(folder / "s.yaml")).cells if isinstance(cell, ModelCell)]


def at(cell: ModelCell, path: str) -> Any:
    found: Any = cell.fit
    for key in path.split("."):
        found = found[key]
    return found


@pytest.mark.parametrize(
    ("name", "values", "path", "recipe"),
    [
        ("epsilon", ["8/255", 0.3], "model.objective.init_args.epsilon", AT),
        ("steps", [1, 10], "model.objective.init_args.steps", AT),
        ("beta", [1.0, 6.0], "model.objective.init_args.beta", AT),
        ("gamma", [0.7, 0.9], "model.combiner.init_args.gamma", CAAT),
        ("clip_norm", [0.1, None], "model.combiner.init_args.clip_norm", CAAT),
        ("combiner_start", [0, 5], "model.combiner_start", CAAT),
        ("alignment_weight", [0.1, 1], "model.alignment_weight", {}),
        ("residual", ["nearest-even", "nearest-odd"], "model.residual", {}),
        ("model.optimizer.init_args.lr", [0.1, 0.01], "model.optimizer.init_args.lr", {}),
        ("data.init_args.batch_size", [8, 16], "data.init_args.batch_size", {}),
    ],
)
def test_every_setting_reaches_its_place_in_the_configuration(
    tmp_path: Path, name: str, values: list, path: str, recipe: dict
) -> None:
    found = cells(tmp_path, {"recipes": {"R": recipe}, name: values, "seeds": [0, 1]})
    assert [(at(cell, path), cell.fit["seed_everything"]) for cell in found] == [
        (value, seed) for value in values for seed in (0, 1)
    ]
    assert {cell.model.swept for cell in found} == {((name,),)}
    assert {cell.model.groups for cell in found} == {("sweep",)}
    told = ["none" if value is None else str(value) for value in values]
    assert [cell.model.value_of(name) for cell in found] == [text for text in told for _ in (0, 1)]
    assert all(settings["masking"] is False for cell in found for settings in cell.measure)


def test_the_vanilla_sums_weight_is_that_of_the_adversarial_loss(tmp_path: Path) -> None:
    found = cells(tmp_path, {"recipes": {"V": VANILLA}, "weight": [0, 0.9, 1]})
    assert [at(cell, "model.combiner.init_args.weights") for cell in found] == [
        {"clean": 1.0, "adversarial": 0}, {"clean": 0.1, "adversarial": 0.9}, {"clean": 0.0, "adversarial": 1},
    ]  # fmt: skip


def test_two_settings_several_recipes_and_seeds_make_every_combination(tmp_path: Path) -> None:
    sweep = {"recipes": ["P", "Q"], "epsilon": [0.1, 0.2], "steps": [1, 2, 3], "seeds": [4, 5]}
    found = cells(tmp_path, sweep, {"P": AT, "Q": {"model": {**AT["model"], "alignment_weight": 1}}, "B": {}})
    swept = [cell for cell in found if "sweep" in cell.model.groups]
    named = {(c.model.recipe, c.model.epsilon, c.model.setting["steps"], c.model.seed) for c in swept}
    assert len(named) == len(swept) == 2 * 2 * 3 * 2
    assert {c.model.told(("epsilon", "steps")) for c in swept} >= {"ε = 0.1, κ = 1", "ε = 0.2, κ = 3"}
    assert {tuple(c.model.setting) for c in swept} == {("steps",)}  # every model of a study says its ε


def test_several_sweeps_of_one_experiment_are_told_apart_and_train_what_they_share_once(tmp_path: Path) -> None:
    aligned = {"model": {"alignment_weight": 0.3}}
    sweep = [
        {"recipe": "P", "epsilon": [0.1, 0.2]},
        {"recipe": "P", "steps": [3, 5]},
        {"recipe": "Lα", "alignment_weight": [0.3, 1]},
    ]
    found = cells(tmp_path, sweep, {"P": AT, "Lα": aligned})
    assert [(c.model.recipe, c.model.groups, c.model.swept) for c in found] == [
        ("P", ("side by side", "sweep"), (("epsilon",), ("steps",))),
        ("Lα", ("side by side", "sweep"), (("alignment_weight",),)),
        ("P", ("sweep",), (("epsilon",),)),
        ("P", ("sweep",), (("steps",),)),
        ("Lα", ("sweep",), (("alignment_weight",),)),
    ]
    assert (found[0].model.value_of("epsilon"), found[0].model.value_of("steps")) == ("0.1", "3")


def test_a_sweep_over_epsilon_alone_keeps_its_models_where_they_were(tmp_path: Path) -> None:
    """Their folders are named as before sweeps knew other settings."""
    (first, *_) = cells(tmp_path, {"recipe": "P", "epsilon": ["8/255"]}, {"P": AT})[1:]
    assert first.model.setting == {}
    assert Results("x").home(first.model, "0" * 8).path.name == "d-P-eps8over255-seed0-00000000"
    named = Model("d", "C", "0.1", 3, setting={"gamma": "1/2"})
    assert Results("x").home(named, "0" * 8).path.name == "d-C-eps0.1-gamma1over2-seed3-00000000"


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"recipe": "P"}, r"should hold one setting or two, such as `epsilon: \[0.1, 0.2\]`. Found \[\]"),
        ({"recipe": "P", "epsilon": [1], "steps": [1], "beta": [1]}, "should hold one setting or two"),
        ({"recipe": "P", "gama": [1]}, r"a setting should be one of epsilon, .*or a path.*Found 'gama'"),
        ({"recipe": "P", "nodel.x": [1]}, "Found 'nodel.x'"),
        ({"recipe": "P", "steps": 3}, "`steps` should be a list of values. Found 3"),
        ({"recipe": "P", "steps": []}, r"`steps` should be a list of values. Found \[\]"),
        ({"recipe": "P", "gamma": [0.5]}, "a recipe whose combiner takes γ. Found 'P', which has no `model.combiner"),
        ({"recipes": {"V": VANILLA}, "weight": [2]}, r"`weight` should be λ in \[0, 1\].*Found 2"),
        ({"epsilon": [0.1]}, r"should hold either `recipe` or `recipes`. Found \['epsilon'\]"),
        ({"recipes": ["P", "Q"], "epsilon": [0.1]}, r"`recipes` should name a recipe of the experiment, P"),
        ({"recipes": {"P": {}}, "alignment_weight": [1]}, "a recipe should be one in all of an experiment.*'P'"),
        ([{"recipe": "P", "epsilon": [0.1]}, 5], "should hold keys with values. Found 5"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, sweep: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"d, sweep.*: .*{message}|d, sweep: {message}"):
        cells(tmp_path, sweep, {"P": AT})


def test_every_setting_has_a_title() -> None:
    assert PLACES.keys() == SETTINGS.keys()


RULE = {"most": "epsilon50_pgd_linf", "within": 0.04, "of": "accuracy", "against": "B"}
ALIGNED = {"recipes": {"Lα": {}}, "alignment_weight": [0.1, 1]}


def test_what_is_chosen_from_and_compared_with_is_measured_on_validation_by_the_rule_alone(tmp_path: Path) -> None:
    data = Spheres(dimensions=3, train_size=50)
    found = cells(tmp_path, ALIGNED, {"B": {}, "P": AT}, choose=RULE)
    wanted = {(c.model.recipe, c.model.setting.get("alignment_weight")): wanted_of(c, tmp_path) for c in found}
    assert {key: [w.split for w in all_of] for key, all_of in wanted.items()} == {
        ("B", None): ["test", "validation"],
        ("P", None): ["test"],
        ("Lα", "0.1"): ["test", "validation"],
        ("Lα", "1"): ["test", "validation"],
    }
    test, validation = wanted["Lα", "1"]
    assert [m.quantity(data).name for m in validation.on(data)] == ["accuracy", "epsilon50_pgd_linf"]
    assert len(test.on(data)) > 2
    assert (test.of(found[-1].model).groups, validation.of(found[-1].model).groups) == (("sweep",), ("choice",))


def test_a_rule_of_what_is_not_measured_is_refused(tmp_path: Path) -> None:
    found = cells(tmp_path, ALIGNED, {"B": {}}, choose=RULE | {"most": "tau50_sta"})
    (_, validation) = wanted_of(found[-1], tmp_path)
    with pytest.raises(ValueError, match=r"`choose` should name what is measured, accuracy.*Found 'tau50_sta'"):
        validation.on(Spheres(dimensions=3, train_size=50))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"choose": {"most": "a"}}, r"d, choose: the keys \['against', 'of', 'within'\] are missing"),
        ({"choose": RULE | {"against": "C"}}, "`against` should name a recipe of the experiment, B. Found 'C'"),
        ({"choose": RULE | {"within": -1}}, "`within` should be a number of at least 0. Found -1"),
        ({"choose": RULE, "sweep": None}, "needs a `sweep` to choose from"),
        ({"choose": RULE, "sweep": {"recipe": "B", "alignment_weight": [1]}}, "should be no recipe of a sweep.*'B'"),
        ({"fronts": [{"x": "accuracy"}]}, r"d, fronts: the keys \['y'\] are missing"),
        ({"fronts": {"x": "a", "y": "b", "reference": 0.1}}, "`reference` should be two numbers.*Found 0.1"),
    ],
)
def test_rules_and_fronts_that_mean_nothing_are_refused(tmp_path: Path, asked: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cells(tmp_path, asked.get("sweep", ALIGNED), {"B": {}}, **{k: v for k, v in asked.items() if k != "sweep"})
