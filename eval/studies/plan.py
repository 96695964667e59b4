"""From a study's YAML to the list of models it trains and measures."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from eval.records.identity import digest
from eval.records.subject import Model
from training.strength import Strength

FIRST = "first/"
"""How a configuration refers to what a study trains before all else."""
TOLD = ("paper", "minutes", "differs", "claims")
"""Keys of a study that say something to its reader."""
PRESETS = resources.files("eval.studies") / "presets"


@dataclass(frozen=True)
class ModelCell:
    """A classifier that a study trains and measures.

    Attributes:
        model: how it is called.
        fit: configuration of its training, as for `alphadx fit`.
        measure: arguments of `eval.records.measurements.standard_measurements`, and `limit`, how many test samples
            to take; several where the model belongs to several parts of the study.
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
        residual: a name or path that `DataSet.residual` knows.
        options: what the estimator takes.
        judge: checkpoint of the classifier that judges it; None for none.
        limit: how many test samples to take; None for all.
        identity: digest of all of it, with all that it refers to.
    """

    model: Model
    data: dict[str, Any]
    residual: str
    options: dict[str, Any]
    judge: str | None
    limit: int | None
    identity: str


Cell = ModelCell | EstimatorCell


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


def load_study(name: str, fast: bool = False) -> Study:
    """A study by the name of a preset or the path of a YAML file.

    The YAML holds `title`; optionally `paper`, which tables and figures of a paper it repeats, `minutes`, about how
    long it takes and where, `differs`, a list of sentences on what is not as in the paper, and `claims`, what the
    paper found; `base`, a configuration for `alphadx fit` that all models share; `measure`, arguments of
    `all_measurements`, and `limit`, how many test samples to take; and `experiments`, by name of data set.
    Each experiment may hold its own `base` and `measure`, which are laid over the study's; it holds `recipes`, by
    name, each laid over the base; `seeds`; and optionally a `sweep` of one recipe: `recipe`, `epsilon` (values of ε
    for its objective) and `seeds`; its models are not searched for signs of masking.

    In place of recipes an experiment may hold `estimators` of Δx, by name, each with `residual`, a name or path that
    `DataSet.residual` knows, and `options` for it; the classifier at `judge` judges them, on `limit` test samples.

    `first` holds, by name, configurations of what is trained before all else, classifiers or generators. Where
    a configuration says `first/NAME`, the path of that one's best checkpoint is put.

    `fast` holds what the form that a CPU can finish has in place of all this, laid over it key by key; a key without
    a value is left out there.

    Args:
        name: of the preset or file.
        fast: take the fast form, which is called `NAME_fast`.

    Raises:
        ValueError: if there is no such preset or file, it has no fast form, or a key is missing or unknown.
    """
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        text, short = _text(Path(name)), Path(name).stem
    elif name in presets():
        text, short = (PRESETS / f"{name}.yaml").read_text(encoding="utf-8"), name
    else:
        raise ValueError(
            f"`study` should be one of {', '.join(presets())}, or an existing YAML file. Found {name!r}."
        )
    try:
        source = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} cannot be read as YAML: {' '.join(str(error).split())}") from error
    short, source = _form(short, source, fast)
    _check_keys(source, short, needed={"title", "experiments"}, allowed={"base", "measure", "first", *TOLD})
    if not isinstance(source["title"], str):
        raise ValueError(f"{short}: `title` should be text. Found {source['title']!r}.")
    for key in ("base", "measure", "first", "experiments"):
        _check_mapping(source.get(key, {}), f"{short}, {key}")
    first = source.get("first", {})

    def described(name: str) -> Any:
        if name not in first:
            raise ValueError(f"{short}: `first` should hold all that is referred to. Found {[*first]}, not {[name]}.")
        return first[name]

    cells = [
        cell
        for data, experiment in source["experiments"].items()
        for cell in _cells(str(data), experiment, source, described)
    ]
    if not cells:
        raise ValueError(f"{short}: `experiments` should hold at least one recipe or estimator. Found none.")
    return Study(short, source["title"], _once_each(cells), first, source)


def _form(short: str, source: Any, fast: bool) -> tuple[str, Any]:
    """Name and content of one of the two forms of a study."""
    if not isinstance(source, Mapping):
        return short, source
    usual = {key: value for key, value in source.items() if key != "fast"}
    if not fast:
        return short, usual
    if not isinstance(source.get("fast"), Mapping):
        raise ValueError(f"`--fast` should be left out for {short!r}, which has no fast form.")
    return f"{short}_fast", replaced_by(usual, source["fast"])


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} cannot be read as YAML: it is not UTF-8.") from error


def _once_each(cells: Iterable[Cell]) -> list[Cell]:
    """Cells that train the same model become one, which belongs to all their parts of the study."""
    kept: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        key = (cell.model.data, cell.identity)
        before = kept.get(key)
        if isinstance(before, ModelCell) and isinstance(cell, ModelCell):
            groups = tuple(dict.fromkeys(before.model.groups + cell.model.groups))
            model = replace(before.model, groups=groups)
            kept[key] = replace(before, model=model, measure=before.measure + cell.measure)
        else:
            kept[key] = cell
    return [*kept.values()]


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


def replaced_by(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with changes, key by key, in which a key without a value is taken out.

    Example:
        >>> replaced_by({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 5, "c": None}})
        {'a': {'b': 5}, 'd': 3}
    """
    result = deepcopy(dict(base))
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = replaced_by(result[key], value)
        else:
            result[key] = deepcopy(value)
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


