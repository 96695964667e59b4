import torch

from training.active import Active


def test_those_that_leave_end_where_they_are_and_the_others_go_on() -> None:
    active = Active(torch.zeros(4, 2))
    points, label = torch.arange(8.0).reshape(4, 2), torch.arange(4)
    points, label = active.keep(torch.tensor([True, False, True, False]), points, points, label)
    assert (label.tolist(), active.indices.tolist(), len(active)) == ([0, 2], [0, 2], 2)
    assert active.ends.tolist() == [[0, 0], [2, 3], [0, 0], [6, 7]]
    points, label = active.keep(torch.tensor([False, True]), points + 10, points + 10, label)
    assert (label.tolist(), active.indices.tolist()) == ([2], [2])
    assert active.end(points * 10).tolist() == [[10, 11], [2, 3], [140, 150], [6, 7]]


def test_nothing_is_copied_while_all_stay() -> None:
    active, state = Active(torch.zeros(3)), torch.ones(3)
    (kept,) = active.keep(torch.ones(3, dtype=torch.bool), torch.ones(3), state)
    assert kept is state
    assert torch.equal(active.ends, torch.zeros(3))


def test_those_that_never_leave_and_are_not_written_down_end_as_they_began() -> None:
    active, x = Active(torch.full((2,), 7.0)), torch.ones(2)
    active.keep(torch.tensor([True, False]), x)
    assert active.ends.tolist() == [7, 1]


def test_the_tensor_that_is_given_is_not_written_to() -> None:
    x = torch.zeros(2, 3)
    Active(x).end(torch.ones(2, 3))
    assert torch.equal(x, torch.zeros(2, 3))


def test_all_may_leave() -> None:
    active = Active(torch.zeros(2))
    (point,) = active.keep(torch.zeros(2, dtype=torch.bool), torch.ones(2), torch.ones(2))
    assert not len(active)
    assert active.end(point).tolist() == [1, 1]
