"""What a training in two processes logs is what one process does."""

import os
import socket
from functools import partial
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor
from torch.multiprocessing import spawn
from torch.optim import SGD

from eval.fit.selection import Epsilon50
from training import AT, Classifier
from training.data import Spheres, SplitName
from training.data.spheres import SphereSamples
from training.data.split import Split
from training.strength import Strength


class Odd(Spheres):
    """One of whose samples for validation has no partner in the other process."""

    def make_split(self, name: SplitName) -> Split:
        return (
            SphereSamples(33, self.shape[0], name, fresh=False) if name == "validation" else super().make_split(name)
        )


def logged(batch_size: int, **options: object) -> dict[str, Tensor]:
    """The means of the last epoch."""
    data = Odd(dimensions=4, train_size=96, batch_size=batch_size, eval_batch_size=8)
    module = Classifier(
        "mlp",
        {"hidden": [8]},
        shape=(4,),
        bounds=Spheres.bounds,
        objective=AT(epsilon=Strength(0.05), steps=2, random_start=False),
        optimizer=partial(SGD, lr=0.1),
    )
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        inference_mode=False,
        num_sanity_val_steps=0,
        callbacks=[Epsilon50(steps=2)],
        **quiet,
        **options,
    )
    torch.manual_seed(0)
    trainer.fit(module, datamodule=data)
    return {name: value.cpu() for name, value in trainer.callback_metrics.items()}


def one_of_two(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    names = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
    os.environ.update(dict(zip(names, ("127.0.0.1", str(port), "0", str(rank), "2"), strict=True)))
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    torch.save(logged(8, devices=2, strategy=DDPStrategy(process_group_backend="gloo")), folder / f"{rank}.pt")


@pytest.mark.slow
def test_two_processes_log_what_one_does(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(one_of_two, (port, tmp_path), nprocs=2)
    alone = logged(16, devices=1)
    assert {"val_accuracy", "val_epsilon50", "val_selection", "train_adversarial"} <= alone.keys()
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found.keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(
                found[name], value, rtol=1e-5, atol=1e-6, msg=lambda told, name=name: f"{name}: {told}"
            )
