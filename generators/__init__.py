"""Find Δx, the vector from an input to the closest point of another class.

An estimator answers `(x, y, target) → Δ̂x`, of the shape of x. All estimators are interchangeable.
"""

from generators.residuals import ExactResidual, NearestExample, ResidualEstimator, radial, towards_prototypes

__all__ = ["ExactResidual", "NearestExample", "ResidualEstimator", "radial", "towards_prototypes"]
