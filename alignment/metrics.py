"""α_Δx (paper 1, Eq. 8) and α_x (Eq. 18) as metrics over a data set."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from alignment.alphas import Closest, Differentiated, alignment_with_image, alignment_with_residual
from alignment.candidates import Candidates
from alignment.double import exactly, has_double
from alignment.residuals import Residual
from alignment.similarity import Similarity


class _MeanOverValid(Metric):
    """Mean of cosines over the samples that have a direction; the sum is in float64, see `alignment.double`."""

    is_differentiable = False
    full_state_update = False
    total: Tensor
    valid: Tensor
    invalid: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("valid", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("invalid", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def _add(self, similarity: Similarity) -> None:
        self.total += exactly(similarity.value).sum().to(self.total.device)
        self.valid += similarity.valid.sum().to(self.valid.device)
        self.invalid += (~similarity.valid).sum().to(self.valid.device)

    def compute(self) -> Tensor:
        """Mean over valid samples; NaN when there is none, which `invalid` then explains."""
        return self.total / self.valid.to(self.total.device)

    def _apply(self, fn: Callable[..., Any], exclude_state: Sequence[str] = ()) -> nn.Module:
        """Moved to a device without float64, the metric leaves its sum where it is."""
        stays = () if has_double(fn(torch.zeros(())).device) else ("total",)
        return super()._apply(fn, (*exclude_state, *stays))


class AlphaDx(_MeanOverValid):
    """α_Δx over a data set (paper 1, Eq. 8). Sums correctly over batches and processes.

    `valid` and `invalid` hold the number of samples with and without a direction, on this process.

    Args:
        residual: an estimator `(x, y, target) → Δ̂x`.
        of: what is differentiated, see `alpha_dx`.
        candidates: see `closest_class`.
        signed: see `closest_class`.
        kwargs: torchmetrics' own options.
    """

    def __init__(
        self,
        residual: Residual,
        *,
        of: Differentiated = "closest_to_true",
        candidates: Candidates = None,
        signed: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Within a tuple, an estimator's weights do not become weights of the metric and of what holds it.
        self._residual = (residual,)
        self.of, self.closest = of, Closest(candidates, signed)

    def update(self, classifier: nn.Module, x: Tensor, y: Tensor) -> None:
        """Add a batch: inputs `(B, *shape)` and true classes `(B,)`."""
        self._add(self.similarity(classifier, x, y))

    def similarity(self, classifier: nn.Module, x: Tensor, y: Tensor) -> Similarity:
        """The cosines of a batch and which are valid, without adding them."""
        return alignment_with_residual(classifier, x, y, self._residual[0], None, self.of, self.closest)


class AlphaX(_MeanOverValid):
    """α_x over a data set (paper 1, Eq. 18). Sums correctly over batches and processes.

    Args:
        of: what is differentiated, see `alpha_x`.
        candidates: see `closest_class`.
        signed: see `closest_class`.
        kwargs: torchmetrics' own options.
    """

    def __init__(
        self,
        *,
        of: Differentiated = "predicted",
        candidates: Candidates = None,
        signed: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.of, self.closest = of, Closest(candidates, signed)

    def update(self, classifier: nn.Module, x: Tensor, y: Tensor | None = None) -> None:
        """Add a batch: inputs `(B, *shape)` and, where `of` needs them, true classes `(B,)`."""
        self._add(self.similarity(classifier, x, y))

    def similarity(self, classifier: nn.Module, x: Tensor, y: Tensor | None = None) -> Similarity:
        """The cosines of a batch and which are valid, without adding them."""
        return alignment_with_image(classifier, x, y, self.of, self.closest)
