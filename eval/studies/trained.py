"""What says that a training is finished, and that its checkpoint is the one it ended with."""

import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from eval.fit import FitCLI
from eval.records.store import read_json, write_json
from training.side_by_side import Member


def trained(cli: FitCLI, home: Path, member: Member | None = None) -> Path:
    """The best checkpoint of a training; trains if that has not been done.

    Args:
        cli: the training.
        home: of all that comes of it.
        member: runs its steps beside those of others; None where it is trained alone.

    Raises:
        ValueError: if no epoch was a candidate for the best, or files of a finished training are damaged.
    """
    if not is_trained(home):
        cli.model.runner = member
        clock = time.perf_counter if member is None else member.clock
        started = clock()
        checkpoint = cli.fit()
        score, best = checkpoint.best_model_score, Path(checkpoint.best_model_path)
        content = {
            "best": best.name,
            "sha256": _sha256(best),
            "score": None if score is None else float(score),
            "seconds": clock() - started,
            "side_by_side": 1 if member is None else member.together,
        }
        write_json(_mark(home), content)
    return best_checkpoint(home)


def is_trained(home: Path) -> bool:
    """Whether a training is finished."""
    return _mark(home).exists()


def side_by_side(home: Path) -> int:
    """How many models shared the seconds of a finished training; older ones do not say, and were trained alone."""
    content: dict[str, Any] = read_json(_mark(home), {"best", "score"})
    return int(content.get("side_by_side", 1))


def best_checkpoint(home: Path) -> Path:
    """The best checkpoint of a finished training.

    Raises:
        ValueError: if it is missing or not the one that training ended with, or the file that names it is damaged.
    """
    mark = _mark(home)
    content: dict[str, Any] = read_json(mark, {"best", "score"})
    best = mark.parent / str(content["best"])
    again = f"Remove {mark.parent}, and the same command trains again"
    if not best.is_file():
        raise ValueError(f"{best} is missing, the checkpoint of a finished training. {again}.")
    if "sha256" in content and content["sha256"] != _sha256(best):
        raise ValueError(f"{best} is not the checkpoint that training ended with: damaged or swapped. {again}.")
    return best


def _mark(home: Path) -> Path:
    return home / "training" / "trained.json"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        found = sha256()
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest()
