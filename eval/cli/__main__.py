"""`python -m eval.cli` is the `alphadx` command."""

from eval.cli.commands import main

main()
