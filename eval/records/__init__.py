"""What is measured, on what, and what was found: quantities, subjects and records."""

from eval.records.measurements import standard_measurements
from eval.records.quality import EstimatorQuality
from eval.records.quantity import Quantity
from eval.records.record import Record
from eval.records.store import ModelFolder, Records, Results
from eval.records.subject import Model, Samples, Subject
from eval.records.taking import Sitting, Taken

__all__ = [
    "EstimatorQuality",
    "Model",
    "ModelFolder",
    "Quantity",
    "Record",
    "Records",
    "Results",
    "Samples",
    "Sitting",
    "Subject",
    "Taken",
    "standard_measurements",
]
