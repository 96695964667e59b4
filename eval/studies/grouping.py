"""Which models of a study are trained side by side, and how many."""

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from eval.fit import FitCLI
from eval.records.device import AUTO
from eval.records.identity import digest
from eval.studies.grid import Cell, ModelCell

MOST = 16
"""Models side by side where nobody says how many; more were hardly faster on an H100."""
FREE = 0.8
"""How much of the free memory of a GPU they may take."""
COPIES = 6
"""Of the weights: themselves, a gradient for each of two losses, two moments, and a perturbation."""
PASSES = 6
"""As many forward passes as keep what their backward pass needs: two losses, twice differentiated, and an attack."""
BESIDES = 2**27
"""Bytes that a GPU's libraries take for each, whatever it is."""
SMALL = 2**26
"""Bytes of a training, beside those, below which a GPU mostly waits for the host: one process cannot keep it busy."""
EACH = 3
"""Such models for a process, at least, since each process first loads its libraries."""
GPUS = ("auto", "gpu", "cuda")
"""Accelerators of Lightning that are a GPU where there is one."""


def groups(
    cells: Iterable[Cell], side_by_side: int | None, device: str = AUTO, jobs: int = 1
) -> list[tuple[Cell, ...]]:
    """Cells that are trained side by side, in the order in which the first of each group stands.

    They share data set, network and trainer with all their options, and so the shapes of their steps. Seeds, losses,
    combiners and optimisers may differ.

    Args:
        cells: of a study.
        side_by_side: the size of a group; None for one on a CPU, and what fits on a GPU.
        device: that they are trained on; auto for what their trainers say.
        jobs: processes among which groups are divided, so that none is left without one.
    """
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(shared(cell), []).append(cell)
    share = MOST if jobs == 1 else math.ceil(sum(map(len, found.values())) / jobs)
    return [part for group in found.values() for part in parts(group, most(group[0], side_by_side, device, share))]


def parts(cells: Sequence[Cell], size: int) -> list[tuple[Cell, ...]]:
    """Some cells in as few parts as have at most a size, as even as can be: 9 in parts of 4 are 3, 3 and 3."""
    count = math.ceil(len(cells) / size)
    ends = [len(cells) * number // count for number in range(count + 1)]
    return [tuple(cells[start:end]) for start, end in pairwise(ends)]


def shared(cell: Cell) -> str:
    """A digest of what the cells of a group share."""
    if not isinstance(cell, ModelCell):
        return cell.identity
    model = cell.fit.get("model", {})
    network = [model.get(key) for key in ("network", "network_options", "graphs")]
    return digest([cell.model.data, cell.fit.get("data"), cell.fit.get("trainer"), network])


def most(cell: Cell, side_by_side: int | None, device: str = AUTO, share: int = MOST) -> int:
    """How many cells may be trained together with this one among them, as far as is known before it is trained."""
    if not isinstance(cell, ModelCell):
        return 1
    if side_by_side is not None:
        return side_by_side
    return min(MOST, share) if on_gpu(cell.fit, device) else 1


def on_gpu(fit: Mapping[str, Any], device: str = AUTO) -> bool:
    """Whether a configuration trains on a GPU, on this machine and on a device that was asked for."""
    if device != AUTO:
        return torch.device(device).type == "cuda"
    return torch.cuda.is_available() and fit.get("trainer", {}).get("accelerator", "auto") in GPUS


def fitting(cli: FitCLI, free: int) -> int:
    """How many trainings like this one fit into some memory, at least one.

    Args:
        cli: a training that has not begun.
        free: bytes.
    """
    data = cli.datamodule
    return max(1, min(MOST, int(FREE * free / step_bytes(cli.model.network, data.shape, data.batch_size))))


def is_small(cli: FitCLI) -> bool:
    """Whether a training is so small that a GPU mostly waits for the host."""
    data = cli.datamodule
    return step_bytes(cli.model.network, data.shape, data.batch_size) - BESIDES < SMALL


def step_bytes(network: nn.Module, shape: Sequence[int], batch_size: int) -> int:
    """About how many bytes a training takes on its device at most: several copies of its weights and of a pass.

    Args:
        network: on the CPU; left as it was found.
        shape: of one input.
        batch_size: of a step.
    """
    tried = deepcopy(network).train()
    weights = [*tried.parameters(), *tried.buffers()]
    own = {weight.untyped_storage().data_ptr() for weight in weights}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.random.fork_rng(devices=[]), torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
        tried(torch.zeros(2, *shape)).sum()
    of_two = sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)
    of_weights = sum(weight.untyped_storage().nbytes() for weight in weights)
    return BESIDES + COPIES * of_weights + PASSES * of_two * batch_size // 2
