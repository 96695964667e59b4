"""What is drawn of long work, and when."""

import math
import re
import sys
from datetime import datetime
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from eval.progress import Display, shown, silenced
from eval.progress.form import form_for, in_notebook
from eval.progress.sentence import line, where
from eval.progress.together import Together
from eval.progress.workers import reported
from generators.progress import Stage, stage, stepwise, underway


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "notebook", "widgets", "form"),
    [
        (Terminal(), False, True, "bar"),
        (StringIO(), False, True, "lines"),
        (StringIO(), True, True, "widget"),
        (StringIO(), True, False, "lines"),
        (Terminal(), True, False, "lines"),
    ],
)
def test_form_suits_the_reader(
    stream: StringIO, notebook: bool, widgets: bool, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert form_for(stream, notebook=notebook, widgets=widgets) == form
    with silenced():
        assert form_for(stream, notebook=notebook, widgets=widgets) == "nothing"
    with silenced(False):
        assert form_for(stream, notebook=notebook, widgets=widgets) == form
    monkeypatch.setenv("TERM", "dumb")
    assert form_for(Terminal(), notebook=False, widgets=False) == "lines"


@pytest.mark.parametrize(("config", "found"), [({"IPKernelApp": {}}, True), ({"TerminalIPythonApp": {}}, False)])
def test_a_kernel_is_a_notebook_and_a_shell_is_none(
    config: dict, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = SimpleNamespace(config=config)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert in_notebook() is found
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not in_notebook()


def test_log_has_a_line_after_ten_seconds_and_then_every_half_minute_and_no_carriage_return() -> None:
    clock, stream, work = Clock(), StringIO(), Stage("digits", 400, "sample")
    display = Display(work, stream, "lines", clock)
    for second in range(400):
        clock.now, work.done = float(second), second
        display.look()
    lines = stream.getvalue().splitlines()
    assert "\r" not in stream.getvalue()
    assert [int(text.split("%")[0]) for text in lines] == [round(at / 4) for at in (*range(10, 311, 30), 370)]
    assert lines[0] == "2 % after 0:10, about 6:30 left: digits, 390 of 400 samples left"
    assert lines[-1] == "92 % after 6:10, about 0:30 left: digits, 30 of 400 samples left"


def test_time_that_is_left_is_that_of_what_is_done_this_time() -> None:
    clock, work = Clock(), Stage("", 100, "epoch", done=60)
    display = Display(work, StringIO(), "lines", clock)
    clock.now = 20.0
    assert "about" not in display.text()  # nothing is done yet
    work.done = 80
    assert display.text() == "80 % after 0:20, about 0:20 left: 20 of 100 epochs left"
    work.done = 100
    assert display.text().startswith("100 % after 0:20: ")


def test_long_work_says_at_what_time_it_ends() -> None:
    work = Stage("", 4, "model", done=1)
    assert ", until 20:00: " in line(work, 0.0, 7200.0, datetime(2026, 1, 1, 14, 0))
    assert ", until Fri 02:00: " in line(work, 0.0, 14_400.0, datetime(2026, 1, 1, 14, 0))


def test_of_work_whose_length_nobody_knows_no_share_is_said() -> None:
    assert math.isnan(Stage("a").share)
    assert line(Stage("looking"), 0.0, 70.0, datetime(2026, 1, 1)) == "after 1:10: looking"


def test_bar_of_a_terminal_goes_away() -> None:
    stream, work = Terminal(), Stage("digits", 10, "sample", done=5)
    display = Display(work, stream, "bar", Clock())
    display.look()
    assert re.search(r" 50%\|.*digits, 5 of 10 samples left", stream.getvalue())
    display.close()
    assert stream.getvalue().rsplit("\r", 1)[-1].strip() == ""


def test_what_is_found_is_told_when_a_line_is_due_and_at_the_end() -> None:
    clock, stream, work = Clock(), StringIO(), Stage("", 100, "epoch")
    display = Display(work, stream, "lines", clock)
    for epoch in range(1, 101):
        clock.now, work.done = epoch * 1.0, epoch
        display.look()
        display.tell(f"epoch {epoch}", at_once=epoch == 100)
    told = [text.split(": ")[-1] for text in stream.getvalue().splitlines()]
    assert told == ["epoch 1", "epoch 31", "epoch 61", "epoch 91", "epoch 100"]


def test_nothing_is_written_where_nothing_is_to_be_shown() -> None:
    clock, stream = Clock(), StringIO()
    display = Display(Stage("a", 2, "part"), stream, "nothing", clock)
    clock.now = 1000.0
    display.look()
    display.tell("found", at_once=True)
    assert stream.getvalue() == ""


def test_what_is_shown_within_is_a_part_of_what_is_shown() -> None:
    with silenced(), shown(Stage("outer", 2, "model")) as display:
        outer = underway()
        assert display is not None
        with shown(Stage("inner", 4, "sample", done=2)) as inner:
            assert inner is None
            assert outer is not None
            assert outer.share == 0.25
            assert where(outer) == "outer, model 1 of 2, inner, 2 of 4 samples left"
        assert outer.part is None
    assert underway() is None


def test_an_error_leaves_no_stage_open() -> None:
    def broken() -> None:
        with silenced(), shown(Stage("a", 1)):
            for _ in stepwise("abc", 3, "letter"):
                raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        broken()
    assert underway() is None


def test_counting_at_which_nobody_looks_marks_nothing_as_watched() -> None:
    with stage(Stage("a", 1)) as alone:
        assert not alone.watched


def test_processes_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Together("quick", 10, "model", done=3, repeated=2)
    assert study.share == 1 / 8
    (tmp_path / "torn.json").write_text('{"share": 0.')
    monkeypatch.setattr("eval.progress.workers.OFTEN", 0.01)
    with reported(Stage("Lα-seed0", 1, ""), tmp_path / "state.json"), stage(Stage("", 4, "epoch", done=2)):
        while not study.told:
            study.read(tmp_path)
    assert study.under_way == 0.5
    assert study.share == 1.5 / 8
    assert where(study) == "quick: 3 of 10 models done; Lα-seed0, 2 of 4 epochs left"
    study.read(tmp_path)
    assert (study.under_way, study.told) == (0, [])
