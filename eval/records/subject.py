"""What a number was measured on: the very samples, and the very model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal, get_args

from alignment.contracts import check_choice
from eval.records.chosen import batches_of
from eval.records.drawing import drawn_by_class
from eval.records.identity import digest
from training.data import Batch, DataSet, SplitName
from training.data.split import labels_of

LimitOrder = Literal["first", "random"]
UNKNOWN = "unknown"
"""Stands where an old record does not say."""
FILES = ("data_root", "folder", "train", "test", "validation", "download", "listed")
"""Arguments of data sets that say where files lie; what lies in them is known by the digest of the samples."""
TRAINING = ("workers", "batch_size", "seed", "augmentation")
"""Arguments of data sets that concern training alone."""
SWEEP = "sweep"
"""The group of models that belong to a sweep."""
POOLED = "pooled"
"""The group of models, of any recipe, over all of which alignment and robustness are correlated."""
CHOSEN_BY = "choice"
"""The group of what was measured on the validation split, to choose a setting by."""
SETTINGS = {
    "epsilon": "ε",
    "alignment_weight": "λ_α",
    "gamma": "γ",
    "weight": "λ",
    "clip_norm": "C",
    "combiner_start": "first epoch of combining",
    "steps": "κ",
    "beta": "β",
    "residual": "Δx by",
}
"""Titles of what sweeps set; a path in the configuration is its own title."""


@dataclass(frozen=True)
class Samples:
    """Samples of a split of a data set.

    Attributes:
        data: name of the data set.
        arguments: of the data set, but for where its files lie; and how samples were drawn, where some were.
        bounds: lowest and highest legal value of an input, which is the unit of ε; None where it is not known.
        split: of the data set.
        count: how many.
        digest: of inputs and labels, in their order.
    """

    data: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    bounds: tuple[float, float] | None = None
    split: str = UNKNOWN
    count: int = 0
    digest: str = UNKNOWN


@dataclass(frozen=True, eq=False)
class Subject:
    """A model on samples.

    Attributes:
        samples: the very samples.
        network: its name and options, or the kind and settings of a residual estimator.
        weights: digest of its weights.
        training: configuration of its training, as far as it is known.
    """

    samples: Samples
    network: Mapping[str, Any] = field(default_factory=dict)
    weights: str = UNKNOWN
    training: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """The digest of all of it."""
        return digest(asdict(self))

    @cached_property
    def model_key(self) -> str:
        """The digest of the model alone, whatever it is measured on."""
        return digest([self.network, self.weights, self.training])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Subject) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True)
class Model:
    """How a model is called in tables. It is no part of its identity.

    Attributes:
        data: name of the data set.
        recipe: how it was trained, such as B, Lα or P; or the name of its checkpoint.
        epsilon: ε of adversarial training as written, or "" without.
        seed: of the training.
        groups: parts of a study it belongs to: "side by side", "sweep", "pooled", "estimators"; or "measure".
        checkpoint: file that was measured, as named; empty for models that a study trained.
        named: whether `recipe` was given by somebody, so that models of the same name are repetitions of one recipe.
        setting: what sweeps set in the training beside ε, each as written, by its name in `SETTINGS` or its path.
        sweeps: the names that each sweep sets to which it belongs; none with the group "sweep" means ε alone.
    """

    data: str
    recipe: str
    epsilon: str = ""
    seed: int = 0
    groups: tuple[str, ...] = ("measure",)
    checkpoint: str = ""
    named: bool = True
    setting: Mapping[str, str] = field(default_factory=dict, hash=False)
    sweeps: tuple[tuple[str, ...], ...] = ()

    @property
    def swept(self) -> tuple[tuple[str, ...], ...]:
        """The names that each sweep sets to which the model belongs."""
        return self._named if SWEEP in self.groups else ()

    @property
    def _named(self) -> tuple[tuple[str, ...], ...]:
        return self.sweeps or ((("epsilon",),) if SWEEP in self.groups else ())

    def value_of(self, name: str) -> str:
        """What a sweep set, as written; empty where it set nothing of that name."""
        return self.epsilon if name == "epsilon" else self.setting.get(name, "")

    def told(self, names: Iterable[str]) -> str:
        """Settings with their values, in words.

        Example:
            >>> Model("d", "CA-AT", "8/255", setting={"gamma": "0.8"}).told(["epsilon", "gamma"])
            'ε = 8/255, γ = 0.8'
        """
        return ", ".join(f"{SETTINGS.get(name, name)} = {self.value_of(name)}" for name in names)

    def only_in(self, group: str) -> "Model":
        """The same model in one group alone."""
        return replace(self, groups=(group,))

    def joined(self, other: "Model") -> "Model":
        """The same model where another part of a study, or another study, names it too."""
        return replace(
            self,
            groups=tuple(dict.fromkeys(self.groups + other.groups)),
            setting={**other.setting, **self.setting},
            sweeps=tuple(dict.fromkeys(self._named + other._named)) if self.sweeps or other.sweeps else (),
        )


def chosen_samples(
    data: DataSet,
    split: SplitName = "test",
    limit: int | None = None,
    order: LimitOrder = "first",
    seed: int = 0,
) -> tuple[Sequence[Batch], Samples]:
    """The samples of a split in batches, and what they are.

    Args:
        data: the data set.
        split: of it.
        limit: only that many samples; None for all.
        order: which ones: the "first", or some drawn at "random", of each class its share.
        seed: of the draw.

    Raises:
        ValueError: if `limit` is below 1, there is no such order, or there is no sample.
    """
    check_choice(order, get_args(LimitOrder), "limit_order")
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` should be at least 1. Found {limit}.")
    samples = data.split(split)
    if not len(samples):
        raise ValueError(f"`split` should hold at least one sample. Found none in the {split} split of {data.name}.")
    arguments = {name: value for name, value in data.arguments.items() if name not in FILES + TRAINING}
    rows: Sequence[int] = range(len(samples))[:limit]
    if order == "random" and len(rows) < len(samples):
        rows = drawn_by_class(labels_of(samples), len(rows), seed).tolist()
        arguments |= {"limit": len(rows), "limit_order": order, "limit_seed": seed}
    batches = batches_of(data, samples, rows)
    low, high = data.bounds  # whole numbers, as a user may give them, are those that JSON gives back
    return batches, Samples(data.name, arguments, (float(low), float(high)), split, len(rows), _digest(batches))


def _digest(batches: Iterable[Batch]) -> str:
    """Of inputs and labels, in their order."""
    found = sha256()
    for batch in batches:
        for part in (batch.x, batch.y):
            found.update(str((part.dtype, tuple(part.shape[1:]))).encode())
            found.update(part.contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def first_samples(batches: Any, limit: int | None) -> list[Batch]:
    """The first samples of some batches; all where there is no limit."""
    kept: list[Batch] = []
    left = limit
    for batch in batches:
        if left is not None and left <= 0:
            break
        whole = batch if left is None else Batch(*(part[:left] for part in batch))
        kept.append(whole)
        left = None if left is None else left - len(whole.y)
    return kept


def distinguished(names: Sequence[str]) -> list[str]:
    """Paths with as many of their last parts as tell them apart, without the ending where the names allow it.

    Example:
        >>> distinguished(["a/x/best.ckpt", "b/x/best.ckpt", "c/last.ckpt"])
        ['a/x/best', 'b/x/best', 'last']
        >>> distinguished(["a/x.ckpt", "a/x.pt"])
        ['x.ckpt', 'x.pt']
    """
    bare = [name.rpartition(".")[0] if "." in name.rpartition("/")[2] else name for name in names]
    whole = names if len(set(bare)) < len(set(names)) else bare
    parts = [name.split("/") for name in whole]
    depths = [1] * len(parts)
    for _ in range(max((len(part) for part in parts), default=0)):
        shown = ["/".join(part[-depth:]) for part, depth in zip(parts, depths, strict=True)]
        depths = [
            depth + (shown.count(name) > 1 and depth < len(part))
            for part, depth, name in zip(parts, depths, shown, strict=True)
        ]
    return ["/".join(part[-depth:]) for part, depth in zip(parts, depths, strict=True)]
