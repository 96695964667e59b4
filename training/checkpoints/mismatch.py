"""What keeps the weights of a file from a network, in few words, and the likeliest cause."""

from collections.abc import Callable, Mapping, Sequence

from training.checkpoints.matching import (
    Weights,
    behind,
    common_starts,
    fit_together,
    is_count,
    is_count_of_averages,
    kind,
    starts,
)

SHOWN = 10
"""Names that an error lists, of all kinds together."""
KUANGLIU = (
    "a CIFAR ResNet with `shortcut` and `linear`, as kuangliu/pytorch-cifar names them (here resnet18_cifar, "
    "resnet34_cifar or resnet50_cifar)"
)
SIZED = "with its `depth` and `widen`"
TRADES = f"a WideResNet with `block1.layer`, as TRADES and RobustBench name it (here wide_resnet {SIZED})"
DEEPMIND = f"a WideResNet of DeepMind's adversarial training (here dm_wide_resnet {SIZED})"
TRANSFORMERS = "transformers, whose folder is the `network` hf:FOLDER without a checkpoint"
PUBLIC: Mapping[str, str] = {
    "layer1.0.shortcut.0.weight": KUANGLIU,
    "layer1.0.downsample.0.weight": "a ResNet of torchvision",
    "layer2.0.downsample.0.weight": "a ResNet of torchvision or timm",
    "layer2.0.shortcut.0.weight": KUANGLIU,
    "block1.layer.0.bn1.weight": TRADES,
    "layer.0.block.0.batchnorm_0.weight": DEEPMIND,
    "vit.encoder.layer.0.attention.attention.query.weight": f"a ViT of {TRANSFORMERS}",
    "blocks.0.attn.qkv.weight": "a vision transformer of timm",
    "encoder.layers.encoder_layer_0.ln_1.weight": "a ViT of torchvision",
    "resnet.embedder.embedder.convolution.weight": f"a ResNet of {TRANSFORMERS}",
    "features.denseblock1.denselayer1.norm1.weight": "a DenseNet of torchvision",
    "features.0.0.weight": "a MobileNet or EfficientNet of torchvision",
    "stages.0.blocks.0.conv_dw.weight": "a ConvNeXt of timm",
    "conv_stem.weight": "an EfficientNet or MobileNet of timm",
    "stage1.0.norm1.weight": "a network of alphadx (`wide_resnet` or `preact_resnet18`)",
}
"""Names by which the networks of widely used programs are known."""
REPARAMETRISED = ("weight_g", "weight_orig", "original0", "original1", "original")
"""Last parts of the names that torch's weight_norm, spectral_norm, pruning and parametrizations make."""


