"""Numbers of the documentation come from the records."""

from pathlib import Path

import pytest

TABLE = "| data | recipe | α_Δx |\n|---|---|---|\n| digits | B | {} |\n"


def test_a_table_repeats_the_record() -> None:
    from record_files import table
    from records_shown import differences

    rows = table("studies/quick", "Side by side").only(["data", "recipe", "α_Δx"], "^digits  B").rows
    assert differences("studies/quick, Side by side", TABLE.format(rows[0][2])) == ""


def test_a_number_that_is_not_in_the_record_is_named() -> None:
    from records_shown import differences

    assert "'0.5'" in differences("studies/quick, Side by side", TABLE.format("0.5"))


def test_every_row_of_every_record_has_a_cell_per_column() -> None:
    from record_files import read, studies, table

    tables = [(name, heading) for name in studies() for heading in read(f"studies/{name}")["tables"]]
    assert all(table(f"studies/{name}", heading).rows for name, heading in tables)


def test_a_row_of_a_paper_keeps_its_place() -> None:
    from record_files import table

    (paper, *_) = [row for row in table("studies/mnist35", "Side by side").rows if "paper" in row[1]]
    assert paper[0] == ""
    assert paper[1].strip().startswith("paper, but")


def test_a_key_may_hold_the_mark_between_keys() -> None:
    from record_files import value

    assert len(value("combiners", "ratios / Lα / plain, 2 classes")) > 1
    with pytest.raises(ValueError, match="a key should be among"):
        value("combiners", "ratios / nothing")


def test_readme_repeats_its_record() -> None:
    from blocks import blocks_of
    from records_shown import differences

    readme = Path(__file__).resolve().parents[2] / "README.md"
    tables = [block for block in blocks_of(readme) if block.language == "table"]
    assert tables
    assert [differences(block.marks["record"], block.text) for block in tables] == [""] * len(tables)
