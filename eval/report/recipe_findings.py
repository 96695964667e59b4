"""Findings of one recipe against another, or against a range: at each setting where it stands in a sweep."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eval.records import Quantity, Records
from eval.records.intervals import UNSURE, Interval
from eval.report.chosen_numbers import Shown, by_data, by_seed, by_setting, named, per_sample
from eval.report.differences import between_shares, between_trainings, mean_over_trainings, over_samples
from eval.report.sentences import amount, called, difference, digits, joined, points, titled, with_ends
from eval.report.verdicts import UNDECIDED, Evidence, Finding, inside, side, why
from eval.studies.paper_claims import Claim

LEFT_OUT = " Models near chance are left out."
LENGTHS = ("residual_norm", "residual_similarity")
"""Kinds that say something of an estimator whose residuals lead to the target class."""


@dataclass(frozen=True)
class Compared:
    """Two recipes by one measurement."""

    quantity: Quantity
    means: tuple[float, float]
    interval: Interval
    how: str

    @property
    def difference(self) -> float:
        """Of the first from the second."""
        return self.means[0] - self.means[1]


def of_differences(evidence: Evidence, claim: Claim) -> list[Finding]:
    """more, less and same: one recipe against another."""
    measurement, of, than = (str(claim.about[key]) for key in ("measurement", "of", "than"))
    ones, others = (by_data(named(evidence.about(claim), measurement, recipe)) for recipe in (of, than))
    found = []
    for data in [data for data in ones if data in others]:
        at_settings = _shared(by_setting(ones[data], claim.at), by_setting(others[data], claim.at))
        if not at_settings:
            said = f"{data}: {called(of)} and {called(than)} share no setting of a sweep{_told_at(claim)}."
            found.append(Finding(claim, UNDECIDED, said))
        for setting, pair in at_settings.items():
            found.append(_difference(evidence, claim, _where(data, setting), *pair))
    return found or [_nothing(evidence, claim, measurement, (of, than))]


def of_values(evidence: Evidence, claim: Claim) -> list[Finding]:
    """value: one recipe against a range."""
    measurement, of = str(claim.about["measurement"]), str(claim.about["of"])
    found = [
        _value(evidence, claim, _where(data, setting), numbers)
        for data, of_data in by_data(named(evidence.about(claim), measurement, of)).items()
        for setting, numbers in by_setting(of_data, claim.at).items()
    ]
    return found or [_nothing(evidence, claim, measurement, (of,))]


def _shared(
    ones: Mapping[str, Sequence[Shown]], others: Mapping[str, Sequence[Shown]]
) -> dict[str, tuple[Sequence[Shown], Sequence[Shown]]]:
    """What two recipes have at the same setting; one that stands in no sweep is compared with each of the other's."""
    if ones.keys() == {""}:
        return {setting: (ones[""], other) for setting, other in others.items()}
    if others.keys() == {""}:
        return {setting: (one, others[""]) for setting, one in ones.items()}
    return {setting: (one, others[setting]) for setting, one in ones.items() if setting in others}


def _difference(
    evidence: Evidence, claim: Claim, where: str, ones: Sequence[Shown], others: Sequence[Shown]
) -> Finding:
    """Of two recipes on one data set, at one setting."""
    of, than, title = str(claim.about["of"]), str(claim.about["than"]), titled(ones[0].record.quantity)
    kept = [evidence.kept(part) for part in (ones, others)]
    if not all(kept):
        lost = joined([name for name, part in zip((of, than), kept, strict=True) if not part])
        return Finding(claim, UNDECIDED, f"{where}: {lost} near chance, so that {title} is not compared.")
    compared = _compared(evidence.records, *kept)
    if compared is None:
        said = f"{where}: {title} of {called(of)} or {called(than)} has several numbers for one seed."
        return Finding(claim, UNDECIDED, said)
    verdict, bound, reaches = _verdict(claim, compared)
    remarks = _remarks(evidence, (*ones, *others), (*kept[0], *kept[1]))
    told = f"{_told(compared, of, than)}{bound}{why(verdict, compared.interval, reaches)}"
    return Finding(claim, verdict, f"{where}: {told}.{remarks}")


def _verdict(claim: Claim, compared: Compared) -> tuple[str, str, str]:
    """Of a difference: the verdict, the bound that is claimed, and what an interval does that decides nothing."""
    low, high = compared.interval
    if claim.kind != "same":
        return side((low, high) if claim.kind == "more" else (-high, -low)), "", "holds 0"
    within = float(claim.about["within"])
    bound = f"±{digits(compared.quantity, within, compared.means[0])}{points(compared.quantity)}"
    verdict = inside(compared.interval, -within, within)
    return verdict, f", where up to {bound} is the same", f"reaches beyond {bound}"


