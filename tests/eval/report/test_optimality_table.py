import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eval.records import Quantity, Record, Records, Results
from eval.report import all_tables, write_report
from eval.report.optimality_table import optimality_table
from tests.eval.made import ACCURACY, OUTCOMES, model, record

CLOSED = {"steps": 40, "curve_resolution": 0.05}
SEARCH = Quantity("epsilon50", "pgd", "Linf", CLOSED)
FMN = Quantity("epsilon50", "fmn", "Linf", {"steps": 100})
RADII = {SEARCH: [0.0, 0.2, 0.3, math.inf], FMN: [0.0, 0.1, 0.4, math.inf]}


def written(folder: Path, made: list[tuple[Record, list[float]]]) -> Records:
    """Records, each with radii of its own."""
    results = Results(folder)
    for one, radii in made:
        results.home(one.model, one.subject.model_key).write(one, OUTCOMES.assign(radius=radii))
    return results.load()


def made(*quantities: Quantity, of: dict[Quantity, list[float]] = RADII) -> list[tuple[Record, list[float]]]:
    return [
        (replace(record(quantity, float(np.median(of[quantity]))), backward_passes=400), of[quantity])
        for quantity in quantities
    ]


def test_every_attack_has_its_share_beside_its_radius(tmp_path: Path) -> None:
    """The envelope is 0, 0.1, 0.3, ∞, up to 0.3; the area above it is 0.2 over the sample that is fooled sooner."""
    records = written(tmp_path, made(SEARCH, FMN))
    table = optimality_table(records, [*records])
    assert list(table.frame["measurement"]) == ["ε50% PGD L∞", "ε50% FMN L∞"]
    assert list(table.frame["ε50%"]) == ["0.250", "0.250"]
    assert list(table.frame["optimality"]) == ["0.500", "1.000"]
    assert list(table.frame["gradients per sample"]) == ["100", "100"]
    assert table.exact is not None
    assert table.exact["optimality"].tolist() == pytest.approx([0.5, 1.0])


def test_without_a_rival_or_a_minimum_norm_attack_there_is_none(tmp_path: Path) -> None:
    open_search = Quantity("epsilon50", "pgd", "Linf", CLOSED | {"curve_resolution": None})
    longer = Quantity("epsilon50", "pgd100", "Linf", CLOSED)
    other_norm = Quantity("epsilon50", "ddn", "L2")
    unknown = Quantity("epsilon50", "mine:attack", "Linf", CLOSED)
    radii = RADII | dict.fromkeys((open_search, longer, other_norm, unknown), RADII[SEARCH])
    for number, pair in enumerate([(FMN,), (SEARCH, longer), (FMN, open_search), (FMN, other_norm), (FMN, unknown)]):
        records = written(tmp_path / str(number), made(*pair, of=radii))
        assert optimality_table(records, [*records]).frame.empty


def test_models_are_compared_with_themselves_alone(tmp_path: Path) -> None:
    pairs = [
        (record(quantity, 0.25, model(seed=seed)), [change * radius for radius in radii])
        for seed, change in ((0, 1.0), (1, 2.0))
        for quantity, radii in RADII.items()
    ]
    records = written(tmp_path, pairs)
    frame = optimality_table(records, [*records]).frame
    assert list(zip(frame["seed"], frame["optimality"], strict=True)) == [
        (0, "0.500"),
        (0, "1.000"),
        (1, "0.500"),
        (1, "1.000"),
    ]


def test_one_radius_alone_has_no_share(tmp_path: Path) -> None:
    records = written(tmp_path, made(SEARCH, FMN, of={key: [0.0, 0.2, 0.2, math.inf] for key in RADII}))
    assert set(optimality_table(records, [*records]).frame["optimality"]) == {"–"}


@pytest.mark.slow
def test_it_stands_in_the_report(tmp_path: Path) -> None:
    records = written(tmp_path, [*made(SEARCH, FMN), (record(ACCURACY), [0.0] * 4)])
    assert "Attacks beside the best of all" in all_tables(records)
    write_report(tmp_path)
    assert "optimality" in (tmp_path / "optimality.csv").read_text(encoding="utf-8")
