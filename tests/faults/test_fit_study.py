"""A model of a study that is killed in the middle of an epoch goes on there."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
import yaml

from eval.fit.within_epoch import WITHIN_KEY
from tests.faults.points import Fault, forked, points
from tests.faults.tiny import TINY, numbers, ran

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
KILLED = -9


def checkpoints(calls: list[str]) -> list[int]:
    """The calls by which a last checkpoint took its name."""
    return [number for number, call in enumerate(calls) if call.startswith("replace") and "last.ckpt" in call]


@pytest.mark.slow
def test_study_killed_in_an_epoch_goes_on_in_it(tmp_path: Path) -> None:
    study = deepcopy(TINY)
    study["base"]["save"] = {"steps": 1}  # type: ignore[index]
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(study))
    whole = points(lambda: ran(file, tmp_path / "whole"), tmp_path / "said")
    assert len(checkpoints(whole)) == 2  # after the first step, and at the end of the epoch

    out, told, again = tmp_path / "out", tmp_path / "told", tmp_path / "again"
    fault = Fault(checkpoints(whole)[0], when="after")
    assert forked(lambda: ran(file, out), told, fault) == KILLED
    (last,) = out.rglob("last.ckpt")
    assert WITHIN_KEY in torch.load(last, weights_only=True)
    assert forked(lambda: ran(file, out), told, Fault(said=again)) == 0, told.read_text()
    assert len(checkpoints(again.read_text().splitlines())) == 1  # the first step is not taken again
    assert numbers(out) == numbers(tmp_path / "whole")
