"""What a study measures of a model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alignment.contracts import check_choice
from eval.figures.wanted import DEFAULTS, all_measurements
from eval.records.outcome import Measurement
from eval.records.subject import CHOSEN_BY, Model
from eval.studies.grid import ModelCell
from eval.studies.overlay import FIRST, with_first
from eval.studies.trained import best_checkpoint, is_trained
from training.data import DataSet, SplitName


@dataclass(frozen=True)
class Wanted:
    """Measurements that are taken on the same samples.

    Attributes:
        limit: how many samples; None for all.
        choosing: names of the measurements by which a setting is chosen on the validation split; none for all
            measurements on the test split.
        measurements: that are wanted.
    """

    limit: int | None
    choosing: tuple[str, ...] = ()
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def split(self) -> SplitName:
        """Whose samples are taken."""
        return "validation" if self.choosing else "test"

    def of(self, model: Model) -> Model:
        """The model as these measurements call it."""
        return model.only_in(CHOSEN_BY) if self.choosing else model

    def on(self, data: DataSet) -> Sequence[Measurement]:
        """The measurements on a data set.

        Raises:
            ValueError: if a setting is to be chosen by something that is not measured.
        """
        if not self.choosing:
            return self.measurements
        named = {name for measurement in self.measurements for name in _names(measurement, data)}
        for name in self.choosing:
            if name not in named:
                raise ValueError(
                    f"`choose` should name what is measured, {', '.join(sorted(named))}. Found {name!r}."
                )
        return [m for m in self.measurements if {*self.choosing} & _names(m, data)]


def wanted_of(cell: ModelCell, folder: Path) -> list[Wanted]:
    """The measurements of a model, by the samples that they are taken on; those on the test split first."""
    found: dict[tuple[int | None, tuple[str, ...]], Wanted] = {}
    for settings in cell.measure:
        chosen = dict(settings)
        limit, choosing = chosen.pop("limit", None), tuple(chosen.pop("choosing", ()))
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise ValueError(f"`limit` should be a whole number of at least 1. Found {limit!r}.")
        resolved = with_first(chosen, lambda name: str(_first_best(folder, name)))
        wanted = found.setdefault((limit, choosing), Wanted(limit, choosing)).measurements
        wanted += [m for m in _measurements(resolved) if m not in wanted]
    return sorted(found.values(), key=lambda wanted: bool(wanted.choosing))


def _measurements(settings: dict[str, Any]) -> list[Measurement]:
    """The measurements that a study's `measure` names.

    Raises:
        ValueError: for a misspelt setting, or one of another type.
    """
    for name in settings:
        check_choice(name, (*DEFAULTS, "limit"), "measure")
    try:
        return all_measurements(**settings)
    except (TypeError, AttributeError) as error:
        raise ValueError(
            f"`measure` should hold what `all_measurements` takes. Found {settings} ({error})."
        ) from error


def _names(measurement: Measurement, data: DataSet) -> set[str]:
    """The names of a measurement and of the accuracies that it reads off a search; "robust_" may be left out."""
    quantity = measurement.quantity(data)
    at = {quantity.at(str(epsilon)).name for epsilon in getattr(measurement, "epsilons", ())}
    return {quantity.name, quantity.name.removeprefix("robust_"), *at}


def _first_best(folder: Path, name: str) -> Path:
    """Where the checkpoint of what is trained first lies, or will."""
    home = folder / FIRST / name
    return best_checkpoint(home) if is_trained(home) else home / "training" / "best.ckpt"
