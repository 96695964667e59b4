"""The documentation's own programs are scripts beside it, not packages."""

from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let their modules be imported by name."""
    for folder in ("", "commands", "_ext"):
        monkeypatch.syspath_prepend(DOCS / folder)
