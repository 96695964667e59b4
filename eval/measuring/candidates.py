"""What is measured in one go: one model, several by name, a folder of checkpoints, or a YAML list."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from alignment.spelling import did_you_mean
from eval.records.subject import distinguished

SUFFIXES = (".ckpt", ".pt", ".pth", ".pt2", ".bin", ".pkl", ".safetensors", ".tar", ".th")
"""How the names of checkpoints end."""
LISTS = (".yaml", ".yml")
NAMED = resources.files("eval.measuring") / "lists"
"""Lists of models that come with the package, such as `imagenet`."""
WHOLE = ("config.json", "*.index.json")
"""What lies in a folder that is one model, and not a folder of several."""
ENTRY = (
    "checkpoint", "network", "network_options", "key", "normalize", "trust", "recipe", "seed", "epsilon",
    "setting",
)  # fmt: skip
"""What an entry of a list may hold."""


@dataclass(frozen=True)
class Candidate:
    """A model that is to be measured.

    Attributes:
        module: the classifier itself; None where it is to be loaded.
        checkpoint: file or folder that it is loaded from; None where the network has weights of its own.
        network: name of the network, see `training.load_classifier`.
        network_options: what the network takes.
        key: which weights to take from a file with several sets.
        normalize: how inputs are normalised before it; None where the file or the library says it, or a probe does.
        trust: whether a pickle may be read, which can run anything.
        recipe: how it was trained, for tables; models of one recipe are repetitions of it. Empty for the name of the
            checkpoint.
        name: that stands in for the recipe where none is given.
        seed: of its training.
        epsilon: ε of its adversarial training, as written.
        setting: what else models of its recipe differ in, such as `{gamma: 0.8}`.
    """

    module: nn.Module | None = None
    checkpoint: Path | None = None
    network: str | None = None
    network_options: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    normalize: Any = None
    trust: bool = False
    recipe: str = ""
    name: str = ""
    seed: int | None = None
    epsilon: str = ""
    setting: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """As it is called in tables and messages."""
        return self.recipe or self.name


def candidates_of(model: Any, usual: Candidate) -> list[Candidate]:
    """The models that are meant.

    Args:
        model: a module; the path of a checkpoint, of a folder of checkpoints or of a YAML list of models, from whose
            folder its paths are meant; the name of a list that comes with the package, whose paths are meant from the
            current folder; a mapping from names to modules or paths; a list of paths; or None for a network with
            weights of its own.
        usual: what holds for each of them that says nothing else.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: for anything else, a folder without checkpoints, or a list that cannot be read.
    """
    if isinstance(model, nn.Module):
        return [_of_module(model, usual)]
    if isinstance(model, Mapping):
        return _numbered([replace(one, recipe=str(name)) for name, part in model.items() for one in _of(part, usual)])
    if isinstance(model, Sequence) and not isinstance(model, str):
        return _numbered(_named([one for part in model for one in _of(part, usual)]))
    return _of(model, usual)


def _of(model: Any, usual: Candidate) -> list[Candidate]:
    """The models that one name stands for."""
    if isinstance(model, nn.Module):
        return [_of_module(model, usual)]
    if model is None or str(model) == "":
        return [_without_checkpoint(usual)]
    if not isinstance(model, str | Path):
        raise ValueError(
            "`model` should be a torch.nn.Module, the path of a checkpoint, of a folder of them or of a YAML list, "
            f"or several of them by name. Found {type(model).__name__}."
        )
    path = Path(model)
    if (named := NAMED / f"{model}.yaml").is_file() and not path.exists():
        return _numbered(_named(_listed(Path(str(named)), usual, Path.cwd())))
    if path.suffix in LISTS:
        return _numbered(_named(_listed(path, usual, path.parent)))
    if path.is_dir() and not _is_one_model(path):
        return _numbered(_named([replace(usual, checkpoint=file) for file in _checkpoints(path)]))
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such checkpoint file.")
    return [replace(usual, checkpoint=path, name=path.stem)]


def _of_module(module: nn.Module, usual: Candidate) -> Candidate:
    for name in ("network", "network_options", "key", "trust"):
        if value := getattr(usual, name):
            raise ValueError(f"`{name}` should be left out for a module, which is loaded already. Found {value!r}.")
    return replace(usual, module=module, name=type(module).__name__)


def _without_checkpoint(usual: Candidate) -> Candidate:
    if usual.network is None:
        raise ValueError(
            "`checkpoint` should name a file, a folder of checkpoints or a YAML list of models; or `network` a "
            "network with weights of its own, such as torchvision:resnet50. Found neither."
        )
    return replace(usual, name=usual.network)


def _checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder and of those in it, but for hidden ones; a folder that is one model is one."""
    found: dict[Path, None] = {}
    for file in sorted(folder.rglob("*")):
        inner = file.relative_to(folder)
        if file.suffix in SUFFIXES and file.is_file() and not any(part.startswith(".") for part in inner.parts):
            above = [folder / part for part in reversed(inner.parents) if part.parts]
            found[next(filter(_is_one_model, above), file)] = None
    if not found:
        raise ValueError(
            f"{folder} should hold checkpoints, files that end in {', '.join(SUFFIXES)}. Found none in it or below."
        )
    return [*found]


