"""Signs of gradient masking in a line, unless there are any."""

from collections.abc import Sequence
from dataclasses import dataclass

from eval.records import Record, Records
from eval.report.tables import compared
from eval.tables.table import Table


@dataclass(frozen=True)
class Masking:
    """What was looked for and found.

    Attributes:
        sentence: all of it in a line.
        lines: places in the table of the models that show a sign, or of which nothing can be said.
    """

    sentence: str
    lines: Sequence[int]


def masking(records: Records, table: Table) -> Masking:
    """What the checks of all models found.

    Args:
        records: of a folder.
        table: `eval.report.tables.masking_table` of them.
    """
    chosen = [r for r in compared(records) if r.quantity.kind == "masking"]
    clear = {r.details["summary"] for r in chosen if r.value == 0 and r.details["signs"]}
    lines = [place for place, verdict in enumerate(table.frame["verdict"]) if verdict not in clear]
    return Masking(_sentence(chosen, len(lines), len(table.frame)), lines)


def _sentence(chosen: Sequence[Record], signs: int, models: int) -> str:
    counts = sorted({len(r.details["signs"]) for r in chosen} - {0}) or [0]
    samples = sorted({r.samples for r in chosen})
    looked = f"{_range(counts)} checks on {_range(samples)} samples"
    if not signs:
        each = f" of each of {models} models" if models > 1 else ""
        return f"No sign of gradient masking in {looked}{each}."
    which = f"{signs} of {models} models show" if models > 1 else "The model shows"
    told = f"{which} signs of gradient masking, or could not be judged, in {looked}"
    return f"{told}: what gradient attacks say of them may be too favourable."


def _range(numbers: Sequence[int]) -> str:
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
