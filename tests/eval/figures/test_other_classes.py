"""Paper 1, Table 7."""

from pathlib import Path

import pytest

from eval.figures import FIGURES
from eval.records import Quantity
from eval.records.intervals import Interval
from tests.eval.made import OUTCOMES, model, record, written

ESTIMATOR = {"name": "nearest-odd", "settings": {}, "digest": "e1"}
OTHER = Quantity("alpha_dx_other", settings={"estimator": ESTIMATOR})


def closest(of: str = "closest_to_true", digest: str = "e1") -> Quantity:
    return Quantity("alpha_dx", settings={"of": of, "candidates": None, "estimator": ESTIMATOR | {"digest": digest}})


def test_both_numbers_of_a_recipe_stand_in_its_row(tmp_path: Path) -> None:
    made = []
    for seed, (at, over) in enumerate([(0.07, 0.05), (0.09, 0.07)]):
        named = model("MNIST", "B", seed=seed)
        made += [record(closest(), at, named), record(OTHER, over, named)]
        made += [record(closest(of="true"), 0.9, named), record(closest(digest="e2"), 0.8, named)]
    made.append(record(closest(), 0.5, model("MNIST", "P")))  # nobody measured its other classes
    made.append(record(OTHER, 0.2, model("MNIST", "Lα"), interval=(0.1, 0.3)))
    records = written(tmp_path, made, OUTCOMES)
    figure = FIGURES["other_classes"]
    frame = figure.table(records, [r for r in records if r.quantity.kind in figure.kinds]).frame
    assert frame.recipe.tolist() == ["B", "Lα"]
    assert frame["α_Δx at c̃(x)"].tolist() == ["0.080 ± 0.014", "–"]
    assert frame["mean over other classes"].tolist() == ["0.060 ± 0.014", "0.200 [0.100, 0.300]"]
    assert frame["other / c̃(x)"].tolist() == ["0.75", "–"]
    assert frame.models.tolist() == [2, 1]


@pytest.mark.parametrize(("interval", "ratio"), [((0.01, 0.05), "0.50"), ((-0.01, 0.05), "–"), (None, "–")])
def test_a_ratio_to_what_may_be_0_is_not_printed(tmp_path: Path, interval: Interval | None, ratio: str) -> None:
    """Of one model by its interval; of two, here at −0.02 and 0.06, by the spread between them."""
    values = [0.02] if interval else [-0.02, 0.06]
    made = []
    for seed, value in enumerate(values):
        named = model("MNIST", "B", seed=seed)
        made += [record(closest(), value, named, interval=interval or (-1.0, 1.0)), record(OTHER, 0.01, named)]
    records = written(tmp_path, made, OUTCOMES)
    found = FIGURES["other_classes"].table(records, [*records])
    assert found.frame["other / c̃(x)"].tolist() == [ratio]
    assert len(found.notes) == (1 if ratio != "–" else 2)
