"""Findings of a correlation, sweep by sweep: the numbers of the table of correlations."""

import math
from typing import Any

from eval.report.fronts import is_called
from eval.report.sentences import PERCENT, called, minus
from eval.report.sweeps import Sweep
from eval.report.verdicts import UNDECIDED, Evidence, Finding, side
from eval.studies.correlation import FEWEST_MODELS, FEWEST_SETTINGS
from eval.studies.paper_claims import Claim
from eval.tables.cells import correlation_told


def of_correlation(evidence: Evidence, claim: Claim) -> list[Finding]:
    """correlates: two measurements over the models of each sweep."""
    metric, strength = (str(claim.about[key]) for key in ("measurement", "with"))
    everything = evidence.correlated
    table = everything.between(lambda q: is_called(q, metric), lambda q: is_called(q, strength))
    lines = table[table.statistic == "Pearson"].itertuples()
    about = [(everything.groups[line.data], line) for line in lines if _is_about(claim, everything.groups[line.data])]
    found = [_finding(claim, group, line) for group, line in about]
    of = f" of {called(str(claim.about['of']))}" if "of" in claim.about else ""
    where = f"{claim.data}: " if claim.data else ""
    nothing = f"{where}no sweep{of} has both {metric} and {strength}."
    return found or [Finding(claim, UNDECIDED, nothing)]


def _is_about(claim: Claim, group: Sweep) -> bool:
    """Whether a claim means a sweep; what was only measured is none."""
    of, data = claim.about.get("of"), {record.model.data for record in group.records}
    return bool(group.names) and of in (None, group.recipe) and (not claim.data or claim.data in data)


def _finding(claim: Claim, group: Sweep, line: Any) -> Finding:
    above = float(claim.about["above"])
    titles = " and ".join(title.removesuffix(PERCENT) for title in (line.metric, line.robustness))
    rests = f"{line.models} models of {line.settings} settings"
    rests += f", without {line.left_out} that are left out" if line.left_out else ""
    what = f"{group.data}, {group.title}: Pearson's correlation of {titles}"
    verdict = side((line.low, line.high), above)
    if math.isnan(line.value):
        reason = f"it needs {FEWEST_MODELS}" if line.models < FEWEST_MODELS else "one of the two is the same in all"
        return Finding(claim, verdict, f"{what} is not computed over {rests}: {reason}.")
    value = minus(correlation_told(line.value, line.low, line.high))
    return Finding(claim, verdict, f"{what} is {value}, over {rests}{_why(verdict, line, above)}.")


def _why(verdict: str, line: Any, above: float) -> str:
    """Why nothing is decided."""
    if verdict != UNDECIDED:
        return ""
    if math.isnan(line.low):
        return f"; below {FEWEST_SETTINGS} settings there is no interval, so nothing is decided"
    return f"; the interval holds {above:g}"
