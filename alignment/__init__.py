"""Measure the direction of input gradients: cosines, the closest class, α_Δx, α_x and the penalty L_α.

Knows torch and torchmetrics only. Equations are those of Bigolin Lanfredi, Schroeder and Tasdizen,
"Quantifying the Preferential Direction of the Model Gradient in Adversarial Training With Projected
Gradient Descent" ("paper 1" in all docstrings).
"""

from alignment.candidates import Candidates
from alignment.closest_class import closest_class, linearised_radii
from alignment.gradients import differentiable, evaluating, input_gradient, logits_of
from alignment.metrics import AlphaDx, AlphaX, alpha_dx, alpha_dx_other_classes, alpha_x
from alignment.penalty import alignment_penalty, gradient_norm_penalty
from alignment.residuals import Residual
from alignment.similarity import Similarity, cosine_similarity
from alignment.version import __version__ as __version__

__all__ = [
    "AlphaDx",
    "AlphaX",
    "Candidates",
    "Residual",
    "Similarity",
    "alignment_penalty",
    "alpha_dx",
    "alpha_dx_other_classes",
    "alpha_x",
    "closest_class",
    "cosine_similarity",
    "differentiable",
    "evaluating",
    "gradient_norm_penalty",
    "input_gradient",
    "linearised_radii",
    "logits_of",
]
