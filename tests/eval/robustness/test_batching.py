"""Batches that do not fit are halved, and nothing else changes."""

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eval.robustness import batching as module
from eval.robustness.batching import Batching, fitting, is_out_of_memory
from eval.robustness.draws import Draws
from eval.robustness.judge import Judge
from eval.robustness.masking import masking_signs
from eval.robustness.radii import critical_radii, minimal_radii
from eval.robustness.search import Search
from tests.eval.classifiers import Half, half_problem
from training import pgd

BOUNDS = (-1.0, 1.0)
ERRORS: dict[str, Callable[[], object]] = {
    "GPU": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "CPU": lambda: torch.empty(2**50),
    "library": lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "Python": lambda: MemoryError(),
}
"""Each returns or raises what a machine says whose memory is full."""


def full(kind: str = "GPU") -> Exception:
    try:
        return ERRORS[kind]()  # type: ignore[return-value]
    except RuntimeError as error:
        return error


def limited(attack: Callable[..., Tensor], most: int, sizes: list[int], kind: str = "GPU") -> Callable[..., Tensor]:
    """An attack that runs out of memory, in the middle, with more than so many samples."""

    def attempt(
        classifier: nn.Module, x: Tensor, y: Tensor, *given: Tensor, generator: torch.Generator, **options: Any
    ) -> Tensor:
        sizes.append(len(x))
        if len(x) > most:
            torch.rand(len(x), generator=generator)
            x.zero_()
            classifier.train()
            raise full(kind)
        return attack(classifier, x, y, *given, generator=generator, **options)

    return attempt


RANDOM = partial(pgd, steps=0)
"""A random point of the ball: nothing but its draws decides."""


