"""Every table and figure of the papers, and what makes it here."""

from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml


@dataclass(frozen=True)
class Entry:
    """A table or figure of a paper.

    Attributes:
        paper: such as "paper 1".
        item: such as "Table 2" or "Fig. 8".
        shows: what it shows.
        presets: the studies that make it.
        figures: of `eval.figures`, by name; none for tables of models, and pictures that every page has.
    """

    paper: str
    item: str
    shows: str
    presets: tuple[str, ...]
    figures: tuple[str, ...] = ()


@cache
def index() -> tuple[Entry, ...]:
    """All of them, in the papers' order."""
    text = (resources.files("eval.report.published") / "index.yaml").read_text(encoding="utf-8")
    return tuple(
        Entry(paper, item, line["shows"], tuple(line["presets"]), tuple(line.get("figures", ())))
        for paper, items in yaml.safe_load(text).items()
        for item, line in items.items()
    )
