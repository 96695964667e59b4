"""What can be measured on a classifier; each measurement returns one number and an outcome per sample."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from alignment import AlphaDx, AlphaX, Candidates
from alignment.alphas import Differentiated
from alignment.candidates import recorded
from alignment.contracts import check_choice
from alignment.similarity import Similarity
from eval.attacks import ATTACKS
from eval.attacks.own import check_attack_name
from eval.records.attack_radii import AttackRadii
from eval.records.consensus_alignment import consensus_alignment
from eval.records.estimators import described_estimator, estimator_of
from eval.records.intervals import share_interval
from eval.records.outcome import Measurement, Outcome, outcomes_of
from eval.records.per_sample import in_batches, mean_cosine
from eval.records.quantity import NORMS, Quantity
from eval.records.robust_accuracy import RobustAccuracyAt
from eval.records.sanity import logits_at, sanity
from eval.records.subject import first_samples
from eval.robustness.masking import masking_verdict, summary
from generators import Consensus, ResidualEstimator
from generators.store import for_samples
from training.attacks import Distance, Loss
from training.data import Batch, DataSet
from training.passes import CountPasses
from training.strength import Strength

Strengths = Sequence[Strength | float | str]
Epsilons = Strengths | Mapping[Distance, Strengths]
"""Strengths of attacks: those of the first norm, or of each norm by its name."""


@dataclass(frozen=True)
class Accuracy:
    """Share of samples that are classified correctly, without attack."""

    def quantity(self, data: DataSet) -> Quantity:
        """Accuracy."""
        return Quantity("accuracy")

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Accuracy in [0, 1]; per sample the predicted class."""
        (logits,) = in_batches(batches, lambda batch: (logits_at(classifier, batch.x),), classifier)
        logits = logits.cpu()
        frame = outcomes_of(batches, predicted=logits.argmax(dim=1))
        correct = frame.predicted == frame.label
        interval = share_interval(int(correct.sum()), len(correct))
        return Outcome(float(correct.mean()), frame, interval, details=sanity(data, batches, logits))


