from collections import Counter
from pathlib import Path

import pytest

from eval.records import Model, Quantity
from eval.report import write_report
from tests.eval.made import ACCURACY, ALPHA, PGD, PGD_L2, model, record, written


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    written(tmp_path, [record(of=Model("<script>", "B&B"))])
    write_report(tmp_path)
    page = (tmp_path / "page.html").read_text()
    assert "<script>" not in page
    assert "B&amp;B" in page


@pytest.mark.usefixtures("without_pictures")
def test_page_says_units_samples_and_verdicts(tmp_path: Path) -> None:
    details = {"signs": [{}] * 8, "summary": "2 of 8 signs of gradient masking: <so>."}
    written(tmp_path, [record(ALPHA, invalid=2), record(Quantity("masking"), 2.0, details=details)])
    write_report(tmp_path)
    page = (tmp_path / "page.html").read_text()
    assert "inputs in [−1, 1], the unit of ε; test split, n = 4; network mlp; Δx by exact." in page
    assert "α_Δx left out 2 of 4 samples." in page
    assert "signs of gradient masking: &lt;so&gt;." in page


def test_report_is_drawn_from_files_alone_and_is_always_the_same(tmp_path: Path) -> None:
    written(tmp_path, [record(ACCURACY), record(PGD, 0.2), record(PGD_L2, 1.0)])
    write_report(tmp_path)
    first = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write_report(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first
    assert {"table.csv", "records.csv", "cost.csv", "page.html", "curves-d.svg"} <= first.keys()


@pytest.mark.slow
def test_a_report_reads_every_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [record(q, 0.2, model(seed=seed)) for q in (ACCURACY, PGD, PGD_L2, ALPHA) for seed in (0, 1)]
    made += [record(Quantity("epsilon50", "square", "Linf"), 0.2, model(seed=seed)) for seed in (0, 1)]
    written(tmp_path, made)
    opened: Counter[str] = Counter()
    original = Path.open

    def counted(self: Path, *args: object, **options: object) -> object:
        opened[self.name] += 1
        return original(self, *args, **options)

    monkeypatch.setattr(Path, "open", counted)
    write_report(tmp_path)
    records = {path.name for path in tmp_path.glob("models/*/*.json")}
    outcomes = {path.name for path in tmp_path.glob("models/*/epsilon50*.csv")}
    assert len(records) == 10
    assert len(outcomes) == 6
    assert {name: count for name, count in opened.items() if name in records | outcomes} == dict.fromkeys(
        records | outcomes, 1
    )


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no records"):
        write_report(tmp_path)
