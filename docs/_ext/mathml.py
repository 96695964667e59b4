"""Formulas as MathML, which browsers draw by themselves: no script, no fonts, no network.

Docutils brings the translation from TeX; Sphinx has renderers that load MathJax from outside or call LaTeX.
"""

from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def inline(page: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    page.body.append(latex2mathml.tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def displayed(page: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula of its own line, which scrolls where a screen is narrow."""
    formula = latex2mathml.tex2mathml(node.astext(), as_block=True)
    number = f'<span class="eqno">({node["number"]})</span>' if node.get("number") else ""
    page.body.append(f'<div class="math-display" tabindex="0">{formula}{number}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
