"""Calls of what makes networks, with options that somebody typed."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn


def call(make: Callable[..., Any], name: str, options: Mapping[str, Any]) -> nn.Module:
    """What a factory makes of options.

    Args:
        make: a class or function.
        name: of the network, for messages.
        options: what it is called with.

    Raises:
        ValueError: if it does not take the options, cannot build with them, or makes no module.
    """
    try:
        network = make(**options)
    except TypeError as error:
        raise ValueError(f"The network {name!r} does not take these options: {error}.") from error
    except RuntimeError as error:
        if error.__cause__ is not None:  # not of torch, about sizes it cannot make or hold, but with words of its own
            raise
        raise ValueError(f"The network {name!r} cannot be built with {dict(options)}: {error}.") from error
    except (AssertionError, AttributeError, LookupError) as error:
        raise ValueError(
            f"The network {name!r} cannot be built with {dict(options)}: {type(error).__name__}: {error}."
        ) from error
    if not isinstance(network, nn.Module):
        raise ValueError(f"The network {name!r} should be a torch.nn.Module. Found {type(network).__name__}.")
    return network
