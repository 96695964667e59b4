"""A classifier that is ready to be measured: loaded, and behind the normalisation that it wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from alignment.gradients import evaluating
from eval.measuring.candidates import Candidate
from eval.measuring.probing import behind, probe
from eval.records.device import device_of
from eval.records.own_code import code_digest, is_own
from eval.records.sanity import check_fits
from training.checkpoints import Loaded, load
from training.data import DataSet, SplitName
from training.networks.normalization import Normalization, Normalized, normalization_of


@dataclass(frozen=True)
class Ready:
    """A classifier, and what a reader of its numbers must know.

    Attributes:
        classifier: from `(B, *shape)` in the data's own range to logits `(B, C)`.
        described: what its weights were loaded into; a part of its identity.
        notes: sentences.
        told: the same for records, and what was found of its normalisation.
    """

    classifier: nn.Module
    described: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)


def ready(candidate: Candidate, data: DataSet, split: SplitName) -> Ready:
    """A candidate's classifier behind the normalisation that somebody says; a probe looks for it where nobody does.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it does not fit, see `training.load_classifier`, or the probe finds that inputs should be
            normalised and nobody has said how.
    """
    loaded = loaded_for(candidate, data)
    if not loaded.said_by:
        _check_fits(loaded.classifier, data, split)
    found = None if loaded.said_by else probe(loaded.classifier, data, split)
    if found is not None and found.better:
        raise ValueError(found.question)
    notes = [*loaded.notes, _said(loaded) if found is None else found.sentence]
    told = {"notes": notes} if found is None else {"notes": notes, "probe": found.details}
    identity = identity_of(loaded.described, loaded.normalization)
    if candidate.module is not None or is_own(loaded.classifier):
        identity["code"] = code_digest(loaded.classifier)
    return Ready(loaded.classifier, identity, tuple(notes), told)


def _check_fits(classifier: nn.Module, data: DataSet, split: SplitName) -> None:
    """Refuse what could not be measured, before a probe fails at it."""
    batch = data.split(split).__getitems__([0])
    check_fits(classifier, data, batch.x.to(device_of(classifier)))


def _said(loaded: Loaded) -> str:
    """How inputs are normalised, and who says it."""
    if not loaded.said_by:
        return "Nothing says how inputs are normalised, so they are left as they are."
    if loaded.normalization is None:
        return f"Inputs are left as they are, as {loaded.said_by} says."
    return f"Inputs are normalised with {loaded.normalization}, as {loaded.said_by} says."


def loaded_for(candidate: Candidate, data: DataSet) -> Loaded:
    """The one place where models come from: a module of a user's own, or what `training` loads."""
    if candidate.module is not None:
        return _given(candidate, candidate.module, data)
    fits: dict[str, Any] = {"num_classes": data.num_classes, "shape": data.shape, "bounds": data.bounds}
    if said := sorted(fits.keys() & candidate.network_options.keys()):
        raise ValueError(f"`--network-options` should leave out {', '.join(said)}: the data set says it.")
    if "pretrained" in candidate.network_options:
        raise ValueError(
            "`--network-options` should leave out pretrained: the weights are those of the checkpoint or, without "
            f"one, the library's own. Found {candidate.network_options['pretrained']!r}."
        )
    chosen = {"key": candidate.key, "normalize": candidate.normalize, "trust": candidate.trust}
    given = {name: value for name, value in chosen.items() if value}
    checkpoint: Any = candidate.checkpoint
    return load(candidate.network, checkpoint=checkpoint, **fits, **given, **candidate.network_options)


def _given(candidate: Candidate, module: nn.Module, data: DataSet) -> Loaded:
    """A module, normalised as its user says."""
    _check_modes(module)
    described = {"network": type(module).__name__}
    if candidate.normalize is None:
        own: Any = module.normalization if isinstance(module, Normalized) else None
        return Loaded(module, own, "the module itself" if isinstance(module, Normalized) else "", described)
    normalization = normalization_of(candidate.normalize)
    classifier = module if normalization is None else behind(normalization, module, data)
    return Loaded(classifier, normalization, "`normalize`", described)


def _check_modes(module: nn.Module) -> None:
    """Refuse a program of torch.export as such, which raises where it is put in evaluation mode."""
    try:
        with evaluating(module):
            pass
    except NotImplementedError as error:
        raise ValueError(
            "`model` should have an evaluation mode, which a module of a torch.export program has not. Save the "
            f"program with torch.export.save and name its .pt2 file, with trust=True. Found {type(module).__name__}."
        ) from error


def identity_of(described: Mapping[str, Any], normalization: Normalization | None) -> dict[str, Any]:
    """What weights were loaded into, with the normalisation before it, where there is one.

    What takes inputs as they are is described as it was before normalisations were known, so that its records are
    found.
    """
    rest = {name: value for name, value in described.items() if name != "normalize"}
    return rest if normalization is None else rest | {"normalize": str(normalization)}
