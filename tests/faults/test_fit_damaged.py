"""A damaged checkpoint is named with what to do, and what is said to do ends with the same weights."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from eval.fit.damaged import read_checkpoint
from tests.eval.fit.runs import same, saved
from tests.faults.stopping import trained

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


def flipped(content: bytes) -> bytes:
    """One byte in the middle of the weights is another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda content: b"", "it is empty"),
    "cut off": (lambda content: content[:-1000], "it is cut off, or no file of torch"),
    "half": (lambda content: content[: len(content) // 2], "it is cut off, or no file of torch"),
    "zeros": (lambda content: bytes(len(content)), "it is cut off, or no file of torch"),
    "other bytes": (
        lambda content: bytes(range(256)),
        "it is cut off, or no file of torch",
    ),
    "one byte": (flipped, "has other bytes than were written"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of two epochs, which no test changes."""
    folder = tmp_path_factory.mktemp("run")
    torch.set_num_threads(1)
    trained(folder, {"model": {"network_options": {"hidden": [4]}}})
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("best", ["whole", "damaged", "missing"])
def test_damaged_checkpoint_is_named_with_the_remedy(run: Path, tmp_path: Path, damage: str, best: str) -> None:
    change, message = DAMAGES[damage]
    whole = (run / "checkpoints/last.ckpt").read_bytes()
    last, other = tmp_path / "last.ckpt", tmp_path / "best.ckpt"
    last.write_bytes(change(whole))
    if best != "missing":
        other.write_bytes(change(whole) if best == "damaged" else whole)
    remedy = (
        f"go on from the best epoch with `--resume {re.escape(str(other))}`, or leave" if best == "whole" else "leave"
    )
    with pytest.raises(
        ValueError, match=rf"{re.escape(str(last))} cannot be read as .*{message}. Delete it, and {remedy}"
    ):
        read_checkpoint(last)


def test_what_is_said_of_a_damaged_checkpoint_ends_with_the_same_weights(run: Path, tmp_path: Path) -> None:
    changes = {"model": {"network_options": {"hidden": [4]}}}
    one = trained(tmp_path, changes, {"trainer": {"max_epochs": 1}})
    last = tmp_path / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"last.ckpt cannot be read as a checkpoint: it is cut off") as refused:
        trained(tmp_path, changes, {"resume": "last"})
    (named,) = re.findall(r"`--resume (\S+)`", str(refused.value))
    last.unlink()
    resumed = trained(tmp_path, changes, {"resume": named})
    assert (one.steps, resumed.steps) == (17, 17)
    assert same(saved(tmp_path), saved(run))
