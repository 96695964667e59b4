"""Any texts and numbers: what is written is read back equal, and what was changed meanwhile is refused."""

import io
import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.records import Model, Quantity, Record, Results, Samples, Subject
from eval.records.record import read, written
from eval.report.table_files import table_files
from eval.tables.table import Table
from tests.any_input.profile import FEW

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBER = st.floats() | st.sampled_from([math.inf, -math.inf, math.nan, 0.0, -0.0, 5e-324])
FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FINITE | TEXT
SETTINGS = st.dictionaries(TEXT, PLAIN | st.lists(PLAIN, max_size=2), max_size=3)
NAME = TEXT.filter(str.strip)
PARTS = st.fixed_dictionaries(
    {"data": NAME, "recipe": NAME, "epsilon": st.sampled_from(["", "0.1", "8/255"]), "seed": st.integers(0, 99)}
    | {"settings": SETTINGS, "network": TEXT, "training": SETTINGS, "details": SETTINGS}
    | {"value": NUMBER, "interval": st.tuples(NUMBER, NUMBER), "count": st.integers(0, 10**6)}
)
"""Of a record, which is made in the test: types are checked at random, which a strategy should not be."""


def made(parts: dict[str, Any]) -> Record:
    """A record of any name, settings and numbers."""
    samples = Samples(parts["data"], parts["settings"], (-1.0, 1.0), "test", 3, "0" * 16)
    subject = Subject(samples, {"network": parts["network"]}, "f" * 16, parts["training"])
    model = Model(parts["data"], parts["recipe"], parts["epsilon"], parts["seed"])
    quantity, interval = Quantity("alpha_dx", settings=parts["settings"]), parts["interval"]
    return Record(model, quantity, subject, parts["value"], parts["count"], 0, interval, parts["details"])


@FEW
@given(PARTS)
def test_a_record_is_read_as_it_was_written(parts: dict[str, Any]) -> None:
    record = made(parts)
    text = written(record)
    again = read(text, "anywhere")
    assert written(again) == text
    assert again.key == record.key
    assert (repr(again.value), repr(again.interval)) == (repr(record.value), repr(record.interval))
    assert (again.model, again.details) == (record.model, record.details)


@FEW
@given(PARTS, st.integers(0, 10**9))
def test_a_record_that_was_edited_is_refused(parts: dict[str, Any], place: int) -> None:
    content = json.loads(written(made(parts)))
    name = ["value", "samples", "invalid", "seconds", "details"][place % 5]
    content[name] = {"other": 1} if name == "details" else 10**7 + place
    with pytest.raises(ValueError, match="does not belong to its own key"):
        read(json.dumps(content), "anywhere")


@FEW
@given(PARTS, st.lists(st.tuples(st.integers(0, 9), st.floats(0, allow_nan=False), TEXT), min_size=1, max_size=4))
def test_outcomes_are_read_as_they_were_written(parts: dict[str, Any], rows: list[tuple[int, float, str]]) -> None:
    record = made(parts)
    table = pd.DataFrame(rows, columns=["label", "strength", "word"]).assign(word=lambda t: "w" + t.word)
    with TemporaryDirectory() as folder:
        home = Results(Path(folder)).home(record.model, "0" * 8)
        home.write(record, table)
        found = Results(Path(folder)).load()
        (one,) = found
        assert one.key == record.key
        pd.testing.assert_frame_equal(found.per_sample(one), table, check_exact=True)
        assert home.find(record.quantity, record.subject) is not None


@FEW
@given(st.lists(st.tuples(NUMBER, TEXT), min_size=1, max_size=4), TEXT)
def test_a_table_has_all_digits(rows: list[tuple[float, str]], heading: str) -> None:
    exact = pd.DataFrame(rows, columns=["value", "of"])
    files = table_files(Table(exact.map(str), exact=exact), heading, "found")
    read_back = pd.read_csv(io.StringIO(files["found.csv"]), keep_default_na=False, na_values={"value": [""]})
    for value, (expected, _) in zip(read_back.value, rows, strict=True):
        assert repr(float(value)) == repr(float(expected))
