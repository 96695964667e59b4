"""Random numbers that are a function of a sample, a seed and a counter, whatever shares the sample's batch.

A key is made of the sample's values and the seed; mixing key and counter gives the numbers of a whole batch at once.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from alignment.double import exactly
from training.seeds import generator_or_fresh

GOLDEN = -0x61C8864680B583EB
"""The golden ratio's fraction in 64 bits."""


def sample_keys(x: Float[Tensor, "B *shape"], generator: torch.Generator | None) -> Int[Tensor, " B"]:
    """A number per sample, from its values and the seed, that all its randomness comes from.

    Samples that differ, in float32, in one feature only never share one; others do by a chance of about 2⁻⁶⁴.
    """
    generator = generator_or_fresh(generator)
    seed = torch.randint(2**63 - 1, (), generator=generator, device=generator.device).to(x.device)
    values = x.flatten(1).float().contiguous().view(torch.int32)
    weights = _mixed(torch.arange(values.shape[1], device=x.device)) | 1
    return _mixed((values * weights).sum(dim=1) + _mixed(seed))


def uniform(keys: Int[Tensor, " B"], numbers: range, count: int) -> Float[Tensor, "K B count"]:
    """Numbers in [0, 1), `count` for each query and sample, that are a function of the key and the query's number."""
    queries = torch.arange(numbers.start, numbers.stop, device=keys.device)
    streams = (queries[:, None] << 32) + torch.arange(count, device=keys.device)
    # The shift keeps the sign, so the numbers lie in [-2⁵², 2⁵²).
    return exactly(_mixed(keys[:, None] + _mixed(streams)[:, None]) >> 11) * 2**-53 + 0.5


def _mixed(number: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """The finaliser of SplitMix64 (Steele et al. 2014): a bijection of 64-bit numbers whose results look random."""
    number = number + GOLDEN
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        number = (number ^ _shifted(number, shift)) * factor
    return number ^ _shifted(number, 31)


def _shifted(number: Int[Tensor, "..."], bits: int) -> Int[Tensor, "..."]:
    """To the right, as without a sign."""
    return (number >> bits) & ((1 << (64 - bits)) - 1)
