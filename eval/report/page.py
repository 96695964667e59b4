"""One self-contained HTML page, CSV tables and PNG plots from the records of a folder."""

import base64
from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

import pandas as pd

from eval.figures import FIGURES
from eval.records import Records, Results
from eval.records.store import read_json
from eval.report.plots import all_plots
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
}

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
    "Side by side": "table",
    "Sweeps": "sweeps",
    "Fronts": "fronts",
    "Choice of a setting": "choice",
    "Correlation of alignment with robustness": "correlation",
    "Quality of residual estimators": "estimators",
    "Signs of gradient masking": "masking",
    "Theory check on Spheres": "theory",
    "Cost of the measurements": "cost",
    **{figure.title: figure.name for figure in FIGURES.values()},
}
"""Names of the CSV files of tables."""


def write_report(folder: str | Path) -> dict[str, Table]:
    """Write `table.csv`, further CSV tables, `plots/*.png`, `records.csv` and `page.html` into a results folder.

    Each record and each table of outcomes is read once.

    Args:
        folder: of a study or a measurement.

    Returns:
        The tables by their headings, ready to print.

    Raises:
        ValueError: if the folder holds no records, or a damaged file.
    """
    folder = Path(folder)
    records = Results(folder).load()
    if not len(records):
        raise ValueError(f"{folder} holds no records. Run `alphadx study` or `alphadx measure` with it first.")
    tables, plots = all_tables(records), all_plots(records)
    for heading, table in tables.items():
        write_whole(folder / f"{FILES[heading]}.csv", table.frame.to_csv(index=False))
    write_whole(folder / "records.csv", records.frame().to_csv(index=False))
    for name, picture in plots.items():
        write_whole(folder / "plots" / name, picture)
    write_whole(folder / "page.html", page(folder, records, tables, plots))
    return tables


def page(folder: Path, records: Records, tables: Mapping[str, Table], plots: Mapping[str, bytes]) -> str:
    """The page as HTML, with everything it shows inside."""
    title, command, planned = _study(folder)
    done = len({(r.subject.samples.data, r.subject.model_key) for r in records})
    intro = f"{done} models" if planned is None else f"{done} of {planned} models"
    intro += f", {len(records)} measurements. Repeat with <code>{escape(command)}</code>."
    parts = []
    for heading, table in tables.items():
        parts.append(f'<h2>{heading}</h2>\n<div class="scroll">{_html(table.frame)}</div>')
        parts += [f'<p class="note">{escape(note)}</p>' for note in table.notes]
        parts += [_image(name, data) for name, data in plots.items() if name.startswith(PLOTS.get(heading, ()))]
    parts.append(_list("How to read this", LEGEND))
    parts.append(_list("Made with", _made_with(records)))
    template = Template((resources.files("eval.report") / "page.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), intro=intro, body="\n".join(parts))


def _study(folder: Path) -> tuple[str, str, int | None]:
    """Title, command and number of planned models."""
    file = folder / "study.json"
    if not file.exists():
        return "Alignment and robustness", f"alphadx measure … --out {folder}", None
    content = read_json(file, {"name", "title", "models"})
    return str(content["title"]), f"alphadx study {content['name']}", content["models"]


def _html(table: pd.DataFrame) -> str:
    with pd.option_context("display.max_colwidth", None):  # else a verdict ends after 50 characters
        html = table.to_html(index=False, border=0, escape=True)
    return html.replace("<tr>\n      <td></td>", '<tr class="paper">\n      <td></td>')


def _image(name: str, data: bytes) -> str:
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'


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
