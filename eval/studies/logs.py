"""What training logged about its gradients, losses and cost becomes records of the model that was kept."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from eval.records.intervals import mean_interval
from eval.records.provenance import provenance
from eval.records.quantity import Quantity
from eval.records.record import Record
from eval.records.subject import Model, Subject
from eval.studies.epochs import Course, courses

LOGGED = {
    kind: f"train_{kind}"
    for kind in ("gop_frequency", "mu", "cosine", "sample_mu", "sample_cosine", "sample_opposed", "sample_turned")
}
"""What is kept of a training log as a mean over epochs, by the kind of the record."""
SOURCE = {"source": "training log"}


def training_records(
    model: Model,
    subject: Subject,
    folder: Path,
    checkpoint: Path,
    side_by_side: int = 1,
    device: str | torch.device = "cpu",
) -> Iterator[tuple[Record, pd.DataFrame]]:
    """What a training logged, each with its table: means over the epochs that made a checkpoint, and whole courses.

    The means, of `LOGGED`, are of the epochs up to the one that was kept. The courses, see `eval.studies.epochs`, are
    of all epochs. What was not logged has no record.

    Args:
        model: how it is called.
        subject: what the records are about.
        folder: of the training, with its logs; a run that was resumed has several, of which the later hold.
        checkpoint: the one that was kept.
        side_by_side: how many models were trained at a time, which share the seconds in the logs. Records say it
            where it is more than one.
        device: that the training worked on.

    Raises:
        ValueError: if a log is damaged, naming it and the remedy.
    """
    log = _whole_log(folder)
    told = provenance(device) | ({"side_by_side": side_by_side} if side_by_side > 1 else {})
    for kind, epochs in _logged(log[log.epoch <= epoch_of(checkpoint)]):
        quantity = Quantity(kind, settings=SOURCE | {"samples": "epochs up to the best"})
        values = epochs[kind].to_numpy()
        yield (
            Record(
                model,
                quantity,
                subject,
                float(values.mean()),
                len(epochs),
                interval=mean_interval(values),
                provenance=told,
            ),
            epochs,
        )
    for found in courses(log):
        details = {"value": found.meaning} | _memory(found, device)
        number = found.table.epoch.nunique()
        record = Record(
            model,
            Quantity(found.kind, settings=SOURCE),
            subject,
            found.value,
            number,
            details=details,
            provenance=told,
        )
        yield record, found.table


def _logged(log: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The epochs in which something of `LOGGED` is known, by its kind."""
    for kind, name in LOGGED.items():
        if name in log and log[name].notna().any():
            yield kind, log[["epoch", name]].dropna().rename(columns={name: kind})


def _memory(found: Course, device: str | torch.device) -> dict[str, str]:
    """What a peak of memory is one of."""
    if "peak_mb" not in found.table:
        return {}
    on_gpu = torch.device(device).type == "cuda"
    return {"peak_mb": "allocated on the GPU" if on_gpu else "largest resident set of the process so far"}


def _whole_log(folder: Path) -> pd.DataFrame:
    """One row per epoch; of a run that was resumed, the later log holds."""
    logs = [_log(file, folder) for file in sorted(folder.rglob("metrics.csv"), key=_version)]
    if not logs:
        return pd.DataFrame({"epoch": []})
    # Lightning writes what belongs to one epoch in several rows, each with other columns.
    return pd.concat(logs, ignore_index=True).groupby("epoch", as_index=False, sort=True).last()


def _log(file: Path, folder: Path) -> pd.DataFrame:
    try:
        log = pd.read_csv(file, encoding="utf-8")
    except ValueError:  # pandas' own errors, and text that is none, are among them
        log = pd.DataFrame()
    if "epoch" not in log:
        raise ValueError(f"{file} is no log of a training. Remove {folder}, and the same command trains again.")
    return log


def epoch_of(checkpoint: Path) -> int:
    """The epoch that a checkpoint of Lightning was made in."""
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["epoch"])


def _version(file: Path) -> tuple[int, str]:
    """Lightning numbers the logs of a folder: version_2 comes before version_10."""
    number = file.parent.name.rpartition("_")[2]
    return (int(number) if number.isdigit() else -1, str(file))
