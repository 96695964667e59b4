"""Weights under the names of widely used public programs, given the names of ours.

Names alone decide, and values are never touched. What two programs name alike and compute differently is an argument
of our network, which must be given: see `preact_resnet18` and `dm_wide_resnet`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Form:
    """How a public program names its weights.

    Attributes:
        mark: pattern of a name that it has, and no other form.
        rules: patterns of whole names, without the last part (weight, bias, running_mean, …), and our names.
        counts_from: number of the first stage.
        unused: pattern of names of weights that take no part in what the program computes.
    """

    mark: str
    rules: Mapping[str, str]
    counts_from: int = 1
    unused: str = r"(?!)"

    def is_of(self, names: Iterable[str]) -> bool:
        """Whether some name is one that only this form has."""
        return any(re.fullmatch(self.mark, name) for name in names)

    def renamed(self, weights: Weights) -> dict[str, Tensor]:
        """The weights under our names; those that no rule names keep theirs."""
        return {self._ours(name): value for name, value in weights.items() if not re.fullmatch(self.unused, name)}

    def _ours(self, name: str) -> str:
        place, dot, last = name.rpartition(".")
        for pattern, ours in self.rules.items():
            if found := re.fullmatch(pattern, place):
                parts = found.groupdict()
                if "stage" in parts:
                    parts["stage"] = str(int(parts["stage"]) + 1 - self.counts_from)
                return ours.format(**parts) + dot + last
        return name


BLOCK = r"(?P<block>\d+)"
STAGE = r"(?P<stage>\d+)"
NORM = "stage{stage}.{block}.norm{number}"
CONV = "stage{stage}.{block}.conv{number}"
SHORTCUT = "stage{stage}.{block}.shortcut"

RESNET = Form(
    mark=r"layer\d+\.\d+\.shortcut\.1\.weight",
    rules={
        r"(?P<before>layer\d+\.\d+)\.shortcut\.(?P<number>[01])": "{before}.downsample.{number}",
        "linear": "fc",
    },
)
"""ResNets of pytorch-cifar, and of the package robustness for CIFAR; ours have torchvision's names."""

_PREACT_BLOCKS = {
    rf"layer{STAGE}\.{BLOCK}\.bn(?P<number>[12])": NORM,
    rf"layer{STAGE}\.{BLOCK}\.conv(?P<number>[12])": CONV,
    rf"layer{STAGE}\.{BLOCK}\.shortcut\.0": SHORTCUT,
    "conv1": "stem",
    "linear": "head",
}

PREACT = Form(mark=r"layer\d+\.\d+\.shortcut\.0\.weight", rules=_PREACT_BLOCKS | {"bn": "norm"})
"""PreAct-ResNets of pytorch-cifar, of Wong et al. 2020 and of Rice et al. 2020, which adds `bn`."""

WIDE_WITH_BIASES = Form(mark=r"layer\d+\.\d+\.shortcut\.0\.bias", rules=_PREACT_BLOCKS | {"bn1": "norm"})
"""WideResNets of wide-resnet.pytorch."""

WIDE = Form(
    mark=r"block\d+\.layer\.\d+\.bn1\.weight",
    rules={
        rf"block{STAGE}\.layer\.{BLOCK}\.bn(?P<number>[12])": NORM,
        rf"block{STAGE}\.layer\.{BLOCK}\.conv(?P<number>[12])": CONV,
        rf"block{STAGE}\.layer\.{BLOCK}\.convShortcut": SHORTCUT,
        "conv1": "stem",
        "bn1": "norm",
        "fc": "head",
    },
    unused=r"sub_block1\..*",
)
"""WideResNets of TRADES and of those after it; some carry a second first stage, which nothing passes."""

