"""Forms of files that hold weights or whole programs, read without running them unless somebody trusts them."""

import json
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from generators.checkpoints import read_checkpoint
from training.checkpoints.programs import read_exported, read_script

WHOLE = ("model.safetensors", "pytorch_model.bin")
"""Files of weights in a folder of Hugging Face's libraries, the preferred first."""
INDEX = ".index.json"
"""Ends the name of the list that says which of several files holds which weight."""
OTHERS: Mapping[str, str] = {
    ".onnx": "an ONNX graph, from which no gradient can be taken here: convert it with onnx2torch",
    ".h5": "a file of HDF5, as Keras writes weights: convert them to a state dict",
    ".keras": "a model of Keras: convert its weights to a state dict",
    ".npz": "arrays of numpy: save them as a state dict of tensors",
    ".msgpack": "a file of Flax: convert its weights to a state dict",
    ".gguf": "a quantised file of llama.cpp: convert its weights to a state dict",
}
"""Files of other programs, by the ends of their names."""


@dataclass(frozen=True)
class Content:
    """What was read.

    Attributes:
        holds: plain values and tensors, as a dict.
        module: the program, where the file is or holds one.
        form: of that program, such as "TorchScript"; empty without.
    """

    holds: Mapping[str, Any] = field(default_factory=dict)
    module: nn.Module | None = None
    form: str = ""


def read(checkpoint: str | Path, *, trust: bool = False) -> Content:
    """What a file or a folder holds, on the CPU.

    Args:
        checkpoint: a file of torch, of safetensors, an index of several such files, or the folder of either.
        trust: whether programs are read, which runs what their authors wrote: pickles with objects, TorchScript and
            torch.export.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: for safetensors, if that library is not installed.
        ValueError: if it cannot be read, or only by running it and it is not trusted.
    """
    path = _file(Path(checkpoint))
    for ending, what in OTHERS.items():
        if path.name.endswith(ending):
            raise ValueError(f"{path} should be a file of torch or safetensors. Found {what}.")
    if path.name.endswith(INDEX):
        return Content(_read_shards(path))
    if _is_safetensors(path):
        return Content(_read_safetensors(path))
    if not path.stat().st_size:
        raise ValueError(f"{path} cannot be read as a checkpoint: it is empty. Saving or copying it was cut off.")
    if program := _program(path):
        form, reader = program
        check_trusted(path, form, trust)
        return reader(path, form)
    return _read_pickle(path, trust)


def check_trusted(path: Path, form: str, trust: bool) -> None:
    """Refuse a program whose author nobody trusts.

    Raises:
        ValueError: with the reason and both remedies.
    """
    if not trust:
        raise ValueError(
            f"{path} should hold weights alone. Found {form}, which is a program: reading it runs what its author "
            "wrote. If you trust its author, say so with trust=True (--trust true); else save the state_dict() of "
            "the model, and name its network with `network`."
        )


def _file(path: Path) -> Path:
    """The file of weights in a folder, or the file itself."""
    if path.is_file():
        return path
    known = [name for whole in WHOLE for name in (whole, f"{whole}{INDEX}")]
    found = [path / name for name in known if (path / name).is_file()]
    if not found and path.is_dir():
        found = sorted(path.glob("*.safetensors"))
        if len(found) != 1:
            raise FileNotFoundError(f"{path}: no such checkpoint file. A folder should hold {' or '.join(known)}.")
    if not found:
        raise FileNotFoundError(f"{path}: no such checkpoint file.")
    return found[0]


def _is_safetensors(path: Path) -> bool:
    """By the name, or by the first bytes: the length of a header, and its opening brace."""
    with path.open("rb") as file:
        head = file.read(9)
    length = int.from_bytes(head[:8], "little")
    return path.suffix == ".safetensors" or (head[8:] == b"{" and 8 + length <= path.stat().st_size)


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise ImportError(f"{path} needs safetensors: pip install 'alphadx[safetensors]'.") from error
    try:
        return dict(load_file(path))
    except Exception as error:  # the library has an error of its own for everything that is wrong with a file
        raise ValueError(f"{path} cannot be read as safetensors, it may be cut off. ({error})") from error


def _read_shards(path: Path) -> dict[str, Any]:
    """Weights that lie in several files of a folder."""
    try:
        listed: Mapping[str, str] = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        names = sorted({*map(Path, listed.values())})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} should list weights under `weight_map`. ({error!r})") from error
    if outside := [name for name in names if Path(name.name) != name]:
        raise ValueError(f"{path} should list files of its own folder. Found {outside[0]}.")
    found: dict[str, Any] = {}
    for name in names:
        shard = _file(path.parent / name)
        found |= _read_safetensors(shard) if _is_safetensors(shard) else read_checkpoint(shard)
    if absent := sorted(listed.keys() - found.keys()):
        raise ValueError(f"{path} lists weights that its files lack, such as {absent[0]}.")
    return found


def _program(path: Path) -> tuple[str, Callable[[Path, str], Content]] | None:
    """The form of an archive that is a program, and what reads it; None for weights."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()} | {*archive.namelist()}
    if "constants.pkl" in names:
        return "TorchScript", _script
    if names & {"archive_format", "serialized_exported_program.json"}:
        return "a program of torch.export", _exported
    if ".data/extern_modules" in names:
        raise ValueError(f"{path} should hold weights or a program. Found a package of torch.package.")
    return None


def _script(path: Path, form: str) -> Content:
    module = read_script(path)
    return Content({"state_dict": dict(module.state_dict())}, module, form)


def _exported(path: Path, form: str) -> Content:
    module = read_exported(path)
    return Content({"state_dict": dict(module.state_dict())}, module, form)


def _read_pickle(path: Path, trust: bool) -> Content:
    """A file of torch: read as plain values, and only where that cannot be, as the pickle it is."""
    remedy = ", or, if you trust its author, say so with trust=True (--trust true)"
    try:
        return Content(read_checkpoint(path, remedy=remedy))
    except ValueError:
        if not trust:
            raise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that classes have other source than when they were saved
        found = _unpickled(path)
    return _content(found, path)


def _unpickled(path: Path) -> Any:
    try:
        return _of_torch_or_python(path)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"{path} should be read where the classes of what it holds can be imported: run in the folder of the "
            f"program that saved it, or save the model's state_dict() there. ({error})"
        ) from error
    except Exception as error:  # what a file runs can fail in any way
        raise ValueError(f"{path} cannot be read as a file of torch. ({error})") from error


def _of_torch_or_python(path: Path) -> Any:
    """What `torch.save` or `pickle.dump` wrote; only torch's files begin with its magic number."""
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except RuntimeError as error:
        if "magic number" not in str(error):
            raise
    with path.open("rb") as file:
        return pickle.load(file)


def _content(found: Any, path: Path) -> Content:
    """A module, or a dict with or without modules, as what it holds."""
    held = found if isinstance(found, Mapping) else {"model": found} if isinstance(found, nn.Module) else None
    if held is None:
        raise ValueError(f"{path} should hold a dict or a module. Found {type(found).__name__}.")
    modules = {key: _bare(value) for key, value in held.items() if isinstance(value, nn.Module)}
    only = next(iter(modules.values())) if len(modules) == 1 else None
    weights = {key: dict(module.state_dict()) for key, module in modules.items()}
    return Content({str(key): weights.get(key, value) for key, value in held.items()}, only, "a pickled module")


def _bare(module: nn.Module) -> nn.Module:
    """The module in a wrapper that spreads batches over devices."""
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    return _bare(module.module) if isinstance(module, parallel) else module