def difference(sets: Sequence[Weights], wanted: Weights) -> str:
    """How the set that comes closest to a network differs from it: the likeliest cause, and ten names at most.

    Args:
        sets: at least one set of weights.
        wanted: state dict of the network.
    """
    found, target = max((_closest(weights, wanted) for weights in sets), key=lambda pair: _likeness(*pair))
    parts = _parts(found, target)
    cause = next((told for why in CAUSES if (told := why(found, target))), "")
    share = max(1, SHOWN // max(1, len(parts)))
    listed = [f"{name}: {in_short(keys, share)}." for name, keys in parts.items()]
    return " ".join([cause, *listed]).strip()


def in_short(names: Sequence[str], shown: int = SHOWN) -> str:
    """The first names of many, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{[*names[:shown]]}{more}"


def _closest(weights: Weights, wanted: Weights) -> tuple[Weights, Weights]:
    """File and network without the prefixes that keep them apart most."""
    kept = {name: value for name, value in weights.items() if not is_count_of_averages(name)}
    pairs = [
        (_without(kept, prefix), behind(wanted, own)) for prefix in starts(kept) for own in common_starts(wanted)
    ]
    return max(pairs, key=lambda pair: _likeness(*pair), default=(kept, wanted))


def _without(weights: Weights, prefix: str) -> Weights:
    """Weights without a prefix where they have it; the others are not hidden."""
    return {name: value for name, value in weights.items() if not name.startswith(prefix)} | behind(weights, prefix)


def _likeness(found: Weights, wanted: Weights) -> tuple[int, int, int]:
    """How much of a network is there: by name, by name and shape; and how much is there at all."""
    shared = found.keys() & wanted.keys()
    return len(shared), sum(found[name].shape == wanted[name].shape for name in shared), len(found)


def _parts(found: Weights, wanted: Weights) -> dict[str, list[str]]:
    """All that differs, by kind."""
    shared = sorted(wanted.keys() & found.keys())
    shapes = [name for name in shared if found[name].shape != wanted[name].shape]
    kinds = [name for name in shared if name not in shapes and not fit_together(found[name], wanted[name])]
    parts = {
        "Missing keys": [name for name in sorted(wanted.keys() - found.keys()) if not is_count(name)],
        "Unexpected keys": sorted(found.keys() - wanted.keys()),
        "Keys of another shape": [f"{n} {tuple(found[n].shape)} for {tuple(wanted[n].shape)}" for n in shapes],
        "Keys of another kind": [
            f"{n} {kind(found[n])} for {kind(wanted[n])}" for n in kinds if not is_count(n) or found[n].is_meta
        ],
    }
    return {name: keys for name, keys in parts.items() if keys}


def _head(wanted: Weights) -> set[str]:
    """Names of the last layer of a network."""
    parent = [name for name in wanted if not is_count(name)][-1].rpartition(".")[0]
    return {name for name in wanted if name.rpartition(".")[0] == parent}


def _is_reparametrised(found: Weights, wanted: Weights) -> str:
    last = {name.split(".")[-1] for name in found.keys() - wanted.keys()}
    if not last & {*REPARAMETRISED}:
        return ""
    return (
        "Its weights are stored in the parts that weight_norm, spectral_norm, pruning or a parametrization of torch "
        "computes them from: remove it where the file was made, save the state dict again, or name a network that "
        "has it."
    )


def _has_another_head(found: Weights, wanted: Weights) -> str:
    differing = [name for name in wanted if name in found and found[name].shape != wanted[name].shape]
    if not differing or not {*differing} <= _head(wanted) or found.keys() - wanted.keys():
        return ""
    outputs, classes = found[differing[-1]].shape[:1], wanted[differing[-1]].shape[:1]
    if not outputs or not classes:
        return ""
    why = "take `one_logit`" if outputs[0] == 1 else "it was trained for other classes than the data have"
    if outputs[0] > classes[0]:
        why += "; where the data's are among them, map them with the option `classes`, such as imagenet→imagenette"
    return f"The file's last layer has {outputs[0]} outputs, where {classes[0]} classes are asked for: {why}."


def _has_no_head(found: Weights, wanted: Weights) -> str:
    missing = [name for name in wanted if name not in found and not is_count(name)]
    shared = found.keys() & wanted.keys()
    if not shared or {*missing} != _head(wanted) or any(found[name].shape != wanted[name].shape for name in shared):
        return ""
    other = "under another name" if found.keys() - wanted.keys() else "it was left out when the file was saved"
    return f"The network's last layer is not in the file: {other}."


def _has_another_size(found: Weights, wanted: Weights) -> str:
    if {n for n in found if not is_count(n)} != {n for n in wanted if not is_count(n)}:
        return ""
    if all(found[name].shape == wanted[name].shape for name in found.keys() & wanted.keys()):
        return ""
    return "The names are the same and sizes differ: the same network was made with other options, such as its width."


def _is_of_another_program(found: Weights, wanted: Weights) -> str:
    names = {name for prefix in common_starts(found) for name in behind(found, prefix)}
    known = [program for name, program in PUBLIC.items() if name in names and name not in wanted]
    return f"Its names look like those of {known[0]}: name that network." if known else ""


def _is_another_depth(found: Weights, wanted: Weights) -> str:
    shared = len(found.keys() & wanted.keys())
    if 2 * shared < len(found) + len(wanted) - shared:
        return f"{'Few' if shared else 'No'} names are the same: it is another architecture."
    return "Most names are the same: it is a network of the same kind with other parts, such as another depth."


CAUSES: Sequence[Callable[[Weights, Weights], str]] = (
    _is_reparametrised,
    _has_another_head,
    _has_no_head,
    _has_another_size,
    _is_of_another_program,
    _is_another_depth,
)
"""What may have happened, the surest first."""
