"""What a study found, in sentences made from its records, beside what the paper claims.

A claim is confirmed where the whole 95 % interval speaks for it, not confirmed where all of it speaks against it, and
undecided otherwise. Differences are paired by the seeds of trainings; where there is one training of each, they are
paired by samples, which says nothing of other trainings. A claim over a sweep is judged at each setting.
"""

from collections.abc import Callable, Sequence

import pandas as pd

from eval.records import Records
from eval.report.correlation_findings import of_correlation
from eval.report.front_findings import of_fronts
from eval.report.recipe_findings import of_differences, of_values
from eval.report.verdicts import Evidence, Finding
from eval.studies.paper_claims import Claim
from eval.tables.table import Table

JUDGES: dict[str, Callable[[Evidence, Claim], list[Finding]]] = {
    "more": of_differences,
    "less": of_differences,
    "same": of_differences,
    "value": of_values,
    "correlates": of_correlation,
    "front": of_fronts,
}


class Findings(Table):
    """A table that is printed as sentences."""

    def __str__(self) -> str:
        lines = []
        for line in self.frame.to_dict("records"):
            claim = f"{line['paper']}: {line['the paper claims']}" if line["paper"] else line["the paper claims"]
            lines.append(f"{line['found']}\n  {line['verdict']}: {claim.rstrip('.')}.")
        return "\n".join(lines)


def findings(records: Records, claims: Sequence[Claim]) -> list[Finding]:
    """Every claim, on every data set and at every setting that it is about, judged from the records alone."""
    evidence = Evidence(records)
    return [found for claim in claims for found in JUDGES[claim.kind](evidence, claim)]


def findings_table(found: Sequence[Finding]) -> Findings:
    """One row per finding, in the order of claims."""
    lines = [
        {"found": f.sentence, "verdict": f.verdict, "the paper claims": f.claim.says, "paper": f.claim.paper}
        for f in found
    ]
    return Findings(pd.DataFrame(lines))
