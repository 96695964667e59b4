"""What stands in a report of a fault: versions, read without importing anything."""

import platform
from importlib.metadata import PackageNotFoundError, version


def version_line() -> str:
    """Versions of alphadx, Python and torch."""
    return f"alphadx {_of('alphadx')}, Python {platform.python_version()}, torch {_of('torch')}"


def _of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
