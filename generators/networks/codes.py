"""How a generator of residuals is told the two classes, and by which names its forms go."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from alignment.contracts import check_choice

Form = Literal["ours", "paper"]
Codes = Literal["one_hot", "scalars"]


def code_size(codes: Codes, num_classes: int) -> int:
    """How many numbers tell two classes.

    Raises:
        ValueError: for an unknown way.
    """
    check_choice(codes, get_args(Codes), "codes")
    return 2 * num_classes if codes == "one_hot" else 3


def coded(
    y: Int[Tensor, " B"], target: Int[Tensor, " B"], codes: Codes, num_classes: int, like: Tensor
) -> Float[Tensor, "B codes"]:
    """Both classes in numbers: one-hot; or, as three scalars, y, the target and their difference.

    Args:
        y: true classes.
        target: the classes to point to.
        codes: "one_hot" or "scalars".
        num_classes: C.
        like: a tensor of the type wanted.

    Example:
        >>> y, target = torch.tensor([0, 1]), torch.tensor([1, 0])
        >>> coded(y, target, "scalars", 2, torch.zeros(()))
        tensor([[ 0.,  1.,  1.],
                [ 1.,  0., -1.]])
    """
    if codes == "one_hot":
        return torch.cat([F.one_hot(y, num_classes), F.one_hot(target, num_classes)], dim=1).to(like)
    return torch.stack([y, target, target - y], dim=1).to(like)


def options_of(forms: Mapping[Form, Mapping[str, Any]], form: Form, **chosen: Any) -> dict[str, Any]:
    """The options of a form, but for those that are chosen otherwise.

    Args:
        forms: the options of each.
        form: by name.
        chosen: options; None for those of the form.

    Raises:
        ValueError: if there is no such form.
    """
    check_choice(form, tuple(forms), "form")
    return {**forms[form], **{name: value for name, value in chosen.items() if value is not None}}
