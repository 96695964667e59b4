"""Who writes records where processes measure together: the first, or each to a folder of its own."""

from collections.abc import Callable
from typing import Any

from eval.records.store import ModelFolder
from eval.robustness.together import agreed, by_the_first, shared


def keeper_for(folder: ModelFolder) -> Callable[[Callable[[], Any]], Any]:
    """Runs what reads or writes a folder: by the first process alone, for all, where all have the same folder."""
    places = {*shared(lambda: str(folder.path.resolve()))}
    return by_the_first if len(places) == 1 else agreed
