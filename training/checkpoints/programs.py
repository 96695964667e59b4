"""Classifiers that are programs: TorchScript, torch.export and pickled modules, and what they must be able to do."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

BATCHES = (2, 3)
"""Batches that a classifier must take; two sizes, since a program may be made for one."""
IN_TRAINING = {"aten.batch_norm.default": 5, "aten.dropout.default": 2, "aten.native_dropout.default": 2}
"""Operations of exported programs that know training, and which argument says so."""


class Exported(nn.Module):
    """A program of torch.export, which knows no evaluation mode because it was exported in one.

    Args:
        program: as `torch.export.load` reads it.
    """

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        super().__init__()
        self.program: nn.Module = program.module()
        self.training = False

    def train(self, mode: bool = True) -> "Exported":
        """Stay as it is."""
        return self

    def forward(self, x: Any) -> Any:
        """What the program returns."""
        return self.program(x)


def read_script(path: Path) -> nn.Module:
    """An archive of TorchScript, in evaluation mode, on the CPU.

    Raises:
        ValueError: if it cannot be read.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.* is deprecated", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.* is deprecated", category=DeprecationWarning)
        try:
            return torch.jit.load(path, map_location="cpu").eval()
        except RuntimeError as error:
            raise ValueError(f"{path} cannot be read as TorchScript. ({error})") from error


def read_exported(path: Path) -> nn.Module:
    """A program of torch.export.

    Raises:
        ValueError: if it cannot be read, was made for batches of one size, or in training mode.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given buffer is not writable")  # which nobody writes to
            program = torch.export.load(path)
    except Exception as error:  # the reader of a program can fail in any way
        raise ValueError(f"{path} cannot be read as a program of torch.export. ({error})") from error
    sizes = [_size(node) for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    if sizes and isinstance(sizes[0], int):
        raise ValueError(_fixed(path, sizes[0]))
    if any(_trains(node) for node in program.graph.nodes):
        raise ValueError(f"{path} should be exported in evaluation mode, after model.eval(). Found training mode.")
    return Exported(program)


def check_outputs(
    network: nn.Module, path: Path, shape: Sequence[int], num_classes: int | None, bounds: tuple[float, float] | None
) -> None:
    """Refuse a program that does not take batches of the data, or returns logits of other classes.

    Args:
        network: from inputs to logits, or to anything else, which is not looked at.
        path: of the file, for messages.
        shape: of one input.
        num_classes: C, or None for any.
        bounds: of the data, None for unknown ones.

    Raises:
        ValueError: if it cannot.
    """
    value = 0.0 if bounds is None else sum(bounds) / 2
    for size in BATCHES:
        try:
            with torch.no_grad():
                found = network(torch.full((size, *shape), value))
        except Exception as error:  # a program can fail in any way
            raise ValueError(_refused(path, size, shape, error)) from error
        if not isinstance(found, Tensor):
            return
        if len(found) != size:
            raise ValueError(_fixed(path, len(found)))
        if num_classes is not None and tuple(found.shape) != (size, num_classes):
            raise ValueError(
                f"{path} should return one logit for each of {num_classes} classes. Found {tuple(found.shape)} for "
                f"{size} inputs: it was made for other classes than the data have."
            )


def _refused(path: Path, size: int, shape: Sequence[int], error: Exception) -> str:
    told = (str(error).strip() or type(error).__name__).splitlines()[-1]
    if size != BATCHES[0]:
        return _fixed(path, BATCHES[0])
    return f"{path} should take batches of inputs of the shape {tuple(shape)}. It failed with {size} of them: {told}"


def _fixed(path: Path, size: int) -> str:
    return (
        f"{path} should take batches of any size. Found a program for {size}: export it with "
        'dynamic_shapes={"x": {0: torch.export.Dim("batch")}}, with the name of the input for x; or save the state '
        "dict."
    )


def _size(node: Any) -> Any:
    """How many inputs a program takes; no int if it may be any."""
    value = node.meta.get("val")
    return value.shape[0] if isinstance(value, Tensor) and value.ndim else None


def _trains(node: Any) -> bool:
    place = IN_TRAINING.get(str(node.target))
    return place is not None and len(node.args) > place and node.args[place] is True
