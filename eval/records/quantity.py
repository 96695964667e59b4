"""What a number is a number of: its kind, the attack and norm behind it, and every setting.

Titles, order and file names of quantities are made here and nowhere else; no name is ever taken apart again.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from eval.attacks import ATTACKS
from eval.records.identity import digest, plain

WORST = "worst"
"""In place of an attack: the strongest of all, sample by sample."""
NORMS = {"Linf": "L∞", "L2": "L2", "L1": "L1", "L0": "L0"}
KINDS = {
    "accuracy": "accuracy %",
    "robust_accuracy": "accuracy under attack %",
    "epsilon50": "ε50%",
    "tau50": "τ50%",
    "alpha_dx": "α_Δx",
    "alpha_x": "α_x",
    "score_alignment": "sim(∇ℓ, score)",
    "tangent_share": "tangent share of ∇ℓ",
    "alpha_variants": "variants of α",
    "gop_frequency": "GOP %",
    "mu": "μ",
    "cosine": "cos(g_n, g_a)",
    "sample_mu": "μ of samples",
    "sample_cosine": "cos(g_n, g_a) of samples",
    "sample_opposed": "opposed samples %",
    "sample_turned": "turned samples %",
    "masking": "signs of masking",
    "residual_similarity": "sim(Δx, Δ̂x)",
    "residual_target_share": "x̂' of target class %",
    "residual_length_ratio": "median ‖Δ̂x‖₂ / nearest's",
    "residual_energy": "energy distance of x̂'",
    "residual_cycle": "median ‖x̂'' − x‖ / ‖x̂' − x‖",
    "residual_norm": "median ‖Δ̂x‖₂",
    "residual_grid": "residuals to every class",
    "gradients": "sim(Δx, ∇ℓ) of samples that are shown",
    "alpha_dx_other": "α_Δx of other classes",
    "linearity": "r² of linear and attacked radius",
    "theorems": "error of Theorem 1",
    "boundary": "distance along random directions",
    "landscape": "rise of the loss along a direction of the weights",
    "conflict_growth": "slope of log μ in log δ",
    "embedding": "silhouette of g_n against g_a",
    "descent": "steps that keep the promise %",
    "layer_cosine": "mean cos(g_n, g_a) of layers",
    "conflict_course": "μ, last epoch",
    "training_curve": "loss, last epoch",
    "epoch_cost": "seconds per epoch",
}
"""Titles of the kinds, in the order in which they stand in tables."""
SHARES = (
    "accuracy",
    "robust_accuracy",
    "gop_frequency",
    "sample_opposed",
    "sample_turned",
    "residual_target_share",
    "descent",
)
"""Kinds that are printed in per cent."""
UNDER_ATTACK = ("accuracy", "robust_accuracy")
"""Kinds that are an accuracy at a strength, where there is an attack: read off a search, or of the attack alone."""
RADII = ("epsilon50", "tau50")
"""Kinds whose outcome is a radius per sample."""


@dataclass(frozen=True, eq=False)
class Quantity:
    """What was measured, with all that its value depends on beside the subject.

    Attributes:
        kind: one of `KINDS`.
        attack: name in `eval.attacks.ATTACKS`, a path such as `package.module:attack`, or `WORST`; empty without.
        norm: of the ball; empty without.
        settings: plain values.
        epsilon: strength at which an accuracy under attack is meant, as written; empty for none.
    """

    kind: str
    attack: str = ""
    norm: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    epsilon: str = ""

    @cached_property
    def key(self) -> str:
        """The digest of all of it."""
        return digest([self.kind, self.attack, self.norm, self.settings, self.epsilon])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def name(self) -> str:
        """For files and for users of pandas, such as "epsilon50_pgd_linf"; several quantities may share it."""
        return "_".join(part for part in (self.kind, self.attack, self.norm.lower(), self.epsilon) if part)

    @property
    def title(self) -> str:
        """For tables and plots, such as "ε50% PGD L∞"; several quantities may share it, see `titles`.

        Example:
            >>> Quantity("epsilon50", "square", "L2").title, Quantity("tau50", "sta").title
            ('ε50% Square L2', 'τ50% STA')
            >>> Quantity("accuracy", "autoattack", "Linf", epsilon="8/255").title
            'AutoAttack L∞ 8/255 %'
            >>> Quantity("robust_accuracy", "autoattack", "Linf", epsilon="8/255").title
            'accuracy under AutoAttack L∞ 8/255 %'
        """
        if not self.attack:
            return KINDS.get(self.kind, self.kind)
        if self.kind in UNDER_ATTACK:
            told = "accuracy under " if self.kind == "robust_accuracy" else ""
            return f"{told}{self.attack_title} {self.epsilon} %"
        return f"{KINDS[self.kind]} {self.attack_title}"

    def title_with(self, keys: Collection[str]) -> str:
        """The title, with some of the settings in brackets, as far as it has them."""
        words = told(self.settings, keys)
        return f"{self.title} ({words})" if words else self.title

    @property
    def attack_title(self) -> str:
        """The attack and its norm, such as "PGD L∞"."""
        known = {name: attack.title for name, attack in ATTACKS.items()} | {WORST: "worst of all"}
        title = known.get(self.attack) or self.attack.rpartition(":")[2]
        return f"{title} {NORMS.get(self.norm, self.norm)}".rstrip()

    @property
    def rank(self) -> tuple[Any, ...]:
        """Place among the columns: accuracy, radii attack by attack, accuracies under attack, alignment, the rest."""
        group = 2 * bool(self.attack) if self.kind in UNDER_ATTACK else 1 if self.kind in RADII else 3
        if self.attack:
            place = (_index(self.attack, [*ATTACKS, WORST]), _index(self.norm, [*NORMS]))
        else:
            place = (_index(self.kind, [*KINDS]), 0)
        return (group, *place, self.name, self.key)

    def at(self, epsilon: str) -> "Quantity":
        """The accuracy under the same attack at a strength."""
        return Quantity("accuracy", self.attack, self.norm, self.settings, epsilon)


def _index(name: str, names: list[str]) -> int:
    return names.index(name) if name in names else len(names)


def titles(quantities: Iterable[Quantity]) -> dict[Quantity, str]:
    """A title for each of several quantities; those that share one say which settings tell them apart.

    Example:
        >>> pair = [Quantity("epsilon50", "pgd", "Linf", {"steps": steps}) for steps in (10, 40)]
        >>> list(titles(pair).values())
        ['ε50% PGD L∞ (steps 10)', 'ε50% PGD L∞ (steps 40)']
    """
    chosen = list(dict.fromkeys(quantities))
    named: dict[Quantity, str] = {}
    for quantity in chosen:
        rivals = [other for other in chosen if other.title == quantity.title]
        keys = keys_apart(quantity.settings, [other.settings for other in rivals])
        named[quantity] = quantity.title_with(keys)
    return named


def differences(settings: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> str:
    """The settings that tell these from each of the others, with their values here.

    Example:
        >>> differences({"steps": 3}, [{"steps": 4}]), differences({"a": 1, "decay": 2}, [{"a": 1}])
        ('steps 3', 'decay 2')
        >>> differences({"class_path": "torch.optim.Adam"}, [{"class_path": "torch.optim.SGD"}])
        'Adam'
    """
    return told(settings, keys_apart(settings, others))


def keys_apart(settings: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> set[str]:
    """The keys, with dots, of the settings that tell these from each of the others."""
    flat = flattened(settings)
    return {key for other in others for key in _apart(flat, flattened(other))}


def told(settings: Mapping[str, Any], keys: Collection[str]) -> str:
    """Some settings with their values.

    Example:
        >>> told({"steps": 3, "ball": {"norm": "L2"}, "seed": 0}, {"ball.norm", "steps"})
        'steps 3, norm L2'
    """
    flat = flattened(settings)
    return ", ".join(_told(key.rpartition(".")[2], flat[key]) for key in flat if key in keys)


def _told(key: str, value: Any) -> str:
    """A setting with its value, of six digits where it is a number; a class by its name."""
    if key == "class_path":
        return str(value).rpartition(".")[2]
    if value is None:
        return f"{key} none"
    return f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {value}"


def _apart(flat: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What tells one from another: values that differ, digests last, else what the other lacks."""
    shared = [key for key in flat if key in other and other[key] != flat[key]]
    readable = [key for key in shared if not key.endswith("digest")]
    return readable or shared or [key for key in flat if key not in other]


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings within settings as one level, with dots.

    Example:
        >>> flattened({"a": {"b": 1}, "c": [2]})
        {'a.b': 1, 'c': [2]}
    """
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value.keys() >= {"value", "written"}:
            flat[f"{prefix}{key}"] = value["written"]
        elif isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = plain(value)
    return flat
