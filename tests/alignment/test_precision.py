"""True float32 inside, and everything as before afterwards."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from alignment import precision
from alignment.precision import exact, rounding


def settings() -> tuple[bool, bool, str]:
    return (
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
        torch.get_float32_matmul_precision(),
    )


@pytest.fixture(params=["highest", "high", "medium"])
def before(request: pytest.FixtureRequest) -> Iterator[tuple[bool, bool, str]]:
    """Every setting that a program may have chosen."""
    torch.set_float32_matmul_precision(request.param)
    yield settings()
    torch.set_float32_matmul_precision("highest")


def test_tf32_is_off_inside_and_as_before_afterwards(before: tuple[bool, bool, str]) -> None:
    assert before[0]
    with exact():
        assert settings() == (False, False, "highest")
        with exact():
            assert settings() == (False, False, "highest")
        assert settings() == (False, False, "highest")
    assert settings() == before


def test_as_before_after_an_exception(before: tuple[bool, bool, str]) -> None:
    with pytest.raises(KeyError), exact():
        raise KeyError
    assert settings() == before


@pytest.mark.parametrize("allowed", [True, False])
def test_flags_that_were_set_by_themselves_are_put_back(allowed: bool) -> None:
    try:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
        with exact():
            assert settings()[:2] == (False, False)
        assert settings()[:2] == (allowed, allowed)
    finally:
        torch.backends.cudnn.allow_tf32 = True
        torch.set_float32_matmul_precision("highest")


def test_rounding_tells_settings_apart(before: tuple[bool, bool, str]) -> None:
    outside = rounding()
    with exact():
        assert rounding() != outside
    assert rounding() == outside


def test_autocast_is_off_inside_and_on_again_afterwards() -> None:
    a = torch.rand(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with exact():
            assert (a @ a).dtype == torch.float32
        assert (a @ a).dtype == torch.bfloat16


def test_decorates() -> None:
    @exact()
    def inside() -> bool:
        return torch.backends.cudnn.allow_tf32

    assert not inside()
    assert torch.backends.cudnn.allow_tf32


NEWER = """
import torch
from precision import exact, rounding

parts = torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn
for part, precision in zip(parts, ("tf32", "ieee", "tf32")):
    part.fp32_precision = precision
outside = rounding()
with exact():
    assert [part.fp32_precision for part in parts] == ["ieee"] * 3
    assert rounding() != outside
assert [part.fp32_precision for part in parts] == ["tf32", "ieee", "tf32"]
assert rounding() == outside
"""


def test_newer_settings_of_a_program_are_respected() -> None:
    """In a process of its own, which they would otherwise outlive; it imports this module and no other of ours."""
    folder = Path(precision.__file__).parent
    subprocess.run([sys.executable, "-W", "error", "-c", NEWER], check=True, cwd=folder)
