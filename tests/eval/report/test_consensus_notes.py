from pathlib import Path

import torch
from torch import Tensor, nn

from eval.records import Model, Results, Sitting
from eval.records.consensus_alignment import OVER
from eval.records.measurements import Alignment
from eval.report import all_tables
from eval.report.consensus_notes import MEANS
from eval.tables.markdown import NUMBER
from eval.tables.plain_letters import plainly
from training.data import Spheres


class Radius(nn.Module):
    def __init__(self, lean: float) -> None:
        super().__init__()
        self.lean = nn.Parameter(torch.tensor(lean))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(x)), x.norm(dim=1) - 1.15 + self.lean * x[:, 0]], dim=1)


def test_the_interval_is_marked_and_each_estimator_is_told(tmp_path: Path) -> None:
    data, results = Spheres(dimensions=4, train_size=40), Results(tmp_path)
    consensus = Alignment({"consensus": ["exact", "nearest"]})
    for recipe, lean, wanted in (("together", 0.5, [consensus]), ("alone", 0.8, [Alignment("exact")])):
        sitting = Sitting.of(Radius(lean), data, Model("Spheres4", recipe), limit=50)
        sitting.take_all(wanted, results.home(sitting.model, recipe))
    records = results.load()
    table = all_tables(records)["Side by side"]
    alone, together = (
        line["α_Δx (name " + name + ")"]
        for line, name in zip(table.frame.to_dict("records"), ("exact", "consensus of exact, nearest"), strict=True)
    )
    (record,) = (record for record in records if OVER in record.details)
    low, high = record.interval
    assert together == f"{record.value:.3f} [{low:.3f}, {high:.3f}]†"
    assert "†" not in alone
    assert MEANS in table.notes
    told = record.details["alpha_by_estimator"]
    (note,) = (note for note in table.notes if "corrected; the estimators' mutual cosine" in note)
    assert f"α_Δx is {told['exact']:.3f} by exact, {told['nearest']:.3f} by nearest" in note
    assert ", together: " in note
    assert NUMBER.fullmatch(together)
    assert plainly(together).endswith("]*")
