"""What a page begins with, and in what order it goes on."""

import json
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag

from eval.records import Model, Quantity, Records
from eval.report import write_report
from eval.report.page import page
from eval.report.studied import Studied, studies_of
from eval.report.tables import all_tables
from tests.eval.made import ACCURACY, ALPHA, PGD, record, written

pytestmark = pytest.mark.usefixtures("without_pictures")  # pages get theirs from the tests, where they look at them
CLAIM = {
    "says": "P withstands <more>",
    "paper": "paper 1, Table 2",
    "more": {"measurement": "epsilon50_pgd_linf", "of": "P", "than": "B"},
}
SOURCE = {
    "paper": "paper 1: Tables 2 and 3",
    "minutes": {"whole": "600 on one H100", "fast": "4 on 2 cores"},
    "differs": ["a small CNN", "three seeds"],
    "claims": [CLAIM],
}
SEEN = {"classes_seen": 10, "probabilities": 0.0, "inputs": ["-1", "1"]}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path id="p" d="M 0 0"/></svg>'
STUDY: dict[str, Any] = {"name": "mnist35_fast", "title": "MNIST & so on", "models": 4, "source": SOURCE}


def begun(folder: Path, **changes: Any) -> BeautifulSoup:
    """The page of a folder with two recipes and three seeds each."""
    made = [
        record(PGD, value + seed / 100, Model("d", recipe, seed=seed), details={"epsilon_max": 2.0})
        for recipe, value in (("B", 0.1), ("P", 0.3))
        for seed in range(3)
    ]
    written(folder, [*made, record(Quantity("masking"), 0.0, details={"signs": [{}], "summary": "No sign."})])
    (folder / "study.json").write_text(json.dumps(STUDY | changes), encoding="utf-8")
    write_report(folder)
    return read(folder)


def read(folder: Path) -> BeautifulSoup:
    return BeautifulSoup((folder / "page.html").read_text(encoding="utf-8"), "html.parser")


def texts(page: Tag, selector: str) -> list[str]:
    return [" ".join(found.get_text().split()) for found in page.select(selector)]


def test_the_page_begins_with_study_finding_and_table(tmp_path: Path) -> None:
    page = begun(tmp_path)
    assert texts(page, "h1") == [page.title.string] == ["MNIST & so on"]  # type: ignore[union-attr]
    assert texts(page, ".studied") == ["6 of 4 models (B, P) on d; 7 measurements. Repeats paper 1: Tables 2 and 3."]
    assert texts(page, ".headline p") == [
        "confirmed d: ε50% PGD L∞ is 0.310 for P and 0.110 for B: +0.200 [+0.200, +0.200], paired over 3 seeds.",
        "paper 1, Table 2: P withstands <more>. 1 finding on 1 claim: 1 confirmed.",
    ]
    assert texts(page, ".lead caption") == ["Side by side table.csv LaTeX Markdown"]
    assert texts(page, ".lead tbody tr") == ["d B 3 0.110 ± 0.010", "d P 3 0.310 ± 0.010▲ higher than B"]
    assert texts(page, ".lead .conditions li") == [
        "d: inputs in [−1, 1], the unit of ε; test split, n = 4; network mlp."
    ]
    assert texts(page, "h2") == [
        "What was found",
        "Claims of the papers, and what was found of them",
        "Signs of gradient masking",
        "Cost of the measurements",
        "How to repeat it",
        "How to read this",
    ]


def test_the_page_ends_with_how_to_repeat_it_what_differs_and_the_legend(tmp_path: Path) -> None:
    page = begun(tmp_path, data_root="/data")
    told = texts(page, "#repeat pre")
    assert told == [f"alphadx study mnist35 \\ --fast \\ --data-root /data \\ --out {tmp_path}"]
    assert texts(page, "#repeat li") == ["a small CNN", "three seeds"]
    assert texts(page, "#repeat .note") == ["Minutes: whole: 600 on one H100, fast: 4 on 2 cores."]
    assert texts(page, "#repeat dt") == ["Measured", "Machine", "Code revision", "Versions", "Folder of data"]
    assert "▲ and ▼" in texts(page, "#legend dt")
    assert page.select_one("#legend details") is not None


def test_of_a_measurement_it_is_the_command_that_was_typed(tmp_path: Path) -> None:
    written(tmp_path, [record(ACCURACY, provenance={"command": "alphadx measure 'my a.pt' --out r"})])
    write_report(tmp_path)
    assert texts(read(tmp_path), "#repeat pre") == ["alphadx measure 'my a.pt' \\ --out r"]


def test_masking_is_one_line_unless_there_is_a_sign(tmp_path: Path) -> None:
    quiet = begun(tmp_path / "quiet").select_one("#signs-of-gradient-masking")
    assert quiet is not None
    assert texts(quiet, "p") == ["No sign of gradient masking in 1 checks on 4 samples."]
    assert quiet.table is None
    signs = {"signs": [{}] * 8, "summary": "2 of 8 signs of gradient masking: so."}
    made = [record(Quantity("masking"), 2.0, details=signs), record(ACCURACY)]
    written(tmp_path / "loud", made)
    write_report(tmp_path / "loud")
    loud = read(tmp_path / "loud").select_one("#signs-of-gradient-masking")
    assert loud is not None
    assert texts(loud, "tbody tr") == ["d B 0 2 of 8 2 of 8 signs of gradient masking: so."]


