"""Tables of yours: CSV and Parquet files of image paths and labels, or of features and labels."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

import pandas as pd

from training.data.keys import WORDS
from training.data.parts import SPLITS, existing
from training.data.split import SplitName
from training.data.unread import unread

PATHS = ("path", "image", "file", "filename", "filepath", "image_path", "file_name")
LABELS = ("label", "labels", "class", "target", "y", "category")
SPLIT = ("split", "subset", "set", "partition")
"""Usual names of columns."""


def read_table(path: Path) -> pd.DataFrame:
    """A CSV, TSV or Parquet file.

    Raises:
        ImportError: for a Parquet file where nothing can read it.
        ValueError: if it cannot be read, or is of another kind.
    """
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix in (".csv", ".tsv", ".txt"):
            # Texts such as NA and null may name a class.
            return pd.read_csv(
                path,
                sep="\t" if path.suffix == ".tsv" else ",",
                keep_default_na=False,
                na_values=[""],
                encoding="utf-8",
            )
    except ImportError as error:
        raise ImportError(f"{path}: Parquet files need pyarrow: pip install 'alphadx[parquet]'.") from error
    except (ValueError, OSError) as error:
        raise ValueError(unread(path, "a table", error)) from error
    raise ValueError(f"{path}: a table should be a .csv, .tsv or .parquet file.")


def found_column(table: pd.DataFrame, given: str | None, usual: Sequence[str], argument: str, path: Path) -> str:
    """Name of a column.

    Args:
        table: that has it.
        given: name that somebody gave, if any.
        usual: names that it usually has.
        argument: that names it, for the message.
        path: of the table, for the message.

    Raises:
        ValueError: if there is none, or several.
    """
    columns = [str(column) for column in table.columns]
    found = [given] if given in columns else []
    if given is None:
        found = [column for column in columns if column.lower() in usual]
    if len(found) != 1:
        wrong = "none is called so" if given else f"{len(found)} have usual names"
        named = shorten(", ".join(columns), 200)
        raise ValueError(f"{path}: `{argument}` should name one of the columns {named}. Found {wrong}.")
    return found[0]


def split_column(table: pd.DataFrame, given: str | None, path: Path) -> str | None:
    """Name of the column that says each row's split; none where there is none.

    Raises:
        ValueError: if one is given that is not there, or holds other words than those of splits.
    """
    if given is None:
        given = next((column for column in table.columns if str(column).lower() in SPLIT), None)
        return given if given is not None and not _unknown(table[given]) else None
    column = found_column(table, given, (), "split", path)
    if unknown := _unknown(table[column]):
        words = ", ".join(word for split in SPLITS for word in WORDS[split])
        raise ValueError(f"{path}: column `{column}` should hold {words}. Found {unknown[0]!r}.")
    return column


def _unknown(column: pd.Series) -> list[str]:
    words = {word for split in SPLITS for word in WORDS[split]}
    return sorted({str(value) for value in column.unique() if str(value).lower() not in words})


def row_numbers(table: pd.DataFrame) -> list[str]:
    """Columns without a name that count the rows, which pandas writes and nobody means."""
    nameless = [column for column in table.columns if str(column).startswith("Unnamed: ")]
    return [column for column in nameless if [*table[column]] == [*range(len(table))]]


def rows_of(table: pd.DataFrame, column: str | None, split: SplitName) -> pd.DataFrame:
    """Rows of a split; all where no column says it."""
    return table if column is None else table[table[column].str.lower().isin(WORDS[split])]


def also_in(files: dict[SplitName, list[str]], given: str | None) -> dict[SplitName, list[str]]:
    """The same, and for a split without files one of another that has rows of it.

    Args:
        files: of each split.
        given: name of the column that says a row's split, if somebody gave it.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: see `split_column`.
    """
    first = next(named for named in files.values() if named)[:1]
    path = existing(first, "tables")[0]
    table = read_table(path)
    column = split_column(table, given, path)
    if column is None:
        return files
    held = {split for split in SPLITS if len(rows_of(table, column, split))}
    return {split: named or (first if split in held else []) for split, named in files.items()}