def _is_one_model(folder: Path) -> bool:
    return any(True for pattern in WHOLE for _ in folder.glob(pattern))


def _listed(path: Path, usual: Candidate, folder: Path) -> list[Candidate]:
    """The models of a YAML list, in which paths are meant from a folder."""
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} should be YAML. Found {' '.join(str(error).split())}.") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError(
            f"{path} should be a list of models, such as `- {{checkpoint: a.pt, network: small_cnn, recipe: AT}}`. "
            f"Found {type(entries).__name__}."
        )
    return [_entry(entry, f"{path}, model {number}", folder, usual) for number, entry in enumerate(entries, 1)]


def _entry(entry: Any, where: str, folder: Path, usual: Candidate) -> Candidate:
    if not isinstance(entry, Mapping) or {*entry} - {*ENTRY}:
        found = sorted({*entry} - {*ENTRY}) if isinstance(entry, Mapping) else repr(entry)
        hint = "".join(did_you_mean(key, ENTRY) for key in found[:1]) if isinstance(found, list) else ""
        raise ValueError(f"{where}: should hold some of the keys {', '.join(ENTRY)}. Found {found}.{hint}")
    given = {key: value for key, value in entry.items() if value is not None}
    given |= {key: str(given[key]) for key in ("recipe", "epsilon") if key in given}
    if not isinstance(setting := given.get("setting", {}), Mapping):
        raise ValueError(f"{where}: `setting` should hold names with values. Found {setting!r}.")
    given["setting"] = {str(key): str(value) for key, value in setting.items()}
    if "checkpoint" in given:
        given["checkpoint"] = folder / str(given["checkpoint"])
    one = replace(usual, **given)
    return one if one.checkpoint else _without_checkpoint(one)


def _named(candidates: Sequence[Candidate]) -> list[Candidate]:
    """With as many parts of their paths for names as tell them apart."""
    paths = dict.fromkeys(one.checkpoint.as_posix() for one in candidates if one.checkpoint)
    names = dict(zip(paths, distinguished([*paths]), strict=True))
    return [replace(one, name=names[one.checkpoint.as_posix()]) if one.checkpoint else one for one in candidates]


def _numbered(candidates: Sequence[Candidate]) -> list[Candidate]:
    """With a seed for each, by which repetitions of one recipe are told apart."""
    seen: Counter[tuple[str, ...]] = Counter()
    found = []
    for one in candidates:
        named = (one.title, one.epsilon, *map(str, one.setting.items()))
        place = seen[named]
        seen[named] += 1
        found.append(replace(one, seed=place) if one.seed is None else one)
    return found
