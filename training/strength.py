"""A perturbation strength as people write it: `0.03` or `8/255`."""

from fractions import Fraction

import yaml
from jsonargparse.typing import register_type


class Strength(float):
    """A number that remembers how it was written, so that a record can hold both forms.

    Args:
        written: a number, or text such as `"8/255"` or `"0.3"`.

    Raises:
        ValueError: if the text is no number, or the value is negative or not finite.

    Example:
        >>> Strength("8/255"), float(Strength("8/255"))
        (8/255, 0.03137254901960784)
    """

    written: str

    def __new__(cls, written: float | int | str) -> "Strength":
        """Read the text."""
        text = str(written).strip()  # a Strength's text is what was written
        try:
            value = float(Fraction(text)) if "/" in text else float(text)
        except (ValueError, ZeroDivisionError, OverflowError):
            raise ValueError(
                f"A strength should be a number or a fraction such as 8/255. Found {written!r}."
            ) from None
        if not 0 <= value < float("inf"):
            raise ValueError(f"A strength should be finite and at least 0. Found {written!r}.")
        number = super().__new__(cls, value)
        number.written = text
        return number

    def __repr__(self) -> str:
        return self.written

    __str__ = __repr__

    def __reduce__(self) -> tuple[type["Strength"], tuple[str]]:
        return type(self), (self.written,)


# So that configurations and command lines take, and keep, either form.
register_type(Strength, serializer=str, deserializer=Strength)
# The same where an argument may also be a plain float, for which jsonargparse takes it.
yaml.SafeDumper.add_representer(Strength, lambda dumper, strength: dumper.represent_str(strength.written))
