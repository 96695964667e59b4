"""Run every command and Python block of README and docs: `python docs/commands [PAGE …]`.

Prints a line per block that fails, and how many ran, were read, or were left out and why; exit status 1 if one fails.
"""

import contextlib
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import matplotlib as mpl
import torch
from blocks import RUN, Block, blocks_of
from records_shown import differences
from running import CHECKOUT, Untrue, examine, run
from sandbox import furnish

GENERATED = ("api", "presets", "_build", "notebooks")


def pages() -> list[Path]:
    """README, CONTRIBUTING and all pages of the documentation that are written by hand."""
    docs = CHECKOUT / "docs"
    written = [page for page in sorted(docs.rglob("*.md")) if page.relative_to(docs).parts[0] not in GENERATED]
    return [page for name in ("README.md", "CONTRIBUTING.md") if (page := CHECKOUT / name).is_file()] + written


def outcome(block: Block, names: dict[str, object]) -> str:
    """What became of a block: run, read, or the reason why it was not.

    Raises:
        Untrue: if it does not do what the page says.
    """
    if "record" in block.marks:
        if told := differences(block.marks["record"], block.text):
            raise Untrue(told)
        return "compared with its record"
    if reason := block.marks.get("not run"):
        examine(block)
        return f"not run: {reason}"
    if block.language not in RUN:
        return "shown only"
    run(block, names)
    return "run" if block.language != "yaml" or "file" in block.marks else "read"


def work(chosen: list[Path]) -> int:
    """Run the blocks of all pages; returns how many failed."""
    counted: Counter[str] = Counter()
    for page in chosen:
        names: dict[str, object] = {"__name__": "page"}
        for block in blocks_of(page):
            start = time.process_time()
            try:
                found = outcome(block, names)
            except (Untrue, ValueError) as error:
                found = "FAILED"
                print(f"{block}: {error}", flush=True)
            counted[found] += 1
            if (took := time.process_time() - start) > 5:
                print(f"{block}: {took:.0f} s of CPU", flush=True)
    print("\n".join(f"{count:4} {what}" for what, count in sorted(counted.items())))
    return counted["FAILED"]


def main() -> None:
    """Furnish a folder, work there, and remove it."""
    chosen = [Path(name).resolve() for name in sys.argv[1:]] or pages()
    mpl.use("agg")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="alphadx-docs-") as folder, contextlib.chdir(folder):
        sys.path.insert(0, folder)
        os.environ["PYTHONPATH"] = str(CHECKOUT)
        with (
            open(os.devnull, "w", encoding="utf-8") as no,
            contextlib.redirect_stdout(no),
            contextlib.redirect_stderr(no),
        ):
            furnish(Path(folder))
        failed = work(chosen)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
