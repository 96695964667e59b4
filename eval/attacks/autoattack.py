"""AutoAttack and its parts, from the authors' package pyautoattack.

Croce and Hein 2020, https://arxiv.org/abs/2003.01690; L1: Croce and Hein 2021, https://arxiv.org/abs/2103.01208.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_choice, check_counts
from alignment.double import exactly
from alignment.gradients import pick
from eval.attacks.adapter import Boxed, UnitBox, isolated
from eval.attacks.radii import Radius
from eval.attacks.square import image_shape
from training.active import Active
from training.attack_loss import attack_loss
from training.balls import Norm, column
from training.leaving import Departures, Leaving
from training.proposals import Task, settled

Version = Literal["standard", "plus", "rand"]
Part = Literal["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square"]

VERSIONS: dict[Version, tuple[Part, ...]] = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
    "rand": ("apgd-ce", "apgd-dlr"),
}

ROOM = 3.0
"""Around unbounded data the box of [0, 1] is this many times ε wider; APGD in L1 starts at 3 ε."""

SILENT = logging.Logger("silent", level=logging.CRITICAL + 1)


def auto_attack(
    classifier: nn.Module,
    x: Float[Tensor, "B *shape"],
    y: Int[Tensor, " B"],
    strength: float | Float[Tensor, " B"],
    *,
    norm: Norm = "Linf",
    version: Version = "standard",
    attacks: Sequence[Part] | None = None,
    steps: int = 100,
    queries: int = 5000,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *shape"]:
    """Attack with several attacks one after the other, each on the samples that are still classified correctly.

    "standard" is APGD on cross-entropy, APGD on the targeted DLR loss, targeted FAB and Square; "plus" adds APGD on
    DLR and untargeted FAB and makes 5 restarts of what is untargeted; "rand", for classifiers that are random
    themselves, is both untargeted APGDs with gradients averaged over 20 draws. There are up to 9 targets; in L1 up to
    5, and 5 restarts of what is untargeted. All that, and every hyper-parameter, is the authors' choice.

    DLR needs three classes and targeted DLR four. With fewer, the logit of the best wrong class, or of the target,
    minus the true one takes its place.

    On a sample that withstands everything, "standard" in L∞ with ten classes takes about 1,000 + 1,800 + 5,000
    forward and 1,000 + 900 backward passes. Samples of different strengths are attacked together, each as it would be
    by itself but for what is drawn for a batch as a whole.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`. It is left as it was found.
        x: inputs within the bounds, `(B, *shape)`. What is no image is shown to Square as one of nearly square shape.
        y: true classes, `(B,)` int64 in [0, C).
        strength: radius of the ball in the data's own units, one number or one per sample.
        norm: of the ball.
        version: names the attacks and their settings.
        attacks: run these instead, each once, in this order.
        steps: of APGD and FAB.
        queries: of Square.
        bounds: lowest and highest legal value of an input; infinite for unbounded data.
        generator: source of randomness; None for a fresh one. The global random state is put back.

    Returns:
        Perturbed inputs within ball and bounds where a sample was fooled, and x elsewhere, `(B, *shape)`.

    Raises:
        ValueError: if pyautoattack is not installed, for a strength that is negative or not finite, labels that are
            no int64 or out of range, inputs that are no floating-point tensor, NaN or outside the bounds, logits or
            gradients that are not finite, logits without a graph to the input, a choice that does not exist, or if
            Square in L2 or L1 cannot tile an image of this size.
    """
    _check_installed()
    check_choice(version, get_args(Version), "version")
    parts = VERSIONS[version] if attacks is None else attacks
    for part in parts:
        check_choice(part, get_args(Part), "attacks")
    check_counts(1, steps=steps, queries=queries)

    def propose(task: Task) -> Tensor:
        if "square" in parts and norm != "Linf":
            _check_tiles(*image_shape(task.x.shape[1:])[1:], norm)
        return _fooled_by(battery, parts, task)

    battery = partial(
        _Battery,
        norm=norm,
        steps=steps,
        queries=queries,
        restarts=5 if attacks is None and (version == "plus" or norm == "L1") else 1,
        draws=20 if attacks is None and version == "rand" else 1,
    )
    return settled(
        propose,
        classifier,
        x,
        y,
        strength,
        norm=norm,
        norms=get_args(Norm),
        bounds=bounds,
        setting=isolated(classifier, generator, getattr(x, "device", torch.device("cpu"))),
    )


Propose = Callable[..., Tensor]
"""`(u, y, reach) → u_adv`: inputs in [0, 1], classes, radii in units of the box."""


def _fooled_by(battery: Callable[..., "_Battery"], parts: Sequence[Part], task: Task) -> Tensor:
    """What the parts propose, one after the other, each for the samples that all before have not fooled."""
    logits, x = task.constant_logits(task.x), task.x
    stands = (logits.argmax(dim=1) == task.y) & (task.strength > 0)
    box = UnitBox.around(x, task.bounds, lambda: ROOM * float(task.strength.max()))
    u, reach = (
        box.enter(x).reshape(-1, *image_shape(x.shape[1:])),
        (exactly(task.strength) / box.width).float().to(x.device),
    )
    active, departures = Active(x), Departures(Leaving())
    task, u, reach = departures.keep(active, stands, x, task, u, reach)
    model = Boxed(task.logits, box, x)
    for propose in battery(model=model, classes=logits.shape[1]).proposals(parts):
        if not len(active):
            break
        points = box.leave(propose(u, task.y, reach).detach(), task.x)
        model.gradients.check()
        points = torch.where(points.isfinite(), points, task.x)
        stands = task.correct(task.settled(points))
        task, u, reach = departures.keep(active, stands, points, task, u, reach)
    return active.ends


@dataclass(frozen=True)
class _Battery:
    """The attacks of pyautoattack, with the settings of one version."""

    model: nn.Module
    classes: int
    norm: Norm
    steps: int
    queries: int
    restarts: int
    draws: int

    def proposals(self, parts: Sequence[Part]) -> Iterator[Propose]:
        """One after the other, every restart and every target of every attack."""
        ranks = range(2, 2 + min(5 if self.norm == "L1" else 9, self.classes - 1))
        for part in parts:
            if part == "apgd-ce":
                yield from [partial(self._apgd, loss="ce")] * self.restarts
            elif part == "apgd-dlr":
                yield from [partial(self._apgd, loss="dlr")] * self.restarts
            elif part == "apgd-t":
                yield from (partial(self._apgd, loss="dlr-targeted", rank=rank) for rank in ranks)
            elif part == "fab":
                yield from (partial(self._fab, random_start=restart > 0) for restart in range(self.restarts))
            elif part == "fab-t":
                yield from (partial(self._fab, rank=rank) for rank in ranks)
            else:
                yield self._square

    def _apgd(self, u: Tensor, y: Tensor, reach: Tensor, *, loss: str, rank: int | None = None) -> Tensor:
        """One run: the last misclassified point of each sample, or any."""
        from pyautoattack.autopgd_base import APGDAttack_targeted

        radius = Radius.of(reach, u.ndim) if self.norm == "L1" else column(reach, u)
        apgd = APGDAttack_targeted(
            self.model, self.steps, self.norm, eps=radius, eot_iter=self.draws, device=u.device, logger=SILENT
        )
        apgd.loss = loss
        apgd.init_hyperparam(u)
        if loss == "dlr" and self.classes < 3:
            apgd.dlr_loss = partial(attack_loss, loss="margin")
        if rank is not None:
            target = self._ranked(u, rank)
            apgd.y_target = target
            if self.classes < 4:
                apgd.dlr_loss_targeted = lambda logits, y: pick(logits, target) - pick(logits, y)
        return self._shrinking(apgd, u, y, radius) if self.norm == "L1" else apgd.attack_single_run(u, y)[3]

    def _shrinking(self, apgd: Any, u: Tensor, y: Tensor, radius: Tensor) -> Tensor:
        """One run in L1: in balls of three, two and one radii, each from the best point of the last.

        As `decr_eps_pgd` does it, which makes one number of the radii.
        """
        from pyautoattack.autopgd_base import L1_projection

        first = math.ceil(0.3 * self.steps)
        point = u + torch.randn_like(u)
        point += L1_projection(u, point - u, 3.0 * radius)
        for times, steps in ((3.0, first), (2.0, first), (1.0, max(self.steps - 2 * first, 1))):
            apgd.n_iter, apgd.eps = steps, times * radius
            point += L1_projection(u, point - u, apgd.eps)
            point, _, _, fooled = apgd.attack_single_run(u, y, x_init=point)
        return fooled

    def _fab(
        self, u: Tensor, y: Tensor, reach: Tensor, *, rank: int | None = None, random_start: bool = False
    ) -> Tensor:
        """One run, which looks for the closest misclassified point; the radius matters for a random start only."""
        from pyautoattack.fab_pt import FABAttack_PT

        fab = FABAttack_PT(self.model, self.norm, n_iter=self.steps, eps=1.0, device=u.device)
        fab.target_class, predict = rank, fab._get_predicted_label

        def first(points: Tensor) -> Tensor:
            # It starts from those alone that are right, and rounding may have made a difference.
            fab._get_predicted_label, predicted = predict, predict(points)
            fab.eps = Radius.of(reach[predicted == y], 1)
            return predicted

        fab._get_predicted_label = first
        return fab.attack_single_run(u, y, use_rand_start=random_start, is_targeted=rank is not None)

    def _square(self, u: Tensor, y: Tensor, reach: Tensor) -> Tensor:
        """One run: the points of the largest margin."""
        from pyautoattack.square import SquareAttack

        square = SquareAttack(self.model, self.norm, self.queries, eps=1.0, resc_schedule=False, device=u.device)
        square.init_hyperparam(u)
        left, look = reach, square.margin_and_loss
        square.eps = Radius.of(left, u.ndim)

        def margin_and_loss(points: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
            # The next query is for those alone that this one did not fool; NaN fools nobody.
            nonlocal left
            margin, loss = (part.nan_to_num(nan=torch.finfo(part.dtype).max) for part in look(points, classes))
            left = left[margin > 0]
            square.eps = Radius.of(left, u.ndim)
            return margin, loss

        square.margin_and_loss = margin_and_loss
        return square.attack_single_run(u, y)[1]

    def _ranked(self, u: Tensor, rank: int) -> Tensor:
        """The class with the rank-th largest logit, 1 being the predicted one."""
        with torch.no_grad():
            return self.model(u).argsort(dim=1)[:, -rank]


def _check_tiles(height: int, width: int, norm: Norm) -> None:
    """Refuse sizes on which pyautoattack's Square in L2 and L1 fails: its first tiles would not fit."""
    side = height // 5
    margin = (height - 5 * side) // 2
    if side == 0 or (side > 1 and any(margin + side * (size // side) > size for size in (height, width))):
        raise ValueError(
            f"`attacks` should leave out 'square' in {norm} for images of {height}×{width}, which it cannot tile."
        )


def _check_installed() -> None:
    try:
        import pyautoattack  # noqa: F401
    except ImportError as error:
        raise ValueError("`auto_attack` needs pyautoattack: pip install 'alphadx[autoattack]'.") from error
