"""Networks by name, for configurations, checkpoints and the command line."""

from collections.abc import Collection, Sequence
from typing import Any

from torch import nn

from training.networks.batch_norm import BatchNormMode
from training.networks.class_mapping import Reduction
from training.networks.libraries import find_network
from training.networks.ours import NEED_BOUNDS, NETWORKS

__all__ = ["NEED_BOUNDS", "NETWORKS", "build_network"]


def build_network(
    name: str,
    *,
    shape: Sequence[int],
    num_classes: int,
    bounds: tuple[float, float] = (-1.0, 1.0),
    pretrained: bool = False,
    one_logit: bool = False,
    batch_norm: BatchNormMode | None = None,
    classes: Any = None,
    reduce: Reduction = "logsumexp",
    outputs: int | None = None,
    trusted_options: Collection[str] | None = None,
    **options: Any,
) -> nn.Module:
    """A classifier by name, from `(B, *shape)` to logits `(B, num_classes)`.

    Names and options are those that a user types, in a call, a command or a configuration: what they name is
    imported, also from the current folder. What a checkpoint says is none of these, see `load_classifier`.

    Args:
        name: one of ours, see `NETWORKS`; `torchvision:resnet50`, `timm:resnet10t` or
            `robustbench:Carmon2019Unlabeled`, as these libraries name them; `hf:FOLDER` for an image classifier that
            transformers or timm saved there; `package.module:factory`, `package.module:Class.method` or
            `package.module.factory` for a class or function of yours. It is called with `options`, and with
            `num_classes` where it takes that, by name or among any others.
        shape: of one input.
        num_classes: C ≥ 2.
        bounds: of the data, for networks that normalise.
        pretrained: with the weights that the library or the folder has, see `find_network`, which also says how they
            normalise.
        one_logit: a binary network with a single output, adapted to two logits.
        batch_norm: "on", "frozen" or "no_running_statistics", see `set_batch_norm`; None leaves it as the network
            has it. Without running statistics, logits depend on the batch in evaluation too.
        classes: for a network with more classes than the data: which of its outputs belong to each class of the
            data, "imagenet→imagenette", "imagenet→imagewoof", "imagenet→restricted", a list of lists of indexes, or a
            mapping from names to such lists; see `ClassMapping`.
        reduce: how the logits of a class are made one, with `classes`: "logsumexp" for the probability of any of
            them, or "max".
        outputs: of the network itself, with `classes`; 1,000 if not given, as ImageNet has.
        trusted_options: names of options that a user typed, in which classes are imported by their dotted paths, such
            as `torch.nn.SiLU`; None for all of them. What a file says should not be among them.
        options: what the network itself takes.

    Raises:
        ValueError: for an unknown name, options the network does not take, one logit for several classes, classes
            that cannot be mapped, or `batch_norm` for a network that has none.
        FileNotFoundError: if a folder has no configuration or weights.
        ImportError: if the library is not installed.
        RuntimeError: if weights cannot be fetched, with the remedy.

    Example:
        >>> build_network("mlp", shape=(2,), num_classes=2, hidden=[3])
        MLP(
          (0): Flatten(start_dim=1, end_dim=-1)
          (1): Linear(in_features=2, out_features=3, bias=True)
          (2): ReLU()
          (3): Linear(in_features=3, out_features=2, bias=True)
        )
    """
    return find_network(
        name,
        shape=shape,
        num_classes=num_classes,
        bounds=bounds,
        pretrained=pretrained,
        one_logit=one_logit,
        batch_norm=batch_norm,
        classes=classes,
        reduce=reduce,
        outputs=outputs,
        trusted_options=trusted_options,
        **options,
    ).network
