"""The libraries are loaded early for other processes where `study` may want some, and not where it will not."""

import signal

import pytest

from eval.studies import starting


@pytest.mark.parametrize(
    ("options", "early"),
    [
        (["quick"], True),
        (["quick", "--jobs", "12"], True),
        (["jobs", "--jobs=2"], True),
        (["quick", "--jobs", "1"], False),
        (["quick", "--jobs=1", "--quiet"], False),
        (["quick", "--ray=auto"], False),
        (["quick", "--slurm", "local"], False),
    ],
)
def test_libraries_are_loaded_early_for_several_processes_of_this_machine(
    options: list[str], early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(starting, "START", "forkserver")
    monkeypatch.setattr("multiprocessing.forkserver.ensure_running", lambda: told.append(signal.getsignal(2)))
    before = signal.getsignal(signal.SIGINT)
    starting.load_early(options)
    assert told == [signal.SIG_IGN] * early
    assert signal.getsignal(signal.SIGINT) == before
