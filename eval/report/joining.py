"""Records of several folders together, each model told by the folder that it lies in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from eval.records import Record, Records, Results
from eval.records.subject import distinguished
from eval.tables.table import Table

NAMED = 3
"""Folders of one model that its name lists; of more their number is told."""


@dataclass(frozen=True)
class Joined:
    """Records of several folders.

    Attributes:
        records: of all of them, each number once; recipes end with the folder of the model, in brackets.
        folders: how the folder of a model is called, of one model several.
    """

    records: Records
    folders: tuple[str, ...]

    def told(self, table: Table) -> Table:
        """A table of recipes with its folders in a column of their own."""
        exact = None if table.exact is None else self._apart(table.exact)
        return replace(table, frame=self._apart(table.frame), exact=exact)

    def _apart(self, frame: pd.DataFrame) -> pd.DataFrame:
        if "recipe" not in frame:
            return frame
        found = [self.recipe_and_folder(str(recipe)) for recipe in frame["recipe"]]
        told = frame.assign(recipe=[recipe for recipe, _ in found])
        told.insert([*frame].index("recipe") + 1, "folder", [folder for _, folder in found])
        return told

    def recipe_and_folder(self, recipe: str) -> tuple[str, str]:
        """A recipe and its folder; the folder is empty where a row is of no model of ours."""
        for folder in self.folders:
            if (told := f" ({folder})") in recipe:
                return recipe.replace(told, "", 1), folder
        return recipe, ""


def joined(folders: Sequence[Path]) -> Joined:
    """The records of several folders; what has the same identity in several is one number.

    Raises:
        ValueError: if a folder is named twice or holds no records, or a file is damaged.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ValueError(f"`folders` should differ. Found {', '.join(map(str, folders))}.")
    files: dict[str, tuple[Path, Record]] = {}
    homes: dict[str, list[str]] = {}
    for folder, name in zip(folders, distinguished([str(folder.resolve()) for folder in folders]), strict=True):
        for path, record in records_of(folder).files().items():
            files.setdefault(record.key, (path, record))
            names = homes.setdefault(record.subject.model_key, [])
            names += [name] * (name not in names)
    told = {key: _listed(names) for key, names in homes.items()}
    return Joined(
        Records({path: _of_folder(record, told[record.subject.model_key]) for path, record in files.values()}),
        tuple(dict.fromkeys(told.values())),
    )


def records_of(folder: Path) -> Records:
    """The records of a folder.

    Raises:
        ValueError: if it holds none, or a damaged file.
    """
    found = Results(folder).load()
    if not len(found):
        raise ValueError(f"{folder} holds no records. Run `alphadx study` or `alphadx measure` with it first.")
    return found


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) <= NAMED else f"{len(names)} folders"


def _of_folder(record: Record, name: str) -> Record:
    return replace(record, model=replace(record.model, recipe=f"{record.model.recipe} ({name})"))
