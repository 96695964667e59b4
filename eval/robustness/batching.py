"""How many samples are shown at once: what memory allows, and half as many each time that memory says no."""

import gc
import math
import warnings
from collections.abc import Callable
from typing import Literal, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from alignment.contracts import check_counts
from alignment.gradients import as_variable, differentiable, evaluating, logits_of
from eval.robustness.together import agreed, processes, shared

BatchSize = int | Literal["auto"]

ON_CPU = 512
"""Samples at once on a CPU, which more do not make faster."""

LARGEST = 8192
"""Samples at once on a GPU of any memory; more do not make it faster either."""

PROBE = 64
"""Samples that are shown once to a classifier on a GPU to see what memory each takes."""

SHARE = 0.5
"""Of the memory that is free, the part that is planned with."""

COPIES = 32
"""Room for so many tensors of the size of the inputs, which attacks keep beside the classifier's own."""

FULL = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
"""What errors of allocators say, that of the CPU and those of libraries included."""

Result = TypeVar("Result")


class Batching:
    """The number of samples in a batch, which becomes smaller where memory runs out.

    Args:
        batch_size: a number, or "auto": 512 on a CPU; on a GPU as many as fit, see `fit`.
        classifier: that samples are shown to, from `(B, *shape)` to logits `(B, C)`; needed by `fit`.

    Attributes:
        size: samples in a batch from now on.

    Raises:
        ValueError: for a number below 1, or another word.
    """

    def __init__(self, batch_size: BatchSize, classifier: nn.Module | None = None) -> None:
        check_batch_size(batch_size)
        self.is_auto, self.classifier = batch_size == "auto", classifier
        self.size = ON_CPU if batch_size == "auto" else batch_size
        self._halved = False

    def fit(self, x: Float[Tensor, "N *shape"], device: torch.device, count: int) -> None:
        """Let the size be what the memory of a GPU allows, if it is "auto": half of what is free.

        What a sample takes is seen in one forward and backward pass of a few, to which comes what attacks keep.
        Processes that measure together take what all of them have room for, and leave none without work.

        Args:
            x: at least one input.
            device: where the classifier is.
            count: of all samples.
        """
        classifier = self.classifier
        if classifier is not None and self.is_auto and device.type == "cuda":
            self.size, rows = PROBE, torch.arange(PROBE, device=x.device) % len(x)
            each = agreed(lambda: self.over(rows, lambda part: _bytes_each(classifier, x[part], device)))
            room = min(shared(lambda: fitting(free_bytes(device), max(each))))
            self.size = min(room, math.ceil(count / processes()))

    def over(self, rows: Int[Tensor, " K"], run: Callable[[Int[Tensor, " P"]], Result]) -> list[Result]:
        """Do something for some samples in batches, in order.

        A batch for which memory does not do is done again in two halves, and all later ones are no larger: results
        are those of a search whose `batch_size` is the smaller one from that batch on.

        Args:
            rows: of the samples, at least one.
            run: what is done for a batch of them; it should change nothing before it has succeeded, and leave the
                source of its randomness as it was where it fails, see `eval.robustness.draws`.

        Returns:
            What each batch gave.

        Warns:
            UserWarning: naming the size that worked, if a batch was halved.

        Raises:
            RuntimeError: if memory does not do for a single sample.
        """
        found: list[Result] = []
        while len(rows):
            batch = rows[: self.size]
            try:
                found.append(run(batch))
            except (RuntimeError, MemoryError) as error:
                if len(batch) == 1 or not is_out_of_memory(error):
                    raise
            else:
                rows = rows[len(batch) :]
                self._tell()
                continue
            # Out of the handler, because the error holds on to the tensors of what did not fit.
            self._halve(len(batch))
        return found

    def _halve(self, failed: int) -> None:
        self.size, self._halved = (failed + 1) // 2, True
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _tell(self) -> None:
        """Say once what worked after memory had run out."""
        if self._halved:
            self._halved = False
            warnings.warn(
                f"Memory did not do for larger batches, so that {self.size} samples are shown at once. "
                f"batch_size={self.size} has it so from the start.",
                stacklevel=3,
            )


def check_batch_size(batch_size: BatchSize) -> None:
    """Refuse what is neither a number of samples nor "auto".

    Raises:
        ValueError: naming it.
    """
    if isinstance(batch_size, str):
        if batch_size != "auto":
            raise ValueError(f"`batch_size` should be a whole number or 'auto'. Found {batch_size!r}.")
    else:
        check_counts(1, batch_size=batch_size)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory, on a GPU or on a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(said in str(error) for said in FULL)


def fitting(free: int, each: int) -> int:
    """Samples for which a part of the free memory does, a power of two.

    Args:
        free: bytes.
        each: bytes that a sample takes.

    Example:
        >>> fitting(80 * 2**30, 5 * 2**20), fitting(80 * 2**30, 2**10), fitting(2**20, 2**30)
        (8192, 8192, 1)
    """
    count = max(int(SHARE * free / max(each, 1)), 1)
    return min(1 << (count.bit_length() - 1), LARGEST)


def free_bytes(device: torch.device) -> int:
    """Bytes of a GPU that nobody uses, those included that PyTorch keeps for later."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


def _bytes_each(classifier: nn.Module, x: Float[Tensor, "B *shape"], device: torch.device) -> int:
    """Bytes that a sample takes on a GPU in a pass there and back, and for what an attack keeps of it."""
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    # A classifier that is random itself draws from the global random state, which is put back.
    with torch.random.fork_rng(devices=[device]), evaluating(classifier), differentiable():
        variable = as_variable(x.to(device))
        scores = logits_of(classifier, variable).sum()
        if scores.requires_grad:
            torch.autograd.grad(scores, variable, allow_unused=True)
    passes = torch.cuda.max_memory_allocated(device) - before
    return passes // len(x) + COPIES * x[0].numel() * x.element_size()
