"""What training logged about its gradients becomes records of the model that was kept."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from eval.records.intervals import mean_interval
from eval.records.provenance import provenance
from eval.records.quantity import Quantity
from eval.records.record import Record
from eval.records.subject import Model, Subject

LOGGED = {"gop_frequency": "train_gop_frequency", "mu": "train_mu", "cosine": "train_cosine"}
"""What is kept of a training log, by the kind of the record."""


def training_records(
    model: Model,
    subject: Subject,
    folder: Path,
    checkpoint: Path,
    side_by_side: int = 1,
    device: str | torch.device = "cpu",
) -> Iterator[tuple[Record, pd.DataFrame]]:
    """Means over the epochs that made a checkpoint, with every epoch beside; nothing if gradients were not combined.

    Args:
        model: how it is called.
        subject: what the records are about.
        folder: of the training, with its logs; a run that was resumed has several, of which the later hold.
        checkpoint: the one that was kept; epochs after it are left out.
        side_by_side: how many models were trained at a time, which share the seconds in the logs. Records say it
            where it is more than one.
        device: that the training worked on.

    Raises:
        ValueError: if a log is damaged, naming it and the remedy.
    """
    logs = [_log(file, folder) for file in sorted(folder.rglob("metrics.csv"), key=_version)]
    last = epoch_of(checkpoint)
    for kind, logged in LOGGED.items():
        columns = [log[["epoch", logged]].dropna() for log in logs if logged in log]
        if not columns:
            continue
        epochs = pd.concat(columns).drop_duplicates("epoch", keep="last").rename(columns={logged: kind})
        epochs = epochs[epochs.epoch <= last].sort_values("epoch")
        if epochs.empty:
            continue
        settings = {"source": "training log", "samples": "epochs up to the best"}
        record = Record(
            model,
            Quantity(kind, settings=settings),
            subject,
            float(epochs[kind].mean()),
            len(epochs),
            interval=mean_interval(epochs[kind].to_numpy()),
            provenance=provenance(device) | ({"side_by_side": side_by_side} if side_by_side > 1 else {}),
        )
        yield record, epochs


def _log(file: Path, folder: Path) -> pd.DataFrame:
    try:
        log = pd.read_csv(file)
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
