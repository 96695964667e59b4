"""Classes of data out of the finer classes of a network, such as Imagenette's ten out of ImageNet's thousand."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from alignment.contracts import check_choice
from alignment.logits import unwrapped

Reduction = Literal["logsumexp", "max"]
IMAGENET_CLASSES = 1000

IMAGENETTE = (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)
IMAGEWOOF = (155, 159, 162, 167, 182, 193, 207, 229, 258, 273)
RESTRICTED = {
    "dog": (151, 268),
    "cat": (281, 285),
    "frog": (30, 32),
    "turtle": (33, 37),
    "bird": (80, 100),
    "primate": (365, 382),
    "fish": (389, 397),
    "crab": (118, 121),
    "insect": (300, 319),
}
"""First and last class of ImageNet in each class of Restricted ImageNet (Tsipras et al. 2019, arXiv:1805.12152)."""

MAPPINGS: Mapping[str, Mapping[str, Sequence[int]]] = {
    "imagenet→imagenette": {str(index): [index] for index in IMAGENETTE},
    "imagenet→imagewoof": {str(index): [index] for index in IMAGEWOOF},
    "imagenet→restricted": {name: range(first, last + 1) for name, (first, last) in RESTRICTED.items()},
}
"""In the order of the data's classes: Imagenette and Imagewoof by their folders, which are synsets."""


def are_groups(classes: Any) -> bool:
    """Whether an option `classes` means a mapping, and not the number or names of classes that a network takes.

    Example:
        >>> are_groups("imagenet→imagenette"), are_groups([[0, 1], [2]]), are_groups(10), are_groups(["cat", "dog"])
        (True, True, False, False)
    """
    if isinstance(classes, str):
        return "→" in classes or "->" in classes
    if isinstance(classes, Mapping):
        return True
    return isinstance(classes, Sequence) and not any(isinstance(part, str) for part in classes)


def groups_of(classes: Any) -> list[list[int]]:
    """Classes of the network in each class of the data.

    Args:
        classes: one of `MAPPINGS`, also with -> for →; a mapping from names of the data's classes, in their order, to
            indexes; or a sequence of indexes, or of sequences of them.

    Raises:
        ValueError: if there are fewer than two groups, an index is no whole number or below 0, a group is empty, or
            two groups share an index.
    """
    known = MAPPINGS.get(str(classes).replace("->", "→")) if isinstance(classes, str) else classes
    if not isinstance(known, Mapping | Sequence) or isinstance(known, str):
        raise ValueError(
            f"`classes` should be one of {', '.join(MAPPINGS)}, or the network's classes in each class of the data. "
            f"Found {classes!r}."
        )
    parts: Iterable[Any] = known.values() if isinstance(known, Mapping) else known
    groups = [[*part] if isinstance(part, Iterable) else [part] for part in parts]
    if len(groups) < 2 or not all(groups):
        raise ValueError(f"`classes` should have two groups or more, each of at least one index. Found {classes!r}.")
    _check_indexes([index for group in groups for index in group])
    return groups


def _check_indexes(indexes: list[Any]) -> None:
    if wrong := [index for index in indexes if not isinstance(index, int) or isinstance(index, bool) or index < 0]:
        raise ValueError(f"`classes` should hold indexes of outputs, from 0 on. Found {wrong[0]!r}.")
    if twice := sorted({index for index in indexes if indexes.count(index) > 1}):
        raise ValueError(f"`classes` should name each output once. Found {twice[0]} more than once.")


class ClassMapping(nn.Module):
    """A network with one logit per group of its classes; outputs in no group are left out.

    The logit of a group is the logarithm of the sum of the exponentials of its logits: the softmax over groups is
    then the network's own probability of each group, given that it is one of the groups. The largest of a group's
    logits, "max", decides as the network itself does where its first choice lies in a group, and has the gradient of
    one output.

    Args:
        network: from `(B, *shape)` to logits `(B, outputs)`.
        groups: see `groups_of`.
        reduce: "logsumexp" or "max".
        outputs: of the network, if known.

    Raises:
        ValueError: see `groups_of`; if an index is not below `outputs`; for another `reduce`.

    Example:
        >>> mapping = ClassMapping(torch.nn.Identity(), [[0, 2], [1]], "max")
        >>> mapping(torch.tensor([[1.0, 5.0, 3.0]]))
        tensor([[3., 5.]])
    """

    index: Tensor
    padding: Tensor

    def __init__(
        self, network: nn.Module, groups: Any, reduce: Reduction = "logsumexp", outputs: int | None = None
    ) -> None:
        super().__init__()
        check_choice(reduce, get_args(Reduction), "reduce")
        self.network, self.reduce = network, reduce
        found = groups_of(groups)
        self.needed = 1 + max(map(max, found))
        if outputs is not None:
            self._check(outputs)
        longest = max(map(len, found))
        padded = [group + group[:1] * (longest - len(group)) for group in found]
        self.register_buffer("index", torch.tensor(padded), persistent=False)
        lengths = torch.tensor([[len(group)] for group in found])
        self.register_buffer("padding", torch.arange(longest) >= lengths, persistent=False)

    def forward(self, x: Float[Tensor, "B *shape"]) -> Float[Tensor, "B groups"]:
        """Logits of the groups.

        Raises:
            ValueError: if the network returns no logits, or fewer than the groups name.
        """
        logits = unwrapped(self.network(x), len(x))
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(f"`network` should return logits of shape (B, outputs). Found {found}.")
        self._check(logits.shape[1])
        members = logits[:, self.index].masked_fill(self.padding, -torch.inf)
        return members.logsumexp(dim=2) if self.reduce == "logsumexp" else members.amax(dim=2)

    def _check(self, outputs: int) -> None:
        if self.needed > outputs:
            raise ValueError(
                f"`classes` should name outputs of the network, from 0 to {outputs - 1}. Found {self.needed - 1}."
            )
