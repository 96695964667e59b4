"""Terminals that lack the papers' letters."""

from io import BytesIO, TextIOWrapper

import pandas as pd
import pytest

from eval.records.quantity import KINDS, NORMS
from eval.tables import Table
from eval.tables.plain_letters import PLAINLY, plainly

FRAME = pd.DataFrame({"recipe": ["B", "Lα"], "α_Δx": ["0.1 ± 0.02", "–"], "ε50% PGD L∞": ["0.3", "∞"], "n": [1, 20]})


def written(text: str, encoding: str) -> str:
    """What a stream of an encoding makes of a text."""
    raw = BytesIO()
    stream = TextIOWrapper(raw, encoding=encoding, errors=PLAINLY)
    stream.write(text)
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "Lα: ε50% 0.3 ± 0.1, α_Δx −1 – 2 × λ_α"),
        ("cp1252", "L_alpha: eps50% 0.3 ± 0.1, alpha_dx -1 – 2 × lambda_alpha"),
        ("ascii", "L_alpha: eps50% 0.3 +/- 0.1, alpha_dx -1 - 2 x lambda_alpha"),
        ("iso8859-7", "Lα: ε50% 0.3 ± 0.1, α_Δx -1 - 2 x λ_α"),
    ],
)
def test_stream_has_the_letters_of_its_encoding_and_plain_ones_for_the_others(encoding: str, found: str) -> None:
    assert written("Lα: ε50% 0.3 ± 0.1, α_Δx −1 – 2 × λ_α", encoding) == found


def test_no_title_loses_a_letter() -> None:
    titles = [*KINDS.values(), *NORMS.values(), "∇ℓ of λ_α, τ ≥ μ·κ, ‖δ‖₂² = ½, γ → η ≠ ρ …"]
    for title in titles:
        told = plainly(title)
        assert told.isascii()
        assert "?" not in told
    assert plainly("一") == "?"  # what is no letter of a paper is marked


def test_bytes_that_are_no_text_stay_an_error() -> None:
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", PLAINLY)


def test_columns_of_a_table_stay_aligned() -> None:
    table = Table(FRAME, ["α_Δx: Δx is nearest."]).in_letters_of("ascii")
    head, *rows, note = str(table).splitlines()
    assert head.split() == ["recipe", "alpha_dx", "eps50%", "PGD", "Linf", "n"]
    assert {len(line) for line in (head, *rows)} == {len(head)}
    assert rows[1].split() == ["L_alpha", "-", "inf", "20"]
    assert note == "  alpha_dx: dx is nearest."
    assert str(Table(FRAME).in_letters_of("utf-8")) == str(Table(FRAME))


def test_a_table_of_another_form_keeps_it() -> None:
    class Sentences(Table):
        def __str__(self) -> str:
            return ". ".join(self.frame["α_Δx"])

    assert str(Sentences(FRAME).in_letters_of("utf-8")) == "0.1 ± 0.02. –"
