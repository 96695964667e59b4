import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eval.attacks.adapter import Boxed, UnitBox, isolated
from tests.eval.classifiers import Half
from tests.properties import unchanged


def numpy_state() -> list[int]:
    return np.random.get_state()[1].tolist()  # noqa: NPY002


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1.0), (0.1, 0.7), (0.0, 255.0)])
def test_box_goes_there_and_back(bounds: tuple[float, float]) -> None:
    x = bounds[0] + (bounds[1] - bounds[0]) * torch.rand(5, 2, 3)
    x[0], x[1] = bounds
    box = UnitBox.around(x, bounds, room=lambda: 9.0)
    u = box.enter(x)
    assert torch.allclose(u[0], torch.zeros(2, 3), atol=1e-7)
    assert torch.allclose(u[1], torch.ones(2, 3), atol=1e-7)
    assert u.min() >= 0
    assert u.max() <= 1
    back = box.leave(u, x)
    assert torch.allclose(back, x, rtol=0, atol=3e-7 * bounds[1])
    assert (back >= torch.tensor(bounds[0])).all()
    assert (back <= torch.tensor(bounds[1])).all()


def test_box_of_unbounded_data_leaves_room() -> None:
    x = torch.tensor([[-2.0, 5.0]])
    assert UnitBox.around(x, (-torch.inf, torch.inf), room=lambda: 3.0) == UnitBox(
        -5.0, 13.0, (-torch.inf, torch.inf)
    )
    assert UnitBox.around(x, (-2.0, torch.inf), room=lambda: 3.0) == UnitBox(-2.0, 10.0, (-2.0, torch.inf))


def test_gradient_reaches_inputs_that_lie_at_a_bound() -> None:
    classifier = Half(torch.tensor([1.0, 2.0, 3.0]))
    x = torch.tensor([[-1.0, 0.0, 1.0]])
    box = UnitBox.around(x, (-1.0, 1.0), room=lambda: 0.0)
    u = box.enter(x).requires_grad_()
    logits = Boxed(classifier, box, x)(u)
    (gradient,) = torch.autograd.grad(logits[0, 1] - logits[0, 0], u)
    assert torch.equal(gradient, 2 * classifier.slope.detach().unsqueeze(0))


def test_boxed_classifier_has_the_shape_and_precision_of_the_data() -> None:
    seen: list[Tensor] = []

    class Watching(Half):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return super().forward(x)

    x = torch.rand(4, 6, dtype=torch.float64)
    boxed = Boxed(Watching(torch.ones(6, dtype=torch.float64)), UnitBox.around(x, (0.0, 1.0), room=lambda: 0.0), x)
    assert boxed(torch.rand(2, 1, 2, 3)).dtype == torch.float32
    assert (seen[0].shape, seen[0].dtype) == ((2, 6), torch.float64)
    assert not list(boxed.parameters())


def test_what_is_lent_comes_back(as_in_production: None) -> None:  # beartype draws from Python's random state
    classifier = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    others = (random.getstate(), numpy_state())
    with unchanged(classifier), torch.inference_mode():
        with isolated(classifier, torch.Generator().manual_seed(0), torch.device("cpu")):
            x = torch.rand(2, 3, requires_grad=True)
            classifier(x).sum().backward()
            assert x.grad is not None
        with pytest.raises(ZeroDivisionError), isolated(classifier, None, torch.device("cpu")):
            raise ZeroDivisionError
    assert others == (random.getstate(), numpy_state())


def test_frozen_parameters_stay_frozen() -> None:
    classifier = Half(torch.ones(3)).requires_grad_(False)
    with isolated(classifier, None, torch.device("cpu")):
        pass
    assert not classifier.slope.requires_grad


def test_randomness_follows_the_generator() -> None:
    def drawn(generator: torch.Generator | None) -> Tensor:
        with isolated(nn.Identity(), generator, torch.device("cpu")):
            return torch.rand(3)

    first, again, other = (drawn(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(drawn(None), drawn(None))
