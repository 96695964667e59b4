"""Whether an attack takes its options, and the data, found out before any real work."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import Parameter, signature
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from alignment.spelling import did_you_mean

PASSED = ("classifier", "x", "y", "strength", "epsilon", "norm", "bounds", "generator")
"""What a search passes to an attack itself."""

GIVEN = ("classifier", "x", "y", "strength")
"""What a search passes without a name, in this order; a minimum-norm attack takes no strength."""

FREE = ("leave_when_fooled",)
"""Options that the suite binds only to save time; any other that it binds is part of what the attack's name means."""


def check_bound(attack: Callable[..., Tensor], **passed: Any) -> None:
    """Refuse an attack to which something is bound that a search passes itself, and as something else.

    Args:
        attack: perhaps a `functools.partial`.
        passed: by the search, by name.

    Example:
        >>> from training import pgd
        >>> check_bound(partial(pgd, steps=5, norm="L2"), norm="L2", bounds=(0, 1))
    """
    if positional := getattr(attack, "args", ()):
        raise ValueError(f"`attack` should be bound to options by name only. Found {len(positional)} without a name.")
    for name, value in bound_to(attack).items():
        if name in PASSED and (name not in passed or value != passed[name]):
            beside = f" beside {passed[name]!r}" if name in passed else ""
            raise ValueError(
                f"`attack` should not have `{name}` bound to it, which the search passes itself. "
                f"Found {value!r}{beside}."
            )


def check_call(attack: Any, *given: str, **passed: Any) -> None:
    """Refuse what cannot be called as a search calls an attack, or is bound to what the search passes itself.

    Args:
        attack: perhaps a `functools.partial`.
        given: names of what the search passes without a name, in this order.
        passed: by the search, by name; a generator comes with it.

    Raises:
        ValueError: naming what was found.
    """
    form = f"({', '.join(given)}, *, {', '.join(passed)}, generator) → x_adv"
    if not callable(attack):
        raise ValueError(f"`attack` should be a function {form}. Found {attack!r}.")
    check_bound(attack, **passed)
    plain = attack.func if isinstance(attack, partial) else attack
    try:
        parameters = signature(plain)
    except (TypeError, ValueError):  # not every function of C says what it takes
        return
    try:
        parameters.bind(*given, **{**bound_to(attack), **passed, "generator": None})
    except TypeError as error:
        name = getattr(plain, "__name__", type(plain).__name__)
        raise ValueError(f"`attack` should take {form}. Found {name}: {error}.") from error


def check_names(title: str, attack: Callable[..., Tensor], options: Mapping[str, Any]) -> None:
    """Refuse options that an attack does not have, that it is bound to already, or that a search passes itself.

    Args:
        title: of the attack, for the message.
        attack: a function with its options as keywords, or a `functools.partial` of one.
        options: by name.
    """
    known, bound = option_names(attack), bound_to(attack)
    for name, value in options.items():
        if name in PASSED:
            raise ValueError(f"`options` of {title} should leave out '{name}', which the search passes itself.")
        if name not in known:
            raise ValueError(
                f"`options` of {title} should be among {', '.join(known)}. Found '{name}'.{did_you_mean(name, known)}"
            )
        if name in bound and name not in FREE and value != bound[name]:
            raise ValueError(
                f"`options` of {title} should leave out '{name}', which is {bound[name]!r} there. Found {value!r}."
            )


def option_names(attack: Callable[..., Tensor]) -> tuple[str, ...]:
    """The options that an attack has of its own."""
    parameters = signature(attack.func if isinstance(attack, partial) else attack).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is Parameter.KEYWORD_ONLY]
    return tuple(name for name in names if name not in PASSED)


def bound_to(attack: Callable[..., Tensor]) -> Mapping[str, Any]:
    """The options that are bound to an attack."""
    return attack.keywords if isinstance(attack, partial) else {}


def rehearse(
    attack: Callable[..., Tensor],
    options: Mapping[str, Any],
    *strength: Tensor,
    norm: str | None,
    shape: Sequence[int],
    num_classes: int,
    bounds: tuple[float, float],
) -> None:
    """Run an attack on one sample that is misclassified already, so that it ends at once.

    Args:
        attack: see `eval.attacks.protocols`.
        options: bound to the attack.
        strength: `(1,)`, for an attack that takes one.
        norm: of the ball.
        shape: of one input.
        num_classes: number of classes.
        bounds: lowest and highest legal value of an input.

    Raises:
        ValueError: whatever the attack refuses.
    """
    at_once = {"leave_when_fooled": True} if "leave_when_fooled" in option_names(attack) else {}
    x, y = torch.zeros(1, *shape).clamp(*bounds), torch.ones(1, dtype=torch.int64)
    run = partial(attack, norm=norm, bounds=bounds, generator=torch.Generator(), **{**options, **at_once})
    try:
        run(StandIn(num_classes), x, y, *strength)
    except TypeError as error:
        raise ValueError(f"Its options should be of the right type. Found {dict(options)}: {error}.") from error


class StandIn(nn.Module):
    """A classifier that sees class 0 in everything.

    Args:
        num_classes: number of classes.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, x: Float[Tensor, "B *shape"]) -> Float[Tensor, "B C"]:
        """Logits that are 1 for class 0 and 0 for all others, with a graph to the input."""
        nothing = 0 * x.flatten(1).sum(dim=1, keepdim=True)
        return torch.cat([nothing + 1, nothing.expand(-1, self.num_classes - 1)], dim=1)
