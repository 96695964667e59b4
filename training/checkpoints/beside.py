"""What the folder of a library says of the inputs that its weights were trained with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.checkpoints.normalizers import AS_THEY_ARE
from training.networks.normalization import Normalization, normalization_of

PREPROCESSOR, CONFIG = "preprocessor_config.json", "config.json"
"""Files that transformers and timm keep beside weights."""
BYTES, TOLERANCE = 255, 1e-3
"""By which images are divided before they are normalised, and how exactly that is written."""


def normalization_beside(checkpoint: Path) -> tuple[Normalization | None, str]:
    """The normalisation that a folder of Hugging Face's libraries says, and which file says it.

    Args:
        checkpoint: the folder, or a file in it.

    Returns:
        Normalisation and file; None and "" where no file says one.

    Raises:
        ValueError: if a file says what is no normalisation.
    """
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    if not checkpoint.is_dir() and not checkpoint.name.startswith(("model", "pytorch_model")):
        return None, ""  # any other file may lie beside the configuration of something else
    preprocessor = _read(folder / PREPROCESSOR)
    if abs(preprocessor.get("rescale_factor", 1 / BYTES) * BYTES - 1) > TOLERANCE:
        return None, ""  # mean and deviation are then those of another range
    if preprocessor.get("do_normalize") is False:
        return AS_THEY_ARE, PREPROCESSOR
    timm = _read(folder / CONFIG).get("pretrained_cfg")
    places = ((preprocessor, ("image_mean", "image_std"), PREPROCESSOR), (timm, ("mean", "std"), CONFIG))
    for found, keys, file in places:
        if isinstance(found, Mapping) and all(key in found for key in keys):
            return normalization_of((found[keys[0]], found[keys[1]]), f"{folder / file}: {keys[0]}"), file
    return None, ""


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} should be a file of JSON. ({error})") from error
    return found if isinstance(found, Mapping) else {}