@dataclass(frozen=True)
class Alignment:
    """α_Δx (paper 1, Eq. 8) with the data set's residual of some name.

    Args:
        residual: an estimator by a name that `DataSet.residual` knows; or with what it takes, as
            `{residual: cgan.ckpt, options: {method: ours}}`; or several, `{consensus: [nearest, direct.ckpt]}`.
        of: what is differentiated, see `alignment.alpha_dx`.
        candidates: see `alignment.closest_class`.
        signed: see `alignment.closest_class`; said by a record only where it can change the number.
    """

    residual: str | Mapping[str, Any] = "auto"
    of: Differentiated = "closest_to_true"
    candidates: Candidates = None
    signed: bool = False

    def estimator(self, data: DataSet) -> ResidualEstimator:
        """Of Δx; read or made once."""
        return estimator_of(data, self.residual)

    def quantity(self, data: DataSet) -> Quantity:
        """α_Δx by this very estimator."""
        estimator = described_estimator(self.estimator(data))
        settings = {"of": self.of, "candidates": recorded(self.candidates, data.num_classes), "estimator": estimator}
        return Quantity("alpha_dx", settings=settings | _said(data, self.signed))

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Mean cosine over samples that have a direction; per sample the cosine.

        The interval of a consensus includes its estimators, see `eval.records.consensus_alignment`.
        """
        estimator = self.estimator(data)
        options: Any = {"of": self.of, "candidates": self.candidates, "signed": self.signed}
        if isinstance(estimator, Consensus):
            return consensus_alignment(estimator, options, classifier, batches)

        def cosines(batch: Batch) -> Similarity:
            metric = AlphaDx(for_samples(estimator, batch.indices), **options)
            return metric.similarity(classifier, batch.x, batch.y)

        return mean_cosine(cosines, classifier, batches)


@dataclass(frozen=True)
class ImageAlignment:
    """α_x (paper 1, Eq. 18).

    Args:
        of: what is differentiated, see `alignment.alpha_x`.
        candidates: see `alignment.closest_class`; said by a record only where they are not the default.
        signed: see `alignment.closest_class`; said by a record only where it can change the number.
    """

    of: Differentiated = "predicted"
    candidates: Candidates = None
    signed: bool = False

    def quantity(self, data: DataSet) -> Quantity:
        """α_x."""
        told = _said(data, self.signed and self.of == "closest_to_true")
        searched, usual = (recorded(given, data.num_classes) for given in (self.candidates, None))
        if self.of.startswith("closest") and searched != usual:
            told["candidates"] = searched
        return Quantity("alpha_x", settings={"of": self.of} | told)

    def __call__(self, classifier: CountPasses, data: DataSet, batches: Iterable[Batch]) -> Outcome:
        """Mean absolute cosine over samples that have a direction; per sample that cosine."""
        closest: Any = {"candidates": self.candidates, "signed": self.signed}
        metric = AlphaX(of=self.of, **closest)
        return mean_cosine(lambda batch: metric.similarity(classifier, batch.x, batch.y), classifier, batches)


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
            return Outcome(math.nan, outcomes_of(few), details={"signs": [], "summary": summary(signs)})
        told = {"epsilon": epsilon, "signs": [asdict(sign) for sign in signs], "summary": summary(signs)}
        return Outcome(float(sum(sign.caught for sign in signs)), outcomes_of(few), details=told)


def _said(data: DataSet, signed: bool) -> dict[str, Any]:
    """What a record says of the signed form: nothing where it changes nothing, so that old ones keep their keys."""
    return {"signed": True} if signed and data.num_classes > 2 else {}


def standard_measurements(
    attacks: Sequence[str] = ("pgd",),
    norms: Sequence[Distance] | None = None,
    epsilons: Epsilons = (),
    steps: int = 40,
    step_size: Strength | float | str | None = None,
    loss: Loss = "auto",
    attack_options: Mapping[str, Mapping[str, Any]] | None = None,
    resolution: float = 0.01,
    curve_resolution: float | None = 0.05,
    masking: bool = True,
    residual: str | Mapping[str, Any] = "auto",
    candidates: Candidates = None,
    signed: bool = False,
    only: Literal["all", "accuracy"] = "all",
    seed: int = 0,
) -> list[Measurement]:
    """Accuracy, ε50% under each attack in each norm it knows, α_Δx and α_x: paper 1's Tables 2 and 3.

    Args:
        attacks: by name, or `package.module:attack` for one of yours.
        norms: of the perturbations. An attack that knows none of them, such as CW beside Linf alone, is measured in
            its own. None for Linf and L2; where `only="accuracy"`, for those that `epsilons` names, or Linf alone,
            since an ε belongs to one norm.
        epsilons: strengths at which the accuracy under each attack is wanted, such as 8/255. A list is of the first
            of the norms, or with `only="accuracy"`, of each of them; `{"Linf": ["8/255"], "L2": [0.5]}` names them.
        steps: gradient steps of PGD, κ.
        step_size: η of PGD for Linf, η·√n for L2; None for the default of `pgd`.
        loss: inside PGD, see `training.attacks.pgd`.
        attack_options: further options by attack, such as `{"square": {"queries": 1000}}`; `norms` among them stand
            in place of `norms` for that attack.
        resolution: relative width to which ε50% is closed.
        curve_resolution: relative width to which the other radii are closed; None for ε50% alone.
        masking: look for signs of gradient masking.
        residual: auto, exact, nearest, a checkpoint or a store: the estimator for α_Δx, see `Alignment`; or several,
            `{consensus: [nearest, direct.ckpt], judge: judge.ckpt}`, whose interval then includes them.
        candidates: see `alignment.closest_class`.
        signed: take the closest class as the authors' program does, in which one that wins comes first, see
            `alignment.closest_class`.
        only: "accuracy" for the accuracy without attack and under each attack at each of `epsilons`, without a search
            and at the cost of the attack alone; "all" for all else.
        seed: of all randomness.

    Raises:
        ValueError: if there is no such attack or norm, `attacks`, `norms` or `epsilons` is no list, options are
            given for an attack that is not among `attacks`, or `only="accuracy"` is asked of an attack without ε.
    """
    check_choice(only, ("all", "accuracy"), "only")
    norms = norms if norms is not None else _usual_norms(epsilons, only)
    _check_listed(attacks=attacks, norms=norms, **_by_argument(epsilons))
    given = {name: dict(options) for name, options in (attack_options or {}).items()}
    for name in attacks:
        check_attack_name(name, "attacks")
    for norm in [*norms, *(norm for options in given.values() for norm in options.get("norms", ()))]:
        check_choice(norm, tuple(NORMS), "norms")
    strengths = _strengths(epsilons, tuple(NORMS) if only == "accuracy" else norms[:1])
    for name in given:
        check_choice(name, tuple(attacks), "attack_options")
    stride = None if step_size is None else Strength(step_size)
    given["pgd"] = {"steps": steps, "step_size": stride, "loss": loss} | given.get("pgd", {})
    if only == "accuracy":
        _check_at_strengths(attacks, strengths)
    attacked: list[AttackRadii | RobustAccuracyAt] = []
    for attack in attacks:
        known, options = ATTACKS[attack].norms, given.get(attack, {})
        wanted = options.pop("norms", norms)
        for norm in [norm for norm in wanted if norm in known] or known[:1] or (None,):
            at = strengths.get(norm, ()) if norm else ()
            if norm is not None and only == "accuracy":
                attacked += [RobustAccuracyAt(attack, norm, epsilon, options, seed) for epsilon in at]
            else:
                attacked.append(AttackRadii(attack, norm, options, resolution, curve_resolution, at, seed))
    if isinstance(epsilons, Mapping):
        _check_used(strengths, {measured.norm for measured in attacked})
    if only == "accuracy":
        return [Accuracy(), *attacked]
    judged = [Masking(steps, seed=seed)] if masking else []
    return [
        Accuracy(),
        *attacked,
        Alignment(residual, candidates=candidates, signed=signed),
        ImageAlignment(),
        *judged,
    ]


def _usual_norms(epsilons: Epsilons, only: str) -> Sequence[Distance]:
    """The norms where nobody names some."""
    if only != "accuracy":
        return ("Linf", "L2")
    return tuple(epsilons) if isinstance(epsilons, Mapping) else ("Linf",)


def _check_used(strengths: Mapping[str, Any], measured: set[Distance | None]) -> None:
    """Refuse strengths of a norm in which nothing is measured."""
    if unused := [norm for norm in strengths if norm not in measured]:
        raise ValueError(
            f"`epsilons` should name norms of the attacks, {', '.join(filter(None, measured)) or 'which have none'}. "
            f"Found {', '.join(unused)}."
        )


def _by_argument(epsilons: Epsilons) -> dict[str, Any]:
    """Lists of strengths by what they are called in messages."""
    if not isinstance(epsilons, Mapping):
        return {"epsilons": epsilons}
    return {f"epsilons, {norm}": values for norm, values in epsilons.items()}


def _strengths(epsilons: Epsilons, norms: Sequence[str]) -> dict[str, tuple[Strength, ...]]:
    """Strengths by norm; a list is of all of `norms`."""
    by_norm: Mapping[str, Strengths]
    if isinstance(epsilons, Mapping):
        by_norm = {str(norm): values for norm, values in epsilons.items()}
    else:
        by_norm = dict.fromkeys(norms, epsilons)
    for norm in by_norm:
        check_choice(norm, tuple(NORMS), "epsilons")
    return {norm: tuple(Strength(epsilon) for epsilon in values) for norm, values in by_norm.items()}


def _check_at_strengths(attacks: Sequence[str], strengths: Mapping[str, Sequence[Strength]]) -> None:
    """Refuse accuracies under attack without a strength, or of an attack whose strength is no ε."""
    if attacks and not any(strengths.values()):
        raise ValueError("`epsilons` should name a strength, such as [8/255], with only='accuracy'. Found none.")
    if without := [name for name in attacks if not ATTACKS[name].norms]:
        raise ValueError(
            f"`attacks` should leave out {', '.join(without)} with only='accuracy': its strength is 1/τ, which is no "
            "radius ε of a ball. Leave out `only`, and τ50% is measured."
        )


def _check_listed(**arguments: Any) -> None:
    """Refuse one name or number where several are meant, which would be taken apart letter by letter."""
    for name, values in arguments.items():
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise ValueError(f"`{name}` should be a list, such as [{values}]. Found {values!r}.")


def check_wanted(wanted: Sequence[Measurement], data: DataSet) -> None:
    """Refuse what cannot be measured on a data set, before anything is measured.

    Raises:
        ValueError: if an estimator of Δx is unknown or does not fit, an attack does not know the norm, the data or an
            option, or a strength is above the largest that can be tried.
    """
    for measurement in wanted:
        measurement.quantity(data)
        if isinstance(measurement, AttackRadii | RobustAccuracyAt):
            measurement.check(data)
