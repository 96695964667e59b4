"""What jsonargparse refuses, in one sentence with the nearest name."""

import re
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path

from alignment.spelling import did_you_mean, listed

UNSAID = (
    "usage:", "tip:", "Subtypes:", "Errors:", "Does not validate", "Given value", "Expected a <class 'NoneType'>",
    "See `",
)  # fmt: skip
"""How the lines begin in which it explains its own working."""


UNION = "Does not validate against any of the Union subtypes"
"""How jsonargparse begins where what it was to build has refused its arguments."""


def one_sentence(message: str) -> str:
    r"""A parser's message without its usage and its tree of types.

    Example:
        >>> one_sentence('usage: x [-h]\ntip: see\nParser key "limit":\n  Expected a number.\n')
        'Parser key "limit": Expected a number.'
    """
    lines = (line.strip(" -") for line in message.splitlines())
    return " ".join(line for line in lines if line and not line.startswith(UNSAID))


def sentence(message: str, keys: Iterable[str]) -> str:
    """What a parser refuses, with the nearest name where a name is not known.

    Args:
        message: jsonargparse's.
        keys: names of all options of the parser.

    Example:
        >>> sentence("Group 'model' does not accept option 'netwrok'", ["model.network", "data"])
        "`model` has no option 'netwrok'. Did you mean 'network'?"
        >>> sentence("unrecognized arguments: --lmit 3", ["limit"])
        'There is no option --lmit. Did you mean --limit?'
    """
    told = re.sub(r"\.? See `[^`]* --help`", "", one_sentence(message)).rstrip(".")  # of a parser inside this one
    for pattern, say in SAYINGS:
        if found := re.search(pattern, told):
            return say(found, [*keys])
    return f"{told}."


def _unknown_option(found: re.Match[str], keys: list[str]) -> str:
    name = found[1]
    return f"There is no option {name}.{did_you_mean(name, [f'--{key}' for key in keys])}".replace("'", "")


def _unknown_key(found: re.Match[str], keys: list[str]) -> str:
    group, name = found[1], found[2].split(".")[0]
    inside = [key.removeprefix(f"{group}.").split(".")[0] for key in keys if key.startswith(f"{group}.")]
    return f"`{group}` has no option {name!r}.{did_you_mean(name, inside)}"


def _unknown_top(found: re.Match[str], keys: list[str]) -> str:
    name = found[1].split(".")[0]
    return f"There is no option {name!r}.{did_you_mean(name, {key.split('.')[0] for key in keys})}"


def _unknown_inner(found: re.Match[str], keys: list[str]) -> str:
    """What the parser of a class's arguments has said already."""
    end = "" if found[2].endswith("?") else "."
    return f"`{found[1]}` has no option {found[2]}{end}"


def _unknown_class(found: re.Match[str], keys: list[str]) -> str:
    module, _, name = found[1].rpartition(".")
    try:
        known = dir(import_module(module)) if module else []
    except ImportError:
        return f"There is no class {found[1]!r}: no module {module!r} can be imported."
    near = did_you_mean(name, [one for one in known if one[:1].isupper()])
    return f"There is no class {found[1]!r}.{near}"


def _not_among(found: re.Match[str], keys: list[str]) -> str:
    names = re.findall(r"'([^']*)'", found[2])
    return (
        f"`{found[1]}` should be one of {listed(found[3], names)}. Found {found[3]!r}.{did_you_mean(found[3], names)}"
    )


def _no_data_set(found: re.Match[str], keys: list[str]) -> str:
    known = import_module("training.data").__all__
    near = did_you_mean(found[1], known) or " Others are Digits and ImageFolders."
    return f"`--data` should name a data set. Found {found[1]!r}.{near}"


def _no_file(found: re.Match[str], keys: list[str]) -> str:
    file = Path(found[1])
    return f"{file}: no such file."


SAYINGS: Sequence[tuple[str, Callable[[re.Match[str], list[str]], str]]] = (
    (r"unrecognized arguments: (--[^\s=]+)", _unknown_option),
    (r"Group '([^']+)' does not accept option '([^']+)'", _unknown_key),
    (r"Parser key \"([^\"]+)\".*There is no option ('[^']+'.*)$", _unknown_inner),
    (r"Option '([^']+)' is not accepted", _unknown_top),
    (r"Problem with given class_path '([^']+)': module '[^']+' has no attribute", _unknown_class),
    (r"Problem with given class_path '([^']+)': No module named", _unknown_class),
    (r"Parser key \"([^\"]+)\".*Expected a typing\.Literal\[(.*?)\]\. Got value: (\S+?)\.?$", _not_among),
    (r"Expected a dot import path string: (\w+)$", _no_data_set),
    (r"File does not exist: '([^']+)'", _no_file),
)
"""What jsonargparse says, and what is said in its place."""
