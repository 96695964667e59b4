"""What is measured of a classifier: numbers for the tables of models, and figures."""

from collections.abc import Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, Literal, get_args

from alignment.contracts import check_choice
from eval.figures import FIGURES
from eval.figures.kind import no_measurement
from eval.records import standard_measurements
from eval.records.manifold import manifold_measurements
from eval.records.outcome import Measurement

Only = Literal["all", "accuracy", "figures"]
DEFAULT_FIGURES = ("gradients",)
"""Drawn for every classifier whose page is written, where nobody names figures: they cost next to nothing."""


def all_measurements(
    figures: Sequence[str] | None = None,
    figure_options: Mapping[str, Mapping[str, Any]] | None = None,
    only: Only = "all",
    score: str | Mapping[str, Any] | None = None,
    tangent: bool | dict[str, Any] = False,
    **standard: Any,
) -> list[Measurement]:
    """The measurements of `standard_measurements`, and those that figures are drawn from.

    Args:
        figures: by name. See `eval.figures.FIGURES`; if not given `DEFAULT_FIGURES`, and with only="accuracy" none.
        figure_options: what they take, by name.
        only: "figures" for figures alone; else see `standard_measurements`.
        score: checkpoint of a `generators.Denoiser`: measure the cosine of the gradient with the data's score, see
            `eval.records.manifold.ScoreAlignment`.
        tangent: measure the share of the gradient in the tangent space of the data, see
            `eval.records.manifold.TangentShare`; true, or its options as `{neighbours: 32, dimensions: 8}`.
        standard: what `standard_measurements` takes; figures that take `residual` have it from there.

    Raises:
        ValueError: if there is no such figure, it is drawn from a training's log, it lacks an option, or options are
            given for one that is not among `figures`; and as `standard_measurements`.
    """
    check_choice(only, get_args(Only), "only")
    figures = figures if figures is not None else () if only == "accuracy" else DEFAULT_FIGURES
    if isinstance(figures, str) or not isinstance(figures, Sequence):
        raise ValueError(f"`figures` should be a list, such as [{figures}]. Found {figures!r}.")
    given = dict(figure_options or {})
    for name in figures:
        check_choice(name, tuple(FIGURES), "figures")
        _check_measured(name)
    for name in given:
        check_choice(name, tuple(figures), "figure_options")
    found = [] if only == "figures" else standard_measurements(only=only, **standard)
    if only != "all" and (score is not None or tangent is not False):
        raise ValueError(f"`score` and `tangent` should be left out with only={only!r}, which measures neither.")
    found += manifold_measurements(score, tangent, standard.get("candidates"))
    for name in figures:
        found += [m for m in _of_figure(name, given.get(name, {}), standard) if m not in found]
    return found


DEFAULTS = {
    name: parameter.default
    for of in (standard_measurements, all_measurements)
    for name, parameter in signature(of).parameters.items()
    if name != "standard"
}
"""What `all_measurements` takes, with the values where none are given."""


def _of_figure(name: str, options: Mapping[str, Any], standard: Mapping[str, Any]) -> Sequence[Measurement]:
    make = FIGURES[name].measurements
    known = signature(make).parameters
    shared = {key: standard[key] for key in ("residual", "candidates", "seed") if key in standard and key in known}
    for key in options:
        check_choice(key, tuple(known), f"figure_options, {name}")
    given = shared | dict(options)
    if lacking := [key for key, one in known.items() if one.default is Parameter.empty and key not in given]:
        raise ValueError(
            f"`figure_options` should hold {', '.join(lacking)} for {name}, such as "
            f"{{{name}: {{{lacking[0]}: 8/255}}}}. Found {dict(options) or 'none'}."
        )
    return make(**given)


def _check_measured(name: str) -> None:
    if FIGURES[name].measurements is no_measurement:
        raise ValueError(
            f"`figures` should leave out {name}, which is not measured: it is drawn from what a training logged, by "
            f"every `alphadx study` whose models log it. Found {name}."
        )
