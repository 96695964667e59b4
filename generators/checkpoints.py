"""Generators from the checkpoints that `alphadx fit` writes."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import nn

from generators.networks import build_generator

GENERATOR_KEY = "alphadx_generator"
"""Where a checkpoint says which generator it holds."""
FORMAT = 1


def load_generator(checkpoint: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """The generator of a checkpoint, in evaluation mode, on the CPU, without gradients; and its description.

    The file is read with `weights_only=True`: nothing in it is executed. Where training averaged the weights, the
    averaged ones are taken.

    Returns:
        The generator, and a dict with `kind` ("direct" or "conditional"), `network`, `options`, `shape`,
        `num_classes`, `bounds` and `data`, the name of the data set it was trained on.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not a checkpoint of a generator.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint file.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of another kind can make the reader fail in any way
        raise ValueError(f"{path} cannot be read as a checkpoint. ({error})") from error
    description = content.get(GENERATOR_KEY) if isinstance(content, dict) else None
    if description is None:
        raise ValueError(f"{path} should hold a generator trained by `alphadx fit`. Found another file.")
    generator = build_generator(
        description["network"],
        shape=description["shape"],
        num_classes=description["num_classes"],
        bounds=tuple(description["bounds"]),
        **description["options"],
    )
    prefix = "averaged.module." if description["averaged"] else "generator."
    weights = content["state_dict"]
    generator.load_state_dict(
        {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    )
    return generator.eval().requires_grad_(False), description


def digest(module: nn.Module) -> str:
    """A short text that differs when any weight or buffer does."""
    found = sha256()
    for name, value in sorted(module.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
