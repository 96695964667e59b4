"""`python -m eval.cli` is the `alphadx` command."""

from eval.cli.command import main

main()
