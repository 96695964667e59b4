"""Image classifiers in a folder as Hugging Face keeps them: `config.json`, weights, and how to prepare inputs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, float32, nn

from alignment.logits import unwrapped
from training.networks.calls import call
from training.networks.found import FoundNetwork
from training.networks.from_timm import said_by_timm, timm_itself
from training.networks.imports import options_imported
from training.networks.normalization import Normalization

CONFIG = "config.json"
INPUTS = "preprocessor_config.json"


def from_folder(
    name: str, outputs: int, pretrained: bool, options: Mapping[str, Any], trusted: Any = None
) -> FoundNetwork:
    """An image classifier of transformers, or of timm, from a folder that one of them saved.

    Nothing is fetched, and no code that the folder may hold is run.

    Args:
        name: path of the folder.
        outputs: number of logits; with `pretrained`, the weights have their own.
        pretrained: with the weights of the folder.
        options: entries of its `config.json` in other words; for timm, what the network takes.
        trusted: see `options_imported`.

    Raises:
        ImportError: if the library that reads it is not installed.
        FileNotFoundError: if there is no such folder, or no configuration or weights in it.
        ValueError: if it does not hold an image classifier, or the weights do not fit.
    """
    folder = Path(name).expanduser()
    config = _read(folder / CONFIG)
    if "pretrained_cfg" in config:
        return _from_timms(folder, config, outputs, pretrained, options, trusted)
    transformers = _transformers()
    settings = _settings(transformers, folder, options, None if pretrained else outputs)
    if not pretrained:
        network = _made(transformers, folder, settings)
        return FoundNetwork(_with_logits_alone(network), outputs=outputs)
    network = _loaded(transformers, folder, settings)
    normalization, said_by = _said(folder / INPUTS)
    return FoundNetwork(_with_logits_alone(network), normalization, said_by, settings.num_labels)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file. `hf:` goes before a folder that holds {path.name} and weights."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} should hold JSON. {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} should hold a mapping. Found {type(content).__name__}.")
    return content


def _from_timms(
    folder: Path, config: Mapping[str, Any], outputs: int, pretrained: bool, options: Mapping[str, Any], trusted: Any
) -> FoundNetwork:
    """A folder as `timm.models.push_to_hf_hub` writes it."""
    timm = timm_itself()
    given = options_imported(timm.create_model, options, trusted) | {"model_name": f"local-dir:{folder}"}
    if not pretrained:
        network = call(timm.create_model, f"hf:{folder}", given | {"pretrained": False, "num_classes": outputs})
        return FoundNetwork(network, outputs=outputs)
    try:
        network = timm.create_model(**given, pretrained=True)
    except Exception as error:  # whatever reads the weights fails in its own way
        raise ValueError(f"{folder} should hold weights for {config.get('architecture')!r}. {error}.") from error
    normalization, said_by = said_by_timm(config["pretrained_cfg"], f"pretrained_cfg in {folder / CONFIG}")
    return FoundNetwork(network, normalization, said_by, getattr(network, "num_classes", None))


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ImportError(
            "A folder of Hugging Face's needs transformers. Install it: pip install 'alphadx[transformers]'."
        ) from error
    return transformers


def _settings(transformers: Any, folder: Path, options: Mapping[str, Any], outputs: int | None) -> Any:
    """The configuration of the folder, with other options and number of classes."""
    try:
        settings = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"{folder / CONFIG} should describe a network of transformers. {error}") from error
    if unknown := sorted(name for name in options if not hasattr(settings, name)):
        raise ValueError(f"The network 'hf:{folder}' does not take these options: {', '.join(unknown)}.")
    for name, value in options.items():
        setattr(settings, name, value)
    if outputs is not None and outputs != settings.num_labels:
        settings.num_labels = outputs
    return settings


def _made(transformers: Any, folder: Path, settings: Any) -> nn.Module:
    try:
        return transformers.AutoModelForImageClassification.from_config(settings, dtype=float32)
    except ValueError as error:
        raise _no_classifier(folder, settings) from error


def _loaded(transformers: Any, folder: Path, settings: Any) -> nn.Module:
    """With the weights of the folder, all of them: transformers starts at random what it does not find."""
    load = transformers.AutoModelForImageClassification.from_pretrained
    try:
        network, found = load(
            folder,
            config=settings,
            local_files_only=True,
            trust_remote_code=False,
            dtype=float32,
            output_loading_info=True,
        )
    except OSError as error:
        raise FileNotFoundError(f"{folder} should hold weights beside its {CONFIG}. {error}") from error
    except ValueError as error:
        raise _no_classifier(folder, settings) from error
    except RuntimeError as error:
        raise ValueError(f"The weights in {folder} do not fit its {CONFIG}. {error}") from error
    if missing := sorted(found["missing_keys"]):
        raise ValueError(
            f"{folder} should hold all weights of {type(network).__name__}. Found none for {len(missing)}, such as "
            f"{missing[0]}: they are perhaps those of a backbone without a head."
        )
    return network


def _no_classifier(folder: Path, settings: Any) -> ValueError:
    kind = ", ".join(getattr(settings, "architectures", None) or [settings.model_type])
    return ValueError(f"{folder} should hold an image classifier of transformers. Found {kind}.")


def _with_logits_alone(network: nn.Module) -> nn.Module:
    """The network, which returns its logits and no mapping; its weights keep their names."""
    network.register_forward_hook(_logits)
    return network


def _logits(network: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> Any:
    return unwrapped(output, len(inputs[0]) if inputs else 0)


def _said(path: Path) -> tuple[Normalization | None, str]:
    """What the image processor does to inputs in [0, 1], and what to call it; an empty name if it says nothing."""
    if not path.is_file():
        return None, ""
    processor = _read(path)
    normalizes = processor.get("do_normalize", True)
    if normalizes and (processor.get("image_mean") is None or processor.get("image_std") is None):
        return None, ""
    mean, std = [_values(processor[name]) if normalizes else [unit] for name, unit in _MOMENTS.items()]
    # From u in [0, 1] it comes to `scale` u − offset, then to (… − mean) / std.
    scale = 255 * processor.get("rescale_factor", 1 / 255) if processor.get("do_rescale", True) else 255.0
    offset = 1.0 if processor.get("rescale_offset", False) else 0.0
    again = std if _normalizes_twice(processor) else [1.0] * len(std)
    shifted = [round((value + offset) / scale, 12) for value in mean]
    scaled = [round(value * second / scale, 12) for value, second in zip(std, again, strict=True)]
    unchanged = set(shifted) == {0.0} and set(scaled) == {1.0}
    return None if unchanged else Normalization(tuple(shifted), tuple(scaled)), str(path)


_MOMENTS = {"image_mean": 0.0, "image_std": 1.0}


def _values(moments: Any) -> list[float]:
    return [float(moments)] if isinstance(moments, int | float) else [float(value) for value in moments]


def _normalizes_twice(processor: Mapping[str, Any]) -> bool:
    """EfficientNet's divides by the deviations once more for networks with a head, whatever `do_normalize` says."""
    is_efficientnet = "EfficientNet" in str(
        processor.get("image_processor_type") or processor.get("feature_extractor_type")
    )
    return bool(processor.get("include_top", is_efficientnet)) and bool(processor.get("do_normalize", True))
