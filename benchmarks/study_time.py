"""How long a study takes and with what, beside a goal: the two rows of the GPU's table that are whole studies.

    python -m benchmarks.study_time quick --goal 60 --save benchmarks/records/quick_time.json
    python -m benchmarks.study_time mnist35 --attacks pgd --goal 3000 --save benchmarks/records/mnist35_time.json

With `--attacks` it is the study's side-by-side table alone, without sweeps, figures and signs of masking, measured by
α and these attacks. `--attacks square sta` with the same `--out` then times those two apart. The same command goes on
where it was ended, and the seconds of all runs are added up. `--epochs 1` is a short form, from which the whole is
foretold: trainings take longer by as much as they have more epochs. `--weights none` is for where pre-trained weights
cannot be fetched.
"""

import argparse
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from eval.records import Results
from eval.records.device import chosen_device
from eval.records.provenance import provenance
from eval.records.store import read_json, write_json
from eval.studies import ModelCell, Study, load_study, run_study
from eval.studies.overlay import FIRST

LOOK = 1.0
"""Seconds between two looks at what a study is about."""
TRAININGS = ("first", "models")
MEASURING = "measuring"
MARK = "training/trained.json"


def table_of(source: Mapping[str, Any], attacks: list[str]) -> dict[str, Any]:
    """A study's side-by-side table alone, measured by some attacks."""
    options = source["measure"].get("attack_options") or {}
    chosen = {name: given for name, given in options.items() if name in attacks}
    measure = {key: value for key, value in source["measure"].items() if key != "figure_options"}
    measure |= {"attacks": attacks, "attack_options": chosen, "figures": [], "masking": False}
    experiments = {
        data: {key: value for key, value in experiment.items() if key != "sweep"}
        for data, experiment in source["experiments"].items()
    }
    told = {key: value for key, value in source.items() if key not in ("claims", "fast", "minutes")}
    return {**told, "measure": measure, "experiments": experiments}


def with_changes(configuration: Any, epochs: int | None, weights: str | None) -> Any:
    """A configuration with so many epochs, and without pre-trained weights where `weights` is "none"."""
    if isinstance(configuration, list):
        return [with_changes(item, epochs, weights) for item in configuration]
    if not isinstance(configuration, Mapping):
        return configuration
    found = {key: with_changes(value, epochs, weights) for key, value in configuration.items()}
    if epochs is not None and "max_epochs" in found:
        found["max_epochs"] = epochs
    if weights == "none" and "weights" in found:
        found["weights"] = None
    return found


def whole_epochs(study: Study) -> int:
    """The most epochs of what a study trains."""
    fits = [*study.first.values(), *(cell.fit for cell in study.cells if isinstance(cell, ModelCell))]
    return max(int(fit["trainer"]["max_epochs"]) for fit in fits)


def phase(study: Study, folder: Path) -> str:
    """What a study is about: what comes first, the training of its models, or measuring."""
    if not all((folder / FIRST / name / MARK).exists() for name in study.first):
        return "first"
    return "models" if len([*folder.glob(f"models/*/{MARK}")]) < len(study.cells) else MEASURING


@contextmanager
def timed(study: Study, folder: Path) -> Iterator[None]:
    """Keep the seconds on the clock by phase beside the study, as they pass, since a run may be ended."""
    file, ended = clock_of(study, folder), threading.Event()
    kept = defaultdict(float, read_json(file, set()) if file.exists() else {})
    before = time.perf_counter()

    def note() -> None:
        nonlocal before
        now = time.perf_counter()
        kept[phase(study, folder)] += now - before
        before = now
        write_json(file, kept)

    def watch() -> None:
        while not ended.wait(LOOK):
            note()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        note()


def clock_of(study: Study, folder: Path) -> Path:
    """Where the seconds of a study are kept."""
    return folder / f"seconds_{study.name}.json"


def account(study: Study, folder: Path, epochs: int) -> dict[str, Any]:
    """Seconds of a finished study: on the clock, foretold for its whole epochs, and of each model and measurement."""
    clock = read_json(clock_of(study, folder), set())
    longer = epochs / whole_epochs(study)
    models = {mark.parents[1].name: read_json(mark, {"seconds"}) for mark in sorted(folder.glob(f"*/*/{MARK}"))}
    measured: dict[str, float] = defaultdict(float)
    for record in Results(folder).load():
        measured[record.quantity.title] += record.seconds
    foretold = {name: seconds * (longer if name in TRAININGS else 1) for name, seconds in clock.items()}
    return {
        "epochs": whole_epochs(study),
        "seconds": clock,
        "of each": {name: {key: told[key] for key in ("seconds", "side_by_side")} for name, told in models.items()},
        "measured": dict(measured),
        "total": sum(clock.values()),
        "foretold": {"epochs": epochs, "total": sum(foretold.values())} if longer != 1 else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="name of a preset, or a YAML file")
    parser.add_argument("--goal", type=float, required=True, help="seconds that the whole should take")
    parser.add_argument("--attacks", nargs="+", help="the table alone, measured by these")
    parser.add_argument("--epochs", type=int, help="of every training")
    parser.add_argument("--weights", choices=["none"], help="train without pre-trained weights")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="folder of the study, with which the same command goes on")
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    plan = load_study(given.study, fast=given.fast)
    epochs = whole_epochs(plan)
    folder = given.out or Path("runs") / f"time_{plan.name}"
    if given.attacks or given.epochs or given.weights:
        source = table_of(plan.source, given.attacks) if given.attacks else plan.source
        name = "_".join([plan.name, *(given.attacks or [])])
        file = folder / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        changed = with_changes(source, given.epochs, given.weights)
        file.write_text(yaml.safe_dump(changed, allow_unicode=True, sort_keys=False), encoding="utf-8")
        plan = load_study(str(file))
    folder.mkdir(parents=True, exist_ok=True)
    with timed(plan, folder):
        done = run_study(plan, folder, device=given.device)
    found = account(plan, folder, epochs)
    print(yaml.safe_dump(found, allow_unicode=True, sort_keys=False))
    whole = (found["foretold"] or found)["total"]
    print(f"{whole:.0f} s{' foretold' if found['foretold'] else ''}, {whole / given.goal:.2f} of the goal")
    for failure in done.failures:
        print(failure, file=sys.stderr)
    if given.save:
        command = " ".join(["python -m benchmarks.study_time", *sys.argv[1:]])
        about = {"command": command, "provenance": provenance(chosen_device(given.device)), "goal": given.goal}
        write_json(given.save, about | {"failures": done.failures} | found)


if __name__ == "__main__":
    main()
