"""The papers' letters for terminals that lack them: α_Δx as alpha_dx, ε as eps, Lα as L_alpha, ± as +/-."""

import codecs
import unicodedata

PLAINLY = "plainly"
"""Name of the handler of encoding errors that `str.encode` and text streams then know."""
SHORT = {
    "ε": "eps", "λ": "lambda", "Δ": "d", "∇": "grad ", "∞": "inf", "ℓ": "l", "±": "+/-", "−": "-", "–": "-", "—": "-",
    "×": "x", "·": "*", "‖": "||", "→": "->", "≥": ">=", "≤": "<=", "≠": "!=", "√": "sqrt", "∂": "d", "∼": "~",
    "⟨": "<", "⟩": ">", "“": '"', "”": '"', "‘": "'", "’": "'", "′": "'", "✓": "yes", "⁄": "/", "…": "...", "†": "*",
}  # fmt: skip
"""What is not made of plain letters by taking it apart, and Greek letters that people write in short."""
GREEK = "GREEK SMALL LETTER ", "GREEK CAPITAL LETTER "


def plainly(text: str, encoding: str = "ascii") -> str:
    """A text in which what an encoding lacks is written in letters that it has.

    Example:
        >>> plainly("α_Δx of Lα, ε50% PGD L∞ 0.3 ± 0.1")
        'alpha_dx of L_alpha, eps50% PGD Linf 0.3 +/- 0.1'
        >>> plainly("ε ± ½ r²", "cp1252"), plainly("‖Δ̂x‖₂ ≤ 10⁻⁶ µ ½ r² é")
        ('eps ± ½ r²', '||dx||2 <= 10^-6 mu 1/2 r^2 e')
    """
    return text.encode(encoding, PLAINLY).decode(encoding)


def _in_place_of(text: str, place: int) -> str:
    """What stands for a character of a text; a Greek letter is set apart from a Latin one before it."""
    character = unicodedata.normalize("NFKC", text[place]) if text[place] == "µ" else text[place]
    before, name = text[place - 1] if place else "", unicodedata.name(character, "")
    if not name.startswith(GREEK):
        return SHORT.get(character) or _taken_apart(character, before)
    letters = SHORT.get(character, name.rpartition(" ")[2].lower())
    return f"_{letters}" if before.isascii() and before.isalpha() else letters


def _taken_apart(character: str, before: str) -> str:
    """A letter without its accents, a superscript after ^; a question mark where nothing plain is left."""
    if unicodedata.combining(character):
        return ""
    raised = "^" if _is_raised(character) and not _is_raised(before) else ""
    parts = unicodedata.normalize("NFKD", character)
    kept = "".join(SHORT.get(part, part) for part in parts if not unicodedata.combining(part))
    return raised + kept if kept.isascii() else "?"


def _is_raised(character: str) -> bool:
    return character != "" and unicodedata.decomposition(character).startswith("<super>")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = "".join(_in_place_of(error.object, place) for place in range(error.start, error.end))
    return found, error.end


codecs.register_error(PLAINLY, _replaced)
