import pytest
import torch

from alignment import Candidates
from eval.records.measurements import Alignment, standard_measurements
from training.data import DataSet, Split, SplitName


class Many(DataSet):
    """As many classes as it is told, two samples of each."""

    shape, bounds = (2,), (0.0, 1.0)

    def __init__(self, count: int) -> None:
        super().__init__()
        self.name, self.classes = f"{count} classes", tuple(map(str, range(count)))

    def make_split(self, name: SplitName) -> Split:
        count = 2 * self.num_classes
        return Split(torch.rand(count, 2), torch.arange(count) % self.num_classes, self.bounds)


@pytest.mark.parametrize(
    ("classes", "candidates", "recorded"),
    [(10, None, None), (25, None, None), (26, None, 24), (200, None, 24), (200, "all", "all"), (200, 50, 50)],
)
def test_number_of_candidates_is_a_part_of_the_quantity(
    classes: int, candidates: Candidates, recorded: Candidates
) -> None:
    """And None where there are few classes, as in every record from before there was a default."""
    *_, alignment, _ = standard_measurements(candidates=candidates, masking=False)
    assert isinstance(alignment, Alignment)
    assert alignment.quantity(Many(classes)).settings["candidates"] == recorded


def test_all_of_many_candidates_are_another_quantity() -> None:
    data = Many(30)
    assert Alignment("nearest").quantity(data) != Alignment("nearest", candidates="all").quantity(data)
    assert Alignment("nearest").quantity(data) == Alignment("nearest", candidates=24).quantity(data)
