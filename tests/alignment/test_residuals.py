"""What is no residual, and no estimator of one, is refused by every function that takes it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from alignment import alignment_penalty, alpha_dx, alpha_dx_other_classes
from tests.alignment.classifiers import smooth

X, Y = torch.rand(4, 3), torch.arange(4) % 3
FUNCTIONS = [alpha_dx, alpha_dx_other_classes, alignment_penalty]


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("residual", "message"),
    [
        (np.ones((4, 3)), "`residual` should be an estimator .* Found ndarray"),
        (None, "`residual` should be an estimator .* Found NoneType"),
        ("exact", "`residual` should be an estimator .* Found str"),
        (lambda x, y, target: None, "`residual` should be a tensor of floating-point numbers. Found NoneType"),
        (lambda x, y, target: x.numpy(), "`residual` should be a tensor of floating-point .* Found ndarray"),
        (lambda x, y, target: x.long(), "`residual` should be a tensor of floating-point numbers. Found int64"),
        (lambda x, y, target: (x, x), "`residual` should be a tensor of floating-point numbers. Found tuple"),
        (lambda x, y, target: x[:1], r"`residual` should have the shape of `x`, \(4, 3\). Found \(1, 3\)"),
    ],
)
def test_no_residual_is_refused(function: Callable[..., object], residual: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(smooth(3, 3, torch.float32), X, Y, residual)


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize("labels", [None, Y.tolist(), Y.numpy(), Y.float()])
def test_labels_of_another_type_are_refused_for_all_classes(labels: Any) -> None:
    with pytest.raises(ValueError, match="`y` should be a tensor of int64"):
        alpha_dx_other_classes(smooth(3, 3, torch.float32), X, labels, lambda x, y, target: x)
