"""What can be measured on a classifier; each measurement returns one number and an outcome per sample."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from inspect import signature
from typing import Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import pandas as pd
import torch
from torch import Tensor, nn

from alignment import AlphaDx, AlphaX, evaluating, logits_of
from alignment.contracts import check_choice, check_finite
from alignment.metrics import Differentiated
from eval.attacks import ATTACKS, SuiteAttack
from eval.records.identity import digest, plain
from eval.records.intervals import UNSURE, Interval, mean_interval, share_interval
from eval.records.quantity import NORMS, Quantity
from eval.records.subject import first_samples
from eval.robustness.masking import masking_verdict, summary
from eval.robustness.passes import CountPasses
from eval.robustness.radii import critical_radii, minimal_radii
from generators import ResidualEstimator
from generators.store import for_samples
from training.attacks import ORDER, Loss, Norm
from training.data import Batch, DataSet
from training.strength import Strength

SMALLEST_TAU = 0.05
"""Where the search for τ50% ends; the smallest τ of the paper's grids."""


@dataclass(frozen=True)
class Outcome:
    """What a measurement found.

    Attributes:
        value: the number.
        per_sample: one row per sample; the columns depend on the measurement.
        interval: 95 % interval of the number over samples; NaN where there is none.
        invalid: samples left out because they have no direction, or rejected outputs of an attack.
        details: what else a reader of the number must know.
    """

    value: float
    per_sample: pd.DataFrame
    interval: Interval = UNSURE
    invalid: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Measurement(Protocol):
    """A number that can be measured on any classifier and data set. Its fields are its settings."""

    def quantity(self, data: DataSet) -> Quantity:
        """What it is a number of, with all that it depends on beside the classifier and the samples."""
        ...

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Measure."""
        ...


@dataclass(frozen=True)
class Accuracy:
    """Share of samples that are classified correctly, without attack."""

    def quantity(self, data: DataSet) -> Quantity:
        """Accuracy."""
        return Quantity("accuracy")

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Accuracy in [0, 1]; per sample the predicted class."""
        logits = torch.cat([logits_at(classifier, batch.x).cpu() for batch in batches])
        frame = _frame(batches, predicted=logits.argmax(dim=1))
        correct = frame.predicted == frame.label
        interval = share_interval(int(correct.sum()), len(correct))
        return Outcome(float(correct.mean()), frame, interval, details=sanity(data, batches, logits))


@dataclass(frozen=True)
class Alignment:
    """α_Δx (paper 1, Eq. 8) with the data set's residual of some name.

    Args:
        residual: an estimator by a name that `DataSet.residual` knows; or with what it takes, as
            `{residual: cgan.ckpt, options: {method: ours}}`.
        of: what is differentiated, see `alignment.alpha_dx`.
        candidates: see `alignment.closest_class`.
    """

    residual: str | Mapping[str, Any] = "auto"
    of: Differentiated = "closest_to_true"
    candidates: int | None = None

    def estimator(self, data: DataSet) -> ResidualEstimator:
        """Of Δx; read or made once."""
        return estimator_of(data, self.residual)

    def quantity(self, data: DataSet) -> Quantity:
        """α_Δx by this very estimator."""
        estimator = described_estimator(self.estimator(data))
        settings = {"of": self.of, "candidates": self.candidates, "estimator": estimator}
        return Quantity("alpha_dx", settings=settings)

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Mean cosine over samples that have a direction; per sample the cosine."""
        estimator = self.estimator(data)

        def metric_for(batch: Batch) -> AlphaDx:
            return AlphaDx(for_samples(estimator, batch.indices), of=self.of, candidates=self.candidates)

        return _mean_cosine(metric_for, classifier, batches)


@dataclass(frozen=True)
class ImageAlignment:
    """α_x (paper 1, Eq. 18).

    Args:
        of: what is differentiated, see `alignment.alpha_x`.
    """

    of: Differentiated = "predicted"

    def quantity(self, data: DataSet) -> Quantity:
        """α_x."""
        return Quantity("alpha_x", settings={"of": self.of})

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Mean absolute cosine over samples that have a direction; per sample that cosine."""
        return _mean_cosine(lambda batch: AlphaX(of=self.of), classifier, batches)


