"""Where the checkpoints of a run lie."""

from pathlib import Path

from pytorch_lightning import Trainer

from eval.fit.checkpoints import LAST


def last_checkpoint(trainer: Trainer, folder: str | Path | None) -> Path:
    """The newest last checkpoint where a trainer keeps its own, in a folder for each time it was started.

    Args:
        trainer: of the run.
        folder: of its checkpoints; None for where its loggers write, or its root without one.

    Raises:
        FileNotFoundError: if there is none.
    """
    if folder is not None:
        places, found = [Path(folder)], [Path(folder) / LAST]
    else:
        root = Path(trainer.default_root_dir)
        homes = {Path(logger.save_dir or root) / str(logger.name) for logger in trainer.loggers}
        places = [root, *sorted(homes | {root / "lightning_logs"})]
        found = [
            root / "checkpoints" / LAST,
            *(last for home in places[1:] for last in home.glob(f"*/checkpoints/{LAST}")),
        ]
    found = [path for path in found if path.is_file()]
    if not found:
        raise FileNotFoundError(
            f"{', '.join(map(str, places))} (no {LAST} in it): no checkpoint to go on from. Name one by its path, or "
            "leave out --resume to start afresh."
        )
    return max(found, key=lambda path: path.stat().st_mtime)


def check_folder(checkpoint: Path, folder: str | Path | None) -> None:
    """Refuse to go on from a checkpoint that does not lie where the run is to keep its own.

    Raises:
        ValueError: if it does not.
    """
    if folder is not None and Path(folder).expanduser().resolve() != checkpoint.resolve().parent:
        raise ValueError(
            f"`checkpoint.dirpath` should be the folder of {checkpoint}, where the best epoch so far lies. Found "
            f"{folder}. Leave it out, or copy the whole folder there and name its last.ckpt."
        )
