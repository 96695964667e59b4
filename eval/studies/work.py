"""Work that an engine does; a piece that fails leaves the others."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import count

from eval.progress import shown
from eval.progress.together import Together
from eval.studies.engines.engine import Crew, Engine
from eval.studies.tasks import Done, Parts, Task, all_survived


def all_done(tasks: Sequence[Task], title: str, engine: Engine, unit: str = "model") -> dict[str, Done]:
    """Do some work, and return what came of each model.

    Args:
        tasks: the work.
        title: shown with its progress.
        engine: does it.
        unit: what its models are called.
    """
    done: dict[str, Done] = {}
    if not tasks:
        return done  # no cluster is joined or started for nothing
    work = Together(title, sum(len(task.names) for task in tasks), unit)
    with engine.crew() as crew, shown(work, partial(work.read, crew.told)):
        for name, model in _finished(tasks, crew):
            done[name] = model
            work.done += 1
            work.repeated += not model.new
    return done


def _finished(tasks: Sequence[Task], crew: Crew) -> Iterator[tuple[str, Done]]:
    """Models, when all of their parts are done."""
    left, parts, numbers = deque(tasks), Parts(), count()
    waiting: dict[int, Task] = {}
    while left or waiting:
        room = len(left) if crew.most is None else crew.most - len(waiting)
        sent = {next(numbers): left.popleft() for _ in range(min(room, len(left)))}
        waiting |= sent
        crew.send(sent)
        for number, result in crew.ended():
            found: Mapping[str, Done] = all_survived(Task(waiting.pop(number).names, result))
            left.extend(task for part in found.values() for task in part.rest)
            yield from parts.add(found)
