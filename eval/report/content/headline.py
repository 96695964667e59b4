"""The finding of a page in a sentence: of what a paper claims, or else of what the numbers say most."""

from collections import Counter
from collections.abc import Sequence

from eval.records import Record, Records
from eval.records.quantity import RADII
from eval.report.content.parts import Headline
from eval.report.fronts import LOWER
from eval.report.recipe_findings import of_differences
from eval.report.sentences import titled, with_ends
from eval.report.tables import compared
from eval.report.verdicts import Evidence, Finding
from eval.studies.paper_claims import Claim
from eval.tables.rows import Row, rows
from eval.tables.table import Table

WITH_INTERVAL = "["


def headline(records: Records, found: Sequence[Finding], correlation: Table | None) -> Headline:
    """A finding with its interval and n.

    The order says which, and not the verdict: correlations first, which are what all this is about, then the claims
    in the study's own order, but for those that could not be judged.

    Args:
        records: of a folder.
        found: what was found of the papers' claims.
        correlation: the table of correlations, where there is one.
    """
    if found:
        first = min(found, key=lambda one: (WITH_INTERVAL not in one.sentence, one.claim.kind != "correlates"))
        says = first.claim.says.rstrip(".")
        claim = f"{first.claim.paper}: {says}" if first.claim.paper else says
        return Headline(first.sentence, first.verdict, claim, tally(found))
    if correlation is not None and len(correlation.frame):
        return Headline(_of_correlation(correlation))
    return Headline(_of_recipes(records) or _of_models(records))


def tally(found: Sequence[Finding]) -> str:
    """How many claims were judged, and what became of them.

    Example:
        >>> claim = Claim("", "", "", "more", {})
        >>> tally([Finding(claim, "confirmed", ""), Finding(claim, "undecided", "")])
        '2 findings on 1 claim: 1 confirmed, 1 undecided'
    """
    counts = Counter(one.verdict for one in found)
    claims = len({id(one.claim) for one in found})
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"{many(len(found), 'finding')} on {many(claims, 'claim')}: {told}"


def many(count: int, what: str) -> str:
    """A count with its noun.

    Example:
        >>> many(1, "model"), many(2, "model")
        ('1 model', '2 models')
    """
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _of_correlation(table: Table) -> str:
    line = table.frame.iloc[0]
    told = f"{line['data']}, {line['of']}: Pearson's correlation of {line['metric']} and {line['robustness']}"
    return f"{told} is {line['Pearson']}, over {line['models']} models of {line['settings']} settings."


def _of_recipes(records: Records) -> str:
    """The most robust recipe against plain training, or the least robust one."""
    members = _comparable(records)
    if len(members) < 2:
        return ""
    name = members[0].records[0].quantity.name
    better = -1 if members[0].records[0].quantity.kind in LOWER else 1
    ranked = sorted(members, key=lambda row: better * sum(r.value for r in row.records) / len(row.records))
    base = next((row for row in ranked[:-1] if row.records[0].model.recipe == "B"), ranked[0])
    of, than = (row.records[0].model.recipe for row in (ranked[-1], base))
    if of == than:
        return ""
    about = {"measurement": name, "of": of, "than": than}
    data = ranked[-1].records[0].model.data
    return of_differences(Evidence(records), Claim("", "", data, "more", about))[0].sentence


def _comparable(records: Records) -> list[Row]:
    """Rows of the first data set in the measurement that is first among radii, else among all."""
    chosen = [r for r in compared(records) if r.quantity.kind in (*RADII, "alpha_dx", "accuracy")]
    if not chosen:
        return []
    wanted = min((r.quantity for r in chosen), key=lambda q: (q.kind not in RADII, q.kind != "alpha_dx", q.rank))
    found = rows(r for r in chosen if r.quantity == wanted)
    return [row for row in found if row.data == found[0].data]


def _of_models(records: Records) -> str:
    """What is known of the first model."""
    chosen = [r for r in compared(records) if r.quantity.kind in (*RADII, "alpha_dx", "accuracy")]
    if not chosen:
        return f"{many(len(records), 'measurement')}; none of robustness or alignment."
    row = rows(chosen)[0]
    found: dict[str, Record] = {}
    for record in sorted(row.records, key=lambda record: record.quantity.rank):
        found.setdefault(record.quantity.kind, record)
    told = [f"{titled(r.quantity)} {with_ends(r.quantity, r.value, r.interval)}" for r in found.values()]
    return f"{row.data}, {row.recipe}: {'; '.join(told)}; n = {row.samples.count}."
