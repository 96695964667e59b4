"""Records of measurements: the only reader and writer of result files.

A study folder holds one folder per model under `models/`; there, each measurement leaves a JSON record and,
beside it, a CSV with the outcome for every sample. A file appears whole or not at all.
"""

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from training.strength import Strength

SCHEMA = 1
LIBRARIES = ("alphadx", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "kornia", "scipy", "numpy")


@dataclass(frozen=True)
class Model:
    """Which model a record is about.

    Attributes:
        data: name of the data set.
        recipe: how it was trained, such as B, Lα or P.
        epsilon: ε of adversarial training as written, or "" without.
        seed: of the training.
        group: which part of a study it belongs to: "side by side", "sweep", "estimators", or "measure".
    """

    data: str
    recipe: str
    epsilon: str = ""
    seed: int = 0
    group: str = "measure"


@dataclass(frozen=True)
class Record:
    """One number, and what is needed to repeat it.

    Attributes:
        model: what was measured.
        measurement: the name of the number, such as "epsilon50_pgd_linf".
        value: the number; infinite where it lies above everything tried.
        samples: how many the number rests on.
        invalid: how many were left out because they have no direction, or rejected answers of an attack.
        settings: of the measurement.
        forward_passes: in samples.
        backward_passes: in samples.
        seconds: wall-clock time.
        training: configuration of the training, as given to `alphadx fit`.
        provenance: library versions, code revision, machine.
        schema: version of this layout.
    """

    model: Model
    measurement: str
    value: float
    samples: int
    invalid: int
    settings: Mapping[str, Any]
    forward_passes: int
    backward_passes: int
    seconds: float
    training: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA


class Results:
    """The results under one folder.

    Args:
        folder: created when the first record is written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def model_folder(self, model: Model) -> Path:
        """Where everything about one model lies."""
        epsilon = f"-eps{model.epsilon.replace('/', 'over')}" if model.epsilon else ""
        name = f"{model.group}-{model.data}-{model.recipe}{epsilon}-seed{model.seed}"
        return self.folder / "models" / name.replace("/", "").replace(" ", "_")

    def has(self, model: Model, measurement: str) -> bool:
        """Whether a measurement has been recorded."""
        return (self.model_folder(model) / f"{measurement}.json").exists()

    def write(self, record: Record, per_sample: pd.DataFrame) -> None:
        """Record a measurement with its outcome for every sample."""
        path = self.model_folder(record.model) / f"{record.measurement}.json"
        write_whole(path.with_suffix(".csv"), per_sample.to_csv(index=False))
        write_json(path, asdict(record))

    def records(self) -> list[Record]:
        """All records, in the order of their files' names.

        Raises:
            ValueError: if a file has another schema than this version of alphadx writes.
        """
        return [_record(path) for path in sorted(self.folder.glob("models/*/*.json"))]

    def per_sample(self, record: Record) -> pd.DataFrame:
        """The outcome for every sample of a record."""
        return pd.read_csv((self.model_folder(record.model) / record.measurement).with_suffix(".csv"))

    def write_examples(self, model: Model, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep what a picture of a residual estimator's answers is drawn from."""
        buffer = BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        write_whole(self.model_folder(model) / "examples.npz", buffer.getvalue())

    def examples(self, model: Model) -> dict[str, np.ndarray] | None:
        """What `write_examples` kept, or None."""
        path = self.model_folder(model) / "examples.npz"
        return dict(np.load(path)) if path.exists() else None

    def frame(self) -> pd.DataFrame:
        """All records as a table, one row each, without settings and provenance."""
        kept = [f.name for f in fields(Record) if f.name not in ("model", "settings", "training", "provenance")]
        rows = [asdict(r.model) | {name: getattr(r, name) for name in kept} for r in self.records()]
        columns = [f.name for f in fields(Model)] + kept
        return pd.DataFrame(rows, columns=columns)


def write_json(path: Path, content: Any) -> None:
    """Write plain values as JSON; numbers that JSON does not know become the texts "inf", "-inf" and "nan"."""
    write_whole(path, json.dumps(_plain(content), indent=1, ensure_ascii=False) + "\n")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    part.replace(path)


@cache
def provenance() -> dict[str, Any]:
    """Library versions, code revision and machine."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            versions[library] = "not installed"
    return {
        "versions": versions,
        "python": platform.python_version(),
        "revision": _revision(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
    }


def _revision() -> str:
    """The code's git revision, marked where the checkout has changes that are not committed."""
    here = Path(__file__).resolve().parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "not a checkout"
    return described.stdout.strip()


def _record(path: Path) -> Record:
    content = json.loads(path.read_text())
    if content.get("schema") != SCHEMA:
        raise ValueError(
            f"{path} should have schema {SCHEMA}. Found {content.get('schema')}. Read it with the version of "
            "alphadx that wrote it, or measure again."
        )
    content["model"] = Model(**content["model"])
    return Record(**content | {"value": float(content["value"])})


def _plain(value: Any) -> Any:
    """The same in values that JSON knows; a strength both as a number and as written."""
    if isinstance(value, Strength):
        return {"value": float(value), "written": value.written}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)
