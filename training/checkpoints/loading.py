"""Load anybody's classifier: our checkpoints, weights of named networks in any form, and programs."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from generators.descriptions import check_fits, check_given
from training.checkpoints.describing import check_complete, described_options, description_of, network_from
from training.checkpoints.files import Content, read
from training.checkpoints.programs import Exported, check_outputs
from training.checkpoints.saying import Said, said_by_file, said_by_library, said_by_network, settled
from training.checkpoints.sets import load_into
from training.networks.libraries import find_network
from training.networks.normalization import Normalization, Normalized

OURS = "this checkpoint of alphadx"
"""Says of its network that it takes inputs in the data's own range."""


@dataclass(frozen=True)
class Loaded:
    """A classifier, and what is known of it.

    Attributes:
        classifier: from `(B, *shape)` in the data's own range to logits `(B, C)`, in evaluation mode, on the CPU.
        normalization: what inputs are normalised with, inside `classifier`; None if they reach the network as they
            are, or the network normalises by itself.
        said_by: what says so, for people, such as "--normalize" or "timm's pretrained_cfg"; empty if nothing does,
            and then whoever has data should find it out.
        described: what the weights were loaded into: `network`, `options`, `normalize`.
        notes: sentences that a user should read, such as that half precision was widened.
    """

    classifier: nn.Module
    normalization: Normalization | None = None
    said_by: str = ""
    described: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Asked:
    """What a caller asks for, see `load_classifier`."""

    network: str | None
    shape: tuple[int, ...] | None
    num_classes: int | None
    bounds: tuple[float, float] | None
    key: str | None
    normalize: Any
    trust: bool
    trusted_networks: Collection[str]
    options: Mapping[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        """What the classifier should be made for."""
        return {"shape": self.shape, "num_classes": self.num_classes, "bounds": self.bounds}


@dataclass(frozen=True)
class _Bare:
    """A network, what is said of it and of its file, and what `Loaded` says besides."""

    network: nn.Module
    said: Said
    described: Mapping[str, Any]
    file: Said = field(default_factory=Said)
    notes: tuple[str, ...] = ()


def load(
    network: str | None = None,
    *,
    checkpoint: str | Path | None,
    num_classes: int | None = None,
    shape: tuple[int, ...] | None = None,
    bounds: tuple[float, float] | None = None,
    key: str | None = None,
    normalize: Any = None,
    trust: bool = False,
    trusted_networks: Collection[str] = (),
    **options: Any,
) -> Loaded:
    """A classifier as `load_classifier` loads it, with all that is known of it."""
    asked = _Asked(network, shape, num_classes, bounds, key, normalize, trust, trusted_networks, options)
    _check(asked, checkpoint)
    if checkpoint is None:
        return _normalised(_pretrained(asked), asked)
    path = Path(checkpoint)
    content = read(path, trust=trust)
    if network is None and content.module is not None:
        return _normalised(_program(content, content.module, path, asked), asked)
    return _normalised(_weights(content, path, asked), asked)


def load_classifier(
    network: str | None = None,
    *,
    checkpoint: str | Path | None,
    num_classes: int | None = None,
    shape: tuple[int, ...] | None = None,
    bounds: tuple[float, float] | None = None,
    key: str | None = None,
    normalize: Any = None,
    trust: bool = False,
    trusted_networks: Collection[str] = (),
    **options: Any,
) -> nn.Module:
    """A classifier with the weights of a checkpoint, in evaluation mode, on the CPU.

    Nothing that the file says is run, unless its author is trusted: it is read with `weights_only=True`, and a
    network that it names is one of `NETWORKS`. A dotted path is imported only where the caller names it, in `network`
    or `trusted_networks`.

    Args:
        network: name of the network, see `find_network`; None for a checkpoint of ours, which says it itself, and for
            a program. What is not given besides is taken from a checkpoint of ours of that very network.
        checkpoint: a checkpoint of ours; weights in a state dict, alone or anywhere in a dict, under names with any
            prefix; a file of safetensors; an index of several files; a folder of either, as Hugging Face's libraries
            write it; with `trust`, a pickled module, TorchScript, or a program of torch.export. None takes the
            weights that the network's library has for it.
        num_classes: C; needed with `network`. Without it, what the checkpoint should be made for, like the next two.
        shape: of one input; needed with `network`.
        bounds: lowest and highest legal value of an input; needed where inputs are normalised.
        key: which weights to take from a file with several sets, such as "ema", see `load_into`.
        normalize: what the weights were trained with, in any form that `normalization_of` takes, such as "imagenet"
            or "none"; None takes what the file or the library says, and nothing where they do not.
        trust: whether what the file's author wrote may run.
        trusted_networks: names that a checkpoint of ours may give its network besides ours.
        options: what the network takes.

    Returns:
        A module from `(B, *shape)` to logits `(B, C)`.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if the file needs a library that is not installed.
        ValueError: if the file cannot be read safely and is not trusted, holds no weights or several sets, was
            written by a later version, does not say which network it is and `network` is not given, names a network
            that is not ours, was made for other shape, classes or bounds, would have its inputs normalised twice, or
            does not match the network: then the likeliest cause is said, and ten keys at most are named.
    """
    return load(
        network,
        checkpoint=checkpoint,
        num_classes=num_classes,
        shape=shape,
        bounds=bounds,
        key=key,
        normalize=normalize,
        trust=trust,
        trusted_networks=trusted_networks,
        **options,
    ).classifier


def load_weights(model: nn.Module, checkpoint: str | Path, key: str | None = None) -> None:
    """Give a network the weights of a checkpoint, read as `load_classifier` reads it; the network is changed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read safely, holds no weights or several sets, does not match the network,
            or its weights were trained behind a normalisation, which nothing would put before the network.
    """
    path = Path(checkpoint)
    if said := said_by_file(load_into(model, read(path).holds, path, key).normalizers, path)[0].by:
        raise ValueError(
            f"{path} should hold weights for inputs in the data's own range. Found {said}: name a network that "
            "normalises its inputs itself."
        )


def _check(asked: _Asked, checkpoint: str | Path | None) -> None:
    """Refuse arguments that nothing can be loaded for."""
    if checkpoint is not None and not isinstance(checkpoint, str | Path):
        raise ValueError(
            f"`checkpoint` should be a path, or None for the weights that a library has. Found {checkpoint!r}."
        )
    if not isinstance(asked.trust, bool):
        raise ValueError(f"`trust` should be true or false. Found {asked.trust!r}.")
    check_given(network=asked.network, **asked.data)
    if checkpoint is None and (asked.network is None or asked.key is not None):
        raise ValueError("`checkpoint` should be given without `network`, or with `key`. Found None.")


def _pretrained(asked: _Asked) -> _Bare:
    """A network with the weights that its library has for it."""
    name = str(asked.network)
    check_complete({"network": name} | asked.data)
    bounds = asked.bounds or (0.0, 1.0)  # where inputs are normalised, they are asked for
    sizes = asked.data | {"bounds": bounds}
    found = find_network(name, pretrained=True, **sizes, **asked.options)
    described = {"network": name, "options": described_options(name, {}, asked.options), "pretrained": True}
    said, notes = said_by_library(found, own_weights=True)
    return _Bare(found.network, said, described, notes=notes)


def _program(content: Content, module: nn.Module, path: Path, asked: _Asked) -> _Bare:
    """A program, which is the classifier itself."""
    if asked.key is not None or asked.options:
        raise ValueError(f"{path} holds {content.form}, so `key` and options of a network should be left out.")
    notes = _widen(module.eval())
    if asked.shape is not None:
        check_outputs(module, path, asked.shape, asked.num_classes, asked.bounds)
    described = {"network": content.form, "options": {}, "program": _digest(path)}
    return _Bare(module, Said(), described, notes=(f"The classifier is {content.form}, as it was saved.", *notes))


def _weights(content: Content, path: Path, asked: _Asked) -> _Bare:
    """Weights in the network that is named, or that the file describes."""
    found = description_of(content.holds, path)
    if asked.network is None:
        if found is None:
            raise ValueError(f"{path} does not say which network it holds. Name it with `network`.")
        check_fits(found, path, **asked.data)
    ours = found is not None and asked.network in (None, found["network"])
    described = _description(found if ours else None, asked)
    named = [*asked.trusted_networks, *([asked.network] if asked.network else [])]
    made = network_from(described, named, path, asked.options)
    taken = load_into(made.network, content.holds, path, asked.key)
    options = described_options(described["network"], found["options"] if ours and found else {}, asked.options)
    said, notes = (Said(None, OURS, inside=True), ()) if ours else said_by_library(made, own_weights=False)
    if not said.by:
        own, about = said_by_network(made.network, described["shape"])
        said, notes = (own, about) if own.by else (said, notes)
    file, told = (Said(), ()) if asked.normalize is not None else said_by_file(taken.normalizers, path)
    known = {"network": described["network"], "options": options}
    return _Bare(made.network, said, known, file, (*taken.notes, *(told or notes)))


def _description(found: Mapping[str, Any] | None, asked: _Asked) -> dict[str, Any]:
    """What the network is built from: what the file says, and before it what the caller does."""
    given = {name: value for name, value in asked.data.items() if value is not None}
    base = dict(found) if found else {"network": asked.network, "options": {}} | dict.fromkeys(asked.data)
    kept = base if asked.network is None else base | given
    return kept | {"options": {**base["options"], **asked.options}}


def _normalised(bare: _Bare, asked: _Asked) -> Loaded:
    """The network behind its normalisation, where one has to stand before it."""
    said, notes = settled(bare.said, bare.file, asked.normalize)
    network, described = bare.network.eval(), dict(bare.described)
    if said.inside and asked.bounds == (0.0, 1.0):
        said = replace(said, normalization=None)  # there is nothing to map
    if said.normalization is not None:
        _check_normalization(said, asked)
        network = Normalized(network, said.normalization, bounds=asked.bounds or (0.0, 1.0)).eval()
        described["normalize"] = {"mean": [*said.normalization.mean], "std": [*said.normalization.std]}
    return Loaded(network, said.normalization, said.by, described, (*bare.notes, *notes))


def _check_normalization(said: Said, asked: _Asked) -> None:
    """Refuse to normalise inputs whose range or channels are not those of the normalisation."""
    if asked.bounds is None:
        raise ValueError(f"`bounds` should be given where inputs are normalised, as {said.by} says. Found None.")
    channels = len(said.normalization.mean) if said.normalization else 1
    if asked.shape is not None and channels not in (1, asked.shape[0]):
        raise ValueError(
            f"`normalize` should have one value for each of {asked.shape[0]} channels, or one for all. Found "
            f"{said.normalization} ({said.by})."
        )


def _widen(module: nn.Module) -> tuple[str, ...]:
    """Let a program take inputs of single precision."""
    found = {value.dtype for value in module.state_dict().values() if value.is_floating_point()} - {torch.float32}
    if not found or isinstance(module, Exported):
        return ()
    module.float()
    return (f"Weights of {', '.join(str(one).removeprefix('torch.') for one in found)} were taken as float32.",)


def _digest(path: Path) -> str:
    """A text that differs when anything in a program does."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
