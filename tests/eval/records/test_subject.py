from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from eval.records import Model, Sitting, standard_measurements
from eval.records.chosen import ReadBatches
from eval.records.subject import chosen_samples
from training.data import DataSet, Digits, LazySplit, Spheres, Split

MODEL = Model("digits", "any")


@pytest.mark.parametrize(("limit", "key"), [(None, "895762833815a2e1"), (20, "af958b9197206ef6")])
def test_the_first_samples_have_the_identity_that_they_always_had(limit: int | None, key: str) -> None:
    """Records of earlier versions are found: the keys are theirs."""
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    for parameter in classifier.parameters():
        nn.init.constant_(parameter, 0.5)
    assert Sitting.of(classifier, Digits(), MODEL, limit=limit).subject.key == key


def test_samples_drawn_at_random_say_how() -> None:
    batches, samples = chosen_samples(Digits(), limit=50, order="random", seed=3)
    assert samples.count == 50
    assert (samples.arguments["limit_order"], samples.arguments["limit_seed"]) == ("random", 3)
    indices = torch.cat([batch.indices for batch in batches])
    assert indices.tolist() != list(range(50))
    assert torch.cat([batch.y for batch in batches]).bincount().tolist() == [5] * 10
    others = chosen_samples(Digits(), limit=50, order="random", seed=4)[1]
    assert samples.digest != others.digest
    assert samples == chosen_samples(Digits(), limit=50, order="random", seed=3)[1]


def test_a_draw_of_all_samples_is_none() -> None:
    everything = chosen_samples(Digits())[1]
    assert chosen_samples(Digits(), limit=10_000, order="random")[1] == everything
    assert chosen_samples(Digits(), limit=540, order="random")[1] == everything


def test_what_cannot_be_chosen_is_refused(as_in_production: None) -> None:
    with pytest.raises(ValueError, match=r"`limit` should be at least 1. Found 0"):
        chosen_samples(Digits(), limit=0, order="random")
    with pytest.raises(ValueError, match=r"`limit_order` should be one of first, random. Found 'last'"):
        chosen_samples(Digits(), limit=3, order="last")


class Read(LazySplit):
    """Bytes that are read when they are asked for, and counted."""

    def __init__(self) -> None:
        self.images = torch.arange(40, dtype=torch.uint8).repeat_interleave(4).reshape(40, 1, 2, 2)
        self.asked: list[int] = []
        super().__init__(torch.arange(40) % 2, (0.0, 1.0))

    def __len__(self) -> int:
        return 40

    def read(self, indices: Sequence[int]) -> Tensor:
        self.asked.append(len(indices))
        return self.images[list(indices)]


class Lazy(DataSet):
    """Samples that lie on a disk."""

    name = "lazy"
    classes = ("even", "odd")
    bounds = (0.0, 1.0)
    shape = (1, 2, 2)

    def make_split(self, name: str) -> Split:
        return Read()


@pytest.mark.parametrize("order", ["first", "random"])
def test_large_splits_are_read_in_batches_and_are_the_same_samples(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Lazy(eval_batch_size=8)
    held, samples = chosen_samples(data, limit=30, order=order)
    monkeypatch.setattr("eval.records.chosen.IN_MEMORY", 100)
    read, same = chosen_samples(data, limit=30, order=order)
    assert same == samples
    assert isinstance(read, ReadBatches)
    assert not isinstance(held, ReadBatches)
    assert len(read) == len(held) == 4
    for one, other in zip(read, held, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert torch.equal(read[1].x, held[1].x)
    assert [len(batch.y) for batch in read[2:]] == [8, 6]


def test_no_more_than_a_batch_is_read_at_a_time_for_any_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.records.chosen.IN_MEMORY", 100)
    data = Lazy(eval_batch_size=8)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    wanted = standard_measurements(["fgsm"], ["Linf"], curve_resolution=None, masking=False, residual="nearest")
    wanted = [measurement for measurement in wanted if type(measurement).__name__ != "Alignment"]
    found = [Sitting.of(classifier, data, MODEL).take(measurement) for measurement in wanted]
    monkeypatch.setattr("eval.records.chosen.IN_MEMORY", 10**9)
    held = [Sitting.of(classifier, data, MODEL).take(measurement) for measurement in wanted]
    for (record, table), (expected, same) in zip(found, held, strict=True):
        assert record.value == expected.value
        assert table.equals(same)
    assert max(data.split("test").asked) == 8


def test_samples_of_spheres_can_be_drawn_too() -> None:
    batches, samples = chosen_samples(Spheres(dimensions=3), limit=10, order="random")
    assert torch.cat([batch.y for batch in batches]).bincount().tolist() == [5, 5]
    assert samples.count == 10


def test_bounds_may_be_whole_numbers(as_in_production: None) -> None:
    """Records are read with bounds in floating point, and have to have the key that they were saved with."""
    _, samples = chosen_samples(Digits(bounds=(0, 1)), limit=3)
    assert [type(bound) for bound in samples.bounds or ()] == [float, float]
