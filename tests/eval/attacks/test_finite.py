import pytest
import torch

from eval.attacks.finite import FiniteGradients

CPU = torch.device("cpu")
BROKEN = torch.tensor([1.0, torch.nan, torch.inf])


def test_device_decides_when_gradients_are_looked_at() -> None:
    assert FiniteGradients(CPU).at_once
    assert not FiniteGradients(torch.device("meta"), at_once=False).at_once


def test_broken_gradient_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"`gradient of classifier\(x\)` should be finite. Found 2 NaN or infinite"):
        FiniteGradients(CPU).note(BROKEN)


def test_broken_gradients_are_refused_at_the_end() -> None:
    gradients = FiniteGradients(CPU, at_once=False)
    gradients.note(torch.ones(3))
    gradients.check()
    gradients.note(BROKEN)
    gradients.note(BROKEN)
    with pytest.raises(ValueError, match="Found 4 NaN or infinite values in all"):
        gradients.check()
    gradients.check()
