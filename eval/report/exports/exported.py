"""What an export is: files and what a reader must be told; and what may be said beside the numbers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Exported:
    """The files of an export.

    Attributes:
        files: contents by path, relative to the folder that they are meant for.
        notes: sentences about what was left out.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def check_about(about: Mapping[str, Any], form: str, known: Collection[str], measured: Collection[str] = ()) -> None:
    """Refuse what a form has no place for, and what is measured and not said.

    Raises:
        ValueError: naming it.
    """
    if said := sorted(about.keys() & set(measured)):
        raise ValueError(f"`about` should leave out what is measured. Found {', '.join(said)}.")
    if unknown := sorted(about.keys() - set(known)):
        choices = ", ".join(known) if known else "nothing"
        raise ValueError(f"`about` should hold {choices} for {form}. Found {', '.join(unknown)}.")
