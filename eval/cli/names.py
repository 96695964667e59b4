"""Names that options take, as they stand in the sources: data sets, networks, attacks, norms and figures."""

import ast
from collections.abc import Callable, Mapping

from eval.cli.reading import ROOT, keys_of, tree_of

BASES = ("DataSet", "FilesOfSplits", "ItemData")
"""What data sets are made from."""


def data_sets() -> list[str]:
    """Names of data sets, for `--data`."""
    modules = {
        alias.name: f"{node.module.replace('.', '/')}.py"
        for node in ast.walk(tree_of("training/data/__init__.py"))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    known = {*BASES}
    for _ in range(2):  # some are made from others
        known |= {name for name, file in modules.items() if known & _bases(file, name)}
    return sorted(known - {*BASES, "GivenData"})


def networks() -> list[str]:
    """Networks of ours, for `--network`."""
    return keys_of("training/networks/ours.py", "NETWORKS")


def attacks() -> list[str]:
    """Attacks, for `--attacks`."""
    return keys_of("eval/attacks/suite.py", "ATTACKS")


def norms() -> list[str]:
    """Norms, for `--norms`."""
    return keys_of("eval/records/quantity.py", "NORMS")


def figures() -> list[str]:
    """Figures that can be measured of a model, for `--figures`; each lies in the file of its name."""
    return [file.stem for file in sorted((ROOT / "eval/figures").glob("*.py")) if _is_measured(file.name)]


NAMED: Mapping[str, Callable[[], list[str]]] = {
    "data": data_sets,
    "network": networks,
    "attacks": attacks,
    "norms": norms,
    "figures": figures,
}
"""By the options that take them."""


def known_names(option: str) -> list[str]:
    """Names that an option takes; none where it takes anything."""
    return NAMED[option]() if option in NAMED else []


def _bases(file: str, name: str) -> set[str]:
    classes = [node for node in tree_of(file).body if isinstance(node, ast.ClassDef) and node.name == name]
    return {base.id for node in classes for base in node.bases if isinstance(base, ast.Name)}


def _is_measured(file: str) -> bool:
    calls = [
        node
        for node in ast.walk(tree_of(f"eval/figures/{file}"))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "FigureKind"
    ]
    return any("no_measurement" not in {getattr(given, "id", "") for given in call.args} for call in calls)
