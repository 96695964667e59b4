"""Any numbers and texts: medians, stores, strengths, names and digests keep what they promise."""

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from eval.records.identity import digest, slug
from eval.records.intervals import share_interval
from eval.robustness.median import median, median_interval
from eval.studies.correlation import STATISTICS, _of_resamples
from generators.store.layout import decoded, encoded
from tests.any_input.profile import FEW
from training.strength import Strength

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@FEW
@given(st.lists(st.floats(0, math.inf), min_size=1, max_size=40))
def test_the_interval_of_a_median_holds_it(radii: list[float]) -> None:
    low, high = median_interval([r / 2 if math.isfinite(r) else 1.0 for r in radii], radii)
    assert low <= median(torch.tensor(radii, dtype=torch.float64)) <= high


@FEW
@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_of_a_share_lies_in_0_and_1(successes: int, more: int) -> None:
    low, high = share_interval(successes, successes + more)
    assert 0 <= low <= successes / (successes + more) <= high <= 1


@FEW
@given(st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=20))
def test_a_store_keeps_the_largest_entry_to_11_bits(values: list[float]) -> None:
    residual = torch.tensor([values])
    kept = decoded(*encoded(residual))
    assert torch.isfinite(kept).all()
    assert (kept - residual).abs().max() <= 2**-11 * residual.abs().max() + 2.0**-126


@FEW
@given(PLAIN)
def test_a_digest_does_not_depend_on_the_order_of_keys(value: object) -> None:
    pairs = [("a", value), ("b", 1), ("c", [value])]
    assert digest(dict(pairs)) == digest(dict(reversed(pairs)))
    assert digest({"a": value}) != digest({"b": value})


@FEW
@given(st.floats(), st.floats())
def test_other_numbers_have_another_digest(one: float, other: float) -> None:
    assert (digest(one) == digest(other)) == (repr(one) == repr(other))


@FEW
@given(st.text(max_size=300))
def test_a_name_is_a_part_of_a_path(text: str) -> None:
    name = slug(text)
    assert name
    assert not {*name} & {*'/\\:*?"<>|\0\n'}
    assert len(name.encode()) <= 120
    assert name not in (".", "..")


@FEW
@given(
    st.text(max_size=8) | st.floats().map(str) | st.tuples(st.integers(), st.integers()).map("{0[0]}/{0[1]}".format)
)
def test_a_strength_is_a_number_or_refused_in_a_sentence(text: str) -> None:
    try:
        found = Strength(text)
    except ValueError as error:
        assert str(error).startswith("A strength should")
        return
    assert 0 <= found < math.inf
    assert Strength(str(found)) == found


@FEW
@given(
    st.lists(st.tuples(*[st.integers(-3, 3)] * 2), min_size=5, max_size=12),
    st.integers(0, 9),
    st.sampled_from(["Pearson", "Spearman"]),
)
def test_resamples_at_once_are_those_one_by_one(pairs: list[tuple[int, int]], seed: int, name: str) -> None:
    place = np.arange(len(pairs)) // 2
    drawn = np.random.default_rng(seed).integers(place.max() + 1, size=(20, place.max() + 1))
    found = _of_resamples(STATISTICS[name], np.array(pairs, dtype=float), drawn, place)
    for row, value in zip(drawn, found, strict=True):
        a, b = np.array(
            [pair for k in row for pair, own in zip(pairs, place, strict=True) if own == k], dtype=float
        ).T
        constant = not np.ptp(a) or not np.ptp(b)
        expected = math.nan if constant else {"Pearson": stats.pearsonr, "Spearman": stats.spearmanr}[name](a, b)[0]
        np.testing.assert_allclose(value, expected, atol=1e-9)
