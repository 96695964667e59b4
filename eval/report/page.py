"""One self-contained HTML page, CSV tables and plots from the records of a folder."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

import pandas as pd

from eval.figures import FIGURES
from eval.records import Records, Results
from eval.records.identity import slug
from eval.report.findings import Finding, findings, findings_table
from eval.report.plots import all_plots
from eval.report.published import hours_beside
from eval.report.studied import Studied, planned, studies_of
from eval.report.tables import Table, all_tables
from generators.files import write_whole

LEGEND = {
    "ε50%": "strength of the attack at which half of the samples are misclassified: the median over samples of the "
    "smallest strength at which the attack succeeds, 0 for samples that are wrong already. Every finite radius "
    "belongs to an adversarial example whose class, norm and bounds were checked. In the data's own units.",
    "τ50%": "weight of smoothness in the spatial attack (STA) at which half of the samples are misclassified; lower "
    "is more robust. Strength is 1/τ.",
    "worst of all": "ε50% where every sample meets the attack that is strongest on it.",
    "signs of masking": "checks whether gradients can be trusted, made at ε50% under PGD L∞; each is described in "
    "eval/robustness/masking.py.",
    "α_Δx": "mean cosine between ∇(logit of the closest wrong class − logit of the true class) and the vector to the "
    "closest point of that class.",
    "α_x": "mean absolute cosine between the gradient of the predicted class's logit and the image itself.",
    "sim(Δx, Δ̂x)": "mean cosine between an estimator's residual and the true one, where it is known.",
    "x̂' of target class": "share of the estimated closest points, x + Δ̂x, that a classifier which had no part in the "
    "estimator's training assigns to the class they should belong to.",
    "curves": "a band reaches from the largest strength seen to fail to the smallest seen to succeed, sample by "
    "sample; the line runs in its middle. Near 50 % the band is closed to the resolution of ε50%.",
    "intervals": "95 %, in square brackets: of a number, over its samples (order statistics for medians, Wilson's "
    "for shares, bootstrap for means); of a correlation, over settings of ε with all their seeds. ±: over seeds.",
    "GOP %": "share of parameter tensors whose clean and adversarial gradient oppose each other, mean over training.",
    "μ": "‖g_n‖ ‖g_a‖ (1 − cos(g_n, g_a)), the conflict of the two gradients, mean over training.",
    "B, Lα, P": "plain training; plain training with the alignment penalty; adversarial training with PGD.",
    "confirmed, not confirmed, undecided": "whether a whole 95 % interval speaks for what a paper claims, all of it "
    "against, or neither. Intervals are over trainings, paired by their seeds; of one training each over samples, "
    "which says nothing of other trainings. A claim over a sweep is judged at each setting.",
    "fronts": "the area is that of the part, of the rectangle around all points, in which a point of a sweep is at "
    "least as good in both coordinates. What is said of it in the findings is said of the numbers of the table.",
    "near chance": "models whose accuracy is at most 5 points above that of guessing are left out of findings, of "
    "fronts and of correlations, and counted: they are alike in whatever else is measured.",
}

FINDINGS = "Findings"
MASKING = "Signs of gradient masking"
COST = "Cost of the measurements"
SUBJECT = "gradients"
"""The figure that stands before all tables: x, its gradient and Δx."""
PLOTS = {
    "Side by side": ("curves", "attacks"),
    "Sweeps": ("sweep",),
    "Fronts": ("front",),
    "Quality of residual estimators": ("residuals",),
    "Correlation of alignment with robustness": ("correlation",),
    **{figure.title: (figure.name,) for figure in FIGURES.values()},
}
"""Which plots stand below a table, by the beginning of their names."""
FILES = {
    FINDINGS: "findings",
    "Side by side": "table",
    "Sweeps": "sweeps",
    "Fronts": "fronts",
    "Choice of a setting": "choice",
    "Correlation of alignment with robustness": "correlation",
    "Quality of residual estimators": "estimators",
    MASKING: "masking",
    "Theory check on Spheres": "theory",
    COST: "cost",
    **{figure.title: figure.name for figure in FIGURES.values()},
}
"""Names of the CSV files of tables; others have the name of their heading."""
BEFORE = ("Side by side", "Quality of residual estimators", "Sweeps", "Fronts", "Choice of a setting")
"""Headings after the findings and the picture of the subject; those that are not named here follow."""
AFTER = (
    "Correlation of alignment with robustness",
    *(figure.title for figure in FIGURES.values() if figure.name != SUBJECT),
    "Theory check on Spheres",
    MASKING,
    COST,
)
"""Headings at the end."""


def write_report(folder: str | Path) -> dict[str, Table]:
    """Write `table.csv`, further tables, `records.csv`, `page.html`, and pictures in `plots` into a results folder.

    Each record and each table of outcomes is read once.

    Args:
        folder: of a study or a measurement.

    Returns:
        The tables by their headings, ready to print; what was found first, where the study says what papers claim.

    Raises:
        ValueError: if the folder holds no records, or a damaged file.
    """
    folder = Path(folder)
    records = Results(folder).load()
    if not len(records):
        raise ValueError(f"{folder} holds no records. Run `alphadx study` or `alphadx measure` with it first.")
    studies = studies_of(folder)
    found = findings(records, [claim for study in studies for claim in study.claims])
    tables, plots = _in_order(_with_hours(all_tables(records), records)), all_plots(records)
    tables = ({FINDINGS: findings_table(found)} if found else {}) | tables
    for heading, table in tables.items():
        write_whole(folder / f"{FILES.get(heading, slug(heading))}.csv", table.frame.to_csv(index=False))
    write_whole(folder / "records.csv", records.frame().to_csv(index=False))
    for name, picture in plots.items():
        write_whole(folder / "plots" / name, picture)
    shown = {name: picture for name, picture in plots.items() if name.endswith(".svg")}
    write_whole(folder / "page.html", page(records, studies, found, tables, shown, planned(folder)))
    return tables


def page(
    records: Records,
    studies: Sequence[Studied],
    found: Sequence[Finding],
    tables: Mapping[str, Table],
    plots: Mapping[str, bytes],
    models: int | None = None,
) -> str:
    """The page as HTML, with everything it shows inside.

    Args:
        records: of a folder.
        studies: what was studied.
        found: what was found of the papers' claims.
        tables: by heading, in their order.
        plots: as SVG by the names of their files; each stands below its table, or at the end.
        models: how many were planned; None where it is not known.
    """
    parts = [_studied(study) for study in studies]
    parts.append(f'<p class="note">{_counts(records, models)}</p>')
    if found:
        parts.append(_findings(found))
    placed = {heading: _of(heading, plots) for heading in tables}
    for heading, table in tables.items():
        if heading != FINDINGS:
            parts += _section(heading, table, {name: plots[name] for name in placed[heading]})
    if left := [name for name in plots if not any(name in names for names in placed.values())]:
        parts += ["<h2>Further pictures</h2>", *(_image(name, plots[name]) for name in left)]
    parts.append(_list("How to read this", LEGEND))
    parts.append(_list("Made with", _made_with(records)))
    template = Template((resources.files("eval.report") / "page.html").read_text(encoding="utf-8"))
    title = "; ".join(study.title for study in studies)
    return template.substitute(title=escape(title), body="\n".join(parts))


def _in_order(tables: Mapping[str, Table]) -> dict[str, Table]:
    """The subject's picture, models side by side and in sweeps, what else there is, correlations, figures, costs."""
    first = [FIGURES[SUBJECT].title] if SUBJECT in FIGURES else []
    ranks = {heading: rank - len(first) - len(BEFORE) for rank, heading in enumerate((*first, *BEFORE))}
    ranks |= {heading: rank + 1 for rank, heading in enumerate(AFTER)}
    return {heading: tables[heading] for heading in sorted(tables, key=lambda heading: ranks.get(heading, 0))}


