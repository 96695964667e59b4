"""Where results go: refused before anything is measured if it cannot be written to."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

import h5py

from eval.records.attack_radii import AttackRadii
from eval.records.outcome import Measurement
from eval.records.robust_accuracy import RobustAccuracyAt


def check_folder(out: str | Path | None) -> None:
    """Refuse a folder for results that cannot be written to.

    Raises:
        ValueError: if it is a file.
        OSError: if it cannot be made or written to.
    """
    if out is None:
        return
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"`--out` should be a folder. Found the file {folder}.")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder):
        pass


def check_keeping(file: str | Path, wanted: Sequence[Measurement], models: int) -> None:
    """Refuse to keep adversarial examples of nothing, of several models in one file, or in place of another file.

    Raises:
        ValueError: naming what was found.
        OSError: if its folder cannot be made or written to.
    """
    if models > 1:
        raise ValueError(f"`keep_adversarial` keeps the adversarial examples of one model. Found {models}.")
    if not any(isinstance(measurement, AttackRadii | RobustAccuracyAt) for measurement in wanted):
        raise ValueError("`keep_adversarial` needs an attack in `attacks`. Found none.")
    if Path(file).is_dir():
        raise ValueError(f"`keep_adversarial` should be a file, such as adversarial.h5. Found the folder {file}.")
    if not _may_be_replaced(Path(file)):
        raise ValueError(
            f"`keep_adversarial` should be a new file, or one of adversarial examples. Found {file}, which holds "
            "something else and would be lost."
        )
    check_folder(Path(file).parent)


def _may_be_replaced(file: Path) -> bool:
    """Whether nothing would be lost but adversarial examples that were kept before."""
    if not file.exists() or not file.stat().st_size:
        return True
    if not h5py.is_hdf5(file):
        return False
    with h5py.File(file, "r") as opened:
        return opened.visit(lambda name: True if name.endswith("/x_adv") else None) is True
