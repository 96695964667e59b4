"""Help fits on a screen, shows examples that parse, and names what there is; nothing of it loads torch."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import training.data
from eval.attacks import ATTACKS
from eval.attacks.suite import EVERY_DISTANCE
from eval.cli import main, names
from eval.cli.at_once import check_at_once
from eval.cli.command import _spelled
from eval.cli.completion import completion
from eval.cli.reading import options_of
from eval.cli.words import WORDS
from eval.figures import FIGURES
from eval.figures.kind import no_measurement
from eval.studies import presets
from training.data import DataSet, GivenData
from training.networks.build import NETWORKS

ROOT = Path(__file__).parents[3]
SCREEN = (40, 80)
"""Lines and columns of a terminal."""


def printed(capsys: pytest.CaptureFixture, *args: str) -> str:
    main([*args])
    return capsys.readouterr().out


@pytest.mark.parametrize("args", [["--help"], *([word, "--help"] for word in WORDS)])
def test_help_fits_on_a_screen(args: list[str], capsys: pytest.CaptureFixture) -> None:
    lines = printed(capsys, *args).splitlines()
    assert len(lines) <= SCREEN[0]
    assert max(map(len, lines)) <= SCREEN[1]
    assert lines[0].startswith("usage: alphadx")


def test_help_of_all_names_words_and_presets(capsys: pytest.CaptureFixture) -> None:
    out = " ".join(printed(capsys, "--help").split())
    assert all(f"{word} {WORDS[word].summary}" in out for word in WORDS)
    assert ", ".join(presets()) in out


@pytest.mark.parametrize("word", WORDS)
def test_examples_come_before_options_and_parse(word: str, capsys: pytest.CaptureFixture) -> None:
    out = printed(capsys, word, "--help")
    for example in WORDS[word].examples:
        assert out.index(example.splitlines()[0]) < out.index("Every option:")
        typed = shlex.split(example)[2:]
        check_at_once(
            word,
            [arg for arg in _spelled(word, typed) if not arg.endswith((".pt", ".yaml", "quick", "mine", "theirs"))],
        )


@pytest.mark.parametrize("word", WORDS)
def test_options_are_those_of_the_job(word: str) -> None:
    from inspect import signature

    read = {option.name: option for option in options_of(*WORDS[word].place)}
    taken = signature(WORDS[word].job()).parameters.values()
    plain = [one for one in taken if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    assert [*read] == [one.name for one in plain]
    assert [read[one.name].required for one in plain] == [one.default is one.empty for one in plain]
    assert all(read[one.name].told for one in plain)
    assert {*WORDS[word].usual} <= {*WORDS[word].options}


def test_every_option_is_in_the_long_help(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["export", "--help-all"])
    assert "--about" in capsys.readouterr().out


def test_nothing_typed_is_help_and_a_mistake(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as found:
        main([])
    assert found.value.code == 2
    assert "usage: alphadx WORD" in capsys.readouterr().err


def test_version_says_what_a_report_needs(capsys: pytest.CaptureFixture) -> None:
    out = printed(capsys, "--version")
    assert out.startswith("alphadx ")
    assert f"Python {sys.version.split()[0]}" in out
    assert "torch " in out


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["measure", "--help"], ["study", "--list"]])
def test_torch_is_not_loaded(args: list[str]) -> None:
    code = (
        f"import sys; from eval.cli import main; main({args!r}); print(*({{'torch', 'pandas'}} & {{*sys.modules}}))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == ""


def test_names_read_from_sources_are_those_that_there_are() -> None:
    public = [getattr(training.data, name) for name in training.data.__all__]
    sets = [one for one in public if isinstance(one, type) and issubclass(one, DataSet)]
    assert names.data_sets() == sorted(one.__name__ for one in sets if one not in (DataSet, GivenData))
    assert names.networks() == [*NETWORKS]
    assert names.attacks() == [*ATTACKS]
    assert names.norms() == [*EVERY_DISTANCE]
    assert names.figures() == sorted(name for name, one in FIGURES.items() if one.measurements is not no_measurement)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_offers_words_options_and_names(shell: str) -> None:
    script = completion(shell)
    offered = [
        *WORDS,
        "mnist35",
        "Digits",
        "wide_resnet28_10",
        "autoattack",
        "Linf",
        "linearity",
        "--attacks",
        "--help-all",
    ]
    assert [word for word in offered if word not in script] == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("alphadx m", "measure"),
        ("alphadx study mnist3", "mnist35 mnist35_learned"),
        ("alphadx measure a.pt --data Dig", "Digits"),
        ("alphadx measure a.pt --network wide_resnet2", "wide_resnet28_10"),
        ("alphadx measure a.pt --attacks autoa", "autoattack"),
        ("alphadx measure a.pt --figures bou", "boundary"),
    ],
)
def test_bash_completes(typed: str, offered: str, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(completion("bash"), encoding="utf-8")
    words = typed.split(" ")
    asked = (
        f"source {tmp_path / 'script'}; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; "
        "_shtab_alphadx; echo ${COMPREPLY[@]}"
    )
    run = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert run.stdout.split() == offered.split()


def test_completion_for_another_shell_is_refused(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match=r"`--completion` should be bash or zsh. Found 'fish'"):
        main(["--completion", "fish"])
    assert capsys.readouterr().err.count("\n") == 1