def _with_hours(tables: Mapping[str, Table], records: Records) -> dict[str, Table]:
    """What the papers' trainings took is told beside the cost of ours."""
    data = dict.fromkeys(record.subject.samples.data for record in records)
    told = [sentence for name in data if (sentence := hours_beside(name))]
    found = dict(tables)
    if COST in found:
        found[COST] = replace(found[COST], notes=[*found[COST].notes, *told])
    return found


def _studied(study: Studied) -> str:
    """What one study is about, what differs from the paper, and how to repeat it."""
    told = [study.title, study.paper and f"Repeats {study.paper}."]
    command = f"Repeat with <code>{escape(study.command)}</code>"
    minutes = f"; minutes, {escape(study.minutes)}" if study.minutes else ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in study.differs)
    differs = f'<p class="note">Not as in the paper:</p><ul class="note">{items}</ul>' if items else ""
    heading = f"<h1>{escape(told[0])}</h1>" + (f'<p class="note">{escape(told[1])}</p>' if told[1] else "")
    return f'{heading}{differs}<p class="note">{command}{minutes}.</p>'


def _counts(records: Records, of: int | None) -> str:
    done = len({(r.subject.samples.data, r.subject.model_key) for r in records})
    models = f"{done} models" if of is None else f"{done} of {of} models"
    return f"{models}, {len(records)} measurements."


