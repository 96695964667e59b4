"""Every public function that takes samples, strengths or gradients, with one argument after the other wrong."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from alignment import (
    AlphaDx,
    AlphaX,
    alignment_penalty,
    alpha_dx,
    alpha_dx_other_classes,
    alpha_x,
    closest_class,
    cosine_similarity,
    gradient_norm_penalty,
    input_gradient,
    linearised_radii,
)
from eval import (
    critical_radii,
    masking_signs,
    measure,
    median_interval,
    minimal_radii,
    robust_accuracy,
    spatial_attack,
    square_attack,
)
from training import AGR, AT, CAAT, CLP, MART, TRADES, AvMixup, Strength, WeightedSum, pgd

SAMPLES, CLASSES = 5, 3
Call = Callable[[], Any]


class Wrong(nn.Module):
    """A classifier whose output is spoilt."""

    def __init__(self, network: nn.Module, spoil: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.network, self.spoil = network, spoil

    def forward(self, x: Tensor) -> Any:
        """What is left of the logits."""
        return self.spoil(self.network(x))


def network() -> nn.Module:
    """A linear classifier of 1×4×4 inputs."""
    return nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES))


def inputs(x: Tensor) -> dict[str, Any]:
    """Inputs that are wrong, or only look so."""
    holed, endless = x.clone(), x.clone()
    holed[0, 0, 0, 0], endless[1] = float("nan"), float("inf")
    with torch.inference_mode():
        inference = x.clone()
    return {
        "NaN": holed,
        "infinite": endless,
        "outside the bounds": x + 3,
        "whole numbers": (x * 255).long(),
        "bytes": (x * 255).byte(),
        "booleans": x > 0.5,
        "complex": x.to(torch.complex64),
        "half": x.half(),
        "double": x.double(),
        "numpy": x.numpy(),
        "a list": x.tolist(),
        "None": None,
        "a number": torch.tensor(1.0),
        "one dimension": x.flatten()[:SAMPLES],
        "another shape": torch.rand(SAMPLES, 1, 5, 5),
        "too few": x[:2],
        "sparse": x.flatten(1).to_sparse(),
        "without values": x.to("meta"),
        "expanded": x[:1].expand(SAMPLES, 1, 4, 4),
        "transposed": x.transpose(2, 3).contiguous().transpose(2, 3),
        "a variable": x.clone().requires_grad_(),
        "an inference tensor": inference,
    }


def labels(y: Tensor) -> dict[str, Any]:
    """Labels that are wrong."""
    return {
        "negative": y - 3,
        "too high": y + 3,
        "fractions": y + 0.5,
        "floats": y.float(),
        "int32": y.int(),
        "bytes": y.byte(),
        "booleans": y > 0,
        "too few": y[:3],
        "too many": torch.cat([y, y]),
        "a column": y[:, None],
        "one-hot": torch.eye(CLASSES)[y],
        "numpy": y.numpy(),
        "a list": y.tolist(),
        "None": None,
        "a number": y[0],
        "a word": "cat",
    }


def classifiers(model: nn.Module) -> dict[str, Any]:
    """Classifiers that are wrong, or no classifiers."""
    return {
        "NaN": Wrong(model, lambda logits: logits * float("nan")),
        "a dict": Wrong(model, lambda logits: {"scores": logits}),
        "one output": Wrong(model, lambda logits: logits[:, :1]),
        "no classes": Wrong(model, lambda logits: logits[:, 0]),
        "whole numbers": Wrong(model, lambda logits: logits.long()),
        "one sample": Wrong(model, lambda logits: logits[:1]),
        "detached": Wrong(model, lambda logits: logits.detach()),
        "a map of logits": Wrong(model, lambda logits: logits[:, :, None]),
        "nothing": Wrong(model, lambda logits: None),
        "double": network().double(),
        "None": None,
        "a function": lambda x: model(x),
        "a class": network,
    }


NUMBERS = {
    "negative": -0.1,
    "NaN": float("nan"),
    "infinite": float("inf"),
    "a word": "large",
    "None": None,
    "a list": [],
}
INTERVALS = {
    "turned": (1, 0),
    "empty": (0, 0),
    "NaN": (float("nan"), 1),
    "a number": 1,
    "None": None,
    "three": (0, 1, 2),
    "words": ("a", "b"),
}
COUNTS = {"zero": 0, "negative": -1, "half": 2.5, "a word": "many", "None": None}


def on_samples(model: Any, x: Any, y: Any, bounds: Any = (0, 1), epsilon: Any = 0.1) -> dict[str, Call]:
    """What takes a classifier and samples, by name."""
    r = torch.linspace(-1, 1, SAMPLES * 16).reshape(SAMPLES, 1, 4, 4)
    target = torch.zeros(SAMPLES, dtype=torch.int64)

    def estimator(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        return r[: len(x)]

    def metric(made: Any) -> Any:
        made.update(model, x, y)
        return made.compute()

    def far(model: nn.Module, x: Tensor, y: Tensor, /, *, bounds: Any, **_: Any) -> Tensor:
        return torch.full_like(x, bounds[1])

    quick = partial(pgd, steps=2)
    return {
        "closest_class": lambda: closest_class(model, x, y),
        "alpha_dx of a tensor": lambda: alpha_dx(model, x, y, r, target=target),
        "alpha_dx of an estimator": lambda: alpha_dx(model, x, y, estimator),
        "alpha_x": lambda: alpha_x(model, x, y, of="true"),
        "alpha_dx_other_classes": lambda: alpha_dx_other_classes(model, x, y, estimator),
        "alignment_penalty": lambda: alignment_penalty(model, x, y, estimator),
        "gradient_norm_penalty": lambda: gradient_norm_penalty(model, x, y),
        "input_gradient": lambda: input_gradient(model, x, y),
        "linearised_radii": lambda: linearised_radii(model, x, y),
        "AlphaDx": lambda: metric(AlphaDx(estimator)),
        "AlphaX": lambda: metric(AlphaX(of="true")),
        "pgd": lambda: pgd(model, x, y, epsilon, steps=2, bounds=bounds),
        "square_attack": lambda: square_attack(
            model, x, y, epsilon, queries=3, bounds=bounds, generator=torch.Generator().manual_seed(0)
        ),
        "spatial_attack": lambda: spatial_attack(model, x, y, epsilon, iterations=2, bounds=bounds),
        "critical_radii": lambda: critical_radii(model, [(x, y)], quick, resolution=0.2, bounds=bounds),
        "minimal_radii": lambda: minimal_radii(model, [(x, y)], far, bounds=bounds),
        "robust_accuracy": lambda: robust_accuracy(model, [(x, y)], quick, epsilon, bounds=bounds),
        "masking_signs": lambda: masking_signs(
            model, [(x, y)], epsilon=epsilon, steps=2, black_box=partial(square_attack, queries=3), bounds=bounds
        ),
        "measure": lambda: measure(
            model,
            (x, y),
            bounds=bounds,
            attacks=["pgd"],
            norms=["Linf"],
            steps=2,
            resolution=0.2,
            curve_resolution=None,
            masking=False,
            say=lambda sentence: None,
        ),
    }


def cases() -> Iterator[tuple[str, str, Call]]:
    """The function, what is wrong, and the call."""
    torch.manual_seed(0)
    model, x, y = network(), torch.rand(SAMPLES, 1, 4, 4), torch.arange(SAMPLES) % CLASSES
    wrong = (
        [("", (model, x, y))]
        + [(f"x: {name}", (model, value, y)) for name, value in inputs(x).items()]
        + [(f"y: {name}", (model, x, value)) for name, value in labels(y).items()]
        + [(f"classifier: {name}", (value, x, y)) for name, value in classifiers(model).items()]
        + [(f"bounds: {value}", (model, x, y, value)) for value in INTERVALS.values()]
        + [(f"epsilon: {value}", (model, x, y, (0, 1), value)) for value in NUMBERS.values()]
    )
    for what, arguments in wrong:
        for function, call in on_samples(*arguments).items():
            takes_strength = function in (
                "pgd",
                "square_attack",
                "spatial_attack",
                "robust_accuracy",
                "masking_signs",
            )
            takes_bounds = takes_strength or function in ("critical_radii", "minimal_radii", "measure")
            if (what.startswith("bounds") and not takes_bounds) or (what.startswith("eps") and not takes_strength):
                continue
            yield function, what, call
    yield from _of_attacks(model, x, y)
    yield from _of_objectives()
    yield from _of_combiners()
    for name, value in {**NUMBERS, "a fraction of nothing": "1/0", "two slashes": "1/2/3"}.items():
        yield "Strength", name, partial(Strength, value)
    for name, value in {"other shape": x[:, :, :2], "int": x.long(), "NaN": x * float("nan"), "None": None}.items():
        yield "cosine_similarity", f"v: {name}", partial(cosine_similarity, x, value)
    for name, pair in {
        "lengths": ([1.0], [1.0, 2.0]),
        "order": ([2.0], [1.0]),
        "none": ([], []),
        "NaN": ([float("nan")], [1.0]),
    }.items():
        yield "median_interval", name, partial(median_interval, *pair)


def _of_attacks(model: nn.Module, x: Tensor, y: Tensor) -> Iterator[tuple[str, str, Call]]:
    attack = partial(pgd, model, x, y, 0.1, bounds=(0, 1))
    for option in ("steps", "restarts"):
        for name, value in COUNTS.items():
            yield "pgd", f"{option}: {name}", partial(attack, **{option: value})
    for name, value in NUMBERS.items():
        if value is not None:
            yield "pgd", f"step_size: {name}", partial(attack, steps=2, step_size=value)
        yield "pgd", f"momentum: {name}", partial(attack, steps=2, momentum=value)
    for option in ("norm", "loss"):
        for name, value in {"a typo": "linf", "a number": 2, "None": None}.items():
            yield "pgd", f"{option}: {name}", partial(attack, steps=2, **{option: value})
    for name, value in COUNTS.items():
        yield (
            "square_attack",
            f"queries: {name}",
            partial(square_attack, model, x, y, 0.1, bounds=(0, 1), queries=value),
        )
        yield (
            "spatial_attack",
            f"iterations: {name}",
            partial(spatial_attack, model, x, y, 0.1, bounds=(0, 1), iterations=value),
        )
    for name, value in {**NUMBERS, "zero": 0}.items():
        yield (
            "critical_radii",
            f"resolution: {name}",
            partial(critical_radii, model, [(x, y)], partial(pgd, steps=2), bounds=(0, 1), resolution=value),
        )
    for name, value in {
        "none": [],
        "a tensor": x,
        "a dict": {"x": x},
        "None": None,
        "no labels": [(x,)],
        "a number": 3,
    }.items():
        yield (
            "critical_radii",
            f"batches: {name}",
            partial(critical_radii, model, value, partial(pgd, steps=2), bounds=(0, 1)),
        )


def _of_objectives() -> Iterator[tuple[str, str, Call]]:
    for objective in (AT, TRADES, MART, CLP, AvMixup):
        for name, value in NUMBERS.items():
            yield objective.__name__, f"epsilon: {name}", partial(objective, epsilon=value)
        for name, value in COUNTS.items():
            yield objective.__name__, f"steps: {name}", partial(objective, epsilon=Strength("0.1"), steps=value)
        yield objective.__name__, "norm: a typo", partial(objective, epsilon=Strength("0.1"), norm="l2")


def _of_combiners() -> Iterator[tuple[str, str, Call]]:
    g = [torch.ones(2, 3), torch.ones(4)]
    for name, value in {**NUMBERS, "two": 2.0}.items():
        yield "CAAT", f"gamma: {name}", partial(CAAT, gamma=value)
        if value not in (None, 2.0):
            yield "AGR", f"clip_norm: {name}", partial(AGR, clip_norm=value)
        yield "WeightedSum", f"weights: {name}", partial(WeightedSum, {"clean": value})
    wrong = {
        "one list": {"clean": g},
        "lengths differ": {"clean": g, "adversarial": g[:1]},
        "shapes differ": {"clean": g, "adversarial": g[::-1]},
        "NaN": {"clean": g, "adversarial": [part * float("nan") for part in g]},
        "names": {"a": g, "b": g},
        "empty": {},
        "no dict": g,
        "None": None,
    }
    for combiner in (AGR(), CAAT(), WeightedSum({"clean": 0.5, "adversarial": 0.5})):
        for name, gradients in wrong.items():
            yield type(combiner).__name__, f"gradients: {name}", partial(combiner, gradients)


def outcome(call: Call) -> dict[str, Any]:
    """What becomes of a call: the values that it returns, or the error with its notes."""
    started = time.perf_counter()
    try:
        found = {"returned": repr(call())}
    except Exception as error:
        notes = " ".join(getattr(error, "__notes__", ()))
        found = {"raised": type(error).__name__, "said": str(error), "notes": notes}
    return found | {"seconds": time.perf_counter() - started}
