"""The models of one experiment of a study: its recipes with every seed, its sweeps, or estimators of Δx."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.records.identity import digest
from eval.records.subject import POOLED, SWEEP, Model
from eval.studies.checks import check_asked, check_keys, check_mapping, listed, recipes_of, seeds_of
from eval.studies.overlay import laid_over, with_first
from eval.studies.sweeping import Point, points

SIDE_BY_SIDE = "side by side"
"""The group of models that every recipe of an experiment has."""
OF_MODELS = ("recipes", "seeds", "sweep", "fronts", "choose", "pool")
"""Keys of an experiment that trains models."""


@dataclass(frozen=True)
class ModelCell:
    """A classifier that a study trains and measures.

    Attributes:
        model: how it is called.
        fit: configuration of its training, as for `alphadx fit`.
        measure: arguments of `eval.figures.wanted.all_measurements`, and `limit`, how many test samples to take;
            several where the model belongs to several parts of the study. With `choosing`, names of measurements,
            those alone are taken, on the validation split.
        identity: digest of the training with all that it refers to.
    """

    model: Model
    fit: dict[str, Any]
    measure: tuple[dict[str, Any], ...]
    identity: str


@dataclass(frozen=True)
class EstimatorCell:
    """A residual estimator that a study judges.

    Attributes:
        model: how it is called.
        data: configuration of the data set.
        residual: a name or path that `DataSet.residual` knows, or a consensus of such.
        options: what the estimator takes.
        judge: checkpoint of the classifier that judges it, or several by name or in a list; None for none.
        limit: how many test samples to take; None for all.
        identity: digest of all of it, with all that it refers to.
    """

    model: Model
    data: dict[str, Any]
    residual: str | dict[str, Any]
    options: dict[str, Any]
    judge: str | list[str] | dict[str, str] | None
    limit: int | None
    identity: str


Cell = ModelCell | EstimatorCell


def cells_of(data: str, experiment: Any, study: Mapping[str, Any], described: Callable[[str], Any]) -> Iterator[Cell]:
    """The models of an experiment, in the order in which they stand in tables.

    Args:
        data: name of the experiment.
        experiment: as the YAML holds it.
        study: the whole YAML, with the base and the measurements that all experiments share.
        described: from the name of what is trained first to its configuration.

    Raises:
        ValueError: if a key is missing or unknown, or holds something else.
    """
    judged = isinstance(experiment, Mapping) and "estimators" in experiment
    swept = isinstance(experiment, Mapping) and "sweep" in experiment
    needed = {"estimators"} if judged else set() if swept else {"recipes"}
    allowed = {"base", "measure", "seeds"} if judged else {"base", "measure", *OF_MODELS}
    check_keys(experiment, data, needed=needed, allowed=allowed)
    for key in {"base", "measure"} | needed:
        check_mapping(experiment.get(key, {}), f"{data}, {key}")
    base = laid_over(study.get("base", {}), experiment.get("base", {}))
    measure = laid_over(study.get("measure", {}), experiment.get("measure", {}))
    if judged:
        check_mapping(base.get("data"), f"{data}, base, data")
        for name, estimator in experiment["estimators"].items():
            seeds = seeds_of(experiment, data)
            of_one = with_first(estimator, str, 0) == with_first(estimator, str, 1)  # and so the same for every seed
            for seed in seeds[:1] if of_one else seeds:
                yield _estimator_cell(data, str(name), seed, estimator, base, measure, described)
        return
    found = recipes_of(experiment, data)
    recipes: dict[str, Mapping[str, Any]] = {name: laid_over(base, changes) for name, changes in found.items()}
    rules = check_asked(experiment, data, [*recipes])
    further = (POOLED,) if experiment.get("pool", False) else ()
    for seed in seeds_of(experiment, data):
        for recipe, fit in recipes.items():
            against = any(rule["against"] == recipe for rule in rules)
            yield _model_cell(
                Point(recipe, fit, (), {}, seed),
                data,
                _chosen_by(measure, rules if against else []),
                described,
                further,
            )
    for sweep in listed(experiment.get("sweep")):
        for point in points(sweep, recipes, base, f"{data}, sweep"):
            if any(rule["against"] == point.recipe for rule in rules):
                raise ValueError(f"{data}, choose: `against` should be no recipe of a sweep. Found {point.recipe!r}.")
            yield _model_cell(point, data, _chosen_by(measure | {"masking": False}, rules), described, further)


def _chosen_by(measure: dict[str, Any], rules: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """What is measured of a model on test samples, and, of one that is chosen or compared with, on validation."""
    return (measure, *(measure | {"masking": False, "choosing": [rule["of"], rule["most"]]} for rule in rules))


def _model_cell(
    point: Point,
    data: str,
    measure: tuple[dict[str, Any], ...],
    described: Callable[[str], Any],
    further: tuple[str, ...] = (),
) -> ModelCell:
    whole = laid_over(point.fit, {"seed_everything": point.seed})
    with_first([*measure], described)  # so that what it refers to is known to be there
    identity = digest([data, point.recipe, with_first(whole, described, point.seed)])
    epsilon = str(_objective(point.fit).get("epsilon", ""))
    group, sweeps = (SWEEP, (point.names,)) if point.names else (SIDE_BY_SIDE, ())
    model = Model(data, point.recipe, epsilon, point.seed, (group, *further), setting=point.setting, sweeps=sweeps)
    return ModelCell(model, whole, measure, identity)


def _estimator_cell(
    data: str,
    name: str,
    seed: int,
    estimator: Any,
    base: dict[str, Any],
    measure: dict[str, Any],
    described: Callable[[str], Any],
) -> EstimatorCell:
    check_keys(estimator, f"{data}, {name}", needed={"residual"}, allowed={"options", "judge", "limit"})
    asked = {"options": {}, "judge": None, "limit": None} | measure | estimator
    chosen = {key: asked[key] for key in ("residual", "options", "judge", "limit")}
    identity = digest([data, name, base.get("data"), with_first(chosen, described, seed)])
    model = Model(data, name, seed=seed, groups=("estimators",))
    return EstimatorCell(model, base["data"], **chosen, identity=identity)


def _objective(fit: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of a configuration's objective, of the one within where it goes around another; empty without."""
    found = fit.get("model", {}).get("objective") or {}
    while isinstance(given := found.get("init_args") or {}, Mapping) and given.get("objective"):
        found = given["objective"]
    return given
