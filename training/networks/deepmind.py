"""The networks of Gowal et al. 2020 (arXiv:2010.03593), whose weights lead many leaderboards, and of works after it.

They are residual networks with pre-activation that normalise inputs in [0, 1] themselves, with numbers that lie
beside their weights, and were trained in JAX: convolutions with stride 2 are padded at the end alone.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from alignment.contracts import check_choice, check_counts
from training.networks.normalization import Normalization
from training.networks.preact import BlockForm, PreActResNet, activation_of, wide_of

TRAINED_ON: Mapping[str, Normalization] = {
    "cifar10": Normalization((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)),
    "cifar100": Normalization((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}
"""What the program normalises with; that of CIFAR-10 is not quite the usual one, of which a digit differs."""


class NormalizedInside(nn.Module):
    """A network behind its own normalisation, whose numbers are among its weights.

    It holds the network as `inside`, and not as adapters do, so that weights of networks that are padded all around
    do not fit.

    Args:
        network: from normalised images to logits.
        channels: of an image.
        bounds: of the data, which are mapped to [0, 1] first.
        normalization: of images in [0, 1]. If given, its numbers are not among the weights; else they are, and a
            fresh network has CIFAR-10's.
        padding: rows and columns of zeros around an image in [0, 1], before it is normalised.

    Raises:
        ValueError: for bounds that are not finite, or another number of channels than the normalisation has.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        channels: int,
        bounds: tuple[float, float],
        normalization: Normalization | None,
        padding: int = 0,
    ) -> None:
        super().__init__()
        low, high = bounds
        if not -float("inf") < low < high < float("inf"):
            raise ValueError(f"`bounds` should be two finite numbers, the lower one first. Found {bounds}.")
        check_counts(0, padding=padding)
        said = normalization or TRAINED_ON["cifar10"]
        if len(said.mean) != channels:
            raise ValueError(f"`mean` and `std` should have {channels} values, one per channel. Found {said}.")
        self.inside, self.low, self.width, self.padding = network, low, high - low, padding
        is_weight = normalization is None
        self.register_buffer("mean", torch.tensor(said.mean).reshape(-1, 1, 1), persistent=is_weight)
        self.register_buffer("std", torch.tensor(said.std).reshape(-1, 1, 1), persistent=is_weight)

    def forward(self, x: Float[Tensor, "B channels height width"]) -> Float[Tensor, "B outputs"]:
        """Logits."""
        images = F.pad((x - self.low) / self.width, (self.padding,) * 4)
        return self.inside((images - self.mean) / self.std)


def dm_wide_resnet(
    shape: Sequence[int],
    outputs: int,
    bounds: tuple[float, float] = (0.0, 1.0),
    depth: int = 28,
    widen: int = 10,
    activation: str | Callable[[], nn.Module] | None = None,
    trained_on: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    padding: int = 0,
) -> nn.Module:
    """WideResNet of Gowal et al. 2020, as RobustBench's leaders use it: 36.5 million parameters as 28-10.

    Args:
        shape: of one image, (channels, height, width).
        outputs: number of logits.
        bounds: of the data, which are mapped to [0, 1].
        depth: 6 n + 4 for n blocks per stage.
        widen: the stages have 16, 32 and 64 times as many channels; programs call it width.
        activation: "swish" or "relu". It must be given: the weights do not show it, and with the wrong one every
            measurement is of another network.
        trained_on: "cifar10" or "cifar100", for weights without the mean and the deviation that inputs are normalised
            with, as most that were published; see `TRAINED_ON`. Left out, weights hold them, and a fresh network has
            CIFAR-10's.
        mean: of each channel in [0, 1], in place of `trained_on`.
        std: standard deviation of each channel in [0, 1], together with `mean`.
        padding: rows and columns of zeros around an image, 2 for MNIST's.

    Raises:
        ValueError: if `activation` is not given, or an argument cannot be right.
    """
    network = wide_of(shape, outputs, depth, widen, BlockForm(_activation(activation), same_padding=True))
    return NormalizedInside(network, shape[0], bounds, _normalization(trained_on, mean, std), padding)


def dm_preact_resnet18(
    shape: Sequence[int],
    outputs: int,
    bounds: tuple[float, float] = (0.0, 1.0),
    width: int = 64,
    activation: str | Callable[[], nn.Module] | None = None,
    trained_on: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    padding: int = 0,
) -> nn.Module:
    """PreAct-ResNet-18 of the same program: shortcuts are 3×3 convolutions of the plain input.

    12,548,426 parameters with three channels and ten outputs.

    Args:
        shape: of one image, (channels, height, width).
        outputs: number of logits.
        bounds: of the data, which are mapped to [0, 1].
        width: channels of the first stage; the others have 2, 4 and 8 times as many.
        activation: see `dm_wide_resnet`, as the following.
        trained_on: "cifar10" or "cifar100".
        mean: of each channel in [0, 1].
        std: standard deviation of each channel in [0, 1].
        padding: rows and columns of zeros around an image.

    Raises:
        ValueError: if `activation` is not given, or an argument cannot be right.
    """
    form = BlockForm(_activation(activation), shortcut="plain", shortcut_size=3, same_padding=True)
    widths = [width * factor for factor in (1, 2, 4, 8)]
    network = PreActResNet(shape, outputs, stem=width, widths=widths, blocks=2, form=form)
    return NormalizedInside(network, shape[0], bounds, _normalization(trained_on, mean, std), padding)


def _normalization(
    trained_on: str | None, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Normalization | None:
    if (mean is None) != (std is None) or (trained_on is not None and mean is not None):
        raise ValueError(
            "`mean` and `std` should be given together, and without `trained_on`. "
            f"Found {mean}, {std} and {trained_on!r}."
        )
    if trained_on is not None:
        check_choice(trained_on, (*TRAINED_ON,), "trained_on")
        return TRAINED_ON[trained_on]
    return None if mean is None or std is None else Normalization(tuple(mean), tuple(std))


def _activation(given: str | Callable[[], nn.Module] | None) -> Callable[[], nn.Module]:
    if given is None:
        raise ValueError(
            "`activation` should be relu or swish: weights of this form exist with both and do not show which, and "
            "with the wrong one every measurement is of another network. Found None."
        )
    return activation_of(given)
