"""The list of presets: what each repeats, and how long each of its forms takes."""

import re
from typing import Any

from eval.studies.source import content_of, presets

NUMBER = re.compile(r"^((?:about )?[\d.]+(?: to [\d.]+)?)")
"""What a time begins with; text that begins otherwise is left as it is."""


def catalogue() -> str:
    """Every preset with its title, the tables and figures of the papers that it repeats, and its expected times."""
    return "\n".join(_entry(name, content_of(name)) for name in presets())


def expected(source: dict[str, Any], fast: bool) -> str:
    """How long a form of a study takes, in words; "time not known" where it does not say."""
    minutes = source.get("minutes")
    if fast and isinstance(source.get("fast"), dict) and "minutes" in source["fast"]:
        minutes = source["fast"]["minutes"]
    found = minutes.get("fast" if fast else "whole") if isinstance(minutes, dict) else minutes
    if found is None:
        return "time not known"
    return NUMBER.sub(r"\1 minutes", str(found))


def _entry(name: str, source: dict[str, Any]) -> str:
    lines = [f"{name}: {source['title']}"]
    if "paper" in source:
        lines.append(f"  {source['paper']}")
    lines.append(f"  {expected(source, fast=False)}")
    if isinstance(source.get("fast"), dict):
        lines.append(f"  --fast: {expected(source, fast=True)}")
    else:
        lines.append("  no fast form")
    return "\n".join(lines)
