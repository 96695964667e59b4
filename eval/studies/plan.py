"""From a study's YAML to the list of models it trains and measures."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from eval.records.results import Model

FIRST = "first/"
"""How a configuration refers to what a study trains before all else."""
PRESETS = resources.files("eval.studies") / "presets"


@dataclass(frozen=True)
class Cell:
    """One model of a study.

    Attributes:
        model: what its records are about.
        fit: configuration of its training, as for `alphadx fit`; of an estimator, which is not trained here, only
            its data set.
        measure: arguments of `eval.records.measurements.standard_measurements`, and `limit`, how many test samples
            to take; of an estimator, see `load_study`.
    """

    model: Model
    fit: dict[str, Any]
    measure: dict[str, Any]


@dataclass(frozen=True)
class Study:
    """A grid of models.

    Attributes:
        name: of the study, and of its folder.
        title: a sentence for the page.
        cells: the models, in the order in which they stand in tables.
        first: configurations, by name, of what is trained before all models because they refer to it.
        source: the YAML as read, for the record.
    """

    name: str
    title: str
    cells: list[Cell]
    first: dict[str, dict[str, Any]]
    source: dict[str, Any] = field(repr=False)


def presets() -> list[str]:
    """Names of the studies that come with the package."""
    return sorted(file.name.removesuffix(".yaml") for file in PRESETS.iterdir() if file.name.endswith(".yaml"))


def load_study(name: str) -> Study:
    """A study by the name of a preset or the path of a YAML file.

    The YAML holds `title`; `base`, a configuration for `alphadx fit` that all models share; `measure`, arguments
    of `standard_measurements`, and `limit`, how many test samples to take; and `experiments`, by name of data set.
    Each experiment may hold its own `base` and `measure`, which are laid over the study's; it holds `recipes`, by
    name, each laid over the base; `seeds`; and optionally a `sweep` of one recipe: `recipe`, `epsilon` (values of ε
    for its objective) and `seeds`; its models are not searched for signs of masking.

    In place of recipes an experiment may hold `estimators` of Δx, by name, each with `residual`, a name or path that
    `DataSet.residual` knows, and `options` for it; the classifier at `judge` judges them, on `limit` test samples.

    `first` holds, by name, configurations of what is trained before all else, classifiers or generators. Where
    a configuration says `first/NAME`, the path of that one's best checkpoint is put.

    Raises:
        ValueError: if there is no such preset or file, or a key is missing or unknown.
    """
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        text, short = Path(name).read_text(), Path(name).stem
    elif name in presets():
        text, short = (PRESETS / f"{name}.yaml").read_text(), name
    else:
        raise ValueError(
            f"`study` should be one of {', '.join(presets())}, or an existing YAML file. Found {name!r}."
        )
    source = yaml.safe_load(text)
    _check_keys(source, short, needed={"title", "experiments"}, allowed={"base", "measure", "first"})
    cells = [cell for data, experiment in source["experiments"].items() for cell in _cells(data, experiment, source)]
    first = source.get("first", {})

    def known(name: str) -> str:
        if name not in first:
            raise ValueError(f"{short}: `first` should hold all that is referred to. Found {[*first]}, not {[name]}.")
        return name

    with_first([[cell.fit, cell.measure] for cell in cells], known)
    return Study(short, source["title"], cells, first, source)


def laid_over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with changes, key by key; neither is altered.

    Example:
        >>> laid_over({"model": {"network": "mlp", "seed": 0}}, {"model": {"seed": 1}})
        {'model': {'network': 'mlp', 'seed': 1}}
    """
    result = deepcopy(dict(base))
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = laid_over(result[key], value) if both else deepcopy(value)
    return result


def with_first(value: Any, path_of: Callable[[str], str]) -> Any:
    """A configuration in which `path_of(NAME)` stands wherever it says `first/NAME`.

    Example:
        >>> with_first({"residual": "first/mine", "limit": 9}, "runs/{}.ckpt".format)
        {'residual': 'runs/mine.ckpt', 'limit': 9}
    """
    if isinstance(value, Mapping):
        return {key: with_first(item, path_of) for key, item in value.items()}
    if isinstance(value, list):
        return [with_first(item, path_of) for item in value]
    if isinstance(value, str) and value.startswith(FIRST):
        return path_of(value.removeprefix(FIRST))
    return value


def _cells(data: str, experiment: Any, study: Mapping[str, Any]) -> Iterator[Cell]:
    judged = isinstance(experiment, Mapping) and "estimators" in experiment
    allowed = {"base", "measure"} if judged else {"base", "measure", "seeds", "sweep"}
    _check_keys(experiment, data, needed={"estimators" if judged else "recipes"}, allowed=allowed)
    base = laid_over(study.get("base", {}), experiment.get("base", {}))
    measure = laid_over(study.get("measure", {}), experiment.get("measure", {}))
    if judged:
        for name, estimator in experiment["estimators"].items():
            _check_keys(estimator, f"{data}, {name}", needed={"residual"}, allowed={"options", "judge", "limit"})
            yield Cell(Model(data, name, group="estimators"), base, measure | estimator)
        return
    recipes = {name: laid_over(base, changes or {}) for name, changes in experiment["recipes"].items()}
    for seed in experiment.get("seeds", [0]):
        for recipe, fit in recipes.items():
            yield _cell(data, recipe, fit, seed, "side by side", measure)
    if sweep := experiment.get("sweep"):
        _check_keys(sweep, f"{data}, sweep", needed={"recipe", "epsilon"}, allowed={"seeds"})
        if not _objective(recipes.get(sweep["recipe"], {})):
            raise ValueError(
                f"{data}, sweep: `recipe` should name a recipe whose objective has an ε. Found {sweep['recipe']!r}."
            )
        for epsilon in sweep["epsilon"]:
            changes = {"model": {"objective": {"init_args": {"epsilon": epsilon}}}}
            fit = laid_over(recipes[sweep["recipe"]], changes)
            for seed in sweep.get("seeds", [0]):
                yield _cell(data, sweep["recipe"], fit, seed, "sweep", measure | {"masking": False})


def _cell(data: str, recipe: str, fit: dict, seed: int, group: str, measure: dict) -> Cell:
    epsilon = str(_objective(fit).get("epsilon", ""))
    return Cell(Model(data, recipe, epsilon, seed, group), laid_over(fit, {"seed_everything": seed}), measure)


def _objective(fit: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of a configuration's objective; empty where there are none."""
    return fit.get("model", {}).get("objective", {}).get("init_args", {})


def _check_keys(found: Any, where: str, *, needed: set[str], allowed: set[str]) -> None:
    if not isinstance(found, Mapping):
        raise ValueError(f"{where}: should hold the keys {sorted(needed)}. Found {found!r}.")
    if missing := sorted(needed - found.keys()):
        raise ValueError(f"{where}: the keys {missing} are missing.")
    if unknown := sorted(found.keys() - needed - allowed):
        raise ValueError(f"{where}: should hold the keys {sorted(needed | allowed)}. Found {unknown}.")
