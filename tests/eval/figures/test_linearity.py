"""Robustness under an attack against what the linearised model says."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from eval import measure
from eval.figures.linearity import LINEARITY, Linearity, explained, r2_interval
from eval.records import Quantity, Results
from tests.eval.classifiers import InMemory, half_problem, known_radii
from tests.eval.made import model, record, written
from training.passes import CountPasses

FRAME = pd.DataFrame(
    {"linearised": [1.0, 2.0, 3.0, 4.0, 9.0, 5.0], "radius": [1.5, 1.5, 3.5, 3.5, 0.0, math.inf], "label": 0}
)


def test_explained_variance_is_that_of_the_line_and_of_the_identity() -> None:
    told = explained(FRAME)
    assert (told["n"], told["wrong"], told["missed"]) == (4, 1, 1)
    assert told["r2"] == pytest.approx(16 / (5 * 4))  # (Σ dx dy)² / (Σ dx² Σ dy²), about means of 2.5
    assert told["identity"] == pytest.approx(1 - 4 * 0.25 / 4)
    assert told["ratio"] == pytest.approx((3.5 / 3 + 3.5 / 4) / 2)


def test_too_few_or_equal_radii_explain_nothing() -> None:
    assert math.isnan(explained(FRAME[:2])["r2"])
    assert math.isnan(explained(FRAME.assign(radius=1.0))["r2"])
    assert all(map(math.isnan, r2_interval(FRAME[:3])))


def test_an_interval_that_holds_no_correlation_begins_at_0() -> None:
    low, high = r2_interval(FRAME)
    assert low == 0
    assert explained(FRAME)["r2"] < high < 1


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["cw", "fmn"])
def test_a_linear_model_lies_on_the_identity(attack: str) -> None:
    torch.manual_seed(0)
    classifier, x, y = half_problem(30)
    data = InMemory(x, y)
    found = Linearity(attack, limit=20)(CountPasses(classifier), data, [*data.batches("test")])
    frame = found.per_sample
    assert len(frame) == 20
    right = frame.radius > 0
    known = known_radii(classifier, x, y, "L2")[:20].numpy()
    np.testing.assert_allclose(frame.linearised[right], known[right], rtol=1e-4)
    np.testing.assert_allclose(frame.radius[right], known[right], rtol=0.05, atol=0.007)
    assert found.value > 0.99
    assert found.details["identity"] > 0.98


def test_what_the_attack_cannot_do_is_refused_before() -> None:
    data = InMemory(torch.zeros(2, 3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="`attack` should be one of cw"):
        Linearity("pgd")
    with pytest.raises(ValueError, match="stepz"):
        Linearity(options={"stepz": 3}).quantity(data)


def test_the_picture_has_a_dot_per_sample_and_the_identity(tmp_path: Path) -> None:
    quantity = Quantity("linearity", settings={"attack": "cw"})
    made = [
        record(quantity, 0.8, model(recipe=recipe, seed=seed), details=explained(FRAME))
        for recipe in ("B", "P")
        for seed in (1, 0)
    ]
    records = written(tmp_path, made, FRAME.assign(index=range(len(FRAME))))
    (figure,) = LINEARITY.draw(records, [*records]).values()
    assert [axis.get_title() for axis in figure.axes] == ["B, r² = 0.80", "P, r² = 0.80"]
    identity, dots = figure.axes[0].lines
    np.testing.assert_array_equal(*identity.get_data())
    assert sorted(zip(*dots.get_data(), strict=True)) == [(1, 1.5), (2, 1.5), (3, 3.5), (4, 3.5)]
    (told,) = figure.axes[0].texts
    assert told.get_text().splitlines() == ["n 4", "missed 1", "beyond the frame 0"]

    table = LINEARITY.table(records, [*records])
    assert ": d, B; d, P." in table.notes[1]  # one of five was missed
    frame = table.frame
    assert frame.models.tolist() == [2, 2]
    assert frame["r²"].tolist() == ["0.800 ± 0.000"] * 2
    assert frame.n.tolist() == [8, 8]


def test_the_command_s_figure_is_measured_and_drawn(tmp_path: Path) -> None:
    torch.manual_seed(0)
    classifier, x, y = half_problem(12)
    options = {"linearity": {"attack": "fmn", "options": {"steps": 30}}}
    asked = {"figures": ["linearity"], "figure_options": options, "only": "figures"}
    report = measure(classifier, InMemory(x, y), out=tmp_path, say=lambda _: None, **asked)
    assert not report.failures
    (found,) = Results(tmp_path).load()
    assert found.quantity.settings["attack"] == "fmn"
    assert found.quantity.settings["steps"] == 30