@dataclass(frozen=True)
class AttackRadii:
    """ε50% under an attack: the median over samples of the smallest strength at which it succeeds.

    Under STA, whose strength is 1/τ, it is τ50% (paper 1, section 3.3).

    Args:
        attack: by its name in `eval.attacks.ATTACKS`.
        norm: of the ball; None for STA.
        options: what the attack itself takes. A `step_size` is η for Linf, and η·n^(1/p) in Lp, as in paper 1.
        resolution: relative width to which ε50% is closed.
        curve_resolution: relative width to which the other radii, and with them the curve, are closed; None for
            not at all, when ε50% alone is wanted, which is much cheaper.
        epsilons: strengths at which the accuracy is wanted exactly.
        seed: of the attack's randomness.

    Raises:
        ValueError: if there is no such attack, or it does not know the norm.
    """

    attack: str = "pgd"
    norm: Norm | None = "Linf"
    options: Mapping[str, Any] = field(default_factory=dict)
    resolution: float = 0.01
    curve_resolution: float | None = 0.05
    epsilons: tuple[Strength, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self.attack, tuple(ATTACKS), "attack")
        check_choice(self.norm, self.entry.norms or (None,), f"norm of {self.attack}")

    @property
    def entry(self) -> SuiteAttack:
        """The attack."""
        return ATTACKS[self.attack]

    def check(self, data: DataSet) -> None:
        """Refuse what the attack cannot do on a data set, before it is asked to.

        Raises:
            ValueError: for options, a norm, or data that the attack does not know, and strengths above the largest
                that can be tried.
        """
        options = {name: value for name, value in self.options.items() if value is not None}
        self.entry.check(options, self.norm, data.shape, data.num_classes, data.bounds)
        if self.norm and all(map(math.isfinite, data.bounds)):
            largest = (data.bounds[1] - data.bounds[0]) * math.prod(data.shape) ** (1 / ORDER[self.norm])
            for epsilon in self.epsilons:
                if epsilon > largest:
                    raise ValueError(
                        f"`epsilons` should lie in [0, {largest:g}], the diameter of {data.name} in {self.norm}. "
                        f"Found {epsilon}."
                    )

    def quantity(self, data: DataSet) -> Quantity:
        """ε50% or τ50% under this attack with all its options, those included that nobody named."""
        search = {"resolution": self.resolution, "curve_resolution": self.curve_resolution, "seed": self.seed}
        if self.entry.minimal:
            del search["resolution"], search["curve_resolution"]
        options = defaults(self.entry.attack) | dict(self.options)
        settings = options | search | {"epsilons": [float(epsilon) for epsilon in self.epsilons]}
        return Quantity("epsilon50" if self.norm else "tau50", self.attack, self.norm or "", plain(settings))

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """ε50% or τ50%; per sample the radius (1/τ under STA) and the largest strength seen to fail."""
        options = dict(self.options)
        if self.norm is not None and options.get("step_size") is not None:
            options["step_size"] = float(options["step_size"]) * math.prod(data.shape) ** (1 / ORDER[self.norm])
        attack = partial(self.entry.attack, **options)
        mixed = self.entry.mixed_strengths and self.curve_resolution is not None
        if self.entry.minimal:
            assert self.norm is not None  # only STA has none
            radii = minimal_radii(classifier, batches, attack, norm=self.norm, bounds=data.bounds, seed=self.seed)
        else:
            guess = self._guess(classifier, data, batches)
            radii = critical_radii(
                classifier,
                batches,
                attack,
                norm=self.norm,
                resolution=self.resolution,
                curve_resolution=self.curve_resolution,
                at=[*map(float, self.epsilons), *self._shared(guess)],
                only="all" if mixed else "median",
                bounds=data.bounds,
                epsilon_max=1 / SMALLEST_TAU if self.norm is None else None,
                guess=guess,
                seed=self.seed,
            )
        frame = _frame(batches, radius=radii.upper, failed_at=radii.lower)
        accuracies = {str(epsilon): radii.accuracy_at(float(epsilon)) for epsilon in self.epsilons}
        details = {"epsilon_max": radii.epsilon_max, "accuracy_at": accuracies}
        low, high = radii.interval()
        value, low, high = (radii.epsilon50, low, high) if self.norm else map(_inverse, (radii.epsilon50, high, low))
        return Outcome(value, frame, (low, high), radii.rejected, details)

    def _shared(self, guess: float | None) -> list[float]:
        """Strengths at which all samples are attacked at once, around ε50%, for the curve of a slow attack."""
        if self.entry.mixed_strengths or self.curve_resolution is None or guess is None:
            return []
        return [share * guess for share in (0.7, 1.4)]

    def _guess(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> float | None:
        """ε50% under the attack's scout, if it has one, because failures of the attack itself are costly."""
        if self.entry.first_guess is None:
            return None
        radii = critical_radii(
            classifier,
            batches,
            self.entry.first_guess,
            norm=self.norm,
            resolution=0.05,
            only="median",
            bounds=data.bounds,
            pilot=32,
            seed=self.seed,
        )
        return radii.epsilon50 if 0 < radii.epsilon50 < radii.epsilon_max / 1.5 else None


@dataclass(frozen=True)
class Masking:
    """How many signs of gradient masking the classifier shows, at its ε50% under PGD L∞.

    Args:
        steps: gradient steps of PGD.
        limit: only that many samples, the first ones.
        seed: of all attacks.
    """

    steps: int = 40
    limit: int = 200
    seed: int = 0

    def quantity(self, data: DataSet) -> Quantity:
        """The signs of masking."""
        return Quantity("masking", settings=asdict(self))

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Number of signs, NaN if no sample is classified correctly; the signs themselves are in the details."""
        few = first_samples(batches, self.limit)
        epsilon, signs = masking_verdict(classifier, few, bounds=data.bounds, steps=self.steps, seed=self.seed)
        if not signs:
            verdict = {"signs": [], "summary": "No sample is classified correctly, so nothing can be said."}
            return Outcome(math.nan, _frame(few), details=verdict)
        told = {"epsilon": epsilon, "signs": [asdict(sign) for sign in signs], "summary": summary(signs)}
        return Outcome(float(sum(sign.caught for sign in signs)), _frame(few), details=told)


def standard_measurements(
    attacks: Sequence[str] = ("pgd",),
    norms: Sequence[Norm] = ("Linf", "L2"),
    epsilons: Sequence[Strength | float | str] = (),
    steps: int = 40,
    step_size: Strength | float | str | None = None,
    loss: Loss = "auto",
    attack_options: Mapping[str, Mapping[str, Any]] | None = None,
    resolution: float = 0.01,
    curve_resolution: float | None = 0.05,
    masking: bool = True,
    residual: str | Mapping[str, Any] = "auto",
    candidates: int | None = None,
    seed: int = 0,
) -> list[Measurement]:
    """Accuracy, ε50% under each attack in each norm it knows, α_Δx and α_x: paper 1's Tables 2 and 3.

    Args:
        attacks: by name: pgd, square, sta, cw, autoattack and all others of `eval.attacks.ATTACKS`.
        norms: of the balls; an attack that knows none of them, such as CW beside Linf alone, is measured in its own.
        epsilons: strengths, in the first of the norms, at which the accuracy under each attack is wanted exactly.
        steps: gradient steps of PGD, κ.
        step_size: η of PGD for Linf, η·√n for L2; None for the default of `pgd`.
        loss: inside PGD, see `training.attacks.pgd`.
        attack_options: further options by attack, such as `{"square": {"queries": 1000}}`; `norms` among them stand
            in place of `norms` for that attack.
        resolution: relative width to which ε50% is closed.
        curve_resolution: relative width to which the other radii are closed; None for ε50% alone.
        masking: look for signs of gradient masking.
        residual: estimator for α_Δx, see `Alignment`.
        candidates: see `alignment.closest_class`.
        seed: of all randomness.

    Raises:
        ValueError: if there is no such attack or norm, `attacks`, `norms` or `epsilons` is no list, or options are
            given for an attack that is not among `attacks`.
    """
    _check_listed(attacks=attacks, norms=norms, epsilons=epsilons)
    given = {name: dict(options) for name, options in (attack_options or {}).items()}
    for name in attacks:
        check_choice(name, tuple(ATTACKS), "attacks")
    for norm in [*norms, *(norm for options in given.values() for norm in options.get("norms", ()))]:
        check_choice(norm, tuple(NORMS), "norms")
    for name in given:
        check_choice(name, tuple(attacks), "attack_options")
    stride = None if step_size is None else Strength(step_size)
    given["pgd"] = {"steps": steps, "step_size": stride, "loss": loss} | given.get("pgd", {})
    strengths = tuple(Strength(epsilon) for epsilon in epsilons)
    radii = []
    for attack in attacks:
        known, options = ATTACKS[attack].norms, given.get(attack, {})
        wanted = options.pop("norms", norms)
        for norm in [norm for norm in wanted if norm in known] or known[:1] or (None,):
            at = strengths if norm in norms[:1] else ()
            radii.append(AttackRadii(attack, norm, options, resolution, curve_resolution, at, seed))
    judged = [Masking(steps, seed=seed)] if masking else []
    return [Accuracy(), *radii, Alignment(residual, candidates=candidates), ImageAlignment(), *judged]


def _check_listed(**arguments: Any) -> None:
    """Refuse one name or number where several are meant, which would be taken apart letter by letter."""
    for name, values in arguments.items():
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise ValueError(f"`{name}` should be a list, such as [{values}]. Found {values!r}.")


def _mean_cosine(
    metric_for: Callable[[Batch], AlphaDx | AlphaX], classifier: nn.Module, batches: Iterable[Batch]
) -> Outcome:
    found = [metric_for(batch).similarity(classifier, batch.x, batch.y) for batch in batches]
    values, valid = torch.cat([s.value for s in found]), torch.cat([s.valid for s in found])
    chosen = values[valid].double().cpu()
    frame = _frame(batches, cosine=values, valid=valid)
    return Outcome(float(chosen.mean()), frame, mean_interval(chosen.numpy()), int((~valid).sum()))


def _frame(batches: Iterable[Batch], **columns: Tensor) -> pd.DataFrame:
    """One row per sample: its index in the split, its label, and what was found."""
    both = {"index": [b.indices for b in batches], "label": [b.y for b in batches]}
    joined = {name: torch.cat(parts) for name, parts in both.items()} | columns
    return pd.DataFrame({name: values.cpu().numpy() for name, values in joined.items()})


def check_wanted(wanted: Sequence[Measurement], data: DataSet) -> None:
    """Refuse what cannot be measured on a data set, before anything is measured.

    Raises:
        ValueError: if an estimator of Δx is unknown or does not fit, an attack does not know the norm, the data or an
            option, or a strength is above the largest that can be tried.
    """
    for measurement in wanted:
        measurement.quantity(data)
        if isinstance(measurement, AttackRadii):
            measurement.check(data)


def estimator_of(data: DataSet, residual: str | Mapping[str, Any]) -> ResidualEstimator:
    """The estimator by its name, or by a name with options; the same object for the same data set and name."""
    made, key = _MADE.setdefault(data, {}), digest(residual)
    if key not in made:
        made[key] = data.residual(residual)
    return made[key]


_MADE: WeakKeyDictionary[DataSet, dict[str, ResidualEstimator]] = WeakKeyDictionary()


def described_estimator(estimator: ResidualEstimator) -> dict[str, Any]:
    """What an estimator's output depends on, in plain values."""
    return {"name": estimator.name, "settings": plain(estimator.settings), "digest": estimator.digest}


def defaults(attack: Callable[..., Any]) -> dict[str, Any]:
    """The options of an attack that has them, with their values where nobody names others.

    Example:
        >>> from training import pgd
        >>> defaults(partial(pgd, steps=20))["steps"], "generator" in defaults(pgd)
        (20, False)
    """
    parameters = signature(attack).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.default is not p.empty and p.name not in ("strength", "norm", "bounds", "generator")
    }


