"""Models that are measured in turn, with what is said of them on the way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from eval.measuring.adversarial_file import adversarial_file
from eval.measuring.candidates import Candidate
from eval.measuring.loading import Ready, ready
from eval.progress import shown
from eval.records import Model, Record, Results, Sitting
from eval.records.attack_radii import AttackRadii
from eval.records.chosen import marks
from eval.records.device import placed
from eval.records.measurements import Alignment, check_wanted
from eval.records.outcome import Measurement
from eval.records.robust_accuracy import RobustAccuracyAt
from eval.records.sanity import sanity_line, warnings_of
from eval.robustness.keeping import Kept
from eval.robustness.together import ProcessLost, agreed, by_the_first
from generators.progress import Stage
from training.data import DataSet


@dataclass
class Session:
    """Measurements of several models.

    Attributes:
        data: the data set.
        wanted: measurements.
        seed: of the attacks; of a single model also the number by which its row is called.
        place: that models which are loaded are moved to.
        say: is told each sentence that a user should read.
        chosen: which samples, see `Sitting.of`.
        keep_adversarial: file for adversarial examples; None to keep none.
        records: what was measured, or recorded before.
        failures: a sentence for everything that failed.
        notes: all that was said.
    """

    data: DataSet
    wanted: Sequence[Measurement]
    seed: int
    place: torch.device
    say: Callable[[str], None]
    chosen: dict[str, Any] = field(default_factory=dict)
    keep_adversarial: Path | None = None
    records: list[Record] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run_all(self, candidates: Sequence[Candidate], results: Results) -> None:
        """Measure all of them. Of several, one that fails does not keep the others from being measured.

        Raises:
            ValueError: for what cannot be measured on the data set; of several models, if not one could be measured.
        """
        self.wanted = self._possible()
        check_wanted(self.wanted, self.data)
        for note in getattr(self.data, "notes", ()):
            self.tell(note)
        if len(candidates) == 1:
            self.run(candidates[0], results)
            return
        all_of_them = Stage(total=len(candidates), unit="model")
        with shown(all_of_them):
            for candidate in candidates:
                self._try(candidate, results)
                all_of_them.done += 1
        if not self.records:
            raise ValueError("\n  ".join(["not one of the models could be measured:", *self.failures]))

    def _try(self, candidate: Candidate, results: Results) -> None:
        """Measure one of several models; an error is kept as a sentence."""
        try:
            self.run(candidate, results, f"{candidate.title}: ")
        except ProcessLost:
            raise
        except Exception as error:  # what a user's own network may raise is not known
            kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
            self.failures.append(f"{candidate.title} failed: {kind}{error}")

    def run(self, candidate: Candidate, results: Results, prefix: str = "") -> None:
        """Measure one model.

        Args:
            candidate: the model.
            results: folder for records.
            prefix: of all that is said of it.
        """
        found = agreed(lambda: ready(candidate, self.data, self.chosen["split"]))
        for note in found.notes:
            self.tell(prefix + note)
        if candidate.module is None:
            placed(found.classifier, self.place)
        sitting = agreed(lambda: self._sitting(candidate, found))
        self._tell_of_the_draw(sitting)
        folder = results.home(sitting.model, sitting.subject.key)
        kept: list[tuple[Record, Kept]] = []
        wanted = self._keeping()
        with shown(sitting.progress_of(wanted, candidate.title)):
            for measurement in wanted:
                taken = sitting.take_all([measurement], folder)
                self.records += taken.records
                self.failures += taken.failures
                for record in taken.records:
                    self._tell_of_sanity(record, prefix)
                    if (keeper := getattr(measurement, "keep", None)) is not None:
                        kept.append((record, keeper))
        if self.keep_adversarial is not None:
            file = self.keep_adversarial
            by_the_first(lambda: self._keep(file, sitting, kept))

    def tell(self, sentence: str) -> None:
        """Say something once, and note it."""
        if sentence not in self.notes:
            self.notes.append(sentence)
            self.say(f"note: {sentence}")

    def _possible(self) -> list[Measurement]:
        """What is wanted, without an α_Δx that nobody named an estimator for and that the data does not allow.

        Raises:
            ValueError: for a figure that needs Δx all the same, which somebody asked for.
        """
        found = []
        for measurement in self.wanted:
            try:
                if getattr(measurement, "residual", None) == "auto":
                    measurement.quantity(self.data)
                found.append(measurement)
            except (ValueError, FileNotFoundError) as error:
                if isinstance(error, FileNotFoundError):
                    self.data.split(self.chosen["split"])  # where these files are missing too, that is what is said
                if not isinstance(measurement, Alignment):
                    raise ValueError(
                        "`figures` should leave out those that need Δx (other_classes, residual_grid, variants), or "
                        f"`residual` name an estimator of it. Found none for {self.data.name}: {error}"
                    ) from error
                self.tell(f"α_Δx is left out, for which {self.data.name} has no closest example: {error}")
        return found

    def _sitting(self, candidate: Candidate, found: Ready) -> Sitting:
        model = Model(
            self.data.name,
            candidate.title,
            epsilon=candidate.epsilon,
            seed=self.seed if candidate.seed is None else candidate.seed,
            checkpoint=str(candidate.checkpoint or ""),
            named=bool(candidate.recipe),
            setting=candidate.setting,
        )
        notes = [*getattr(self.data, "notes", ()), *found.told.get("notes", ())]
        told = {**found.told, "notes": notes} if notes else found.told
        return Sitting.of(found.classifier, self.data, model, **self.chosen, network=found.described, told=told)

    def _tell_of_the_draw(self, sitting: Sitting) -> None:
        samples = sitting.subject.samples
        if "limit_seed" in samples.arguments:
            self.tell(
                f"{samples.count} samples of the {samples.split} split are drawn at random, of each class its share "
                f"(limit_seed {samples.arguments['limit_seed']})."
            )

    def _tell_of_sanity(self, record: Record, prefix: str) -> None:
        if record.quantity.kind == "accuracy" and "classes" in record.details:
            self.tell(f"{prefix}{sanity_line(record)}.")
            for warning in warnings_of(record):
                self.tell(f"{prefix}warning: {warning}")

    def _keeping(self) -> list[Measurement]:
        """What is wanted, with somebody to take the adversarial examples where they are."""
        if self.keep_adversarial is None:
            return [*self.wanted]
        attacked = AttackRadii | RobustAccuracyAt
        return [replace(m, keep=Kept()) if isinstance(m, attacked) else m for m in self.wanted]

    def _keep(self, file: Path, sitting: Sitting, kept: Sequence[tuple[Record, Kept]]) -> None:
        """Write all adversarial examples, or none where one attack failed."""
        if self.failures:
            self.failures.append(f"{file} was not written, because not all of what it should hold was measured.")
            return
        with adversarial_file(file) as opened:
            for record, keeper in kept:
                opened.add(record, keeper, sitting.classifier, marks(sitting.batches))
        self.tell(f"The adversarial examples of {len(kept)} measurements lie in {file}.")
