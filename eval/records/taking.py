"""Take measurements of a classifier, those that are recorded already left out, and keep what was found."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd
from torch import nn

from eval.records.chosen import on_device
from eval.records.device import device_of
from eval.records.keeper import keeper_for
from eval.records.outcome import Measurement, Outcome
from eval.records.progress import SETTLING, Measurements, Measuring, expected_passes
from eval.records.provenance import provenance
from eval.records.record import Record
from eval.records.sanity import check_fits
from eval.records.store import ModelFolder
from eval.records.subject import LimitOrder, Model, Subject, chosen_samples
from eval.robustness.together import agreed, shared
from generators.checkpoints import digest
from generators.progress import stage, underway
from training.data import Batch, DataSet, SplitName
from training.passes import CountPasses


@dataclass
class Taken:
    """What came of several measurements.

    Attributes:
        records: of those that were taken now or before, in the order in which they were wanted.
        failures: a sentence for each that failed.
        new: how many were not recorded before.
    """

    records: list[Record] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    new: int = 0


@dataclass(frozen=True)
class Sitting:
    """A classifier and the samples that it is measured on.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`; left as it was found.
        data: the data set.
        batches: of its samples.
        model: how the classifier is called.
        subject: what the records are about.
        told: what a reader of any number must know of classifier and data, such as notes; part of every record's
            details, and of no identity.
    """

    classifier: nn.Module
    data: DataSet
    batches: Sequence[Batch]
    model: Model
    subject: Subject
    told: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        classifier: nn.Module,
        data: DataSet,
        model: Model,
        *,
        split: SplitName = "test",
        limit: int | None = None,
        limit_order: LimitOrder = "first",
        limit_seed: int = 0,
        network: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        told: Mapping[str, Any] | None = None,
    ) -> "Sitting":
        """A classifier with samples of a split.

        Args:
            classifier: left as it was found.
            data: the data set.
            model: how the classifier is called.
            split: of the data set.
            limit: only that many samples; None for all.
            limit_order: which ones, the "first" or some drawn at "random" by class, see `chosen_samples`.
            limit_seed: of the draw.
            network: what the weights were loaded into; the name of the class if not given.
            training: configuration of the training, as far as it is known.
            told: what a reader of any number must know.

        Raises:
            ValueError: if `limit` is below 1, there is no sample, or the number of logits is not that of the classes.
        """
        batches, samples = chosen_samples(data, split, limit, limit_order, limit_seed)
        described = network or {"network": type(classifier).__name__}
        subject = Subject(samples, described, digest(classifier), training or {})
        placed = on_device(batches, device_of(classifier))
        check_fits(classifier, data, placed[0].x[:1])
        return cls(classifier, data, placed, model, subject, told or {})

    def take(self, measurement: Measurement) -> tuple[Record, pd.DataFrame]:
        """One measurement: the record, and a table with one row per sample."""
        record, outcome = self._taken(measurement)
        return record, outcome.per_sample

    def _taken(self, measurement: Measurement) -> tuple[Record, Outcome]:
        counted = CountPasses(self.classifier)
        started = time.perf_counter()
        with stage(self._measuring(measurement, counted)):
            outcome = agreed(lambda: measurement(counted, self.data, self.batches))
        seconds = max(shared(lambda: time.perf_counter() - started))
        record = Record(
            model=self.model,
            quantity=measurement.quantity(self.data),
            subject=self.subject,
            value=outcome.value,
            samples=len(outcome.per_sample) if outcome.samples is None else outcome.samples,
            invalid=outcome.invalid,
            interval=outcome.interval,
            details={**outcome.details, **self.told},
            forward_passes=counted.forward_passes,
            backward_passes=counted.backward_passes,
            seconds=seconds,
            provenance=provenance(device_of(self.classifier)),
        )
        return record, outcome

    def progress_of(self, wanted: Sequence[Measurement], title: str) -> Measurements:
        """A stage for measurements in turn."""
        expected = [self._expected(measurement) for measurement in wanted]
        return Measurements(title, len(wanted), expected=expected)

    def _expected(self, measurement: Measurement) -> float:
        asked = getattr(measurement, "limit", None)
        limit = asked if isinstance(asked, int) else self.subject.samples.count
        return expected_passes(measurement.quantity(self.data)) * min(limit, self.subject.samples.count)

    def _measuring(self, measurement: Measurement, counted: CountPasses) -> Measuring:
        quantity = measurement.quantity(self.data)
        settles = quantity.kind in SETTLING
        return Measuring(quantity.title, expected=self._expected(measurement), counts=counted, settles=settles)

    def is_recorded(self, measurement: Measurement, folder: ModelFolder) -> bool:
        """Whether a folder holds the record of a measurement.

        Raises:
            ValueError: if the record is damaged.
        """
        return folder.find(measurement.quantity(self.data), self.subject) is not None

    def take_all(
        self,
        wanted: Iterable[Measurement],
        folder: ModelFolder,
        notify: Callable[[Measurement], None] = lambda measurement: None,
    ) -> Taken:
        """Take what is not recorded in a folder yet, and record it there.

        One that fails does not keep the others from being taken. One that is to keep adversarial examples is taken
        again, since records do not hold them.

        Args:
            wanted: the measurements.
            folder: of the model.
            notify: is told each measurement before it is taken.

        Raises:
            ValueError: if a record that is there is damaged.
        """
        taken, keep = Taken(), keeper_for(folder)
        for measurement in wanted:
            quantity = measurement.quantity(self.data)
            keeps = getattr(measurement, "keep", None) is not None
            if (found := keep(partial(folder.find, quantity, self.subject))) and not keeps:
                taken.records.append(keep(partial(folder.joined, found, self.model)))
                if isinstance(around := underway(), Measurements):
                    around.recorded()
                continue
            taken.new += 1
            notify(measurement)
            try:
                record, outcome = self._taken(measurement)
                taken.records.append(keep(partial(folder.write, record, outcome.per_sample, outcome.arrays)))
            except (ValueError, RuntimeError) as error:
                taken.failures.append(f"{self.model.data}, {self.model.recipe}: {quantity.title} failed: {error}")
        return taken
