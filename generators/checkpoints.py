"""Checkpoints: read without running anything, and generators from those that `alphadx fit` writes."""

import re
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from generators.descriptions import check_description, check_known
from generators.networks import GENERATORS, build_generator
from generators.plain_pickles import read_plainly

GENERATOR_KEY = "alphadx_generator"
"""Where a checkpoint says which generator it holds."""
FORMAT = 1
KINDS = ("direct", "conditional", "denoiser")
"""What is trained: `(x, y, target) → Δ̂x`, `(z, class) → image`, and `(x + σ n, class) → x`."""


def read_checkpoint(checkpoint: str | Path, *, mmap: bool = False, remedy: str = "") -> dict[str, Any]:
    """What a file of torch holds, on the CPU; nothing in it is run.

    Args:
        checkpoint: file with a dict of plain values and tensors.
        mmap: read tensors only where they are used.
        remedy: what else can be done where it cannot be read, for the message.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is cut off, cannot be read with `weights_only=True`, or holds no dict.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint file.")
    check_whole(path)
    try:
        content = read_plainly(path, mmap)
    except Exception as error:  # a file of another kind can make the reader fail in any way
        raise ValueError(
            f"{path} cannot be read as a checkpoint with weights_only=True, which runs nothing that the file holds; "
            f"a pickle runs code of whoever made it. Save the model's state_dict() instead{remedy}. "
            f"({_in_short(error)})"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} should hold a dict. Found {type(content).__name__}.")
    return content


def check_whole(path: Path) -> None:
    """Refuse an archive of torch whose end is missing, where its list of contents stands.

    Raises:
        ValueError: with the remedy.
    """
    with path.open("rb") as file:
        begins = file.read(4) == b"PK\3\4"
    if begins and not zipfile.is_zipfile(path):
        raise ValueError(f"{path} cannot be read as a checkpoint: it is cut off. Copy or save it again.")


def load_generator(checkpoint: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """The generator of a checkpoint, in evaluation mode, on the CPU, without gradients; and its description.

    Nothing that the file says is run: it is read with `weights_only=True`, and its network is one of `GENERATORS`.
    Where training averaged the weights, the averaged ones are taken.

    Returns:
        The generator, and a dict with `kind` ("direct", "conditional" or "denoiser"), `network`, `options`, `shape`,
        `num_classes`, `bounds` and `data`, the name of the data set it was trained on.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not a checkpoint of a generator, was written by a later version, or its weights
            are not those of the network that it names.
    """
    path = Path(checkpoint)
    content = read_checkpoint(path)
    if GENERATOR_KEY not in content:
        raise ValueError(f"{path} should hold a generator trained by `alphadx fit`. Found another file.")
    description = check_description(content[GENERATOR_KEY], path, FORMAT)
    check_known(description, "network", GENERATORS, path)
    check_known(description, "kind", KINDS, path)
    generator = build_generator(
        description["network"],
        shape=description["shape"],
        num_classes=description["num_classes"],
        bounds=description["bounds"],
        **description["options"],
    )
    try:
        generator.load_state_dict(_weights(content, description))
    except (KeyError, RuntimeError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} does not hold the weights of the generator that it describes. ({error})") from error
    return generator.eval().requires_grad_(False), description


def holds_generator(checkpoint: str | Path) -> bool:
    """Whether a file is the checkpoint of a generator; False for what cannot be read."""
    try:
        return GENERATOR_KEY in read_checkpoint(checkpoint, mmap=True)
    except (ValueError, OSError):
        return False


def digest(module: nn.Module) -> str:
    """A short text that differs when any weight or buffer does."""
    found = sha256()
    for name, value in sorted(module.state_dict().items()):
        found.update(name.encode())
        found.update(bytes_of(value))
    return found.hexdigest()[:16]


def bytes_of(value: Any) -> bytes:
    """A tensor's own bytes. The state of a quantised layer holds tuples of tensors, and plain values."""
    if isinstance(value, list | tuple):
        return b"".join(map(bytes_of, value))
    if not isinstance(value, Tensor):
        return repr(value).encode()
    dense = value.detach().cpu()
    dense = dense.dequantize() if dense.is_quantized else dense if dense.layout == torch.strided else dense.to_dense()
    return dense.contiguous().flatten().view(torch.uint8).numpy().tobytes()  # NumPy knows no bfloat16


def _in_short(error: Exception) -> str:
    """What the reader found, without torch's advice to run what the file holds."""
    told = str(error).split("WeightsUnpickler error: ")[-1].strip()
    return re.split(r" was not an allowed global|\n", told or type(error).__name__)[0]


def _weights(content: Mapping[str, Any], description: Mapping[str, Any]) -> dict[str, Any]:
    prefix = "averaged.module." if description.get("averaged") else "generator."
    return {
        name.removeprefix(prefix): value for name, value in content["state_dict"].items() if name.startswith(prefix)
    }
