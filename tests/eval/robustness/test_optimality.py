import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from eval.robustness.optimality import optimality


def problems() -> list[np.ndarray]:
    """Radii of three attacks on eight samples, of which some are infinite and some the same."""
    drawn = np.random.default_rng(1)
    found = []
    for _ in range(200):
        radii = np.where(drawn.random((3, 8)) < drawn.random(), math.inf, drawn.uniform(0.01, 10, (3, 8)))
        found.append(radii if drawn.random() < 0.5 else np.ceil(radii))
    return found


def named(radii: np.ndarray) -> dict[str, np.ndarray]:
    return {f"attack {number}": row for number, row in enumerate(radii)}


def by_integration(radii: np.ndarray) -> list[float]:
    """ξ from the curves themselves, between whose steps they are constant."""
    best = radii.min(axis=0)
    end = best[np.isfinite(best)].max()
    steps = np.unique([*radii[np.isfinite(radii)], end, 0.0])
    steps = steps[steps <= end]

    def area(of: np.ndarray) -> float:
        return sum(quad(lambda epsilon: (of > epsilon).mean(), low, high)[0] for low, high in pairwise(steps))

    whole = (best > 0).mean() * end - area(best)
    return [1 - (area(row) - area(best)) / whole for row in radii]


def test_agrees_with_integrals_of_the_curves() -> None:
    radii = np.random.default_rng(0).uniform(0.1, 2.0, (3, 12))
    radii[:, :3], radii[1, 5], radii[:, 7] = 0.0, math.inf, math.inf
    np.testing.assert_allclose([*optimality(named(radii)).values()], by_integration(radii), rtol=1e-9)


def test_is_what_is_left_of_the_area() -> None:
    assert optimality({"best": [1.0, 3.0], "half": [2.0, 3.0], "none": [math.inf, math.inf]}) == {
        "best": 1.0,
        "half": 0.5,
        "none": 0.0,
    }


def test_lies_in_0_to_1_and_is_1_for_the_envelope() -> None:
    for radii in problems():
        best = radii.min(axis=0)
        found = optimality(named(radii) | {"envelope": best})
        finite = best[np.isfinite(best)]
        if len(finite) == 0 or finite.min() == finite.max():
            assert all(map(math.isnan, found.values()))
        else:
            assert found["envelope"] == 1
            assert all(-1e-12 <= value <= 1 for value in found.values())


def test_order_and_unit_are_nothing_to_it() -> None:
    drawn = np.random.default_rng(2)
    for radii in problems():
        changed = drawn.uniform(0.01, 100) * radii[:, drawn.permutation(8)]
        found = [*optimality(named(radii)).values()]
        np.testing.assert_allclose([*optimality(named(changed)).values()], found, atol=1e-9)


def test_falls_when_radii_grow() -> None:
    """Beside an envelope that stays; a sample that is fooled below ε₀ alone makes it fall."""
    fell = 0
    for radii in problems():
        best, grown = radii.min(axis=0), radii[0].copy()
        grown[3] *= 1.5
        found = optimality({"before": radii[0], "after": grown, "best": best})
        if not math.isnan(found["best"]):
            assert found["after"] <= found["before"] + 1e-12
            below = radii[0, 3] < best[np.isfinite(best)].max()
            assert (found["after"] < found["before"] - 1e-12) == below
            fell += below
    assert fell > 20


def test_a_sample_that_none_fooled_says_nothing() -> None:
    pair = {"a": [1.0, 2.0, 4.0], "b": [2.0, 2.0, 4.0]}
    assert optimality({name: [*radii, math.inf] for name, radii in pair.items()}) == optimality(pair)


def test_devices_that_disagree_about_a_sample_at_the_boundary_keep_it_in_0_to_1() -> None:
    assert optimality({"a": [0.0, 1.0], "b": [2.0, 1.0]}) == {"a": 1.0, "b": 0.0}


def test_where_nothing_tells_attacks_apart_there_is_no_number() -> None:
    for radii in ([1.0, 1.0], [math.inf, math.inf], [0.0, 0.0], [0.0, 2.0]):
        assert math.isnan(optimality({"a": radii})["a"])


@pytest.mark.parametrize(
    ("radii", "message"),
    [
        ({}, "`radii` should hold those of one attack at least. Found none"),
        ({"a": [1.0], "b": [1.0, 2.0]}, r"`radii` should have one shape .* Found {'a': \(1,\), 'b': \(2,\)}"),
        ({"a": [[1.0]]}, r"`radii` should have one shape \(N,\)"),
        ({"a": []}, r"`radii` should have one shape \(N,\), N ≥ 1"),
        ({"a": [1.0, -1.0]}, "`radii` should be at least 0. Found -1.0 under a"),
        ({"a": [1.0, math.nan]}, "`radii` should be at least 0. Found nan under a"),
    ],
)
def test_bad_radii_are_refused(radii: dict[str, list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optimality(radii)


def test_what_fools_nothing_has_nothing_and_not_less() -> None:
    """The areas are sums over the same samples in the same order, or else rounding leaves a ξ below 0."""
    for seed in range(10):
        drawn = np.random.default_rng(seed)
        best = np.where(drawn.random(300) < 0.3, 0.0, drawn.uniform(0.1, 2.0, 300))
        assert optimality({"best": best, "never": np.where(best > 0, math.inf, 0.0)}) == {"best": 1.0, "never": 0.0}