class ByRow(Half):
    """Sums that do not depend on the size of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        score = (x * self.slope).sum(dim=1)
        return torch.stack([-score / 2, score / 2], dim=1)


def problem(count: int) -> tuple[Half, Tensor, Tensor]:
    classifier, x, y = half_problem(count)
    return ByRow(classifier.slope.detach()), x, y


def test_automatic_size_on_a_cpu_is_today_s() -> None:
    batching = Batching("auto", nn.Identity())
    batching.fit(torch.rand(3, 2), torch.device("cpu"), 3)
    assert batching.size == 512
    assert Batching(7).size == 7


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (0, "should be at least 1. Found 0"),
        (2.5, "should be a whole number. Found 2.5"),
        ("many", "should be a whole number or 'auto'. Found 'many'"),
    ],
)
def test_what_is_no_size_is_refused(as_in_production: None, given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"`batch_size` {message}"):
        Batching(given)


def test_size_on_a_gpu_is_what_half_of_its_free_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[int] = []

    def each(classifier: nn.Module, x: Tensor, device: torch.device) -> int:
        shown.append(len(x))
        return 2**20

    monkeypatch.setattr(module, "free_bytes", lambda device: 2 * 600 * 2**20)
    monkeypatch.setattr(module, "_bytes_each", each)
    gpu, x = torch.device("cuda"), torch.rand(5, 2)
    automatic, chosen = Batching("auto", nn.Identity()), Batching(33, nn.Identity())
    automatic.fit(x, gpu, 10_000)
    assert (automatic.size, shown) == (512, [64])
    chosen.fit(x, gpu, 10_000)
    assert chosen.size == 33


def test_size_is_a_power_of_two_that_fits() -> None:
    for free in (1, 1000, 2**30, 80 * 2**30):
        for each in (1, 10**3, 10**7):
            size = fitting(free, each)
            assert size.bit_count() == 1
            assert size == 1 or size * each <= free / 2
            assert size == 8192 or 4 * size * each > free / 2


@pytest.mark.parametrize("kind", ERRORS)
def test_full_memory_is_known_by_what_is_said(kind: str) -> None:
    assert is_out_of_memory(full(kind))


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("no")])
def test_other_errors_are_passed_on(error: Exception) -> None:
    assert not is_out_of_memory(error)

    def failing(rows: Tensor) -> None:
        calls.append(len(rows))
        raise error

    calls: list[int] = []
    with pytest.raises(type(error)):
        Batching(8).over(torch.arange(20), failing)
    assert calls == [8]


def test_batches_are_halved_until_they_fit_and_stay_so() -> None:
    def run(rows: Tensor) -> list[int]:
        tried.append(len(rows))
        if len(rows) > 7:
            raise full()
        return rows.tolist()

    tried: list[int] = []
    batching = Batching(20)
    with pytest.warns(UserWarning, match="5 samples are shown at once. batch_size=5 has it so") as said:
        found = batching.over(torch.arange(3, 30), run)
    assert [row for batch in found for row in batch] == list(range(3, 30))
    assert tried == [20, 10, 5, 5, 5, 5, 5, 2]
    assert len(said) == 1
    tried.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batching.over(torch.arange(12), run)
    assert tried == [5, 5, 2]


def test_parts_draw_what_smaller_batches_draw() -> None:
    def run(rows: Tensor, most: float = math.inf) -> Tensor:
        with draws.at(int(rows[0])) as source:
            drawn = torch.rand(len(rows), generator=source)
            if len(rows) > most:
                raise full()
        return drawn

    draws = Draws(3)
    expected = torch.cat(Batching(5).over(torch.arange(18), run))
    draws = Draws(3)
    with pytest.warns(UserWarning, match="Memory did not do"):
        found = torch.cat(Batching(18).over(torch.arange(18), partial(run, most=8)))
    assert torch.equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "only"),
    [
        ("GPU", "median"),
        pytest.param("Python", "all", marks=pytest.mark.slow),
        *(pytest.param(kind, "median", marks=pytest.mark.slow) for kind in ("CPU", "library")),
    ],
)
def test_radii_are_those_of_the_smaller_batches(kind: str, only: Any) -> None:
    classifier, x, y = problem(100)
    sizes: list[int] = []
    options: dict[str, Any] = {"bounds": BOUNDS, "only": only, "pilot": 100}
    with pytest.warns(UserWarning, match="samples are shown at once") as said:
        found = critical_radii(classifier, [(x, y)], limited(RANDOM, 15, sizes, kind), **options)
    size = max(size for size in sizes if size <= 15)
    first = next(number for number, tried in enumerate(sizes) if tried > 15)
    assert sizes[first : first + 3] == [-(-sizes[first] // part) for part in (1, 2, 4)]
    assert all(later <= 15 for later in sizes[first + 3 :])
    assert [f"{size} samples are shown" in str(warning.message) for warning in said] == [True]
    expected = critical_radii(classifier, [(x, y)], RANDOM, batch_size=size, **options)
    assert torch.equal(found.upper, expected.upper)
    assert torch.equal(found.lower, expected.lower)


def test_minimal_radii_are_those_of_the_smaller_batches() -> None:
    def nearest(classifier: nn.Module, x: Tensor, y: Tensor, *, generator: torch.Generator, **_: Any) -> Tensor:
        return (x - torch.rand(x.shape, generator=generator)).clamp(*BOUNDS)

    classifier, x, y = problem(40)
    count = int((classifier(x).argmax(dim=1) == y).sum())
    size = -(-count // 2)
    expected = minimal_radii(classifier, [(x, y)], nearest, bounds=BOUNDS, batch_size=size)
    with pytest.warns(UserWarning, match=f"{size} samples are shown at once"):
        found = minimal_radii(classifier, [(x, y)], limited(nearest, size, []), bounds=BOUNDS)
    assert torch.equal(found.upper, expected.upper)


def test_full_memory_for_one_sample_leaves_brackets_as_they_were() -> None:
    classifier, x, y = half_problem(9)
    search = Search(Judge(classifier, [(x, y)], "Linf", BOUNDS, 4), RANDOM, 2.0, 0)
    search.try_at(torch.arange(9), 0.05)
    lower, upper = search.lower.clone(), search.upper.clone()
    calls: list[int] = []
    search.attack = limited(RANDOM, 0, calls)
    with pytest.raises(torch.OutOfMemoryError):
        search.try_at(torch.arange(9), 0.5)
    assert torch.equal(search.lower, lower)
    assert torch.equal(search.upper, upper)
    assert calls == [4, 2, 1]


class Narrow(nn.Module):
    """A classifier that runs out of memory with more than so many inputs."""

    def __init__(self, classifier: nn.Module, most: int) -> None:
        super().__init__()
        self.classifier, self.most = classifier, most

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.most:
            raise full()
        return self.classifier(x)


def test_signs_of_masking_are_those_of_the_smaller_batches() -> None:
    """Clean logits, gradients, and attacks that aim at a class of each sample."""

    def lucky(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **_: Any) -> Tensor:
        return half(x, y) if len(x) <= 7 or not isinstance(classifier, Narrow) else x

    classifier, x, y = problem(30)
    slope = classifier.slope.detach()

    def half(x: Tensor, y: Tensor) -> Tensor:
        return (x - 0.5 * torch.where(y == 1, 1, -1).unsqueeze(1) * slope.sign()).clamp(*BOUNDS)

    options: dict[str, Any] = {"epsilon": 0.5, "bounds": BOUNDS, "steps": 2, "black_box": lucky}
    expected = masking_signs(classifier, [(x, y)], batch_size=8, **options)
    with pytest.warns(UserWarning, match="8 samples are shown at once"):
        found = masking_signs(Narrow(classifier, 12), [(x, y)], batch_size=64, **options)
    assert found == expected
