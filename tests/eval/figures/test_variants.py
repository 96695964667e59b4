"""The variants of α: each is what the functions of `alignment` return, and the table has paper 1's columns."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from alignment import alpha_dx, alpha_x
from eval import measure
from eval.figures.variants import COLUMNS, FORMS, MEASURES, Variants, table
from eval.records import Model, Record, Records, Sitting
from eval.report import write_report
from tests.alignment.classifiers import hand_made, smooth
from tests.eval.classifiers import InMemory, half_problem
from training.data import DataSet

UP = (15 / 17, 7 / 25, -4 / 5, -12 / 13)
"""Cosines of (0, 1) with the four gradients of the hand-made point; with the signed c̃ the first is 1/√2."""
ACROSS = (8 / 17, 24 / 25, 3 / 5, 5 / 13)
"""Absolute cosines of (1, 0), the point itself."""


class Points(InMemory):
    """Given points of several classes, whose Δx is always (0, 1, 0, …)."""

    def __init__(self, x: Tensor, y: Tensor, classes: int) -> None:
        super().__init__(x, y)
        self.classes = tuple("abcdefgh"[:classes])

    def residual(self, name: object, **options: object) -> "Up":
        return Up()


class Up:
    """A residual along the second axis."""

    name, settings, digest = "up", {}, "0"

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        return nn.functional.one_hot(torch.ones(len(x), dtype=torch.int64), x.shape[1]).to(x)


def taken(classifier: nn.Module, data: DataSet) -> tuple[Record, dict[str, Tensor]]:
    record, frame = Sitting.of(classifier, data, Model("given", "B")).take(Variants())
    return record, {name: torch.tensor(frame[name].to_numpy()) for name in frame}


def test_every_variant_of_the_hand_made_point_is_known() -> None:
    classifier, x = hand_made()
    record, found = taken(classifier, Points(x, torch.tensor([0]), 4))
    for place, form in enumerate(FORMS):
        signed = [0.5**0.5 if form == "closest_to_true" else values[place] for values in (UP, ACROSS)]
        expected = zip(MEASURES, (UP[place], signed[0], ACROSS[place], signed[1]), strict=True)
        for name, value in expected:
            assert float(found[f"{name}_{form}"]) == pytest.approx(value, abs=1e-12)
    assert record.value == pytest.approx(15 / 17, abs=1e-12)
    assert (record.details["misclassified"], record.details["differ"]) == (1, 1)
    assert (found["closest"].item(), found["closest_signed"].item(), found["predicted"].item()) == (2, 1, 1)


def test_every_variant_is_what_the_functions_return() -> None:
    classifier, x, y = smooth(6, 5), torch.randn(20, 6, dtype=torch.float64).clamp(-1, 1), torch.arange(20) % 5
    _, found = taken(classifier, Points(x, y, 5))
    for form in FORMS:
        for suffix, signed in (("", False), ("_signed", True)):
            options = {"of": form, "signed": signed}
            expected = alpha_dx(classifier, x, y, Up(), **options), alpha_x(classifier, x, y, **options)
            for name, values in zip(("alpha_dx", "alpha_x"), expected, strict=True):
                torch.testing.assert_close(found[f"{name}{suffix}_{form}"], values, rtol=0, atol=1e-14)


def test_samples_without_direction_are_left_out_and_said() -> None:
    classifier, x, y = half_problem(12)
    x[:2] = 0
    record, found = taken(classifier, Points(x, y, 2))
    image = record.details["variants"]["alpha_x_predicted"]
    assert image["invalid"] == 2
    assert image["mean"] == pytest.approx(float(found["alpha_x_predicted"][2:].double().mean()))
    assert found["alpha_x_predicted"][:2].isnan().all()
    assert record.details["variants"]["alpha_dx_predicted"]["invalid"] == record.invalid == 0


def test_table_has_a_row_per_measure_and_says_who_is_misclassified(tmp_path: Path) -> None:
    classifier, x = hand_made()
    x = torch.cat([x, x.flip(1), -x])
    y = classifier(x).argmax(dim=1)
    data = Points(x, torch.where(torch.arange(3) == 0, 0, y), 4)
    measure(classifier, data, figures=["variants"], only="figures", out=tmp_path, recipe="B", say=lambda _: None)
    found = write_report(tmp_path)["What is differentiated (paper 1, Table S2)"]
    assert list(found.frame["α"]) == list(MEASURES.values())
    assert list(found.frame.columns) == ["data", "recipe", "seed", "α", *COLUMNS.values()]
    assert found.notes == [
        "given, B, seed 0: 1 of 3 samples are misclassified; "
        "on 1 of all 3 the signed form finds another closest class."
    ]


def test_of_two_classes_the_signed_form_has_no_rows() -> None:
    classifier, x, y = half_problem(12)
    data = Points(x, y, 2)
    report = measure(classifier, data, figures=["variants"], only="figures", recipe="B", say=lambda _: None)
    found = table(Records({}), report.records)
    assert list(found.frame["α"]) == ["α_Δx", "α_x"]
    assert "both forms find the same closest class on every sample" in found.notes[0]
