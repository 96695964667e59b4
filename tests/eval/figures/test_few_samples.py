"""A page is written whatever its figures found: one sample, or a network that says the same of everything."""

from pathlib import Path

import pytest
import torch
from torch import nn

from eval import measure
from eval.report import write_report
from training.data import Digits

NAMES = ["variants", "linearity", "theorems", "conflict_growth"]
OPTIONS = {
    "linearity": {"attack": "fmn", "options": {"steps": 2}},
    "conflict_growth": {"steps": 1, "budgets": [0.1, 0.2]},
}


def network(weight: float) -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        made[1].weight.mul_(weight)
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("weight", "limit"), [(1.0, 1), (0.0, 12)])
def test_every_figure_has_its_line(tmp_path: Path, weight: float, limit: int) -> None:
    asked = {"figures": NAMES, "figure_options": OPTIONS, "only": "figures", "limit": limit}
    measure(network(weight), Digits(), out=tmp_path, say=lambda _: None, **asked)
    tables = write_report(tmp_path)
    told = "\n".join(str(table.frame.to_dict("records")) for table in tables.values())
    assert "nan" not in told.lower()
    assert "What is differentiated (paper 1, Table S2)" in tables
    assert "Growth of the conflict with the attack budget (paper 3, Fig. 2b)" in tables
    assert (tmp_path / "page.html").is_file()
