"""What a user meets who gives something wrong: a sentence that names it, or the right answer."""

import warnings
from collections.abc import Mapping
from typing import Any

import pytest

from tests.bad_input.cases import cases, outcome

RIGHT = (
    ("", ""),  # nothing is wrong
    ("", "x: expanded"),
    ("", "x: transposed"),
    ("", "x: a variable"),
    ("", "x: an inference tensor"),
    ("measure", "x: bytes"),  # 0 to 255 are the bounds
    ("measure", "x: booleans"),
    ("measure", "x: half"),
    ("measure", "x: double"),
    ("measure", "x: numpy"),
    ("measure", "y: floats"),
    ("measure", "y: int32"),
    ("measure", "y: bytes"),
    ("measure", "y: numpy"),
    ("measure", "y: a column"),
    ("measure", "classifier: detached"),  # what fails is named, the rest measured
    ("minimal_radii", "classifier: detached"),  # the attack here needs no gradient
    ("square_attack", "classifier: detached"),  # it needs no gradient
    ("masking_signs", "classifier: detached"),  # a sign of masking
    ("spatial_attack", "epsilon: inf"),  # no weight of smoothness
    ("pgd", "steps: zero"),  # the random start
    ("AGR", "clip_norm: infinite"),  # no clip
    ("WeightedSum", "weights: negative"),
    ("WeightedSum", "weights: two"),
    ("", "gradients: one list"),  # nothing to combine
    ("", "gradients: NaN"),  # stays, for the training to stop at
    ("cosine_similarity", "v: NaN"),  # stays
    ("median_interval", "order"),  # an attack may fail above a strength at which it succeeds
)
"""What returns something, by beginnings of the function's name and of what is wrong."""
WITHOUT_BOUNDS = ("alpha", "Alpha", "closest", "alignment", "gradient_norm", "input", "linearised")
"""What takes inputs of any range."""
IN_THE_NETWORK = ("x: one dimension", "x: another shape")
"""What only the network can know to be wrong: its own error goes on, with a note."""


@pytest.fixture
def outcomes(as_in_production: None) -> list[Mapping[str, Any]]:
    """What becomes of every case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [{"function": function, "wrong": what, **outcome(call)} for function, what, call in cases()]


def is_right(case: Mapping[str, Any]) -> bool:
    """Whether a case is one that returns something."""
    function, wrong = case["function"], case["wrong"]
    anywhere = wrong == "x: outside the bounds" and function.startswith(WITHOUT_BOUNDS)
    return anywhere or any(
        function.startswith(name) and (wrong.startswith(what) if what else not wrong) for name, what in RIGHT
    )


def test_what_is_wrong_is_refused_in_a_sentence_and_what_is_right_is_not(outcomes: list[Mapping[str, Any]]) -> None:
    assert len(outcomes) > 1000
    for case in outcomes:
        told = f"{case['function']}, {case['wrong']}: {case}"
        if is_right(case):
            assert "returned" in case, told
        elif case["wrong"] in IN_THE_NETWORK and case.get("raised") != "ValueError":
            assert case["notes"].startswith("`classifier` raised it for `x` of shape ("), told
        else:
            assert case.get("raised") == "ValueError", told
            assert "should" in case["said"], told
            assert "Found" in case["said"] or "It failed" in case["said"], told
        assert case["seconds"] < 10, told
    check_what_only_looks_wrong({(case["function"], case["wrong"]): case.get("returned") for case in outcomes})


def check_what_only_looks_wrong(returned: Mapping[tuple[str, str], Any]) -> None:
    """It gives what its plain copy gives."""
    for function in (
        "closest_class",
        "alpha_x",
        "alpha_dx of an estimator",
        "input_gradient",
        "square_attack",
        "AlphaX",
    ):
        assert returned[function, "x: an inference tensor"] == returned[function, ""]
        assert returned[function, "x: a variable"] == returned[function, ""]
