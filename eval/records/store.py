"""The only writer and reader of result files.

A folder holds one folder per model under `models/`; there, each number leaves a JSON record and, beside it, a CSV
with the outcome for every sample, whose digest the record holds. A file appears whole or not at all.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eval.records.identity import plain, slug
from eval.records.quantity import RADII, Quantity
from eval.records.record import Record, key_of, read, written
from eval.records.subject import Model, Subject
from generators.files import remove_leftovers, write_whole

REMEDY = "Remove it, and the same command makes it again"
SHOWN = 8
"""Characters of a key that stand in the names of files."""


class ModelFolder:
    """Where everything about one model lies.

    Args:
        path: of the folder; it is made when something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_cleared = False

    def find(self, quantity: Quantity, subject: Subject) -> Record | None:
        """The record of a quantity on a subject, or None if it is not there, or its outcomes are not.

        Raises:
            ValueError: if its file is damaged, naming it and the remedy.
        """
        path = self._file(quantity, key_of(quantity, subject))
        if not path.exists() or not path.with_suffix(".csv").exists():
            return None
        record = read_record(path)
        return record if not record.arrays or path.with_suffix(".npz").exists() else None

    def write(
        self, record: Record, per_sample: pd.DataFrame, arrays: Mapping[str, np.ndarray] | None = None
    ) -> Record:
        """Keep a number with its outcome for every sample, and what its picture is drawn from.

        Returns:
            The record as it was written.
        """
        table, packed = per_sample.to_csv(index=False).encode(), _packed(arrays) if arrays else b""
        whole = replace(record, outcomes=_digest(table), arrays=_digest(packed) if packed else "")
        path = self._file(record.quantity, record.key)
        if packed:
            self._write(path.with_suffix(".npz"), packed)
        self._write(path.with_suffix(".csv"), table)
        self._write(path, written(whole))
        return whole

    def joined(self, record: Record, model: Model) -> Record:
        """The record, written again where its model belongs to groups or sweeps that it does not name yet."""
        named = record.model.joined(model)
        if named == record.model:
            return record
        grouped = replace(record, model=named)
        self._write(self._file(record.quantity, record.key), written(grouped))
        return grouped

    def write_examples(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep what a picture of a residual estimator is drawn from."""
        self._write(self.path / "examples.npz", _packed(arrays))

    def _write(self, path: Path, content: str | bytes) -> None:
        """Write a file, the first after what processes have left behind that were killed."""
        if not self._is_cleared:
            remove_leftovers(self.path, below=False)
            self._is_cleared = True
        write_whole(path, content)

    def _file(self, quantity: Quantity, key: str) -> Path:
        return self.path / f"{slug(quantity.name)}-{key[:SHOWN]}.json"


class Results:
    """A folder of results.

    Args:
        folder: made when the first record is written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def home(self, model: Model, identity: str) -> ModelFolder:
        """The folder of a model; the identity tells models apart whose names differ in nothing a file could hold."""
        settings = {"eps": model.epsilon} if model.epsilon else {}
        told = "".join(
            f"-{name}{value.replace('/', 'over')}" for name, value in (settings | {**model.setting}).items()
        )
        name = f"{model.data}-{model.recipe}{told}-seed{model.seed}"
        return ModelFolder(self.folder / "models" / f"{slug(name)}-{identity[:SHOWN]}")

    def load(self) -> "Records":
        """Everything that is recorded, each file read once.

        Raises:
            ValueError: if a file is damaged, naming it and the remedy.
        """
        found = sorted(self.folder.glob("models/*/*.json"))
        return Records({path: read_record(path) for path in found}, self.folder)


class Records:
    """Records in memory, with the outcomes of their samples; each file is read once, when it is first asked for.

    Args:
        files: records by the files they were read from.
        folder: that they lie in, with what its studies ask for.
    """

    def __init__(self, files: Mapping[Path, Record], folder: Path | None = None) -> None:
        self.folder = folder
        self._paths = {id(record): path for path, record in files.items()}
        self._records = list(files.values())
        self._outcomes: dict[int, pd.DataFrame] = {}
        self._examples: dict[Path, dict[str, np.ndarray] | None] = {}

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def files(self) -> dict[Path, Record]:
        """The records by the files they were read from."""
        return {self._paths[id(record)]: record for record in self._records}

    def per_sample(self, record: Record) -> pd.DataFrame:
        """The outcome for every sample of a record.

        Raises:
            ValueError: if the file is missing, damaged or belongs to another record.
        """
        if id(record) not in self._outcomes:
            self._outcomes[id(record)] = _outcomes(self._paths[id(record)], record)
        return self._outcomes[id(record)]

    def examples(self, record: Record) -> dict[str, np.ndarray] | None:
        """What a picture of the estimator behind a record is drawn from, or None."""
        path = self._paths[id(record)].with_name("examples.npz")
        if path not in self._examples:
            self._examples[path] = _arrays(path) if path.exists() else None
        return self._examples[path]

    def arrays(self, record: Record) -> dict[str, np.ndarray]:
        """What the picture of a record is drawn from.

        Raises:
            ValueError: if the file is missing, damaged or belongs to another record, or the record has no picture.
        """
        path = self._paths[id(record)].with_suffix(".npz")
        if not record.arrays:
            raise ValueError(f"`record` should be one with arrays. Found {record.quantity.title!r}.")
        if not path.is_file() or _digest(path.read_bytes()) != record.arrays:
            raise ValueError(
                f"{path} is missing or does not belong to {path.stem}.json. Remove both, and the same "
                "command makes them again."
            )
        return _arrays(path)

    def home(self, record: Record) -> str:
        """Name of the folder that a record lies in."""
        return self._paths[id(record)].parent.name

    def frame(self) -> pd.DataFrame:
        """One row per record, without settings and provenance, for pandas."""
        rows = [
            {name: getattr(r.model, name) for name in ("data", "recipe", "epsilon")}
            | {"setting": r.model.told(r.model.setting), "seed": r.model.seed}
            | {"group": ", ".join(r.model.groups), "measurement": r.quantity.name, "value": r.value}
            | {"low": r.interval[0], "high": r.interval[1], "samples": r.samples, "invalid": r.invalid}
            | {"split": r.subject.samples.split, "bounds": str(r.subject.samples.bounds)}
            | {"network": r.subject.network.get("network", ""), "weights": r.subject.weights}
            | {"forward_passes": r.forward_passes, "backward_passes": r.backward_passes, "seconds": r.seconds}
            | {"schema": r.schema, "key": r.key}
            for r in self
        ]
        columns = ["data", "recipe", "epsilon", "setting", "seed", "group", "measurement", "value"]
        return pd.DataFrame(rows, columns=None if rows else columns)


def read_record(path: Path) -> Record:
    """The record of a file.

    Raises:
        ValueError: if it is damaged, foreign or of a later version, with the remedy.
    """
    try:
        record = read(path.read_text(encoding="utf-8"), path.parent.name)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} {error}. {REMEDY}.") from error
    if record.schema > 1 and not path.stem.endswith(record.key[:SHOWN]):
        raise ValueError(f"{path} was renamed, copied or swapped: it holds record {record.key[:SHOWN]}. {REMEDY}.")
    return record


