"""Vision transformers of timm with bottleneck adapters, the only parts that train beside the head."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from training.networks.adapters import Prepared, ToImageNetInput
from training.networks.normalization import IMAGENET_MEAN


class Bottleneck(nn.Module):
    """h + up(GELU(down(h))): the adapter of Pfeiffer et al. 2020 (arXiv:2005.00247). It starts as the identity.

    Args:
        width: features of a token.
        reduction: width of a token over width of the bottleneck.

    Raises:
        ValueError: for a reduction that leaves no feature.
    """

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        if not 1 <= reduction <= width:
            raise ValueError(f"`reduction` should lie in [1, {width}], the width of a token. Found {reduction}.")
        self.down, self.up = nn.Linear(width, width // reduction), nn.Linear(width // reduction, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, h: Float[Tensor, "*tokens width"]) -> Float[Tensor, "*tokens width"]:
        """The tokens, moved."""
        return h + self.up(F.gelu(self.down(h)))


def vit_adapters(
    shape: Sequence[int],
    outputs: int,
    bounds: tuple[float, float] = (0.0, 1.0),
    model: str = "deit_base_patch16_224",
    weights: str | None = "imagenet",
    reduction: int = 8,
    **options: Any,
) -> nn.Module:
    """A ViT with ImageNet normalisation inside and an adapter after the MLP of each block: paper 3, section 4.2.

    Adapters and head train, all else is frozen. timm's `deit_base_patch16_224` is ViT-B/16 as published for ImageNet
    normalisation; the robust ViT-B that the paper starts from has the same parts and is given as a file.

    Args:
        shape: of one image, (1 or 3, height, width); the paper's (3, 224, 224). Grey is repeated to three channels.
        outputs: number of logits.
        bounds: of the data, needed to normalise.
        model: timm's name of a network with ViT or Swin blocks.
        weights: "imagenet" lets timm fetch its weights once and keep them; a file holds a state dict of `model`,
            with its head for ImageNet's 1,000 classes, which is replaced; None starts at random.
        reduction: width of a token over width of the bottleneck.
        options: what timm's network takes, such as `depth`.

    Raises:
        ImportError: if timm is not installed.
        ValueError: for another number of channels, a model without blocks of that kind, weights that were trained
            with another normalisation, or a file that does not fit.
        FileNotFoundError: if there is no such file.
        RuntimeError: if the weights cannot be fetched, with the remedy.
    """
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ValueError(f"`shape` should be (1 or 3, height, width). Found {tuple(shape)}.")
    network = _made(model, weights, outputs, img_size=tuple(shape[1:]), **options)
    network.requires_grad_(False)
    network.get_classifier().requires_grad_(True)
    blocks = [part for part in network.modules() if isinstance(getattr(part, "mlp", None), nn.Module)]
    if not blocks:
        raise ValueError(f"`model` should be a transformer whose blocks have an `mlp`. Found {model!r}.")
    for block in blocks:
        block.mlp = nn.Sequential(block.mlp, Bottleneck(block.mlp.fc1.in_features, reduction))
    _unfuse(network)
    return Prepared(ToImageNetInput(bounds), network)


def swin_adapters(
    shape: Sequence[int],
    outputs: int,
    bounds: tuple[float, float] = (0.0, 1.0),
    model: str = "swin_tiny_patch4_window7_224",
    weights: str | None = "imagenet",
    reduction: int = 8,
    **options: Any,
) -> nn.Module:
    """A Swin transformer with adapters: paper 3, section 4.2; see `vit_adapters` for arguments and errors.

    The paper calls the Swin transformer Swin-T; robust weights were published for timm's
    `swin_small_patch4_window7_224`, `swin_base_…` and `swin_large_…`, to be named with `model`.
    """
    return vit_adapters(shape, outputs, bounds, model, weights, reduction, **options)


def _unfuse(network: nn.Module) -> None:
    """Attention as plain products: fused, it has no second derivative, which the alignment penalty needs."""
    layers: list[Any] = [part for part in network.modules() if hasattr(part, "fused_attn")]
    for layer in layers:
        layer.fused_attn = False


def _made(model: str, weights: str | None, outputs: int, **options: Any) -> Any:
    """A network of timm with its weights and a head for `outputs`."""
    try:
        import timm
    except ImportError as error:
        raise ImportError("Networks with adapters need timm. Install it: pip install 'alphadx[timm]'.") from error
    if not timm.is_model(model):
        raise ValueError(f"`model` should be the name of a network in timm. Found {model!r}.")
    make = partial(timm.create_model, model, **options)
    if weights is None:
        return make(num_classes=outputs)
    network = _fetched(make, timm.get_pretrained_cfg(model)) if weights == "imagenet" else _read(make, Path(weights))
    # Only now, since timm would accept any file for a head of another size.
    network.reset_classifier(outputs)
    return network


def _fetched(make: Callable[..., Any], published: Any) -> Any:
    if published.mean != IMAGENET_MEAN:
        raise ValueError(
            f"`weights` 'imagenet' should be those of a model trained with the mean {IMAGENET_MEAN}. Those of "
            f"{published.architecture} expect {published.mean}. Name another `model`, such as deit_base_patch16_224."
        )
    try:
        return make(pretrained=True)
    except OSError as error:
        raise RuntimeError(
            f"timm could not fetch the ImageNet weights of {published.architecture}. Fetch them on a machine with a "
            "network and name their file with `weights`, or start at random with `weights=None` (in YAML: "
            "`weights: null`)."
        ) from error


def _read(make: Callable[..., Any], path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. `weights` should be 'imagenet', a file of weights, or null.")
    try:
        # Before timm 1.0.31 a file would be read as the format that the published weights have.
        source = {"file": str(path), "custom_load": path.suffix == ".npz"}
        return make(pretrained=True, pretrained_cfg_overlay=source)
    except Exception as error:  # a file of another kind can make the reader fail in any way
        raise ValueError(f"{path}: holds no weights for this model, head included ({error}).") from error
