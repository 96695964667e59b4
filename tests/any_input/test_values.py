"""Any value on a command line: a number is the one that was typed, and any other text is refused in a sentence."""

import math

from hypothesis import given
from hypothesis import strategies as st

from eval.fit.parsing import Refused, RefusingParser
from tests.any_input.profile import FEW

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def parser() -> RefusingParser:
    """With one option of each kind that recipes have."""
    made = RefusingParser()
    made.add_argument("--epsilon", type=float)
    made.add_argument("--steps", type=int)
    made.add_argument("--strengths", type=list[float])
    made.add_argument("--name", type=str)
    return made


@FEW
@given(FINITE, st.integers(-(2**53), 2**53), st.lists(FINITE, min_size=1, max_size=3), st.booleans())
def test_numbers_are_those_that_were_typed(one: float, steps: int, several: list[float], joined: bool) -> None:
    typed = {"epsilon": repr(one), "steps": repr(steps), "strengths": ",".join(map(repr, several))}
    args = [f"--{name}={value}" for name, value in typed.items()]
    if not joined and not any(value.startswith("-") for value in typed.values()):
        args = [part for arg in args for part in arg.split("=")]
    found = parser().parse_args(args)
    assert (found.epsilon, found.steps, found.strengths) == (one, steps, several)


@FEW
@given(st.sampled_from(["epsilon", "steps", "strengths"]), TEXT)
def test_a_text_is_a_number_or_refused(option: str, text: str) -> None:
    try:
        found = getattr(parser().parse_args([f"--{option}={text}"]), option)
    except Refused as error:
        assert option in str(error)
        assert "\n" not in str(error)
        return
    numbers = found if isinstance(found, list) else [found]
    assert all(isinstance(number, int | float) for number in numbers)
    if option != "strengths":
        assert float(found) == float(text) or math.isnan(found)


@FEW
@given(st.from_regex(r"[a-z][a-zA-Z/:_ -]{0,8}", fullmatch=True))
def test_a_word_is_taken_as_it_is(text: str) -> None:
    assert parser().parse_args([f"--name={text}"]).name == text