def _outcomes(path: Path, record: Record) -> pd.DataFrame:
    file = path.with_suffix(".csv")
    both = f"Remove it and {path.name}, and the same command makes both again"
    if not file.is_file():
        raise ValueError(f"{file} is missing, the outcomes of {path.name}. {both}.")
    content = file.read_bytes()
    if record.outcomes and _digest(content) != record.outcomes:
        raise ValueError(f"{file} does not belong to {path.name}: it is damaged, or was mixed with another. {both}.")
    try:
        table = pd.read_csv(StringIO(content.decode()))
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read as a table ({error}). {both}.") from error
    needed = {"index", "radius", "failed_at"} if record.quantity.kind in RADII else set()
    if missing := sorted(needed - {*table.columns}):
        raise ValueError(f"{file} is not a table of outcomes: it lacks {', '.join(missing)}. {both}.")
    return table


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        return dict(np.load(path))
    except Exception as error:  # a damaged archive can make the reader fail in any way
        raise ValueError(f"{path} cannot be read ({error}). {REMEDY}.") from error


def write_json(path: Path, content: Any) -> None:
    """Write plain values as JSON; numbers that JSON does not know become the texts "inf", "-inf" and "nan"."""
    write_whole(path, json.dumps(plain(content), indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path, keys: set[str]) -> dict[str, Any]:
    """The content of one of our JSON files.

    Raises:
        ValueError: if it is damaged or lacks one of the keys, naming the file and the remedy.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}). {REMEDY}.") from error
    if not isinstance(content, dict) or keys - content.keys():
        raise ValueError(f"{path} should hold {', '.join(sorted(keys))}, and does not. {REMEDY}.")
    return content