def _compared(records: Records, ones: Sequence[Shown], others: Sequence[Shown]) -> Compared | None:
    """Two recipes on one data set; None where a seed has several numbers."""
    one, other = by_seed(ones), by_seed(others)
    if one is None or other is None:
        return None
    quantity = next(iter(one.values())).record.quantity
    common = sorted(one.keys() & other.keys())
    if len(common) > 1:
        a, b = ([found[seed].record.value for seed in common] for found in (one, other))
        interval = mean_over_trainings(np.subtract(a, b)) if _finite(a, b) else UNSURE
        return Compared(quantity, (_mean(a), _mean(b)), interval, f"paired over {len(common)} seeds")
    a, b = ([shown.record.value for shown in found.values()] for found in (one, other))
    if min(len(a), len(b)) > 1:
        interval = between_trainings(a, b) if _finite(a, b) else UNSURE
        return Compared(quantity, (_mean(a), _mean(b)), interval, f"over {len(a)} and {len(b)} trainings")
    pair = [found[common[0]] if common else next(iter(found.values())) for found in (one, other)]
    interval, count = _over_samples(records, *pair)
    how = "so over {count} samples alone" if count else "and nothing recorded sample by sample"
    how = f"one training each, {how.format(count=count)}"
    return Compared(quantity, (pair[0].record.value, pair[1].record.value), interval, how)


def _over_samples(records: Records, one: Shown, other: Shown) -> tuple[Interval, int]:
    """The interval of a difference of two models on the samples that both met, and how many those are."""
    first, second = per_sample(records, one), per_sample(records, other)
    if first is None or second is None:
        return UNSURE, 0
    both = pd.concat([first.outcomes, second.outcomes], axis=1, join="inner").to_numpy()
    if first.is_share and second.is_share:
        return between_shares(both[:, 0], both[:, 1]), len(both)
    a, b = both.T
    return over_samples(lambda drawn: first.statistic(a[drawn]) - second.statistic(b[drawn]), len(both)), len(both)


def _value(evidence: Evidence, claim: Claim, where: str, numbers: Sequence[Shown]) -> Finding:
    """Of one recipe on one data set, at one setting."""
    of, title, kept = str(claim.about["of"]), titled(numbers[0].record.quantity), evidence.kept(numbers)
    seeds = by_seed(kept)
    if not kept or seeds is None:
        said = "is near chance" if not kept else f"has several numbers of {title} for one seed"
        return Finding(claim, UNDECIDED, f"{where}: {called(of)} {said}, so that nothing is judged.")
    first, values = next(iter(seeds.values())).record, [shown.record.value for shown in seeds.values()]
    several = len(values) > 1
    interval = (mean_over_trainings(values) if _finite(values) else UNSURE) if several else first.interval
    how = f"over {len(values)} trainings" if several else f"one training, so over {first.samples} samples alone"
    low, high = map(float, claim.about["between"])
    verdict = inside(interval, low, high)
    least, most = digits(first.quantity, low, _mean(values)), amount(first.quantity, high, _mean(values))
    told = f"{title} is {with_ends(first.quantity, _mean(values), interval)} for {called(of)} ({how})"
    told += f", where {least} to {most} is claimed"
    told += why(verdict, interval, "reaches beyond that")
    return Finding(claim, verdict, f"{where}: {told}.{_remarks(evidence, numbers, kept)}")


def _remarks(evidence: Evidence, shown: Sequence[Shown], kept: Sequence[Shown]) -> str:
    """What makes the numbers of a finding mean less than they seem to."""
    astray = {
        called(s.record.model.recipe)
        for s in kept
        if s.record.quantity.kind in LENGTHS and s.record.subject.key in evidence.astray
    }
    told = [f" Most x̂' of {name} are not of the target class." for name in sorted(astray)]
    return (LEFT_OUT if len(kept) < len(shown) else "") + "".join(told)


def _told(compared: Compared, of: str, than: str) -> str:
    quantity, (a, b) = compared.quantity, compared.means
    values = [f"{amount(quantity, value, a)} for {called(name)}" for value, name in ((a, of), (b, than))]
    change = difference(quantity, compared.difference, compared.interval, a)
    return f"{titled(quantity)} is {' and '.join(values)}: {change}, {compared.how}"


def _nothing(evidence: Evidence, claim: Claim, measurement: str, recipes: Sequence[str]) -> Finding:
    """Where no data set has what is needed."""
    quantities = [s.record.quantity for s in named(evidence.shown, measurement)]
    title = titled(quantities[0]) if quantities else measurement
    where, names = f"{claim.data}: " if claim.data else "", " and ".join(map(called, recipes))
    same = " on the same samples" if len(recipes) > 1 else ""
    return Finding(claim, UNDECIDED, f"{where}{title} of {names} was not measured{same}{_told_at(claim)}.")


def _where(data: str, setting: str) -> str:
    return f"{data}, {setting}" if setting else data


def _told_at(claim: Claim) -> str:
    """The setting that a claim names."""
    return f" at {', '.join(f'{name} = {value}' for name, value in claim.at.items())}" if claim.at else ""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _finite(*several: Sequence[float]) -> bool:
    return all(math.isfinite(value) for values in several for value in values)