def _cells(data: str, experiment: Any, study: Mapping[str, Any], described: Callable[[str], Any]) -> Iterator[Cell]:
    judged = isinstance(experiment, Mapping) and "estimators" in experiment
    allowed = {"base", "measure"} if judged else {"base", "measure", "seeds", "sweep"}
    _check_keys(experiment, data, needed={"estimators" if judged else "recipes"}, allowed=allowed)
    for key in allowed & {"base", "measure"} | {"estimators" if judged else "recipes"}:
        _check_mapping(experiment.get(key, {}), f"{data}, {key}")
    base = laid_over(study.get("base", {}), experiment.get("base", {}))
    measure = laid_over(study.get("measure", {}), experiment.get("measure", {}))
    if judged:
        _check_mapping(base.get("data"), f"{data}, base, data")
        for name, estimator in experiment["estimators"].items():
            yield _estimator_cell(data, str(name), estimator, base, measure, described)
        return
    for name, changes in experiment["recipes"].items():
        _check_mapping(changes or {}, f"{data}, recipes, {name}")
    recipes = {str(name): laid_over(base, changes or {}) for name, changes in experiment["recipes"].items()}
    for seed in _seeds(experiment, data):
        for recipe, fit in recipes.items():
            yield _model_cell(data, recipe, fit, seed, "side by side", measure, described)
    if sweep := experiment.get("sweep"):
        _check_keys(sweep, f"{data}, sweep", needed={"recipe", "epsilon"}, allowed={"seeds"})
        if not isinstance(sweep["epsilon"], list):
            raise ValueError(f"{data}, sweep: `epsilon` should be a list of strengths. Found {sweep['epsilon']!r}.")
        if not _objective(recipes.get(str(sweep["recipe"]), {})):
            raise ValueError(
                f"{data}, sweep: `recipe` should name a recipe whose objective has an ε. Found {sweep['recipe']!r}."
            )
        for epsilon in sweep["epsilon"]:
            Strength(epsilon)  # so that what is no strength is refused before anything is trained
            recipe = str(sweep["recipe"])
            changes = {"model": {"objective": {"init_args": {"epsilon": epsilon}}}}
            fit = laid_over(recipes[recipe], changes)
            for seed in _seeds(sweep, f"{data}, sweep"):
                yield _model_cell(data, recipe, fit, seed, "sweep", measure | {"masking": False}, described)


def _model_cell(
    data: str, recipe: str, fit: dict, seed: int, group: str, measure: dict, described: Callable[[str], Any]
) -> ModelCell:
    epsilon = str(_objective(fit).get("epsilon", ""))
    whole = laid_over(fit, {"seed_everything": seed})
    with_first(measure, described)  # so that what it refers to is known to be there
    identity = digest([data, recipe, with_first(whole, described)])
    return ModelCell(Model(data, recipe, epsilon, seed, (group,)), whole, (measure,), identity)


def _estimator_cell(
    data: str, name: str, estimator: Any, base: dict, measure: dict, described: Callable[[str], Any]
) -> EstimatorCell:
    _check_keys(estimator, f"{data}, {name}", needed={"residual"}, allowed={"options", "judge", "limit"})
    asked = {"options": {}, "judge": None, "limit": None} | measure | estimator
    chosen = {key: asked[key] for key in ("residual", "options", "judge", "limit")}
    identity = digest([data, name, base.get("data"), with_first(chosen, described)])
    return EstimatorCell(Model(data, name, groups=("estimators",)), base["data"], **chosen, identity=identity)


def _objective(fit: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of a configuration's objective; empty where there are none."""
    return fit.get("model", {}).get("objective", {}).get("init_args", {})


def _seeds(part: Mapping[str, Any], where: str) -> list[int]:
    seeds = part.get("seeds", [0])
    if not isinstance(seeds, list) or not all(isinstance(seed, int) for seed in seeds):
        raise ValueError(f"{where}: `seeds` should be a list of whole numbers. Found {seeds!r}.")
    return seeds


def _check_mapping(found: Any, where: str) -> None:
    if not isinstance(found, Mapping):
        raise ValueError(f"{where}: should hold keys with values. Found {found!r}.")


def _check_keys(found: Any, where: str, *, needed: set[str], allowed: set[str]) -> None:
    if not isinstance(found, Mapping):
        raise ValueError(f"{where}: should hold the keys {sorted(needed)}. Found {found!r}.")
    if missing := sorted(needed - found.keys()):
        raise ValueError(f"{where}: the keys {missing} are missing.")
    if unknown := sorted(found.keys() - needed - allowed):
        raise ValueError(f"{where}: should hold the keys {sorted(needed | allowed)}. Found {unknown}.")
