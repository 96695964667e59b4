"""From a study's YAML to the list of models it trains and measures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eval.studies.checks import check_fronts, check_keys, check_mapping
from eval.studies.grid import Cell, ModelCell, cells_of
from eval.studies.joining import joined_first, joined_sources, names
from eval.studies.overlay import replaced_by
from eval.studies.paper_claims import check_claims
from eval.studies.source import FAST, content_of, presets

TOLD = ("paper", "minutes", "differs", "claims", "fronts")
"""Keys of a study that say something to its reader."""


@dataclass(frozen=True)
class Study:
    """A grid of models.

    Attributes:
        name: of the study, and of its folder.
        title: a sentence for the page.
        cells: the models, in the order in which they stand in tables.
        first: configurations, by name, of what is trained before all models because they refer to it.
        source: the YAML as read, for the record; of several studies, what they tell their reader.
        parts: the studies that are joined in it; none for one alone.
    """

    name: str
    title: str
    cells: list[Cell]
    first: dict[str, dict[str, Any]]
    source: dict[str, Any] = field(repr=False)
    parts: tuple["Study", ...] = field(default=(), repr=False)

    @property
    def sources(self) -> dict[str, dict[str, Any]]:
        """The YAML of each study, by name."""
        return {part.name: part.source for part in self.parts or (self,)}


def load_study(name: str, fast: bool = False) -> Study:
    """A study by the name of a preset or the path of a YAML file, or several by their names with commas.

    The YAML holds `title`; optionally `paper`, which tables and figures of a paper it repeats, `minutes`, about how
    long it takes and where, `{whole: 90 on one H100, fast: 4 on one core}` where it has both forms, `differs`, a list
    of sentences on what is not as in the paper, and `claims`, what the paper found; `base`, a configuration for
    `alphadx fit` that all models share; `measure`, arguments of `all_measurements`, and `limit`, how many test
    samples to take; and `experiments`, by name of data set.
    Each experiment may hold its own `base` and `measure`, which are laid over the study's; it holds `recipes`, by
    name, each laid over the base; `seeds`; and optionally a `sweep`, or a list of them, see `eval.studies.sweeping`:
    `recipe`, or `recipes`, by name or a mapping like the experiment's, which may then be left out; one or two
    settings, each with a list of values, such as `epsilon`, `alignment_weight`, `gamma` or a path like
    `model.optimizer.init_args.lr`; and `seeds`. Models of sweeps are not searched for signs of masking.

    An experiment, or the study for all of them, may ask for `fronts` over its sweeps, a list of two measurements by
    name and optionally the reference point of the area, `{x: accuracy, y: accuracy_pgd_linf_8/255, reference: [0.1,
    0]}`. An experiment may `choose` a setting of each of its sweeps on the validation split, by the rule `{most:
    epsilon50_pgd_linf, within: 0.04, of: accuracy, against: B}`: the one with the most of the first measurement among
    those whose second lies at most that far below the recipe's it is compared with.

    With `pool: true` an experiment's models, whatever their recipe, are correlated together with those of every other
    experiment that says so and has the same test samples, also given the ε that they were trained with.

    In place of recipes an experiment may hold `estimators` of Δx, by name, each with `residual`, a name or path that
    `DataSet.residual` knows, or a consensus of several, and `options` for it; the classifier at `judge`, or several
    by name, `{plain: first/judge, adversarially trained: first/judge-at}`, judge them, on `limit` test samples.

    `first` holds, by name, configurations of what is trained before all else, classifiers or generators. Where
    a configuration says `first/NAME`, the path of that one's best checkpoint is put. `{seed}` in that NAME is the
    seed of the model, or that of the estimator, of which an experiment may ask for `seeds` too.

    `fast` holds what the form that a CPU can finish has in place of all this, laid over it key by key; a key without
    a value is left out there.

    Args:
        name: of the preset or file, or of several, such as "mnist35,choice"; `NAME_fast` is a preset's fast form.
        fast: take the fast form.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if there is no such preset, it has no fast form, or a key is missing or unknown.
    """
    parts = [part.strip() for part in name.split(",")]
    if len(parts) > 1 and not Path(name).is_file():
        return _joined([load_study(part, fast) for part in parts])
    fast = fast or (name.endswith(FAST) and name not in presets() and name.removesuffix(FAST) in presets())
    stem = name.removesuffix(FAST) if fast else name
    try:
        return _study(stem, content_of(stem), fast)
    except ValueError as error:
        if not Path(name).is_file() or str(error).startswith(name):
            raise
        raise ValueError(f"{name}: {error}") from error


def _study(stem: str, content: Any, fast: bool) -> Study:
    """A study from what its YAML holds."""
    check_claims(content, Path(stem).stem)
    short, source = _form(Path(stem).stem, content, fast)
    check_keys(source, short, needed={"title", "experiments"}, allowed={"base", "measure", "first", *TOLD})
    if not isinstance(source["title"], str):
        raise ValueError(f"{short}: `title` should be text. Found {source['title']!r}.")
    for key in ("base", "measure", "first", "experiments"):
        check_mapping(source.get(key, {}), f"{short}, {key}")
    check_fronts(source, short)
    if isinstance(minutes := source.get("minutes"), Mapping):
        check_keys(minutes, f"{short}, minutes", needed=set(), allowed={"whole", "fast"})
    first = source.get("first", {})

    def described(name: str) -> Any:
        if name not in first:
            raise ValueError(f"{short}: `first` should hold all that is referred to. Found {[*first]}, not {[name]}.")
        return first[name]

    cells = [
        cell
        for data, experiment in source["experiments"].items()
        for cell in cells_of(str(data), experiment, source, described)
    ]
    if not cells:
        raise ValueError(f"{short}: `experiments` should hold at least one recipe or estimator. Found none.")
    return Study(short, source["title"], _once_each(cells), first, source)


def _joined(studies: Sequence[Study]) -> Study:
    """Several studies as one, which trains what they share once."""
    parts = tuple({study.name: study for study in studies}.values())
    source = joined_sources({part.name: part.source for part in parts})
    first = joined_first({part.name: part.first for part in parts})
    cells = _once_each(cell for part in parts for cell in part.cells)
    return Study(names([part.name for part in parts]), source["title"], cells, first, source, parts)


def _form(short: str, source: Any, fast: bool) -> tuple[str, Any]:
    """Name and content of one of the two forms of a study."""
    if not isinstance(source, Mapping):
        return short, source
    usual = {key: value for key, value in source.items() if key != "fast"}
    if not fast:
        return short, usual
    if not isinstance(source.get("fast"), Mapping):
        able = [name for name in presets() if isinstance(content_of(name).get("fast"), Mapping)]
        raise ValueError(
            f"`--fast` should be left out for {short!r}, which has no fast form. Those that have one are "
            f"{', '.join(able)}."
        )
    return f"{short}{FAST}", replaced_by(usual, source["fast"])


def _once_each(cells: Iterable[Cell]) -> list[Cell]:
    """Cells that train the same model become one, which belongs to all their parts of the study."""
    kept: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        key = (cell.model.data, cell.identity)
        before = kept.get(key)
        if isinstance(before, ModelCell) and isinstance(cell, ModelCell):
            kept[key] = replace(before, model=before.model.joined(cell.model), measure=before.measure + cell.measure)
        else:
            kept[key] = cell
    return [*kept.values()]