DEEPMIND_WIDE = Form(
    mark=r"layer\.\d+\.block\.\d+\.batchnorm_0\.weight",
    rules={
        rf"layer\.{STAGE}\.block\.{BLOCK}\.batchnorm_0": "inside.stage{stage}.{block}.norm1",
        rf"layer\.{STAGE}\.block\.{BLOCK}\.batchnorm_1": "inside.stage{stage}.{block}.norm2",
        rf"layer\.{STAGE}\.block\.{BLOCK}\.conv_0": "inside.stage{stage}.{block}.conv1",
        rf"layer\.{STAGE}\.block\.{BLOCK}\.conv_1": "inside.stage{stage}.{block}.conv2",
        rf"layer\.{STAGE}\.block\.{BLOCK}\.shortcut": f"inside.{SHORTCUT}",
        "init_conv": "inside.stem",
        "batchnorm": "inside.norm",
        "logits": "inside.head",
    },
    counts_from=0,
)
"""WideResNets of Gowal et al. 2020; RobustBench's carry `mean` and `std` besides."""

DEEPMIND_PREACT = Form(
    mark=r"layer_\d+\.\d+\.batchnorm_0\.weight",
    rules={
        rf"layer_{STAGE}\.{BLOCK}\.batchnorm_0": "inside.stage{stage}.{block}.norm1",
        rf"layer_{STAGE}\.{BLOCK}\.batchnorm_1": "inside.stage{stage}.{block}.norm2",
        rf"layer_{STAGE}\.{BLOCK}\.conv_2d_(?P<number>[12])": f"inside.{CONV}",
        rf"layer_{STAGE}\.{BLOCK}\.shortcut": f"inside.{SHORTCUT}",
        "conv_2d": "inside.stem",
        "batchnorm": "inside.norm",
        "logits": "inside.head",
    },
    counts_from=0,
)
"""PreAct-ResNets of Gowal et al. 2020."""

FORMS = (RESNET, WIDE, WIDE_WITH_BIASES, PREACT, DEEPMIND_WIDE, DEEPMIND_PREACT)
"""In this order: the first whose mark is found. Weights with shortcut.1 or with biases have shortcut.0 too."""


PREFIXES = ("", "network.", "network.network.")
"""Our adapters hold a network as `network`."""


def translated(weights: Weights, wanted: Weights) -> dict[str, Tensor] | None:
    """The same weights under the names of a network of ours; None where no public form is recognised.

    A form is recognised by a name that only it has, and taken if more of the network's names are then found than
    under the names as they are. What it lacks or has besides keeps a loader from taking it, and can then be said in
    our names.

    Args:
        weights: without any prefix.
        wanted: state dict of the network.

    Raises:
        ValueError: if networks of Gowal et al. 2020 are told how to normalise and their weights say it too, or
            neither is so.
    """
    form = next((form for form in FORMS if form.is_of(weights)), None)
    if form is None:
        return None
    ours = form.renamed(weights)
    known = [{prefix + name: value for name, value in ours.items()} for prefix in PREFIXES]
    best = max(known, key=lambda names: len(names.keys() & wanted.keys()))
    if len(best.keys() & wanted.keys()) <= len(weights.keys() & wanted.keys()):
        return None
    if form in (DEEPMIND_WIDE, DEEPMIND_PREACT):
        _check_moments(weights, wanted)
    return best


def _check_moments(weights: Weights, wanted: Weights) -> None:
    """Refuse weights that do not say how they normalise, for a network that was not told, and the other way round."""
    moments = {"mean", "std"}
    if not moments <= weights.keys() and any(name.split(".")[-1] == "mean" for name in wanted):
        raise ValueError(
            "`trained_on` should be cifar10 or cifar100, or `mean` and `std` be given, for weights that do not hold "
            "what their network normalises inputs with. Found None."
        )
    if moments <= weights.keys() and not any(name.split(".")[-1] == "mean" for name in wanted):
        raise ValueError(
            "`trained_on`, `mean` and `std` should be left out for weights that hold what their network normalises "
            f"inputs with. These hold mean {weights['mean'].flatten().tolist()}."
        )
