import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from eval.records import EstimatorQuality, Model, Record
from eval.records.judges import Judges, load_judges
from eval.records.residual_numbers import cycle, length_ratio
from eval.report.residual_doubts import leads_nowhere
from eval.tables.rows import column_titles
from generators import ResidualEstimator
from generators.store import BySample
from training.data import CIFAR10, DataSet, Digits, Planted, Spheres, Squares


class Part:
    """So much of the way to the other sphere."""

    name, digest = "part", ""

    def __init__(self, data: DataSet, part: float) -> None:
        self.data, self.settings = data, {"part": part}

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        return self.settings["part"] * self.data.exact_residual(x, y, target)


class Radius(nn.Module):
    """Which sphere is closer; not fooled."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(x)), x.norm(dim=1) - 1.15], dim=1)


class Touchy(nn.Module):
    """Takes any sample for the other class that is not exactly on its sphere."""

    def forward(self, x: Tensor) -> Tensor:
        radius = x.norm(dim=1)
        inner = (radius < 1.15) == ((radius - 1).abs().minimum((radius - 1.3).abs()) < 1e-4)
        return torch.stack([inner.float(), 1 - inner.float()], dim=1)


def records_of(
    estimator: ResidualEstimator, data: DataSet, judge: Judges = None, nearest: ResidualEstimator | None = None
) -> list[Record]:
    quality = EstimatorQuality(estimator, data, Model("any", "mine"), judge, limit=60, nearest=nearest)
    return [record for record, _ in quality.take(*quality.sitting())[0]]


def value_of(records: list[Record], kind: str) -> float:
    return next(record.value for record in records if record.quantity.kind == kind)


@pytest.mark.parametrize("data", [Spheres(dimensions=6), Squares(size=16, train_size=20)])
def test_the_cycle_of_the_truth_is_closed(data: DataSet) -> None:
    assert value_of(records_of(data.exact_residual, data), "residual_cycle") == pytest.approx(0, abs=1e-5)


def test_the_cycle_of_a_part_of_the_way_has_a_closed_form() -> None:
    data, part = Spheres(dimensions=6), 0.5
    x, y, _ = data.split("test").__getitems__(range(200))
    estimator = Part(data, part)
    residual = estimator(x, y, 1 - y)
    found = cycle(residual, estimator(x + residual, 1 - y, y))
    outward = 1 - (1 + 0.3 * part) / 1.3
    inward = 0.3 * (1 - part)
    expected = torch.where(y == 0, outward, inward)
    torch.testing.assert_close(found.columns["ratio"], expected, atol=1e-5, rtol=0)
    low, high = found.interval
    assert low <= found.value <= high


@pytest.mark.data
def test_the_cycle_of_planted_signs_is_closed(real_data: Path) -> None:
    data = Planted(backgrounds=CIFAR10(data_root=str(real_data), size=16), cells=(1, 2), train_size=50)
    assert value_of(records_of(data.exact_residual, data), "residual_cycle") == pytest.approx(0, abs=1e-5)


def test_samples_that_are_not_moved_have_no_cycle() -> None:
    found = cycle(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[1.0, 1.0], [0.0, -4.0]]))
    assert found.value == pytest.approx(0.6)
    assert found.invalid == 1
    assert math.isnan(cycle(torch.zeros(2, 3), torch.ones(2, 3)).value)


def test_lengths_are_those_of_the_nearest_example() -> None:
    data = Spheres(dimensions=6, train_size=100)
    nearest = data.residual("nearest")
    assert value_of(records_of(nearest, data, nearest=nearest), "residual_length_ratio") == 1
    found = {part: records_of(Part(data, part), data, nearest=nearest) for part in (1.0, 2.0)}
    ratios = {part: value_of(records, "residual_length_ratio") for part, records in found.items()}
    assert 0 < ratios[1.0] < 1
    assert ratios[2.0] == pytest.approx(2 * ratios[1.0])
    assert length_ratio(torch.ones(1, 3), torch.zeros(1, 3)).invalid == 1


def test_energy_is_least_for_the_truth_and_stands_beside_that_of_nearest_examples() -> None:
    data = Spheres(dimensions=6, train_size=20)
    nearest = data.residual("nearest")
    exact, short, own = (
        records_of(e, data, nearest=nearest) for e in (data.exact_residual, Part(data, 0.2), nearest)
    )
    assert value_of(exact, "residual_energy") < value_of(short, "residual_energy")
    (record,) = [record for record in short if record.quantity.kind == "residual_energy"]
    assert record.details["nearest"] == value_of(own, "residual_energy")


def test_a_second_judge_sees_through_what_fools_the_first() -> None:
    data = Spheres(dimensions=6)
    judges = {"plain": Touchy(), "adversarially trained": Radius()}
    records = records_of(Part(data, 0.01), data, judges)
    shares = {r.quantity.settings["judge"]: r for r in records if r.quantity.kind == "residual_target_share"}
    assert {name: record.value for name, record in shares.items()} == {"plain": 1, "adversarially trained": 0}
    titles = column_titles(records)
    assert titles[shares["plain"].quantity] == "x̂' of target class % (judge plain)"
    assert leads_nowhere(records) == {records[0].subject.key}
    assert not leads_nowhere(records_of(data.exact_residual, data, {"far": Radius()}))


def test_judges_of_one_name_share_a_column_whatever_the_data() -> None:
    names = {"plain": Touchy(), "adversarially trained": Radius()}
    small, large = (Spheres(dimensions=dimensions) for dimensions in (6, 9))
    others = {"plain": nn.Sequential(Touchy(), nn.Linear(2, 2)), "far": Radius()}
    both = records_of(Part(small, 0.5), small, names) + records_of(Part(large, 0.5), large, others)
    titles = {title for quantity, title in column_titles(both).items() if quantity.kind == "residual_target_share"}
    assert titles == {f"x̂' of target class % (judge {name})" for name in ("plain", "adversarially trained", "far")}


def test_judges_of_one_name_on_the_same_samples_have_a_column_each() -> None:
    data = Spheres(dimensions=6)
    given = ({"plain": Touchy()}, {"plain": nn.Sequential(Touchy(), nn.Linear(2, 2))})
    records = [record for judges in given for record in records_of(Part(data, 0.5), data, judges)]
    titles = {title for quantity, title in column_titles(records).items() if quantity.kind == "residual_target_share"}
    assert len(titles) == 2
    assert all("(judge_digest " in title for title in titles)


def test_one_judge_is_called_as_before_there_were_several() -> None:
    (record,) = (
        r for r in records_of(Part(Spheres(dimensions=6), 1.0), Spheres(dimensions=6), Radius()) if r.forward_passes
    )
    assert {*record.quantity.settings} == {"seed", "judge"}


def test_what_is_known_of_samples_alone_has_no_cycle() -> None:
    class Kept(BySample):
        name, settings, digest = "kept", {}, ""  # type: ignore[assignment]

        def __init__(self) -> None: ...

        def at(self, indices: Tensor) -> Part:
            return Part(Spheres(dimensions=6), 1.0)

    kinds = {record.quantity.kind for record in records_of(Kept(), Spheres(dimensions=6))}
    assert kinds == {"residual_similarity", "residual_energy", "residual_norm"}


def test_no_judge_in_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`judge` should name at least one checkpoint. Found none."):
        load_judges([], Digits())
    assert load_judges(None, Digits()) is None
