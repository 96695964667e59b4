"""Work that several processes divide, as it looks from the one that waits for it."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generators.progress import Stage


@dataclass
class Together(Stage):
    """Work that several processes divide.

    Attributes:
        repeated: parts that were done before this time.
        under_way: what the processes have begun, in parts.
        told: where each of them is.
    """

    repeated: int = 0
    under_way: float = 0.0
    told: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """How much of what is left to be done this time is done."""
        new = self.total - self.repeated
        within = self.under_way
        if self.part is not None and self.part.total and not math.isnan(self.part.share):
            within += self.part.total * self.part.share
        return min((self.done - self.repeated + within) / new, 1.0) if new > 0 else 1.0

    def read(self, folder: Path) -> None:
        """See what the processes have written."""
        found = [content for file in sorted(folder.glob("*.json")) if (content := _read(file))]
        self.under_way = sum(content["share"] for content in found)
        self.told = [content["where"] for content in found]


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it has gone meanwhile
        return None
