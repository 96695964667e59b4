"""The version of this distribution, read from what was installed; pyproject.toml is the only place that says it."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("alphadx")
except PackageNotFoundError:  # run from a copy of the source that nobody installed
    __version__ = "0+unknown"
