"""What a study measures of a model."""

from pathlib import Path
from typing import Any

from alignment.contracts import check_choice
from eval.figures.wanted import DEFAULTS, all_measurements
from eval.records.outcome import Measurement
from eval.studies.grid import ModelCell
from eval.studies.overlay import FIRST, with_first
from eval.studies.trained import best_checkpoint, is_trained


def wanted_of(cell: ModelCell, folder: Path) -> list[tuple[int | None, list[Measurement]]]:
    """The measurements of a model, by the number of samples that they are taken on."""
    by_limit: dict[int | None, list[Measurement]] = {}
    for settings in cell.measure:
        chosen = dict(settings)
        limit = chosen.pop("limit", None)
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise ValueError(f"`limit` should be a whole number of at least 1. Found {limit!r}.")
        resolved = with_first(chosen, lambda name: str(_first_best(folder, name)))
        wanted = by_limit.setdefault(limit, [])
        wanted += [m for m in _measurements(resolved) if m not in wanted]
    return [*by_limit.items()]


def _measurements(settings: dict[str, Any]) -> list[Measurement]:
    """The measurements that a study's `measure` names.

    Raises:
        ValueError: for a misspelt setting, or one of another type.
    """
    for name in settings:
        check_choice(name, (*DEFAULTS, "limit"), "measure")
    try:
        return all_measurements(**settings)
    except (TypeError, AttributeError) as error:
        raise ValueError(
            f"`measure` should hold what `all_measurements` takes. Found {settings} ({error})."
        ) from error


def _first_best(folder: Path, name: str) -> Path:
    """Where the checkpoint of what is trained first lies, or will."""
    home = folder / FIRST / name
    return best_checkpoint(home) if is_trained(home) else home / "training" / "best.ckpt"
