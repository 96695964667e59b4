"""Checkpoints that a disk or a copy has damaged: which one it is, and from which one a training can go on."""

import zipfile
from pathlib import Path
from typing import Any

import torch

NEEDED = ("state_dict", "epoch", "global_step", "loops", "callbacks", "optimizer_states", "lr_schedulers")
"""What a training cannot go on without."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint from which a training can go on.

    Raises:
        ValueError: if it is damaged or none, with what to do.
    """
    try:
        check_bytes(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of another kind can make the reader fail in any way
        raise ValueError(f"{path} cannot be read as a checkpoint: {_in_short(error)}. {_remedy(path)}") from error
    missing = [key for key in NEEDED if key not in content] if isinstance(content, dict) else list(NEEDED)
    if missing:
        raise ValueError(
            f"{path} should hold everything that a training goes on with. Found nothing under {', '.join(missing)}. "
            "Name a last.ckpt of `alphadx fit`."
        )
    return content


def check_bytes(path: Path) -> None:
    """Refuse an archive of torch in which a byte is not what was written; torch itself looks at no checksum.

    Raises:
        ValueError: if one is not.
    """
    if path.stat().st_size == 0:
        raise ValueError("it is empty")
    if not zipfile.is_zipfile(path):
        raise ValueError("it is cut off, or no file of torch")
    with zipfile.ZipFile(path) as archive:
        if (part := archive.testzip()) is not None:
            raise ValueError(f"{part} in it has other bytes than were written")


def _in_short(error: Exception) -> str:
    """The first line of what a reader says."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _remedy(path: Path) -> str:
    """Delete it, and go on from the best epoch where that is whole."""
    best = path.with_name("best.ckpt")
    if best == path or not is_whole(best):
        return "Delete it, and leave out --resume to start afresh."
    return f"Delete it, and go on from the best epoch with `--resume {best}`, or leave out --resume to start afresh."


def is_whole(path: Path) -> bool:
    """Whether a training can go on from a file."""
    try:
        read_checkpoint(path)
    except (ValueError, OSError):
        return False
    return True
