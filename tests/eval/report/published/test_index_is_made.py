"""What the index of the papers' tables and figures names is there."""

import pytest

from eval.figures import FIGURES
from eval.measuring.candidates import NAMED
from eval.report.published import Entry, index
from eval.studies import presets

LISTS = [file.name.removesuffix(".yaml") for file in NAMED.iterdir()]
"""Of models, which `alphadx measure` takes by name."""


@pytest.mark.parametrize("entry", index(), ids=lambda entry: f"{entry.paper}, {entry.item}")
def test_what_makes_a_table_or_figure_is_there(entry: Entry) -> None:
    assert entry.presets
    assert set(entry.presets) <= {*presets(), *LISTS}
    assert set(entry.figures) <= FIGURES.keys()
