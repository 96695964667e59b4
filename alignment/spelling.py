"""The nearest of the names that there are to one that is not there."""

from collections.abc import Iterable
from difflib import get_close_matches

SHORT = 60
"""Characters up to which all names are listed, where a near one is known."""


def nearest(found: object, names: Iterable[str], count: int = 1, cutoff: float = 0.6) -> list[str]:
    """The names most like one that was found, whatever their case; none where none is like it.

    Names of the same letters come first, since letters that change places are the commonest slip of the hand.

    Args:
        found: a name that is not among them.
        names: those that there are.
        count: how many to return at most.
        cutoff: how like they must be, in [0, 1], see `difflib.get_close_matches`.

    Example:
        >>> nearest("digitz", ["Digits", "MNIST"]), nearest("rose", ["Digits", "MNIST"])
        (['Digits'], [])
        >>> nearest("pdg", ["pdgd", "pgd"])
        ['pgd']
    """
    lowered: dict[str, str] = {}
    for name in names:
        lowered.setdefault(name.lower(), name)
    asked = str(found).lower()
    close = get_close_matches(asked, lowered, max(count, len(lowered)), cutoff)
    close.sort(key=lambda name: sorted(name) != sorted(asked))
    return [lowered[near] for near in close[:count]]


def did_you_mean(found: object, names: Iterable[str]) -> str:
    """A question that ends an error, or nothing.

    Example:
        >>> did_you_mean("pdg", ["pgd", "square"])
        " Did you mean 'pgd'?"
    """
    return "".join(f" Did you mean {near!r}?" for near in nearest(found, names))


def listed(found: object, names: Iterable[str]) -> str:
    """All names, or only how many there are where they are many and one is near.

    Example:
        >>> listed("pdg", ["pgd", "square"]), listed("pdg", ["pgd"] * 99), len(listed("rose", ["pgd"] * 99))
        ('pgd, square', '99 names', 493)
    """
    known = [*names]
    told = ", ".join(known)
    return f"{len(known)} names" if len(told) > SHORT and nearest(found, known) else told