def logits_at(classifier: nn.Module, x: Tensor) -> Tensor:
    """Logits in evaluation mode, without a graph.

    Raises:
        ValueError: if one is NaN.
    """
    with evaluating(classifier), torch.no_grad():
        logits = logits_of(classifier, x)
    check_finite(logits, "classifier(x)")
    return logits


def sanity(data: DataSet, batches: Iterable[Batch], logits: Tensor) -> dict[str, Any]:
    """What tells a reader whether classifier and data fit each other at all.

    `classes` and how many of them the samples are of, the lowest and highest input seen, the share of outputs that
    look like probabilities, and the share of confident ones (softmax above 0.99).
    """
    seen = torch.cat([batch.y for batch in batches]).unique()
    probabilities = (logits >= 0).all(dim=1) & ((logits.double().sum(dim=1) - 1).abs() < 1e-4)
    return {
        "classes": data.num_classes,
        "classes_seen": len(seen),
        "inputs": [float(min(b.x.min() for b in batches)), float(max(b.x.max() for b in batches))],
        "probabilities": float(probabilities.double().mean()),
        "confident": float((logits.softmax(dim=1).amax(dim=1) > 0.99).double().mean()),
    }


def _inverse(strength: float) -> float:
    return math.inf if strength == 0 else 1 / strength