def _findings(found: Sequence[Finding]) -> str:
    """A list of sentences, each with its verdict and with what the paper claims."""
    items = [
        f'<li><span class="verdict">{one.verdict}</span> {escape(one.sentence)}<br><span class="note">'
        f"{escape(one.claim.paper or 'claimed')}: {escape(one.claim.says)}</span></li>"
        for one in found
    ]
    return f'<h2>{FINDINGS}</h2>\n<ul class="findings">{"".join(items)}</ul>'


def _section(heading: str, table: Table, pictures: Mapping[str, bytes]) -> Iterator[str]:
    """A table with its notes and pictures; the picture of the subject before its table."""
    images = [_image(name, picture) for name, picture in pictures.items()]
    body = [f'<div class="scroll">{_html(table.frame)}</div>']
    body += [f'<p class="note">{escape(note)}</p>' for note in table.notes]
    yield f"<h2>{heading}</h2>"
    yield from [*images, *body] if FILES.get(heading) == SUBJECT else [*body, *images]


def _of(heading: str, plots: Mapping[str, bytes]) -> list[str]:
    """The plots that belong to a heading."""
    return [name for name in plots if name.startswith(PLOTS.get(heading, (slug(heading).lower(),)))]


def _html(table: pd.DataFrame) -> str:
    with pd.option_context("display.max_colwidth", None):  # else a verdict ends after 50 characters
        html = table.to_html(index=False, border=0, escape=True)
    return html.replace("<tr>\n      <td></td>", '<tr class="paper">\n      <td></td>')


def _image(name: str, data: bytes) -> str:
    return f'<img alt="{escape(name)}" src="data:image/svg+xml;base64,{base64.b64encode(data).decode()}">'


def _list(heading: str, entries: Mapping[str, str]) -> str:
    items = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in entries.items())
    return f'<h2>{heading}</h2>\n<dl class="note">{items}</dl>'


def _made_with(records: Records) -> dict[str, str]:
    """Versions, revisions and folders of data; more than one where the records come from several runs."""
    made = [r.provenance for r in records]
    versions = {", ".join(f"{k} {v}" for k, v in p.get("versions", {}).items()) for p in made}
    revisions = {str(p.get("revision", "unknown")) for p in made}
    machines = {f"{p.get('device')}, {p.get('threads')} threads, Python {p.get('python')}" for p in made}
    roots = {p.get("data_root") or "not named" for p in made}
    named = {"libraries": versions, "code revision": revisions, "machine": machines, "folder of data": roots}
    told = {name: " · ".join(sorted(values)) for name, values in named.items()}
    old = sum(r.schema == 1 for r in records)
    return told | ({"old records": f"{old} of schema 1, which do not say bounds, weights and network"} if old else {})
