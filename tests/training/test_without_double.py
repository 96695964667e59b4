"""Trainings on a device without float64 end as those on a CPU, taken step by step, recorded, and side by side."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.optim import SGD

from tests.without_double import DEVICE, a_device_without_double, on_device
from training import AGR, AT, CAAT, Classifier, SampleCAAT, Strength
from training.data import Spheres
from training.graphs import Alone
from training.side_by_side import SideBySide

RECIPES: dict[str, Callable[[], dict[str, Any]]] = {
    "AGR": lambda: {"objective": AT(Strength("1/10"), steps=2), "combiner": AGR()},
    "CAAT": lambda: {"objective": AT(Strength("1/10"), steps=2), "combiner": CAAT()},
    "SampleCAAT": lambda: {"objective": SampleCAAT(AT(Strength("1/10"), steps=2))},
}


class _Host(CPUAccelerator):
    """The CPU, which stands in for the device."""

    def setup_device(self, device: torch.device) -> None:
        """Whatever it is called."""


def trained(runner: Any, recipe: str, *, there: bool, recorded: bool = True) -> tuple[Tensor, dict[str, float]]:
    """The weights in the end, and what was logged."""
    data = Spheres(dimensions=8, train_size=40, batch_size=20)
    known = {"shape": data.shape, "num_classes": data.num_classes, "bounds": data.bounds}
    network: dict[str, Any] = {"network": "mlp", "network_options": {"hidden": [8]}}
    module = Classifier(optimizer=partial(SGD, lr=0.1), **network, **known, **RECIPES[recipe]())
    device = DEVICE if there else torch.device("cpu")
    module.runner = (runner or Alone(device)) if recorded else None
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    strategy = SingleDeviceStrategy(device, _Host())
    with on_device() if there else nullcontext():
        trainer = Trainer(
            max_epochs=1,
            strategy=strategy,
            inference_mode=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            **quiet,
        )
        trainer.fit(module, data)
        weights = torch.cat([weight.detach().flatten().cpu() for weight in module.parameters()])
        return weights, {name: float(value) for name, value in trainer.callback_metrics.items()}


def assert_same(found: tuple[Tensor, dict[str, float]], plain: tuple[Tensor, dict[str, float]]) -> None:
    torch.testing.assert_close(found[0], plain[0])
    assert found[1] == pytest.approx(plain[1], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_training_there_ends_as_on_a_cpu(recipe: str, recorded: bool, as_in_production: None) -> None:
    plain = trained(None, recipe, there=False, recorded=recorded)
    with a_device_without_double():
        assert_same(trained(None, recipe, there=True, recorded=recorded), plain)


def test_two_trainings_go_on_there_side_by_side(as_in_production: None) -> None:
    plain = [trained(None, recipe, there=False) for recipe in ("AGR", "CAAT")]
    with a_device_without_double():
        found = SideBySide([partial(trained, recipe=recipe, there=True) for recipe in ("AGR", "CAAT")])
        for outcome, wanted in zip(found.run(), plain, strict=True):
            if isinstance(outcome, Exception):
                raise outcome
            assert_same(outcome, wanted)
    assert [member.together for member in found.members] == [2, 2]
