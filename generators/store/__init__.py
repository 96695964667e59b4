"""Residuals computed once, kept in an HDF5 file, and read by the index of a sample.

A store holds one estimator's Δ̂x for every pair of a sample of one split and a class that is not its own:

    residual     (pairs, *shape) float16, in units of `scale`; class after class in the order of `classes`, and for
                 each class the samples of other classes in the order of the split
    scale        (pairs,) float32, a power of two with the largest entry of its residual in [1, 2)
    label        (samples,) int64
    fingerprint  (samples,) float64, see `fingerprint`

Its attributes say in JSON which residuals these are, see `ResidualStore.identity`.
"""

from generators.store.filling import SelfFillingResidual, for_training
from generators.store.layout import fingerprint
from generators.store.reading import BySample, StoredResidual, for_samples, is_by_sample, moved_together
from generators.store.writing import ResidualStore

__all__ = [
    "BySample",
    "ResidualStore",
    "SelfFillingResidual",
    "StoredResidual",
    "fingerprint",
    "for_samples",
    "for_training",
    "is_by_sample",
    "moved_together",
]
