import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import Trainer

from eval.fit.whole_checkpoints import WholeCheckpoints, keep_whole


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new" / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"epoch": 1}, file)

    class Full:
        def __init__(self, path: Path) -> None:
            path.touch()

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *error: object) -> None: ...

        def write(self, content: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", lambda path, mode: Full(path))
    with pytest.raises(OSError, match=r"last.ckpt: the disk is full; [\d,]+ bytes are needed"):
        WholeCheckpoints().save_checkpoint({"epoch": 2}, str(file))
    monkeypatch.undo()
    assert torch.load(file) == {"epoch": 1}
    assert [one.name for one in file.parent.iterdir()] == ["last.ckpt"]


def test_a_trainer_keeps_its_own_way(quiet_trainer: Callable[..., Trainer]) -> None:
    class Own(TorchCheckpointIO): ...

    for trainer, kept in ((quiet_trainer(1), WholeCheckpoints), (quiet_trainer(1, plugins=[Own()]), Own)):
        keep_whole(trainer)
        assert type(trainer.strategy.checkpoint_io) is kept


def test_trainings_write_whole_checkpoints(tmp_path: Path) -> None:
    from eval.fit import fit_from

    data = {"class_path": "training.data.Digits", "init_args": {"batch_size": 32}}
    cli = fit_from(
        {"data": data, "trainer": {"max_epochs": 1, "accelerator": "cpu", "default_root_dir": str(tmp_path)}}
    )
    assert isinstance(cli.trainer.strategy.checkpoint_io, WholeCheckpoints)
