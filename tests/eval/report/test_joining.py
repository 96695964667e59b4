"""Several folders together: each number once, and each model told by its folder."""

from pathlib import Path

import pytest

from eval.cli import main
from eval.report import write_comparison
from eval.report.joining import joined
from tests.eval.made import ACCURACY, PGD, model, record, written

pytestmark = pytest.mark.usefixtures("without_pictures")


def runs(folder: Path) -> tuple[Path, Path]:
    """Two runs of B, one of P in the first, and one model that both have."""
    shared = record(ACCURACY, 0.9, model(recipe="shared"))
    first = [record(ACCURACY, 0.5, model(seed=s), weights=f"one {s}") for s in (0, 1)]
    second = [record(ACCURACY, 0.7, model(seed=s), weights=f"two {s}") for s in (0, 1)]
    written(folder / "one", [*first, record(ACCURACY, 0.6, model(recipe="P")), shared])
    written(folder / "two", [*second, shared, record(PGD, 0.2, model(recipe="shared"))])
    return folder / "one", folder / "two"


def test_models_of_one_name_stand_apart_with_their_folders(tmp_path: Path) -> None:
    frame = write_comparison(runs(tmp_path), tmp_path / "out")["Side by side"].frame
    found = {(line.recipe, line.folder): line for line in frame.itertuples()}
    assert [*found] == [("B", "one"), ("B", "two"), ("P", "one"), ("shared", "one and two")]
    assert [found["B", name].models for name in ("one", "two")] == ["2", "2"]
    cells = frame.set_index("folder")["accuracy %"]
    assert cells["two"] == "70.0 ± 0.0"
    assert frame["ε50% PGD L∞"].tolist() == ["–", "–", "–", "0.200"]  # measured in one folder, of the model of both


def test_a_number_in_both_folders_counts_once(tmp_path: Path) -> None:
    records = joined(runs(tmp_path)).records
    assert len(records) == 7
    assert sum(record.model.recipe == "shared (one and two)" for record in records) == 2


def test_a_comparison_leaves_the_folders_as_they_are(tmp_path: Path) -> None:
    folders = runs(tmp_path)
    before = sorted(path for folder in folders for path in folder.rglob("*"))
    write_comparison(folders, tmp_path / "out")
    assert sorted(path for folder in folders for path in folder.rglob("*")) == before
    assert {"page.html", "table.csv", "records.csv", "tables"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert "Comparison of one" in (tmp_path / "out" / "page.html").read_text(encoding="utf-8")


def test_a_comparison_does_not_overwrite_results(tmp_path: Path) -> None:
    folders = runs(tmp_path)
    with pytest.raises(ValueError, match=r"`out` should be a folder without records.*one"):
        write_comparison(folders, folders[0])
    with pytest.raises(ValueError, match="`folders` should differ"):
        write_comparison([folders[0], folders[0]], tmp_path / "out")
    with pytest.raises(ValueError, match="empty holds no records"):
        write_comparison([folders[0], tmp_path / "empty"], tmp_path / "out")


def test_the_command_compares_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    one, two = runs(tmp_path)
    main(["report", str(one), str(two), "--out", str(tmp_path / "there")])
    assert (tmp_path / "there" / "page.html").is_file()
    assert "one and two" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    main(["report", "one", "two"])
    assert (tmp_path / "runs" / "compared-one-two" / "page.html").is_file()
    main(["report", "one"])
    assert (one / "page.html").is_file()


def test_a_folder_s_name_that_others_share_is_told_by_the_one_above(tmp_path: Path) -> None:
    for place, value in (("a/run", 0.5), ("b/run", 0.7)):
        written(tmp_path / place, [record(ACCURACY, value, weights=place)])
    assert joined([tmp_path / "a/run", tmp_path / "b/run"]).folders == ("a/run", "b/run")
