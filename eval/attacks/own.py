"""An attack of a user's, by the dotted path of the function that it is."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from alignment.contracts import check_choice
from eval.attacks.options import GIVEN, check_call
from eval.attacks.suite import ATTACKS, SuiteAttack
from training.attacks import Distance
from training.data.foreign.dotted import imported


def check_attack_name(name: str, argument: str) -> None:
    """Refuse a name of no attack; `package.module:attack` is imported, and known by that name from then on.

    Args:
        name: in `ATTACKS`, or a path, of which the current folder is importable. It names an `Attack`, or a
            `SuiteAttack` that says more of one: its norms, or that it takes no strength.
        argument: that holds it, for messages.

    Raises:
        ValueError: if it is neither, cannot be imported, or cannot be called as an attack is.
    """
    if ":" in name and name not in ATTACKS:
        ATTACKS[name] = _own(name, argument)
    check_choice(name, tuple(ATTACKS), argument)


def _own(path: str, argument: str) -> SuiteAttack:
    """The entry of an attack; in tables it has the last part of its path as title, which a record tells alone."""
    found, title = imported(path, argument), path.rpartition(":")[2]
    entry = found if isinstance(found, SuiteAttack) else SuiteAttack(title, found)
    given = GIVEN[:-1] if entry.minimal else GIVEN
    norm: Distance | None = (entry.norms or (None,))[0]
    check_call(entry.attack, *given, norm=norm, bounds=(0.0, 1.0))
    return replace(entry, title=title, source=_source_digest(entry.attack))


def _source_digest(attack: Callable[..., Any]) -> str:
    """Of the file that holds the function, so that what an edited one finds is another number."""
    function = attack.func if isinstance(attack, partial) else attack
    try:
        file = inspect.getsourcefile(function if inspect.isroutine(function) else type(function))
    except TypeError:  # of a module in C
        file = None
    return sha256(Path(file).read_bytes()).hexdigest()[:16] if file else ""
