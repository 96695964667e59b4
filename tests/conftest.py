"""What several tests need: linear classifiers with known radii, and the real data where it is at hand.

Tests are the same on every machine. They work on the CPU, and CUDA's devices are hidden from them and from every
process that they start. Only those marked `gpu`, all in tests/gpu, work on one, in a run of their own:
`pytest -m gpu tests/gpu`.
"""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch
from torch import nn

Linear = Callable[..., nn.Module]


def wants_gpu(marks: str) -> bool:
    """Whether a run with such an expression of marks is one of the tests on a GPU.

    Example:
        >>> wants_gpu("gpu"), wants_gpu("not slow and not browser"), wants_gpu("slow and not gpu")
        (True, False, False)
    """
    words = marks.replace("(", " ").replace(")", " ").split()
    return any(word == "gpu" and words[max(place - 1, 0)] != "not" for place, word in enumerate(words))


def pytest_configure(config: pytest.Config) -> None:
    """Hide GPUs before anybody has looked for them."""
    if not wants_gpu(config.getoption("markexpr")):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_sessionstart() -> None:
    """Nothing that is imported or collected is garbage, so that looking for garbage meanwhile finds none."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What lives now lives to the end: who collects garbage later, as halved batches do, need not look through it."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """The process ends as any other: what is let go of at its end is looked through again."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _auto_is_the_cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("gpu") is None:
        monkeypatch.setattr("eval.records.device.best_device", lambda: "cpu")


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


@pytest.fixture
def as_in_production() -> Iterator[None]:
    """Shapes and types are not checked at the door, so that our own errors are what a caller meets."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are written without pictures, which take longer than all else, for tests that look at none."""
    monkeypatch.setattr("eval.report.page.all_plots", lambda records: {})
    monkeypatch.setattr("eval.report.page.explorable", lambda: False)


@pytest.fixture
def quiet_trainer() -> Callable[..., object]:
    """Makes a Lightning trainer for the CPU that prints, logs and keeps nothing."""
    from pytorch_lightning import Trainer

    def make(epochs: int, **options: object) -> Trainer:
        silent = dict.fromkeys(
            ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False
        )
        return Trainer(max_epochs=epochs, accelerator="cpu", inference_mode=False, **(silent | options))

    return make


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tensors here are tiny: on shared cores, threads wait for each other far longer than they work."""
    torch.set_num_threads(1)
