"""What came of measuring: numbers by name, tables, an outcome for every sample, and files to keep."""

import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from eval.figures import of_models
from eval.measuring.outcome_table import per_sample
from eval.records import Record, Results
from eval.report import Table, all_tables, write_report
from eval.report.worst import worst_of_all
from eval.tables.rows import at_strengths

SIDE_BY_SIDE = "Side by side"


class Report:
    """Measurements of one or several models, those that were recorded before included.

    Args:
        folder: that holds the records; it should stay as long as the report is used.
        taken: the records of these measurements, in their order; the folder may hold others.
        failures: a sentence for everything that failed.
        notes: sentences that a reader should know: what was assumed, and what looks wrong.
    """

    def __init__(self, folder: Path, taken: Sequence[Record], failures: Sequence[str], notes: Sequence[str]) -> None:
        self.folder, self.failures, self.notes = folder, tuple(failures), tuple(notes)
        self._all = Results(folder).load()
        named = {_named(record): record for record in self._all}
        self.records = [named[_named(record)] for record in taken]

    def __getitem__(self, wanted: str | tuple[str, str]) -> Record:
        """A measurement by its name, such as "accuracy", "epsilon50_pgd_linf" or "alpha_dx"; `.value` is the number.

        Args:
            wanted: the name; of several models with the name of one, `report["accuracy", "AT"]`.

        Raises:
            ValueError: if there is no such measurement, listing what there is; or several models have it.
        """
        name, recipe = wanted if isinstance(wanted, tuple) else (wanted, None)
        named = [record for record in self._with_names if recipe in (None, record.model.recipe)]
        found = [record for record in named if record.quantity.name == name]
        if not found:
            known = dict.fromkeys(record.quantity.name for record in named)
            models = "" if recipe is None else f", of one of {', '.join(self.models)}"
            raise ValueError(f"`name` should be one of {', '.join(known) or 'none'}{models}. Found {wanted!r}.")
        if len(found) > 1:
            raise ValueError(
                f"`name` should say of which model, such as report[{name!r}, {found[0].model.recipe!r}]. "
                f"Found {len(found)} that have it: {', '.join(record.model.recipe for record in found)}."
            )
        return found[0]

    def __str__(self) -> str:
        return "\n\n".join(f"{heading}\n{table}" for heading, table in self.tables.items())

    @cached_property
    def _with_names(self) -> list[Record]:
        """All numbers that have a name: those measured, and those that follow from them."""
        derived = [one for record in self.records for one in at_strengths(record)]
        return [*self.records, *worst_of_all(self._all, self.records), *derived]

    @property
    def models(self) -> list[str]:
        """The names of the models."""
        return list(dict.fromkeys(record.model.recipe for record in self.records))

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Every table that the records of the folder allow, by its heading."""
        return all_tables(self._all)

    @property
    def table(self) -> Table:
        """One row per model, as the command prints it; `.frame` is a pandas frame of texts.

        Raises:
            ValueError: if nothing was measured.
        """
        if not self.tables:
            raise ValueError(f"`table` needs at least one measurement. Found none: {' '.join(self.failures)}")
        return self.tables.get(SIDE_BY_SIDE) or next(iter(self.tables.values()))

    @property
    def frame(self) -> pd.DataFrame:
        """One row per number, with its interval, cost and identity."""
        place = {id(record): number for number, record in enumerate(self._all)}
        return self._all.frame().iloc[[place[id(record)] for record in self.records]].reset_index(drop=True)

    @cached_property
    def per_sample(self) -> pd.DataFrame:
        """One row per sample: index, label, predicted, and a column per measurement; several models are named.

        Figures are left out, whose rows may be steps or epochs.
        """
        by_model: dict[tuple[Any, ...], list[Record]] = {}
        for record in of_models(self.records):
            by_model.setdefault(_named(record)[1:], []).append(record)
        frames = []
        for chosen in by_model.values():
            frame = per_sample(self._all, chosen)
            if len(by_model) > 1:
                frame.insert(0, "recipe", chosen[0].model.recipe)
                frame.insert(1, "seed", chosen[0].model.seed)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def save(self, folder: str | Path) -> Path:
        """Write records, tables, plots and page, as the command does with `--out`; `alphadx report` reads them.

        Args:
            folder: is made if there is none; what other measurements have left there stays.

        Returns:
            The page.

        Raises:
            ValueError: if nothing was measured, or the folder is a file.
        """
        place = Path(folder)
        if place.exists() and not place.is_dir():
            raise ValueError(f"`folder` should be a folder. Found the file {place}.")
        if place.resolve() != self.folder.resolve():
            shutil.copytree(self.folder / "models", place / "models", dirs_exist_ok=True)
        write_report(place)
        return place / "page.html"


def _named(record: Record) -> tuple[Any, ...]:
    """A number, and the name of the model that it is of: a copied checkpoint has the same numbers under two names."""
    return record.key, record.subject.key, record.model.recipe, record.model.seed
