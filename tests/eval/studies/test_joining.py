"""Several studies in one folder train what they share once, and the folder names all of them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from eval.records.store import write_json
from eval.report import write_report
from eval.studies import load_study, run_study
from eval.studies.cells import home_of
from eval.studies.claim import claimed
from tests.eval.studies.test_studies import AT, TINY

MEASURE = {"steps": 2, "norms": ["Linf"], "masking": False, "limit": 20, "attacks": []}
SWEPT = {"recipe": "P", "steps": [3], "seeds": [0]}


def written(folder: Path, name: str, recipes: dict[str, Any], **rest: Any) -> str:
    path = folder / f"{name}.yaml"
    experiment = {"recipes": recipes, **rest.pop("experiment", {})}
    base = TINY["base"] | {"trainer": {"accelerator": "cpu", "max_epochs": 1}}
    source = {"title": name, "base": base, "measure": MEASURE, "experiments": {"Spheres4": experiment}}
    path.write_text(yaml.safe_dump(source | rest))
    return str(path)


def claimed_of(recipe: str) -> dict[str, Any]:
    return {"says": f"{recipe} is right", "value": {"measurement": "accuracy", "of": recipe, "between": [0.9, 1]}}


def two(folder: Path) -> tuple[str, str]:
    """One has B and P, the other P, and a sweep in which P is too."""
    adversarial = {"model": {"objective": AT}}
    first = written(folder, "a", {"B": {}, "P": adversarial}, claims=[claimed_of("B")], paper="paper 1")
    second = written(folder, "b", {"P": adversarial}, claims=[claimed_of("P")], experiment={"sweep": SWEPT})
    return first, second


def test_studies_named_together_have_each_model_once(tmp_path: Path) -> None:
    study = load_study(",".join(two(tmp_path)))
    assert [(c.model.recipe, c.model.groups) for c in study.cells] == [
        ("B", ("side by side",)),
        ("P", ("side by side", "sweep")),
    ]
    assert study.name == "a,b"
    assert study.title == "a · b"
    assert study.source["claims"] == [claimed_of("B"), claimed_of("P")]


@pytest.mark.slow
@pytest.mark.usefixtures("without_pictures")
def test_one_after_the_other_they_train_what_they_share_once(tmp_path: Path) -> None:
    """The second finds the first's model, and its records say that they belong to a sweep too."""
    a, b = two(tmp_path)
    run_study(load_study(a), tmp_path / "run", jobs=1)
    marks = {path: path.stat().st_mtime_ns for path in tmp_path.glob("run/models/*/training/trained.json")}
    done = run_study(load_study(b), tmp_path / "run", jobs=1)
    assert done.failures == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("run/models/*/training/trained.json")} == marks
    assert len(marks) == 2
    assert {r.model.swept for r in done.results.load() if r.model.recipe == "P"} == {(("steps",),)}
    content = json.loads((tmp_path / "run/study.json").read_text())
    assert (content["name"], content["models"], [*content["studies"]]) == ("a,b", 2, ["a", "b"])
    tables = write_report(tmp_path / "run")
    assert list(tables["Sweeps"].frame.setting) == ["κ = 3"]
    assert "2 of 2 models" in (tmp_path / "run/page.html").read_text(encoding="utf-8")


def test_a_folder_may_be_gone_on_with_by_any_of_its_studies_but_by_no_other_version(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    both = load_study(f"{a},{b}")
    claimed(tmp_path / "run", both)
    before = (tmp_path / "run/study.json").read_text()
    for name in (a, b, f"{b},{a}"):
        claimed(tmp_path / "run", load_study(name))
    assert (tmp_path / "run/study.json").read_text() == before
    other = written(tmp_path, "b", {"B": {}})
    with pytest.raises(ValueError, match="holds results of another version of 'b'"):
        claimed(tmp_path / "run", load_study(other))


def test_a_folder_of_before_can_be_joined(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    study = load_study(a)
    old = {"name": "a", "title": "a", "models": 2, "source": study.source, "revision": "old", "data_root": ""}
    write_json(tmp_path / "run/study.json", old)
    claimed(tmp_path / "run", load_study(b))
    content = json.loads((tmp_path / "run/study.json").read_text())
    assert [*content["studies"]] == ["a", "b"]
    assert content["revision"] == "old"


def test_one_name_of_what_comes_first_is_one_thing(tmp_path: Path) -> None:
    judge = {"judge": TINY["base"]}
    a = written(tmp_path, "a", {"B": {}}, first=judge)
    b = written(tmp_path, "b", {"P": {}}, first={"judge": TINY["base"] | {"seed_everything": 3}})
    with pytest.raises(ValueError, match=r"`first` of b should name nothing .* in a, .*Found 'judge'"):
        load_study(f"{a},{b}")
    claimed(tmp_path / "run", load_study(a))
    with pytest.raises(ValueError, match=r"Found 'judge'"):
        claimed(tmp_path / "run", load_study(b))


def test_a_model_lies_where_another_study_left_it(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    alone = next(c for c in load_study(a).cells if c.model.recipe == "P")
    swept = next(c for c in load_study(b).cells if "sweep" in c.model.groups)
    assert alone.identity == swept.identity
    named = home_of(swept, tmp_path).path
    there = named.with_name(f"otherwise-{swept.identity[:8]}")
    there.mkdir(parents=True)
    assert home_of(swept, tmp_path).path == there
