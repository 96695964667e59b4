"""Adversarial examples that are kept: of each sample the smallest perturbation that was verified."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Kept:
    """Adversarial examples of one search, on the CPU.

    Attributes:
        x: inputs, `(N, *shape)`.
        x_adv: the verified adversarial example of the smallest size, `(N, *shape)`; x itself where the sample is
            misclassified already, and where none was found.
        size: of the perturbation, `(N,)` float64, or the strength that it took where there is no norm; 0 where the
            sample is misclassified already, infinite where none was found.
    """

    x: Float[Tensor, "N *shape"]
    x_adv: Float[Tensor, "N *shape"]
    size: Float[Tensor, " N"]

    def begin(self, x: Float[Tensor, "N *shape"], correct: Bool[Tensor, " N"]) -> None:
        """Start with the samples as they are."""
        self.x = x.detach().cpu().clone()
        self.x_adv = self.x.clone()
        self.size = torch.where(correct.cpu(), torch.inf, 0.0).double()

    def note(
        self,
        part: Int[Tensor, " K"],
        fooled: Bool[Tensor, " K"],
        size: Float[Tensor, " K"],
        adversarial: Float[Tensor, "K *shape"],
    ) -> None:
        """Keep what fooled the classifier with a smaller perturbation than all before."""
        better = fooled & (size < self.size[part])
        if better.any():
            rows = part[better]
            self.size[rows] = size[better].double()
            self.x_adv[rows] = adversarial.detach()[better.to(adversarial.device)].to(self.x_adv)
