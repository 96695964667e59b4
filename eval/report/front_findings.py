"""Findings of two fronts by area: the numbers of the table of fronts."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from eval.report.front_area import LEAST, compared
from eval.report.fronts import AXES, Front, Fronts, drawn, without_robust
from eval.report.sentences import joined, titled
from eval.report.sweeps import Sweep
from eval.report.verdicts import UNDECIDED, Evidence, Finding, side, why
from eval.studies.asked import asked
from eval.studies.paper_claims import Claim


def of_fronts(evidence: Evidence, claim: Claim) -> list[Finding]:
    """front: two recipes over their settings, by the area that each dominates."""
    found = []
    for data, groups in _places(evidence, claim).items():
        wanted = _wanted(evidence, claim, {r.model.data for group in groups for r in group.records})
        fronts = drawn(groups, evidence.derived, [wanted], evidence.lost)
        found += [_finding(evidence, claim, fronts[0], *pair) for pair in _pairs(claim, fronts)] or [
            Finding(claim, UNDECIDED, f"{data}: {_why_none(evidence, claim, groups)}.")
        ]
    return found or [_nothing(claim)]


def _places(evidence: Evidence, claim: Claim) -> dict[str, list[Sweep]]:
    """The sweeps by data set, where both recipes have one."""
    found: dict[str, list[Sweep]] = {}
    for group in evidence.sweeps:
        if claim.data in ("", *(record.model.data for record in group.records)):
            found.setdefault(group.data, []).append(group)
    both = {claim.about["of"], claim.about["than"]}
    return {data: groups for data, groups in found.items() if both <= {group.recipe for group in groups}}


def _wanted(evidence: Evidence, claim: Claim, experiments: set[str]) -> tuple[str, Mapping[str, Any]]:
    """The front that the study draws of the two measurements; else, or above another reference, the claim's own."""
    own = (min(experiments), claim.about)
    for experiment, wanted in asked(evidence.records.folder, "fronts"):
        same = all(without_robust(wanted[axis]) == without_robust(claim.about[axis]) for axis in AXES)
        reference = claim.about.get("reference", wanted.get("reference"))
        if experiment in experiments and same and reference == wanted.get("reference"):
            own = (experiment, wanted)
    return own


def _pairs(claim: Claim, fronts: list[Fronts]) -> Iterator[tuple[Front, Front]]:
    """The two recipes' fronts, sweep by sweep."""
    for found in fronts:
        own = [[front for front in found.fronts if front.recipe == claim.about[key]] for key in ("of", "than")]
        yield from ((one, other) for one, other in product(*own))


def _finding(evidence: Evidence, claim: Claim, fronts: Fronts, one: Front, other: Front) -> Finding:
    found = compared(evidence.records, fronts, one, other)
    names = f"{one.title} and {other.title}"
    if found is None:
        said = f"{fronts.data}: {names} have no area to be compared, for which each needs {LEAST} settings."
        return Finding(claim, UNDECIDED, said)
    verdict = side(found.interval)
    a, b = found.areas
    what = f"of {titled(fronts.y)} against {titled(fronts.x)}"
    told = f"{what}, the area is {a:.3f} for {one.title} and {b:.3f} for {other.title}: {found.told}"
    return Finding(claim, verdict, f"{fronts.data}: {told}{why(verdict, found.interval, 'holds 0')}.")


def _why_none(evidence: Evidence, claim: Claim, groups: list[Sweep]) -> str:
    """Why one of the recipes has no front."""
    recipes = [str(claim.about[key]) for key in ("of", "than")]
    lost = [
        name
        for name in recipes
        if all(r.subject.key in evidence.lost for group in groups if group.recipe == name for r in group.records)
    ]
    if lost:
        return f"{joined(lost)} near chance at every setting, so that fronts are not compared"
    return (
        f"{' and '.join(recipes)} have no front of {claim.about['x']} and {claim.about['y']}, which were not measured"
    )


def _nothing(claim: Claim) -> Finding:
    where = f"{claim.data}: " if claim.data else ""
    of, than = claim.about["of"], claim.about["than"]
    return Finding(claim, UNDECIDED, f"{where}{of} and {than} have no sweeps on the same samples.")
