"""A folder of results that nobody measured: as many models as are wanted, with records of the sizes of real ones."""

import math
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path

import numpy as np
import pandas as pd

from eval.records import Model, Quantity, Record, Results, Samples, Subject
from eval.records.intervals import share_interval
from eval.records.provenance import provenance
from eval.records.store import write_json
from eval.robustness.median import median_interval

DATA = tuple(f"Synthetic{number}" for number in range(1, 6))
SWEPT = ("P", "AT + AGR", "CA-AT")
STRENGTHS = tuple(f"{number / 50:g}" for number in range(1, 17))
SEEDS = range(5)
NETWORK = {"network": "small_cnn", "options": {}}
GROUPS = ("side by side", "sweep")
SETTINGS = {"steps": 40, "step_size": None, "loss": "auto", "restarts": 1, "resolution": 0.01, "seed": 0}
ESTIMATOR = {"estimator": {"name": "nearest-odd", "settings": {"examples": 538}, "digest": "53795cd2100d76ea"}}
RADII = {
    Quantity("epsilon50", "pgd", "Linf", SETTINGS): 1.0,
    Quantity("epsilon50", "pgd", "L2", SETTINGS): 4.0,
    Quantity("epsilon50", "square", "Linf", {"queries": 1000}): 1.1,
}
"""Searches, by how far they reach where PGD in L∞ reaches 1."""
COSINES = (Quantity("alpha_dx", settings={"of": "closest_to_true", **ESTIMATOR}), Quantity("alpha_x"))
MEASUREMENTS = 8
"""Records of one model."""
CLAIMS = [
    {
        "says": "PGD training is more robust than plain training",
        "more": {"measurement": "epsilon50_pgd_linf", "of": "P", "than": "B"},
    },
    {
        "says": "alignment goes with robustness over ε",
        "correlates": {"measurement": "alpha_dx", "with": "epsilon50_pgd_linf", "above": 0.5},
    },
]


def write_synthetic(folder: Path, models: int, samples: int) -> int:
    """Write records of some models, eight each, with a table of outcomes beside each of them.

    Args:
        folder: for them; it should be empty.
        models: at most 1250: five data sets, each with two plain recipes and three over 16 ε, of five seeds.
        samples: of each data set.

    Returns:
        How many records there are.

    Raises:
        ValueError: if there are not so many models.
    """
    chosen = [*islice(_models(), models)]
    if len(chosen) < models:
        raise ValueError(f"`models` should be at most {len(chosen)}. Found {models}.")
    results = Results(folder)
    for number, model in enumerate(chosen):
        home = results.home(model, f"{number:08x}")
        for record, outcomes in _records(model, samples, np.random.default_rng(number)):
            home.write(record, outcomes)
    study = {"name": "synthetic", "title": "Models that nobody trained", "models": models}
    write_json(folder / "study.json", study | {"source": {"title": study["title"], "claims": CLAIMS}})
    return models * MEASUREMENTS


def _models() -> Iterator[Model]:
    """All of a data set, before those of the next."""
    for data in DATA:
        for recipe, seed in product(("B", "Lα"), SEEDS):
            yield Model(data, recipe, seed=seed, groups=GROUPS[:1])
        for recipe, epsilon, seed in product(SWEPT, STRENGTHS, SEEDS):
            yield Model(data, recipe, epsilon, seed, GROUPS, sweeps=(("epsilon",),))


def _records(model: Model, samples: int, rng: np.random.Generator) -> Iterator[tuple[Record, pd.DataFrame]]:
    subject = _subject(model, samples, rng)
    strong = float(model.epsilon or 0) + 0.05 + 0.01 * rng.standard_normal()
    first = pd.DataFrame({"index": range(samples), "label": rng.integers(10, size=samples)})
    right = rng.random(samples) < 0.95 - 0.3 * strong
    predicted = first.assign(predicted=np.where(right, first.label, (first.label + 1) % 10))
    share = float(right.mean())
    details = {"classes": 10, "classes_seen": 10, "inputs": [-1.0, 1.0], "probabilities": 0.0, "confident": 0.2}
    yield (
        _record(model, Quantity("accuracy"), subject, share, share_interval(int(right.sum()), samples), details),
        predicted,
    )
    for quantity in COSINES:
        yield _cosines(model, quantity, subject, first, strong, rng)
    for quantity, reach in RADII.items():
        yield _radii(model, quantity, subject, first, reach * strong * rng.lognormal(0, 0.5, samples) * right)
    told = {"epsilon": strong, "signs": [], "summary": "No sign of gradient masking."}
    yield _record(model, Quantity("masking", settings={"steps": 40}), subject, 0.0, details=told), first
    curve = pd.DataFrame({"epoch": range(15), "train_adversarial": np.exp(-np.arange(15) / 5) + strong})
    curve["val_adversarial"] = curve.train_adversarial + 0.1
    logged = Quantity("training_curve", settings={"source": "training log"})
    yield _record(model, logged, subject, float(curve.val_adversarial.iloc[-1])), curve


def _subject(model: Model, samples: int, rng: np.random.Generator) -> Subject:
    """A model with the configuration of its training."""
    objective = {"class_path": "training.AT", "init_args": {"epsilon": model.epsilon, "steps": 10}}
    fit = {"recipe": model.recipe, "objective": objective, "optimizer": {"class_path": "torch.optim.Adam"}}
    training = {"trainer": {"max_epochs": 15}, "model": fit, "seed_everything": model.seed}
    met = Samples(model.data, {"eval_batch_size": 512}, (-1.0, 1.0), "test", samples, f"{model.data:>16}")
    return Subject(met, NETWORK, rng.bytes(8).hex(), training)


def _record(
    model: Model,
    quantity: Quantity,
    subject: Subject,
    value: float,
    interval: tuple[float, float] = (math.nan, math.nan),
    details: dict | None = None,
) -> Record:
    made = {
        "forward_passes": 40 * subject.samples.count,
        "backward_passes": 40 * subject.samples.count,
        "seconds": 1.0,
    }
    count = subject.samples.count
    return Record(model, quantity, subject, value, count, 0, interval, details or {}, provenance=provenance(), **made)


def _cosines(
    model: Model, quantity: Quantity, subject: Subject, first: pd.DataFrame, strong: float, rng: np.random.Generator
) -> tuple[Record, pd.DataFrame]:
    cosine = np.clip(strong + 0.2 * rng.standard_normal(len(first)), -1, 1)
    mean, half = float(cosine.mean()), float(1.96 * cosine.std() / math.sqrt(len(first)))
    return _record(model, quantity, subject, mean, (mean - half, mean + half)), first.assign(
        cosine=cosine, valid=True
    )


def _radii(
    model: Model, quantity: Quantity, subject: Subject, first: pd.DataFrame, radius: np.ndarray
) -> tuple[Record, pd.DataFrame]:
    below = 0.97 * radius
    details = {"epsilon_max": 8.0, "accuracy_at": {"8/255": float((radius > 8 / 255).mean())}}
    found = _record(model, quantity, subject, float(np.median(radius)), median_interval(below, radius), details)
    return found, first.assign(radius=radius, failed_at=below)
