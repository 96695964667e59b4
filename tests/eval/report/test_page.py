"""What a page begins with, and in what order it goes on."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from eval.records import Model, Quantity
from eval.report import write_report
from eval.report.page import page
from eval.report.studied import Studied, studies_of
from eval.report.tables import all_tables
from tests.eval.made import ACCURACY, PGD, record, written

CLAIM = {
    "says": "P withstands <more>",
    "paper": "paper 1, Table 2",
    "more": {"measurement": "epsilon50_pgd_linf", "of": "P", "than": "B"},
}
SOURCE = {
    "paper": "paper 1: Tables 2 and 3",
    "minutes": {"paper size": "600 on one H100", "estimated": None, "fast": "4 on 2 cores"},
    "differs": ["a small CNN", "three seeds"],
    "claims": [CLAIM],
}
STUDY: dict[str, Any] = {"name": "mnist35_fast", "title": "MNIST & so on", "models": 4, "source": SOURCE}


def begun(folder: Path, **changes: Any) -> str:
    """The page of a folder with two recipes and three seeds each."""
    made = [
        record(PGD, value + seed / 100, Model("d", recipe, seed=seed), details={"epsilon_max": 2.0})
        for recipe, value in (("B", 0.1), ("P", 0.3))
        for seed in range(3)
    ]
    written(folder, [*made, record(Quantity("masking"), 0.0, details={"signs": [{}], "summary": "No sign."})])
    (folder / "study.json").write_text(json.dumps(STUDY | changes))
    write_report(folder)
    return (folder / "page.html").read_text()


def test_the_page_begins_with_the_study_and_what_it_found(tmp_path: Path) -> None:
    text = re.sub(r"\s+", " ", begun(tmp_path, data_root="/data"))
    body = text[text.index("<h1>") :]
    assert body.startswith("<h1>MNIST &amp; so on</h1>")
    for said in (
        "Repeats paper 1: Tables 2 and 3.",
        "<li>a small CNN</li><li>three seeds</li>",
        f"Repeat with <code>alphadx study mnist35 --fast --data-root /data --out {tmp_path}</code>",
        "minutes, paper size: 600 on one H100, estimated, fast: 4 on 2 cores",
        "6 of 4 models",
        "confirmed</span> d: ε50% PGD L∞ is 0.310 for P and 0.110 for B: +0.200 [+0.200, +0.200]",
        "paper 1, Table 2: P withstands &lt;more&gt;",
    ):
        assert said in body
    headings = re.findall("<h2>(.*?)</h2>", body)
    assert headings[:2] == ["Findings", "Side by side"]
    assert headings[-4:] == ["Signs of gradient masking", "Cost of the measurements", "How to read this", "Made with"]


def test_findings_are_printed_and_written_first(tmp_path: Path) -> None:
    begun(tmp_path)
    tables = write_report(tmp_path)
    assert next(iter(tables)) == "Findings"
    assert str(tables["Findings"]).startswith("d: ε50% PGD L∞ is 0.310 for P")
    assert (tmp_path / "findings.csv").read_text().startswith("found,verdict,the paper claims,paper\n")


def test_a_study_without_claims_has_no_findings(tmp_path: Path) -> None:
    assert "<h2>Findings" not in begun(tmp_path, source={})
    assert "Findings" not in write_report(tmp_path)


def test_several_studies_of_a_folder_stand_one_after_the_other(tmp_path: Path) -> None:
    written(tmp_path, [record(ACCURACY)])
    sources = {
        "mnist35_fast": SOURCE | {"title": "MNIST & so on"},
        "quick": {"title": "Quick", "claims": [CLAIM | {"says": "another"}]},
    }
    together = {"name": "mnist35_fast,quick", "title": "both", "models": 9, "source": {}, "studies": sources}
    (tmp_path / "study.json").write_text(json.dumps(together))
    found = studies_of(tmp_path)
    assert [study.title for study in found] == ["MNIST & so on", "Quick"]
    assert [study.command.split(" --out")[0] for study in found] == [
        "alphadx study mnist35 --fast",
        "alphadx study quick",
    ]
    assert list(write_report(tmp_path)["Findings"].frame["the paper claims"]) == ["P withstands <more>", "another"]
    text = (tmp_path / "page.html").read_text()
    assert text.count("<h1>") == 2
    assert "1 of 9 models, 1 measurements." in text


def test_a_study_without_name_or_title_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(ValueError, match=r"study.json should hold"):
        studies_of(tmp_path)


def test_no_picture_is_lost_and_the_subject_s_comes_before_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eval.report.page.FILES", {"Side by side": "gradients"})
    records = written(tmp_path, [record(ACCURACY)])
    pictures = {"curves-d.png": b"curve", "of-nothing.png": b"other"}
    text = page(records, [Studied("t", "c")], [], all_tables(records), pictures)
    assert text.index("curves-d.png") < text.index("<table")
    assert text.index("Further pictures") < text.index("of-nothing.png")
    assert text.count("curves-d.png") == 1
