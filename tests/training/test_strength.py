"""Strengths as people write them."""

import copy
import json
import pickle

import pytest

from training import Strength


@pytest.mark.parametrize(
    ("written", "value"),
    [("8/255", 8 / 255), ("0.3", 0.3), ("0", 0.0), (" 2/255 ", 2 / 255), ("1e-3", 0.001), (0.25, 0.25)],
)
def test_value_is_what_was_written(written, value):
    assert float(Strength(written)) == value


def test_strength_is_a_number():
    assert 2 * Strength("1/4") + 1 == 1.5
    assert Strength("1/4") == 0.25
    assert f"{Strength('8/255'):.4f}" == "0.0314"
    assert json.dumps(Strength("1/4")) == "0.25"


@pytest.mark.parametrize("written", ["8/255", "0.30", "1e-3"])
def test_form_is_remembered(written):
    strength = Strength(written)
    assert (str(strength), repr(strength), strength.written) == (written, written, written)
    assert Strength(strength).written == written


def test_spaces_around_are_not_remembered():
    assert Strength(" 8/255 ").written == "8/255"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda strength: pickle.loads(pickle.dumps(strength))])
def test_copies_keep_value_and_form(copied):
    strength = copied(Strength("8/255"))
    assert (type(strength), float(strength), strength.written) == (Strength, 8 / 255, "8/255")


TOO_LARGE = pytest.param("1" + 400 * "0" + "/1", id="1e400/1")


@pytest.mark.parametrize("written", ["", "eight", "8/", "/255", "8/0", "8//255", "1/2/3", TOO_LARGE])
def test_what_is_no_number_is_refused(written):
    with pytest.raises(ValueError, match=r"should be a number or a fraction such as 8/255. Found"):
        Strength(written)


@pytest.mark.parametrize("written", ["-0.1", "-8/255", "inf", "nan", -1.0, float("inf"), float("nan")])
def test_negative_or_infinite_strength_is_refused(written):
    with pytest.raises(ValueError, match=r"should be finite and at least 0. Found"):
        Strength(written)
