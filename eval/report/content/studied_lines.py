"""What was studied, in a line, and what was found of each claim."""

from collections.abc import Sequence

from eval.records import Records
from eval.report.content.headline import many
from eval.report.content.parts import Judged, Study
from eval.report.studied import Studied
from eval.report.verdicts import Finding

MOST = 12
"""Recipes that are named."""


def title_of(studies: Sequence[Studied]) -> str:
    """The title of the one study, or of all."""
    return studies[0].title if len(studies) == 1 else f"{len(studies)} studies: {'; '.join(s.title for s in studies)}"


def studied_line(records: Records, studies: Sequence[Studied], planned: int | None) -> str:
    """How many models of which recipes on which data, what they repeat, and whether any are missing."""
    done = len({(r.subject.samples.data, r.subject.model_key) for r in records})
    count = many(done, "model") if planned is None else f"{done} of {many(planned, 'model')}"
    data = ", ".join(dict.fromkeys(r.subject.samples.data for r in records))
    recipes = [*dict.fromkeys(r.model.recipe for r in records)]
    named = ", ".join(recipes[:MOST]) + (f" and {len(recipes) - MOST} more" if len(recipes) > MOST else "")
    papers = [f"Repeats {study.paper}." for study in studies if study.paper]
    return " ".join([f"{count} ({named}) on {data}; {many(len(records), 'measurement')}.", *papers])


def judged(found: Sequence[Finding]) -> list[Judged]:
    """Findings by their claims."""
    by_claim: dict[int, list[Finding]] = {}
    for one in found:
        by_claim.setdefault(id(one.claim), []).append(one)
    return [
        Judged(group[0].claim.says, group[0].claim.paper, [(one.verdict, one.sentence) for one in group])
        for group in by_claim.values()
    ]


def studies_shown(studies: Sequence[Studied], typed: Sequence[str]) -> list[Study]:
    """The studies with the commands that repeat them; of what no study made, the command that was typed."""
    shown = [Study(s.title, s.command, s.paper, s.minutes, s.differs) for s in studies]
    if len(studies) == 1 and not studies[0].of_study and typed:
        return [Study(shown[0].title, command) for command in typed]
    return shown
