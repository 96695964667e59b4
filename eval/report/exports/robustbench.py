"""The JSON of RobustBench's leaderboards, one file per model, norm and ε.

Croce et al. 2021, https://arxiv.org/abs/2010.09670. The fields are those of its folder `model_info`. Accuracies are
percentages as text, ε is for inputs in [0, 1], and what was not measured and nobody said is an empty text.
"""

import json
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from eval.records import Record, Records, Samples
from eval.records.quantity import UNDER_ATTACK
from eval.report.exports.exported import Exported, check_about
from eval.report.exports.naming import SHOWN, by_model, classifiers
from eval.tables.rows import at_strengths

MEASURED = ("dataset", "eps", "clean_acc", "autoattack_acc")
SAID = (
    "link",
    "name",
    "authors",
    "additional_data",
    "number_forward_passes",
    "venue",
    "architecture",
    "reported",
    "footnote",
    "unreliable",
)
"""What `about` may hold."""
FIELDS = (
    "link",
    "name",
    "authors",
    "additional_data",
    "number_forward_passes",
    "dataset",
    "venue",
    "architecture",
    "eps",
    "clean_acc",
    "reported",
    "autoattack_acc",
)
"""In RobustBench's order."""
SAMPLES = {"cifar10": 10_000, "cifar100": 10_000, "imagenet": 5_000}
"""What a leaderboard asks for."""
STANDARD = {"version": "standard", "attacks": None, "steps": 100, "queries": 5000}
"""The settings of AutoAttack that a leaderboard asks for."""


def leaderboard_entries(records: Records, about: Mapping[str, Any]) -> Exported:
    """A file for each accuracy under the standard AutoAttack at an ε.

    Args:
        records: of classifiers; others are left aside.
        about: of `SAID`; the same in every file.

    Raises:
        ValueError: if no such accuracy was measured, with the command that does, or `about` holds other things.
    """
    check_about(about, "robustbench", SAID, MEASURED)
    files: dict[str, bytes] = {}
    missing = []
    for name, kept in by_model(classifiers(records)).items():
        entries = _entries(name, kept, about)
        files |= {path: (json.dumps(entry, indent=2, ensure_ascii=False) + "\n").encode() for path, entry in entries}
        if not entries:
            missing.append(name)
    if not files:
        raise ValueError(_remedy(records))
    note = f"Without an accuracy under the standard AutoAttack at an ε, and so left out: {', '.join(missing)}."
    return Exported(files, (note,) if missing else ())


def _entries(name: str, records: list[Record], about: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Paths and contents of the files of one model."""
    robust = _lowest(r for r in under_standard_autoattack(records) if in_unit_range(r) is not None)
    places = [f"model_info/{dataset_name(r.subject.samples)}/{r.quantity.norm}/{name}" for r in robust]
    found = []
    for record, place in zip(robust, places, strict=True):
        epsilon = str(in_unit_range(record))
        told = f"_eps{epsilon.replace('/', 'over')}_{record.subject.samples.digest[:SHOWN]}"
        clean = [r for r in records if _is_clean(r) and r.subject == record.subject]
        ending = told if places.count(place) > 1 else ""
        found.append((f"{place}{ending}.json", _entry(record, clean, epsilon, about)))
    return found


def _lowest(records: Iterable[Record]) -> list[Record]:
    """One of those that are of the same model, samples, norm and ε: an attack's accuracy is an upper bound."""
    found: dict[tuple[str, ...], Record] = {}
    for record in records:
        place = (record.subject.key, record.quantity.norm, str(in_unit_range(record)))
        found[place] = min(record, found.get(place, record), key=lambda record: record.value)
    return [*found.values()]


def _entry(record: Record, clean: list[Record], epsilon: str, about: Mapping[str, Any]) -> dict[str, Any]:
    samples = record.subject.samples
    known = {
        "architecture": record.subject.network.get("network", ""),
        "dataset": dataset_name(samples),
        "eps": epsilon,
        "clean_acc": _percent(clean[0].value) if clean else "",
        "autoattack_acc": _percent(record.value),
    }
    told = [str(about["footnote"])] if about.get("footnote") else []
    if record.samples != SAMPLES.get(dataset_name(samples)) or samples.split != "test":
        told.append(f"Measured on {record.samples} samples of the {samples.split} split.")
    entry = dict.fromkeys(FIELDS, "") | known | {key: about[key] for key in about if key != "footnote"}
    return entry | ({"footnote": " ".join(told)} if told else {})


def under_standard_autoattack(records: Iterable[Record]) -> list[Record]:
    """Accuracies under AutoAttack as its authors set it, measured at a given ε or in a search that was told it."""
    chosen = [r for r in records if r.quantity.attack == "autoattack" and _is_standard(r.quantity.settings)]
    at_once = [r for r in chosen if r.quantity.kind in UNDER_ATTACK and r.quantity.epsilon]
    return at_once + [share for r in chosen if r.quantity.kind == "epsilon50" for share in at_strengths(r)]


def _is_standard(settings: Mapping[str, Any]) -> bool:
    return all(settings.get(name, usual) == usual for name, usual in STANDARD.items())


def _is_clean(record: Record) -> bool:
    return record.quantity.kind == "accuracy" and not record.quantity.attack


def in_unit_range(record: Record) -> str | None:
    """ε of an accuracy for inputs in [0, 1], as written if they lie there; None where inputs have no range."""
    bounds, written = record.subject.samples.bounds, record.quantity.epsilon
    if bounds is None or not all(map(math.isfinite, bounds)):
        return None
    if bounds[1] - bounds[0] == 1:
        return written
    epsilon = Fraction(written) / (Fraction(bounds[1]) - Fraction(bounds[0]))
    steps = 255 * epsilon
    return f"{steps}/255" if steps.denominator == 1 else f"{float(epsilon):g}"


def dataset_name(samples: Samples) -> str:
    """As RobustBench writes it.

    Example:
        >>> dataset_name(Samples("CIFAR-10")), dataset_name(Samples("Tiny ImageNet"))
        ('cifar10', 'tinyimagenet')
    """
    return "".join(letter for letter in samples.data.lower() if letter.isalnum() or letter == "_")


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _remedy(records: Records) -> str:
    """What to measure first, with RobustBench's 8/255 in the data's own units."""
    known = [r.subject.samples.bounds for r in records if r.subject.samples.bounds is not None]
    width = known[0][1] - known[0][0] if known and all(map(math.isfinite, known[0])) else 1.0
    return (
        "`form` should be robustbench where the accuracy under the standard AutoAttack was measured at an ε, on "
        "inputs that have a range. Found no such model. Measure it: alphadx measure CHECKPOINT --data DATA "
        f"--attacks [autoattack] --norms [Linf] --epsilons [{8 * width:g}/255] --only accuracy --out FOLDER."
    )
