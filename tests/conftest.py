"""What several tests need: linear classifiers with known radii, and the real data where it is at hand."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

Linear = Callable[..., nn.Module]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def linear() -> Linear:
    """Makes a linear classifier from `(B, *shape)` to `(B, classes)` logits."""

    def make(features: int, classes: int, dtype: torch.dtype = torch.float32) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(features, classes, dtype=dtype))

    return make


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real data files; the test is skipped, saying so, where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("ALPHADX_DATA", beside))
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip(f"no real data at {root}; name its folder with ALPHADX_DATA")
    return root