def test_doubts_are_told_where_everybody_sees_them(tmp_path: Path) -> None:
    written(tmp_path, [record(ALPHA, invalid=2), record(ACCURACY, 0.1, details={"classes": 10} | SEEN)])
    write_report(tmp_path)
    (told,) = read(tmp_path).select(".lead .warnings")
    assert told.find_parent("details") is None
    assert texts(told, "li") == [
        "d, B, seed 0: accuracy 10.0% is near chance, 10.0%: do weights, data and bounds fit?",
        "d, B, seed 0: α_Δx left out 2 of 4 samples.",
    ]


def test_every_table_can_be_read_aloud_and_every_reference_leads_somewhere(tmp_path: Path) -> None:
    page = begun(tmp_path)
    tables = page.select("table")
    assert len(tables) == 2
    for table in tables:
        assert table.caption is not None
        assert {str(head["scope"]) for head in table.select("th")} == {"col", "row"}
        box = table.parent
        assert box is not None
        assert (box["tabindex"], box["role"], box["aria-labelledby"]) == ("0", "region", table.caption["id"])
    names = [str(found["id"]) for found in page.select("[id]")]
    assert len(names) == len(set(names))
    wanted = {str(link["href"])[1:] for link in page.select("a[href^='#']")}
    wanted |= {str(found["aria-labelledby"]) for found in page.select("[aria-labelledby]")}
    assert wanted <= set(names)
    assert len(page.select("main")) == len(page.select("header")) == len(page.select("nav")) == 1


def test_findings_are_printed_and_written_first(tmp_path: Path) -> None:
    begun(tmp_path)
    tables = write_report(tmp_path)
    assert next(iter(tables)) == "Findings"
    assert str(tables["Findings"]).startswith("d: ε50% PGD L∞ is 0.310 for P")
    assert (tmp_path / "findings.csv").read_text().startswith("found,verdict,the paper claims,paper\n")


def test_a_study_without_claims_has_no_findings(tmp_path: Path) -> None:
    assert not begun(tmp_path, source={}).select("#claims")
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
    page = read(tmp_path)
    assert texts(page, "h1") == ["2 studies: MNIST & so on; Quick"]
    assert texts(page, "#repeat h3") == ["MNIST & so on", "Quick"]
    assert texts(page, ".studied")[0].startswith("1 of 9 models (B) on d; 1 measurement.")


def test_a_study_without_name_or_title_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(ValueError, match=r"study.json should hold"):
        studies_of(tmp_path)


def test_no_picture_is_lost_and_the_subject_s_stands_beside_the_first_table(tmp_path: Path) -> None:
    records = written(tmp_path, [record(PGD, 0.2)])
    drawn = {f"{name}.{form}": SVG for name in ("curves-d", "subject-d", "of-nothing") for form in ("pdf", "svg")}
    page = BeautifulSoup(page_of(records, drawn | {"sweep-d.png": b"png"}), "html.parser")
    shown = {str(part["id"]): texts(part, "figcaption") for part in page.select("main > section[id]") if part.figure}
    assert texts(page, ".lead figcaption") == ["d: x, Δx, x + Δx and ∇ℓ of each model PDF SVG"]
    assert shown == {
        "robustness-curves": ["d: accuracy against the strength of the attack PDF SVG"],
        "sweeps": ["d: what was measured over the setting PNG"],
        "further-pictures": ["Further pictures PDF SVG"],
    }
    assert [one["aria-label"] for one in page.select("#robustness-curves svg")] == [
        "d: accuracy against the strength of the attack. B: ε50% PGD L∞ 0.200."
    ]
    assert len(page.select("#sweeps img[alt]")) == 1


def test_without_the_subject_s_picture_the_first_of_the_others_stands_there_and_nowhere_else(tmp_path: Path) -> None:
    page = BeautifulSoup(page_of(written(tmp_path, [record(PGD, 0.2)]), {"curves-d.svg": SVG}), "html.parser")
    assert len(page.select("figure")) == len(page.select(".lead figure")) == 1


def page_of(records: Records, plots: dict[str, bytes]) -> str:
    return page(records, [Studied("t", "c")], [], all_tables(records), plots)


def test_interactive_views_come_with_their_library_and_only_where_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eval.report.page.library", lambda: "const drawn = '</p>';")
    records = written(tmp_path, [record(PGD, 0.2)])
    monkeypatch.setattr("eval.report.page.explorable", lambda: True)
    found = BeautifulSoup(page_of(records, {"curves-d.svg": SVG}), "html.parser")
    assert [chart.has_attr("hidden") for chart in found.select("figure.chart")] == [True]
    assert "const drawn = '</p>';" in [script.string for script in found.select("script")]
    monkeypatch.setattr("eval.report.page.explorable", lambda: False)
    found = BeautifulSoup(page_of(records, {"curves-d.svg": SVG}), "html.parser")
    assert not found.select("script, figure.chart")
