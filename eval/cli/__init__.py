"""The `alphadx` command: one word per job, and every job also a Python function."""

from eval.cli.command import main

__all__ = ["main"]
