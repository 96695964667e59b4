import math
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from eval.records import Quantity, Record, Results, Samples
from eval.report.exports import export, models_frame, samples_frame
from tests.eval.made import ACCURACY, OUTCOMES, PGD, PGD_L2, model, record, written

STA = Quantity("tau50", "sta")
ALL = [
    record(PGD, math.inf, model(epsilon="1/17"), interval=(0.2, math.inf)),
    record(PGD_L2, 0.25, interval=(0.2, 0.3)),
    record(STA, 0.0),
    record(Quantity("masking"), math.nan, interval=(math.nan, math.nan)),
    record(PGD, 0.5, samples_of=Samples("Spheres", {}, (-math.inf, math.inf), "test", 4, "s")),
]


def files(folder: Path, made: list[Record]) -> dict[str, bytes]:
    return {**export(written(folder, made), "csv").files}


def read(content: bytes) -> pd.DataFrame:
    return pd.read_csv(BytesIO(content))


def row(folder: Path, made: Record) -> dict[str, Any]:
    return models_frame(written(folder, [made])).iloc[0].to_dict()


def test_no_infinity_and_no_nan_stands_in_a_cell(tmp_path: Path) -> None:
    for name, content in files(tmp_path, ALL).items():
        words = {word.lower() for word in re.findall(r"[a-z]+", content.decode("utf-8-sig"), re.IGNORECASE)}
        assert not words & {"inf", "infinity", "nan"}, name


def test_every_column_of_numbers_has_a_finite_mean(tmp_path: Path) -> None:
    models, samples = (read(content).mean(numeric_only=True) for content in files(tmp_path, ALL).values())
    assert models.map(math.isfinite)[["value", "low", "high", "largest_tried", "seconds"]].all()
    assert samples.map(math.isfinite)[["radius", "failed_at", "largest_tried"]].all()


def test_a_radius_above_everything_tried_is_empty_and_marked(tmp_path: Path) -> None:
    outcomes = pd.DataFrame(
        {"index": [0, 1, 2], "label": 0, "radius": [0.1, math.inf, 0.3], "failed_at": [0.09, 0.7, 0.29]}
    )
    frame = samples_frame(written(tmp_path, [record(PGD, 0.3)], outcomes))
    assert frame.radius.isna().tolist() == [False, True, False]
    assert frame.censored.tolist() == [False, True, False]
    assert frame.largest_tried.dropna().tolist() == [0.7]
    assert frame.failed_at.tolist() == [0.09, 0.7, 0.29]


def test_a_median_above_everything_tried_is_empty_and_marked(tmp_path: Path) -> None:
    found = row(tmp_path, record(PGD, math.inf, interval=(0.2, math.inf)))
    assert math.isnan(found["value"])
    assert (found["censored"], found["largest_tried"], found["low"]) == (True, 1.4, 0.2)
    assert found["note"] == "strength above the largest tried"
    assert math.isnan(found["high"])


def test_a_number_is_not_marked(tmp_path: Path) -> None:
    found = row(tmp_path, record(PGD, 0.25, interval=(0.2, 0.3)))
    assert (found["value"], found["low"], found["high"], found["note"]) == (0.25, 0.2, 0.3, "")
    assert found["censored"] == 0
    assert math.isnan(found["largest_tried"])


@pytest.mark.parametrize(
    ("value", "censored", "note"),
    [
        (0.0, True, "strength above the largest tried"),
        (math.inf, False, "infinite: half of the samples are misclassified without an attack"),
    ],
)
def test_a_tau_that_is_no_number_says_why(tmp_path: Path, value: float, censored: bool, note: str) -> None:
    found = row(tmp_path, record(STA, value))
    assert math.isnan(found["value"])
    assert (bool(found["censored"]), found["note"]) == (censored, note)


def test_a_number_that_does_not_exist_says_so(tmp_path: Path) -> None:
    assert row(tmp_path, record(Quantity("masking"), math.nan))["note"] == "nothing to measure"


