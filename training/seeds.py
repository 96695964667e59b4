"""Seeds derived from seeds, so that randomness depends on names and not on what was drawn before."""

import hashlib
from numbers import Integral

import torch


def derived_seed(*parts: int | str) -> int:
    """A seed in [0, 2⁶³) that depends on all parts, the same on every machine.

    Example:
        >>> derived_seed(0, "attack", 3) == derived_seed(0, "attack", 3)
        True
        >>> derived_seed(0, "attack", 3) == derived_seed(0, "attack", 4)
        False

    Raises:
        ValueError: if a part is neither a name nor a whole number.
    """
    for part in parts:
        if not isinstance(part, str | Integral):
            raise ValueError(f"`seed` should be a whole number. Found {part!r}.")
    plain = tuple(part if isinstance(part, str) else int(part) for part in parts)
    digest = hashlib.blake2b(repr(plain).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator_for(*parts: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A random generator whose seed is derived from the parts."""
    return torch.Generator(device).manual_seed(derived_seed(*parts))


def generator_or_fresh(generator: torch.Generator | None) -> torch.Generator:
    """The generator, or where there is none one that nobody has seeded; the global random state is not used.

    Raises:
        ValueError: if it is another source of randomness, such as a seed.
    """
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    if not isinstance(generator, torch.Generator):
        raise ValueError(f"`generator` should be a torch.Generator. Found {generator!r}.")
    return generator
