"""What is wrong in the trainings of a study, before the first of them begins."""

from collections.abc import Mapping
from typing import Any

from alignment.spelling import did_you_mean, listed
from eval.fit import FitCLI
from eval.fit.parsing import Refused
from eval.studies.grid import ModelCell
from eval.studies.overlay import with_first
from eval.studies.plan import Study
from training.networks.ours import NETWORKS


class Parsing(FitCLI):
    """Parses configurations, and makes nothing of them."""

    def before_instantiate_classes(self) -> None:
        """Nothing is made."""

    def instantiate_classes(self) -> None:
        """Nothing is made."""

    def _set_seed(self) -> None:
        """Nothing is drawn."""


def check_trainings(study: Study) -> None:
    """Refuse configurations of classifiers that name what does not exist.

    Args:
        study: whose cells hold them; those that differ in numbers alone are looked at once.

    Raises:
        ValueError: with the study, the data set, the recipe and the nearest name.
    """
    known: Parsing | None = None
    seen: set[str] = set()
    for cell in study.cells:
        if isinstance(cell, ModelCell) and (form := repr(_form(cell.fit))) not in seen:
            seen.add(form)
            whole = with_first(cell.fit, lambda name: f"{name}.ckpt")
            try:
                _check_network(whole)
                if known is None:
                    known = Parsing(whole)
                else:
                    known.parser.parse_object(whole)
            except Refused as error:
                raise Refused(f"{study.name}, {cell.model.data}, {cell.model.recipe}: {error}") from error


def _form(value: Any) -> Any:
    """A configuration without its numbers."""
    if isinstance(value, Mapping):
        return {key: _form(item) for key, item in value.items()}
    return 0 if isinstance(value, int | float) else value


def _check_network(configuration: Mapping[str, Any]) -> None:
    model = configuration.get("model")
    name = str(model.get("network", "mlp")) if isinstance(model, Mapping) else "mlp"
    if name.isidentifier() and name not in NETWORKS:
        near = did_you_mean(name, NETWORKS)
        raise Refused(f"`network` should be one of {listed(name, NETWORKS)}. Found {name!r}.{near}")