def test_accuracies_at_an_epsilon_are_rows(tmp_path: Path) -> None:
    frame = models_frame(written(tmp_path, [record(PGD, 0.2, details={"accuracy_at": {"8/255": 0.7}})]))
    found = frame.set_index("measurement").loc["accuracy_pgd_linf_8/255"]
    assert (found.value, found.kind, found.attack, found.norm) == (0.7, "accuracy", "pgd", "Linf")
    assert found.epsilon == pytest.approx(8 / 255)


def test_strengths_are_numbers_since_a_spreadsheet_takes_a_fraction_for_a_day(tmp_path: Path) -> None:
    made = record(ACCURACY, 0.5, model(epsilon="1/17"))
    for frame in map(read, files(tmp_path, [made]).values()):
        assert frame.training_epsilon.tolist() == pytest.approx([1 / 17] * len(frame))


def test_tables_are_joined_by_a_key_and_read_as_they_were(tmp_path: Path) -> None:
    made = [record(ACCURACY, 0.75), record(PGD, 0.2)]
    models, samples = map(read, files(tmp_path, made).values())
    joined = samples.merge(models, on="key", suffixes=("", "_of_model"))
    assert len(joined) == len(samples) == 2 * len(OUTCOMES)
    assert (joined.measurement == joined.measurement_of_model).all()
    assert [*models] == [*models_frame(Results(tmp_path).load())]


def test_classes_stay_whole_numbers_beside_measurements_that_have_none(tmp_path: Path) -> None:
    results = Results(tmp_path)
    outcomes = {ACCURACY: OUTCOMES[["index", "label"]].assign(predicted=3), PGD: OUTCOMES}
    for quantity, table in outcomes.items():
        made = record(quantity)
        results.home(made.model, made.subject.model_key).write(made, table)
    text = export(results.load(), "csv").files["samples.csv"].decode("utf-8-sig")
    assert ",3," in text
    assert "3.0" not in text


def test_a_spreadsheet_sees_that_it_is_utf8(tmp_path: Path) -> None:
    contents = files(tmp_path, [record(ACCURACY, 0.5, model(recipe="Lα"))])
    assert all(content.startswith(b"\xef\xbb\xbf") for content in contents.values())
    assert read(contents["models.csv"]).columns[0] == "data"
    assert read(contents["models.csv"]).recipe.tolist() == ["Lα"]


def test_nothing_can_be_said_beside_a_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^`about` should hold nothing for csv\. Found authors\.$"):
        export(written(tmp_path, [record()]), "csv", {"authors": "me"})


def test_damaged_outcomes_are_named(tmp_path: Path) -> None:
    records = written(tmp_path, [record(PGD, 0.2)])
    (file,) = tmp_path.rglob("*.csv")
    file.write_text("index,radius\n0,1\n")
    with pytest.raises(ValueError, match=re.escape(str(file))):
        export(records, "csv")


@pytest.mark.usefixtures("as_in_production")
def test_another_form_and_nothing_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^`form` should be "):
        export(written(tmp_path, [record()]), "excel")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^`records` should hold at least one\. Found none\. Run `alphadx measure`"):
        export(Results(tmp_path / "nothing").load(), "csv")


def test_rows_of_a_figure_keep_their_own_columns(tmp_path: Path) -> None:
    """They may be epochs, and have a seed and a recipe of their own."""
    outcomes = pd.DataFrame({"epoch": [0, 1], "seed": [7, 8], "recipe": ["x", "y"], "loss": [0.5, math.inf]})
    frame = samples_frame(written(tmp_path, [record(Quantity("alpha_dx_other"), 0.3, model(seed=2))], outcomes))
    assert frame[["recipe", "seed", "epoch", "outcome_seed", "outcome_recipe"]].to_numpy().tolist() == [
        ["B", 2, 0, 7, "x"],
        ["B", 2, 1, 8, "y"],
    ]
    assert frame.loss.isna().tolist() == [False, True]
