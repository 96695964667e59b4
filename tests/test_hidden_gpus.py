"""Tests work on the CPU of any machine, and so does whatever they start."""

import subprocess
import sys

import pytest

from tests.conftest import wants_gpu


@pytest.mark.parametrize(
    ("marks", "wanted"),
    [
        ("", False),
        ("not slow and not browser", False),
        ("slow and not gpu", False),
        ("gpu", True),
        ("(gpu or slow) and not browser", True),
    ],
)
def test_a_run_that_asks_for_a_gpu_is_known_by_its_marks(marks: str, wanted: bool) -> None:
    assert wants_gpu(marks) is wanted


def test_no_process_that_a_test_starts_sees_a_gpu() -> None:
    """On a machine that has one as well."""
    code = "import os, torch; print(os.environ['CUDA_VISIBLE_DEVICES'] == '', torch.cuda.is_available())"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.split() == ["True", "False"]
