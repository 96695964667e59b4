"""Fronts as a table: the area of each, and a sentence on which is better."""

import math
from collections.abc import Sequence

import pandas as pd

from eval.records import Records
from eval.report.front_area import compared, mean_area
from eval.report.fronts import Fronts, all_fronts, without_robust
from eval.report.verdicts import UNDECIDED, side
from eval.studies.asked import asked
from eval.tables.cells import deviation, number
from eval.tables.rows import at_strengths
from eval.tables.table import Table


def front_table(records: Records) -> Table:
    """One row per front with its area, and a sentence on which is better; empty without fronts."""
    lines, told = [], []
    for fronts in all_fronts(records):
        lines += _lines(fronts)
        told += [_meaning(fronts), ahead(records, fronts), *_lost(fronts)]
    told += _missing(records)
    exact = [own | numbers for fronts in all_fronts(records) for own, numbers in _numbers(fronts)]
    return Table(pd.DataFrame(lines), [note for note in dict.fromkeys(told) if note], exact=pd.DataFrame(exact))


def _lines(fronts: Fronts) -> list[dict[str, str]]:
    areas = [{"area": _told(fronts.areas(front))} for front in fronts.fronts]
    return [own | area for (own, _), area in zip(_numbers(fronts), areas, strict=True)]


def _numbers(fronts: Fronts) -> list[tuple[dict[str, str], dict[str, float]]]:
    """What names each row, and its area as it was computed."""
    found = []
    for front in fronts.fronts:
        areas = fronts.areas(front)
        counts = {"settings": str(front.points.setting.nunique()), "seeds": str(len(front.seeds))}
        over = {"area ±": deviation(areas)} if len(areas) > 1 else {}
        names = {"data": fronts.data, "of": fronts.title, "sweep": front.title} | counts
        found.append((names, {"area": mean_area(areas)} | over))
    return found


def ahead(records: Records, fronts: Fronts) -> str:
    """Which front has the largest area, how much larger it is than the next, and whether that is decided."""
    areas = {front.title: mean_area(fronts.areas(front)) for front in fronts.fronts}
    known = [front for front in fronts.fronts if not math.isnan(areas[front.title])]
    if len(known) < 2:
        return ""
    first, second, *_ = sorted(known, key=lambda front: -areas[front.title])
    found = compared(records, fronts, first, second)
    if found is not None and found.areas[0] < found.areas[1]:  # over the seeds that both have
        first, second, found = second, first, compared(records, fronts, second, first)
    ours, theirs = (areas[first.title], areas[second.title]) if found is None else found.areas
    where = f"{fronts.data}, {fronts.title}: {first.title}"
    against = f"an area of {ours:.3f} against {theirs:.3f} of {second.title}"
    if found is None or any(map(math.isnan, found.interval)):
        reason = "there is too little for an interval"
        if first.beyond or second.beyond:
            reason = "models are left out, so that nothing is decided"
        return f"{where} is ahead with {against}; {reason}."
    if side(found.interval) == UNDECIDED:
        return f"{where} has {against}: {found.told}; the interval holds 0, so that nothing is decided."
    return f"{where} is better, with {against}: {found.told}."


def _meaning(fronts: Fronts) -> str:
    """What the area is of."""
    axes = (fronts.x, fronts.y)
    worst, best = (
        ", ".join(f"{quantity.title} {number(quantity, value)}" for quantity, value in zip(axes, corner, strict=True))
        for corner in (fronts.reference, fronts.best)
    )
    which = "the stated reference" if fronts.stated else "the worst of any model"
    return (
        f"{fronts.data}: area is the share of the rectangle from {which} ({worst}) to the best of any model ({best}) "
        "in which a front is at least as good in both; seed by seed, mean ± deviation."
    )


def _lost(fronts: Fronts) -> list[str]:
    """A sentence for each sweep some of whose models are left out."""
    near_chance = [
        f"{fronts.data}, {title}: {lost} of {count} models are near chance and left out."
        for title, (lost, count) in fronts.lost.items()
        if lost
    ]
    beyond = [
        f"{fronts.data}, {front.title}: {front.beyond} of {fronts.lost[front.title][1]} models are left out: a "
        "number of theirs lies above everything that was tried."
        for front in fronts.fronts
        if front.beyond
    ]
    return [*near_chance, *beyond]


def _missing(records: Records) -> list[str]:
    """A sentence for each front that is asked for, and that no sweep has the measurements of."""
    names = {without_robust(one.quantity.name) for r in records for one in (r, *at_strengths(r))}
    return [
        f"{experiment}: a front is asked for of {wanted['y']} against {wanted['x']}, and {name} was not measured."
        for experiment, wanted in asked(records.folder, "fronts")
        for name in (wanted["x"], wanted["y"])
        if without_robust(name) not in names
    ]


def _told(areas: Sequence[float]) -> str:
    mean = mean_area(areas)
    if math.isnan(mean):
        return "–"
    return f"{mean:.3f}" + (f" ± {deviation(areas):.3f}" if len(areas) > 1 else "")
