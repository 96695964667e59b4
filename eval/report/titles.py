"""How measurements are called in tables and plots, and in which order they stand."""

from eval.attacks import ATTACKS

NORMS = {"linf": "L∞", "l2": "L2", "l1": "L1"}
PLAIN = {
    "accuracy": "accuracy %",
    "alpha_dx": "α_Δx",
    "alpha_x": "α_x",
    "gop_frequency": "GOP %",
    "mu": "μ",
    "cosine": "cos(g_n, g_a)",
    "masking": "signs of masking",
    "residual_similarity": "sim(Δx, Δ̂x)",
    "residual_target_share": "x̂' of target class %",
    "residual_norm": "median ‖Δ̂x‖₂",
}


def title(measurement: str) -> str:
    """Such as "ε50% PGD L∞" for "epsilon50_pgd_linf"; what is not known is called by its own name.

    Example:
        >>> title("epsilon50_square_l2"), title("tau50_sta"), title("accuracy_autoattack_linf_8/255"), title("new")
        ('ε50% Square L2', 'τ50% STA', 'AutoAttack L∞ 8/255 %', 'new')
    """
    kind, _, rest = measurement.partition("_")
    if kind == "tau50" and rest in ATTACKS:
        return f"τ50% {ATTACKS[rest].title}"
    if kind == "epsilon50" and (found := _attack_and_norm(rest)):
        return f"ε50% {found}"
    if kind == "accuracy" and rest:
        attacked, _, epsilon = rest.rpartition("_")
        if found := _attack_and_norm(attacked):
            return f"{found} {epsilon} %"
    return PLAIN.get(measurement, measurement)


def rank(measurement: str) -> tuple[int, int, int, str]:
    """Place among the columns: accuracy, strengths attack by attack, accuracies under attack, alignment, the rest."""
    kind, _, rest = measurement.partition("_")
    attack = next((name for name in (rest, *_cut(rest)) if name in ATTACKS or name == WORST), None)
    place = [*ATTACKS, WORST].index(attack) if attack else 0
    norm = next((i for i, name in enumerate(NORMS) if f"_{name}" in rest), 0)
    if measurement in PLAIN:
        return (0 if measurement == "accuracy" else 3 + [*PLAIN].index(measurement), 0, 0, "")
    if kind in ("epsilon50", "tau50", "accuracy") and attack:
        return (2 if kind == "accuracy" else 1, place, norm, measurement)
    return (99, 0, 0, measurement)


WORST = "worst"
"""Stands for the strongest of all attacks, sample by sample."""


def _attack_and_norm(text: str) -> str | None:
    attack, _, norm = text.rpartition("_")
    if norm not in NORMS or not (attack in ATTACKS or attack == WORST):
        return None
    return f"{'worst of all' if attack == WORST else ATTACKS[attack].title} {NORMS[norm]}"


def _cut(text: str) -> list[str]:
    """The text without its last word, without its last two words, and so on."""
    words = text.split("_")
    return ["_".join(words[:end]) for end in range(len(words) - 1, 0, -1)]
