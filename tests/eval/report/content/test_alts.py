"""What a picture shows, in numbers."""

import pandas as pd

from eval.report.content.alts import MOST_LINES, alt

FRAME = pd.DataFrame(
    {
        "data": ["d", "", "d-long", "d"],
        "recipe": ["B", "  paper", "B", "P"],
        "models": ["3", "1", "3", "3"],
        "accuracy %": ["95.0 ± 0.1", "99", "94", "96"],
        "ε50% PGD L∞": ["0.21", "0.22", "0.5", "0.31 ± 0.01"],
        "ε50% PGD L2": ["1.0", "–", "2.0", "1.5"],
    }
)


def test_it_says_the_numbers_that_are_drawn_of_the_data_set_that_is_drawn() -> None:
    assert alt("curves-d", "d: accuracy", FRAME, ("ε50%",)) == (
        "d: accuracy. B: ε50% PGD L∞ 0.21, ε50% PGD L2 1.0; P: ε50% PGD L∞ 0.31 ± 0.01, ε50% PGD L2 1.5."
    )
    assert "0.5" in alt("curves-d-long", "x", FRAME, ("ε50%",))


def test_one_model_s_picture_says_the_numbers_of_that_one() -> None:
    assert alt("attacks-d-P-seed0-cafe", "d", FRAME, ("ε50%",)) == "d. P: ε50% PGD L∞ 0.31 ± 0.01, ε50% PGD L2 1.5."


def test_of_many_lines_it_says_how_many_more_there_are() -> None:
    many = pd.DataFrame({"data": "d", "recipe": [f"r{n}" for n in range(20)], "loss": ["0.5"] * 20})
    told = alt("training_curves-d", "loss", many)
    assert told.count("loss 0.5") == MOST_LINES
    assert told.endswith("; and 12 more in the table.")


def test_without_numbers_the_caption_is_left() -> None:
    assert alt("of-nothing", "A picture", pd.DataFrame()) == "A picture."
