"""The GPU that the tests of this folder work on.

Every test that is marked `gpu` says that a GPU finds what the CPU finds, from the same weights and inputs, to a
tolerance that it states; `test_complete.py` says on any machine that no part is left out.
Random numbers of the two differ, so randomness is left out or drawn on the CPU for both. Networks and inputs are in
float64 where a sign or a tie could otherwise turn on the last bit.

On a machine without a GPU, `ALPHADX_GPU_TESTS_ON=cpu` lets the CPU stand in for it: the equalities then hold of
themselves, but every line is known to run.
"""

import os
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def cuda() -> Iterator[torch.device]:
    """The GPU, without TF32, whose products have three digits; where there is none, the test is skipped."""
    if os.environ.get("ALPHADX_GPU_TESTS_ON") == "cpu":
        yield torch.device("cpu")
    elif not torch.cuda.is_available():
        pytest.skip("no CUDA device, or no run with -m gpu; ALPHADX_GPU_TESTS_ON=cpu lets the CPU stand in for it")
    else:
        cudnn, matmul = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        yield torch.device("cuda")
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = cudnn, matmul
