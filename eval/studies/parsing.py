"""What jsonargparse refuses, in one sentence."""

UNSAID = (
    "usage:", "tip:", "Subtypes:", "Errors:", "Does not validate", "Given value", "Expected a <class 'NoneType'>",
    "See `",
)  # fmt: skip
"""How the lines begin in which it explains its own working."""


def one_sentence(message: str) -> str:
    r"""A parser's message without its usage and its tree of types.

    Example:
        >>> one_sentence('usage: x [-h]\ntip: see\nParser key "limit":\n  Expected a number.\n')
        'Parser key "limit": Expected a number.'
    """
    lines = (line.strip(" -") for line in message.splitlines())
    return " ".join(line for line in lines if line and not line.startswith(UNSAID))
