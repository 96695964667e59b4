"""The closest misclassified point of all that an attack showed to the classifier, whatever the attack returns."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alignment.double import double_device
from eval.attacks.adapter import Boxed, UnitBox, isolated
from eval.attacks.verdict import distance
from training.active import Active
from training.attack_loss import attack_loss
from training.balls import Distance, column
from training.leaving import Departures, Leaving
from training.proposals import Task, settled

BEYOND = 1e-3
"""FMN aims beyond the boundary by this part of a sample's first margin."""
SPREAD = 0.1
"""The least by which PDGD, PDPGD and ALMA see the largest and the smallest logit of a sample differ at first."""


class Shown(Boxed):
    """A classifier that remembers the closest misclassified point of every sample that it was shown.

    Attributes:
        spare: samples beyond its own that the attack is given.
    """

    spare = 0

    def __init__(
        self, classifier: Callable[[Tensor], Any], box: UnitBox, x: Tensor, y: Tensor, norm: Distance
    ) -> None:
        super().__init__(classifier, box, x)
        self.x, self.y, self.norm = x, y, norm
        self.start = box.enter(x)
        self.closest = x.clone()
        self.reached = torch.full((len(x),), torch.inf, dtype=torch.float64, device=double_device(x.device))

    def point(self, u: Tensor) -> Tensor:
        """What a point of the box stands for; where it is still x, exactly x, so that L0 does not count rounding."""
        point = super().point(u)
        return torch.where(u == self.start, self.x + (point - point.detach()), point)

    def forward(self, u: Tensor) -> Tensor:
        """Logits, after which the closest points are known."""
        logits = super().forward(u)
        point = self.point(u.detach())
        size = distance(point, self.x, self.norm)
        closer = (logits.argmax(dim=1) != self.y).to(size.device) & (size < self.reached)
        self.reached = torch.where(closer, size, self.reached)
        better = closer.to(point.device)
        self.closest = torch.where(column(better, point), point, self.closest)
        return logits


class ShownToFMN(Shown):
    """The same with the true logit a little higher, and without gradient where the bounds leave no room to follow."""

    lead: Tensor | None = None

    def forward(self, u: Tensor) -> Tensor:
        """Logits of a slightly harder problem."""
        if u.requires_grad:
            low, high = u.detach() <= 0, u.detach() >= 1
            u.register_hook(lambda gradient: gradient * ~(low & (gradient < 0) | high & (gradient > 0)))
        logits = super().forward(u)
        if self.lead is None:
            margin = -attack_loss(logits.detach(), self.y, "margin")
            self.lead = BEYOND * margin.unsqueeze(1) * F.one_hot(self.y, logits.shape[1])
        return logits + self.lead


class ShownToFMNInL0(ShownToFMN):
    """The same without the last sample, a spare one that is never fooled and that the classifier is not shown.

    FMN breaks off in L0 where no sample is allowed a coordinate any more; the spare one always is.
    """

    spare = 1

    def forward(self, u: Tensor) -> Tensor:
        """Logits of all samples, and of the spare one."""
        logits = super().forward(u[:-1])
        spare = F.one_hot(self.y[:1], logits.shape[1]) + 0 * u[-1].sum()
        return torch.cat([logits, spare])


class ShownLarge(Shown):
    """The same with logits that are tiny scaled up, sample by sample; others are as they are.

    PDGD, PDPGD and ALMA divide by gradients or logits plus 1e-8, and find nothing where those are smaller.
    """

    factor: Tensor | None = None

    def forward(self, u: Tensor) -> Tensor:
        """Logits that at first differ by `SPREAD` at least."""
        logits = super().forward(u)
        if self.factor is None:
            spread = (logits.amax(dim=1) - logits.amin(dim=1)).detach()
            self.factor = (SPREAD / spread.clamp(min=torch.finfo(spread.dtype).tiny)).clamp(min=1).unsqueeze(1)
        return logits * self.factor


class ShownToALMA(ShownLarge):
    """The same, where two classes get a third, of a logit so far down that DLR is half the margin over its first."""

    far: Tensor | None = None

    def forward(self, u: Tensor) -> Tensor:
        """Logits of at least three classes."""
        logits = super().forward(u)
        if logits.shape[1] > 2:
            return logits
        if self.far is None:
            self.far = -2 * attack_loss(logits.detach(), self.y, "margin")
        third = torch.minimum(logits.amax(dim=1) - self.far, logits.amin(dim=1))
        return torch.cat([logits, third.unsqueeze(1)], dim=1)


def closest_shown(
    run: Callable[[Shown, Tensor, Tensor], object],
    classifier: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    norm: Distance,
    norms: tuple[Distance, ...],
    bounds: tuple[float, float],
    generator: torch.Generator | None,
    show: type[Shown] = Shown,
) -> Tensor:
    """The closest misclassified points that a minimum-norm attack of another library shows to the classifier.

    Args:
        run: the attack, of a classifier of inputs in [0, 1], inputs, and true classes, all of which are classified
            correctly; what it returns is not looked at.
        classifier: from `(B, *shape)` to logits `(B, C)`.
        x: inputs within the bounds, `(B, *shape)`.
        y: true classes, `(B,)` int64 in [0, C).
        norm: in which the distance is to be small.
        norms: those that the attack knows.
        bounds: lowest and highest legal value of an input. Where infinite, the box of the attack ends as far beyond
            the inputs as their range is wide.
        generator: source of the attack's seed.
        show: what the attack sees of the classifier.

    Returns:
        Misclassified inputs within the bounds, and x itself where it is misclassified already or none was shown.

    Raises:
        ValueError: naming the argument that cannot be used.
    """

    def propose(task: Task) -> Tensor:
        active = Active(task.x)
        (task,) = Departures(Leaving()).keep(active, task.correct(task.x), task.x, task)
        if not len(active):
            return active.ends
        x = task.x
        box = UnitBox.around(x, bounds, room=lambda: max(float(x.max() - x.min()), 1e-3))
        shown = show(task.logits, box, x, task.y, norm)
        run(shown, shown.start.clone(), task.y)
        shown.gradients.check()
        return active.end(shown.closest)

    setting = isolated(classifier, generator, getattr(x, "device", torch.device("cpu")))
    return settled(propose, classifier, x, y, None, norm=norm, norms=norms, bounds=bounds, name=None, setting=setting)
