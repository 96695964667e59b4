"""The `alphadx` command: one word per job, and every job also a Python function."""

from eval.cli.commands import main

__all__ = ["main"]
