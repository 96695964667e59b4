import torch

from eval.records.drawing import drawn_by_class
from training.data import Digits, Spheres
from training.data.split import labels_of


def test_each_class_has_its_share_and_no_sample_is_drawn_twice() -> None:
    labels = torch.tensor([0] * 600 + [1] * 300 + [2] * 100)  # sorted, as the files of a folder are
    drawn = drawn_by_class(labels, 50)
    assert len(drawn.unique()) == 50
    assert (labels[drawn].bincount() - torch.tensor([30, 15, 5])).abs().max() <= 1
    assert (labels[drawn[:20]].bincount(minlength=3) - torch.tensor([12, 6, 2])).abs().max() <= 1


def test_a_draw_depends_on_its_seed_alone() -> None:
    labels = torch.arange(1000) % 10
    first = drawn_by_class(labels, 100, 3)
    torch.rand(5)
    assert torch.equal(first, drawn_by_class(labels, 100, 3))
    assert not torch.equal(first, drawn_by_class(labels, 100, 4))
    assert torch.equal(drawn_by_class(labels, 30, 3), first[:30])


def test_fewer_samples_than_classes_are_of_different_classes() -> None:
    labels = torch.arange(1000) % 100
    assert len(labels[drawn_by_class(labels, 60)].unique()) == 60


def test_every_sample_is_as_likely_as_any_other() -> None:
    labels = torch.tensor([0] * 7 + [1] * 3)
    counts = torch.zeros(10)
    for seed in range(1000):
        counts[drawn_by_class(labels, 4, seed)] += 1
    assert (counts / 1000 - 0.4).abs().max() < 0.07


def test_no_more_are_drawn_than_there_are() -> None:
    assert drawn_by_class(torch.arange(5), 9).sort().values.tolist() == [0, 1, 2, 3, 4]


def test_labels_are_read_from_samples_where_a_split_holds_none() -> None:
    split = Spheres(dimensions=3).split("test")
    assert torch.equal(labels_of(split), split.__getitems__(range(1000)).y)
    assert labels_of(Digits().split("test")) is not None
