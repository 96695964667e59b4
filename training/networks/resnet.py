"""torchvision's ResNets as the papers use them."""

from collections.abc import Sequence
from typing import Any, Literal, get_args
from urllib.error import URLError

from torch import nn

from alignment.contracts import check_choice
from training.networks.adapters import Prepared, ToImageNetInput
from training.networks.batch_norm import FrozenBatchNorm

Initialisation = Literal["torch", "kaiming"]


def resnet18(
    shape: Sequence[int],
    outputs: int,
    bounds: tuple[float, float] = (-1.0, 1.0),
    weights: Literal["imagenet"] | None = "imagenet",
    frozen_batch_norm: bool = True,
    rescale: bool = True,
) -> nn.Module:
    """ResNet-18 with ImageNet normalisation inside and frozen batch norm: paper 1, section A.1.

    Args:
        shape: of one image, (1 or 3, height, width); grey is repeated to three channels.
        outputs: number of logits.
        bounds: of the data, needed to normalise.
        weights: "imagenet" lets torchvision fetch its weights once and keep them; None starts at random.
        frozen_batch_norm: keep batch norm in evaluation mode.
        rescale: bring images to [0, 1], whose statistics ImageNet's are, before they are normalised. Paper 1's
            program does not: it applies them to images in [−1, 1] as they are.

    Raises:
        ValueError: for another number of channels.
        RuntimeError: if the weights cannot be fetched, with the remedy.
    """
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ValueError(f"`shape` should be (1 or 3, height, width). Found {tuple(shape)}.")
    norm = FrozenBatchNorm if frozen_batch_norm else nn.BatchNorm2d
    try:
        network = _torchvision(
            "resnet18", weights="IMAGENET1K_V1" if weights == "imagenet" else None, norm_layer=norm
        )
    except (URLError, OSError) as error:
        raise RuntimeError(
            "torchvision could not fetch the ImageNet weights of ResNet-18. Fetch them on a machine with a "
            "network and copy them into torch.hub.get_dir()/checkpoints, or start at random with "
            "`weights=None` (in YAML: `weights: null`)."
        ) from error
    network.fc = nn.Linear(network.fc.in_features, outputs)
    return Prepared(ToImageNetInput(bounds, rescale), network)


def resnet18_cifar(
    shape: Sequence[int], outputs: int, frozen_batch_norm: bool = False, initialisation: Initialisation = "torch"
) -> nn.Module:
    """ResNet-18 for small images: 3×3 stem with stride 1, no max-pooling.

    Paper 1, section A.1, CIFAR-10; 11.2 million parameters with ten outputs. Like `resnet34_cifar` and
    `resnet50_cifar` it takes the weights of pytorch-cifar, and of the package robustness for CIFAR.

    Args:
        shape: of one image, (channels, height, width).
        outputs: number of logits.
        frozen_batch_norm: keep batch norm in evaluation mode.
        initialisation: of the convolutions, all uniform after Kaiming He: "torch" for PyTorch's own (a = √5), which
            is that of paper 1's and paper 3's programs, or "kaiming" for the one that is made for ReLU, √6 times as
            large.
    """
    norm = FrozenBatchNorm if frozen_batch_norm else nn.BatchNorm2d
    return _for_small_images("resnet18", shape, outputs, norm, initialisation)


def resnet34_cifar(shape: Sequence[int], outputs: int, initialisation: Initialisation = "torch") -> nn.Module:
    """ResNet-34 for small images, made like `resnet18_cifar`: 21.3 million parameters with ten outputs (paper 3).

    Args:
        shape: of one image, (channels, height, width).
        outputs: number of logits.
        initialisation: see `resnet18_cifar`.
    """
    return _for_small_images("resnet34", shape, outputs, nn.BatchNorm2d, initialisation)


def resnet50_cifar(shape: Sequence[int], outputs: int, initialisation: Initialisation = "torch") -> nn.Module:
    """ResNet-50 for small images, made like `resnet18_cifar`: 23.5 million parameters with ten outputs.

    Args:
        shape: of one image, (channels, height, width).
        outputs: number of logits.
        initialisation: see `resnet18_cifar`.
    """
    return _for_small_images("resnet50", shape, outputs, nn.BatchNorm2d, initialisation)


def _torchvision(name: str, **options: Any) -> Any:
    """A network of torchvision's, which is imported for it: that takes twice as long as torch."""
    from torchvision import models

    return getattr(models, name)(**options)


def _for_small_images(
    name: str,
    shape: Sequence[int],
    outputs: int,
    norm: type[nn.Module],
    initialisation: Initialisation,
) -> nn.Module:
    check_choice(initialisation, get_args(Initialisation), "initialisation")
    network = _torchvision(name, weights=None, norm_layer=norm, num_classes=outputs)
    network.conv1 = nn.Conv2d(shape[0], 64, kernel_size=3, stride=1, padding=1, bias=False)
    network.maxpool = nn.Identity()
    network.apply(_initialise_kaiming if initialisation == "kaiming" else _initialise_as_torch)
    return network


def _initialise_kaiming(part: nn.Module) -> None:
    if isinstance(part, nn.Conv2d):
        nn.init.kaiming_uniform_(part.weight, nonlinearity="relu")


def _initialise_as_torch(part: nn.Module) -> None:
    """Undo torchvision's initialisation, which is normal and of the fan out."""
    if isinstance(part, nn.Conv2d):
        part.reset_parameters()
