"""Headings, files and pictures of a page, and the order in which they stand."""

from collections.abc import Iterable

from eval.figures import FIGURES
from eval.records.identity import slug

FINDINGS = "Findings"
BESIDE = "Side by side"
DIFFERENCES = "Differences from the first folder"
CURVES = "Robustness curves"
CORRELATION = "Correlation of alignment with robustness"
MASKING = "Signs of gradient masking"
COST = "Cost of the measurements"
THEORY = "Theory check on Spheres"
OPTIMALITY = "Attacks beside the best of all"
ESTIMATORS = "Quality of residual estimators"
FURTHER = "Further pictures"
SUBJECT = "gradients"
"""The figure of x, its gradient and Δx."""
OF_TRAINING = ("training_curves", "conflict_course", "epoch_cost")
"""Figures that are drawn from the logs of trainings."""
LEADS = (BESIDE, "Sweeps", ESTIMATORS, "Fronts", CORRELATION)
"""The table of the first screen is the first of these that there is."""
PLOTS = {
    CURVES: ("curves", "attacks"),
    "Sweeps": ("sweep",),
    "Fronts": ("front",),
    ESTIMATORS: ("residuals",),
    CORRELATION: ("correlation",),
    **{figure.title: (figure.name,) for figure in FIGURES.values()},
}
"""Which plots stand below a heading, by the beginning of their names."""
FILES = {
    FINDINGS: "findings",
    BESIDE: "table",
    DIFFERENCES: "differences",
    "Sweeps": "sweeps",
    "Fronts": "fronts",
    "Choice of a setting": "choice",
    CORRELATION: "correlation",
    ESTIMATORS: "estimators",
    MASKING: "masking",
    OPTIMALITY: "optimality",
    THEORY: "theory",
    COST: "cost",
    **{figure.title: figure.name for figure in FIGURES.values()},
}
"""Names of the CSV files of tables; others have the name of their heading."""
CAPTIONS = {
    "correlation": "alignment against robustness, model by model",
    "curves": "accuracy against the strength of the attack",
    "attacks": "accuracy under every attack",
    "sweep-curves": "accuracy against the strength of the attack, at each setting",
    "sweep": "what was measured over the setting",
    "front": "fronts over the settings",
    "residuals": "samples with their residuals",
    "subject": "x, Δx, x + Δx and ∇ℓ of each model",
    "gradients": "x, Δx, x + Δx and ∇ℓ of each model",
    "training_curves": "loss over epochs",
    "epoch_cost": "seconds per epoch",
}
"""What is drawn, by the beginning of the names of files; the longest that fits counts."""


def _of(*names: str) -> tuple[str, ...]:
    return tuple(FIGURES[name].title for name in names if name in FIGURES)


FIRST = (
    DIFFERENCES,
    CORRELATION,
    CURVES,
    "Fronts",
    "Sweeps",
    "Choice of a setting",
    ESTIMATORS,
    MASKING,
    OPTIMALITY,
    *_of(SUBJECT),
)
LAST = (THEORY, *_of(*OF_TRAINING), COST, FURTHER)
"""Headings at the beginning and at the end; those that are not named here stand between."""


def in_order(headings: Iterable[str]) -> list[str]:
    """Headings as they stand on the page."""
    ranks = {heading: rank - len(FIRST) for rank, heading in enumerate(FIRST)}
    ranks |= {heading: rank + 1 for rank, heading in enumerate(LAST)}
    return sorted(headings, key=lambda heading: ranks.get(heading, 0))


def file_of(heading: str) -> str:
    """Name of a table's CSV file, without ending."""
    return FILES.get(heading, slug(heading))


def heading_of(name: str, headings: Iterable[str]) -> str:
    """The heading below which a picture stands.

    Args:
        name: of the picture's files, without ending.
        headings: that the page has, or may have.
    """
    begins = {heading: PLOTS.get(heading, (slug(heading).lower(),)) for heading in headings}
    return next((heading for heading, known in begins.items() if name.startswith(known)), FURTHER)


def caption_of(name: str, heading: str, data: str = "") -> str:
    """What is drawn in a picture, and of which data set.

    Args:
        name: of the picture's files, without ending.
        heading: below which it stands.
        data: the name of the data set as tables have it; empty where it is not known.

    Example:
        >>> caption_of("curves-digits", "Robustness curves"), caption_of("other", "Local linearity (paper 1)")
        ('digits: accuracy against the strength of the attack', 'Local linearity')
    """
    begin = max((start for start in CAPTIONS if name.startswith(f"{start}-")), key=len, default="")
    what = CAPTIONS[begin] if begin else heading.partition(" (")[0]
    of = data or (name.removeprefix(f"{begin}-").replace("_", " ") if begin else "")
    return f"{of}: {what[:1].lower()}{what[1:]}" if of else what
