"""A table as LaTeX with booktabs, in letters and signs that every LaTeX has."""

import re

import pandas as pd

from eval.tables.markdown import NUMBER, is_numeric
from eval.tables.table import Table

NEEDED = r"% \usepackage{booktabs}"
SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$",
    "–": "--", "—": "---", "“": "``", "”": "''", "’": "'", "…": r"\ldots{}", "§": r"\S{}", "ä": r'\"a',
    "[": "{[}", "\u200b": "", "\n": " ",
}  # fmt: skip
"""Letters outside of formulas."""
FORMULAS = {
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\varepsilon", "η": r"\eta", "θ": r"\theta",
    "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu", "ρ": r"\rho", "σ": r"\sigma", "τ": r"\tau", "Δ": r"\Delta",
    "Λ": r"\Lambda", "Σ": r"\Sigma", "∇": r"\nabla", "ℓ": r"\ell", "‖": r"\|", "∞": r"\infty", "±": r"\pm",
    "−": "-", "×": r"\times", "·": r"\cdot", "→": r"\to", "≤": r"\leq", "≥": r"\geq", "≠": r"\neq", "≈": r"\approx",
    "√": r"\surd", "✓": r"\surd", "▲": r"\uparrow", "▼": r"\downarrow", "∈": r"\in", "½": r"\frac12",
    "²": "^2", "³": "^3", "⁻": "^-", "₁": "_1", "₂": "_2", "₀": "_0",
}  # fmt: skip
"""Letters that are formulas."""
NAMES = {
    "α_Δx": r"\alpha_{\Delta x}", "α_x": r"\alpha_x", "ε50%": r"\varepsilon_{50\%}", "τ50%": r"\tau_{50\%}",
    "L∞": r"L_\infty", "L2": "L_2", "L1": "L_1", "L0": "L_0", "g_n": "g_n", "g_a": "g_a", "ρ_m": r"\rho_m",
    "x_i": "x_i", "x_j": "x_j", "λ_max": r"\lambda_{\max}",
}  # fmt: skip
"""Names of quantities that are formulas as a whole."""
HAT = "\u0302"
PIECE = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, NAMES))})(?!\w)|.{HAT}|.", re.DOTALL)


def latex(table: Table, heading: str, name: str) -> str:
    """A table with caption and label; its notes stand above, as comments.

    Args:
        table: of texts.
        heading: becomes the caption.
        name: becomes the label, after "tab:".
    """
    frame = table.frame
    columns = "".join("r" if is_numeric(frame[column]) else "l" for column in frame)
    shown = pd.DataFrame([[cell_text(str(cell)) for cell in line] for line in frame.to_numpy().tolist()])
    shown.columns = pd.Index([text(str(column)) for column in frame])
    made = shown.style.hide(axis="index").to_latex(
        hrules=True, column_format=columns, caption=text(heading), label=f"tab:{name}", position_float="centering"
    )
    return "\n".join([NEEDED, *(f"% {note}" for note in table.notes), made])


def text(plain: str) -> str:
    r"""Text with its Greek letters and signs as formulas.

    Example:
        >>> print(text("ε50% PGD L∞"), text("α_Δx"), text("50 % of a_b"))
        $\varepsilon_{50\%}$ PGD $L_\infty$ $\alpha_{\Delta x}$ 50 \% of a\_b
    """
    told = PIECE.sub(lambda found: _piece(found[0]), plain)
    return told.replace("$$", " ")  # two formulas in a row are one


def cell_text(cell: str) -> str:
    r"""The text of a cell; a number is one formula.

    Example:
        >>> print(cell_text("-0.05 ± 0.01"), cell_text("1.5e-07"), cell_text("> 1.4"), cell_text("P (ε 0.1)"))
        $-0.05 \pm 0.01$ $1.5 \cdot 10^{-7}$ $> 1.4$ P ($\varepsilon$ 0.1)
    """
    if not NUMBER.fullmatch(cell):
        return text(cell.strip())
    powers = re.sub(r"e([-+]?)0*(\d+)", lambda found: rf" \cdot 10^{{{found[1].strip('+')}{found[2]}}}", cell)
    return f"${''.join(FORMULAS.get(letter, letter) for letter in powers)}$".replace("%", r"\%")


def _piece(piece: str) -> str:
    """A name of a quantity, a letter with a hat, or a letter."""
    if piece in NAMES:
        return f"${NAMES[piece]}$"
    if piece.endswith(HAT) and len(piece) > 1:
        return rf"$\hat{{{FORMULAS.get(piece[0], piece[0])}}}$"
    return f"${FORMULAS[piece]}$" if piece in FORMULAS else SPECIAL.get(piece, piece)
