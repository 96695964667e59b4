"""Names that somebody chose, such as those of recipes and data sets, as matplotlib shows them."""


def literal(text: str) -> str:
    r"""Text that matplotlib draws as it is: no formula, and no legend entry that is left out.

    Example:
        >>> literal("$a$"), literal("B")
        ('\\$a\\$', 'B')
    """
    escaped = text.replace("$", r"\$")
    return f"\u200b{escaped}" if escaped.startswith("_") else escaped
