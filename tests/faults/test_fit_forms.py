"""Every form of training goes on in the middle of an epoch, and ends as if nothing had happened."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eval.fit.epoch_so_far import check_goes_on_within
from tests.eval.fit.runs import AT, HALVED, same, saved
from tests.faults.stopping import Stopped, trained
from training import Classifier
from training.combiners import TorchJD
from training.data import Digits

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]
STEPS, STOPPED, SAVED = 17, 8, 5
"""Batches of an epoch, and of which a training is stopped and saved."""


def of(name: str, **options: Any) -> dict[str, Any]:
    """A class of this package with its options."""
    return {"class_path": f"training.{name}", "init_args": options}


def judge(logits: int) -> dict[str, Any]:
    return {
        "class_path": "training.build_network",
        "init_args": {"name": "mlp", "shape": [1, 8, 8], "num_classes": logits},
    }


def generator(name: str, logits: int = 10, network: str = "mlp", **options: Any) -> dict[str, Any]:
    """A generator's training, in which both optimisers step at every batch."""
    layers = {"hidden": [8]} if network == "mlp" else {"width": 8, "latent_size": 8, "encoder": 4}
    model = {"network": network, "network_options": layers, "discriminator": judge(logits), **options}
    return {"model": {"class_path": f"generators.{name}", "init_args": model}, "save": {"steps": 2 * SAVED}}


STRENGTH = {"epsilon": "1/20", "steps": 1}
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "TRADES": {"model": {"objective": of("TRADES", **STRENGTH)}},
    "MART": {"model": {"objective": of("MART", **STRENGTH)}},
    "AWP": {"model": {"objective": of("AWP", objective=AT)}},
    "CLP": {"model": {"objective": of("CLP", **STRENGTH)}},
    "AvMixup": {"model": {"objective": of("AvMixup", **STRENGTH)}},
    "AGR": {"model": {"objective": AT, "combiner": of("AGR")}},
    "CA-AT": {"model": {"objective": AT, "combiner": of("CAAT")}},
    "AGR from epoch 1": {"model": {"objective": AT, "combiner": of("AGR"), "combiner_start": 1}},
    "nearest": {"model": {"alignment_weight": 0.1, "residual": "nearest"}},
    "bf16-mixed": {"model": {"objective": AT}, "trainer": {"precision": "bf16-mixed"}},
    "accumulated": {"model": {"objective": AT}, "trainer": {"accumulate_grad_batches": 2}, "save": {"steps": 2}},
    "batch norm and dropout": {"model": {"network": "tests.faults.dropping.Dropping", "objective": AT}},
    "schedule": {"model": {"scheduler": HALVED, "scheduler_interval": "step"}},
    "own optimiser": {
        "model": {"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "momentum": 0.9}}}
    },
    "layers": {"model": {"objective": AT, "log_layers": True}},
}
GENERATORS: dict[str, dict[str, Any]] = {
    "direct": generator("DirectGAN"),
    "direct, as in the paper": generator("DirectGAN", best_by="training", order="discriminator_first"),
    "transport": generator("TransportGAN", gradient_weight=0.1),
    "conditional": generator(
        "ConditionalGAN", 11, "conditional", discriminator_steps=2, projection_weight=10.0, lr=0.01, average=0.5
    ),
    "denoiser": {
        "model": {
            "class_path": "generators.Denoiser",
            "init_args": {"network": "mlp", "network_options": {"hidden": [8]}, "sigma": 0.3, "average": 0.5},
        },
        "save": {"steps": SAVED},
    },
}
QUICK = ("direct, as in the paper",)


def forms(of_all: dict[str, dict[str, Any]]) -> list[Any]:
    """All forms, of which the quick ones are tried by default."""
    return [pytest.param(one, id=one, marks=() if one in QUICK else pytest.mark.slow) for one in of_all]


def assert_goes_on(folder: Path, change: dict[str, Any], saved_at: int = SAVED) -> None:
    """Stop a training after a checkpoint, and compare what goes on from it with one that was not stopped."""
    torch.set_num_threads(1)
    uninterrupted = trained(folder / "whole", change)
    with pytest.raises(Stopped):
        trained(folder / "stopped", change, stop_at=STOPPED)
    torch.rand(3)  # a new process has other random numbers
    resumed = trained(folder / "stopped", change, {"resume": "last"})
    assert (uninterrupted.steps, resumed.steps) == (2 * STEPS, 2 * STEPS - saved_at)
    assert same(saved(folder / "stopped"), saved(folder / "whole"))
    assert sorted(resumed.means) == [0, 1]
    assert resumed.means == uninterrupted.means
    assert resumed.drawn == uninterrupted.drawn
    assert resumed.classes == uninterrupted.classes


@pytest.mark.parametrize("form", forms(CLASSIFIERS))
def test_classifier_goes_on_within_an_epoch(tmp_path: Path, form: str) -> None:
    assert_goes_on(tmp_path, CLASSIFIERS[form], {"accumulated": 4}.get(form, SAVED))


@pytest.mark.parametrize("form", forms(GENERATORS))
def test_generator_goes_on_within_an_epoch(tmp_path: Path, form: str) -> None:
    assert_goes_on(tmp_path, GENERATORS[form], {"conditional": 7}.get(form, SAVED))


class Searching:
    """A residual that is searched for, and that comes out a little differently beside other samples."""

    name, digest, passes = "search", "abc", 100

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def __call__(self, x: Tensor, y: Tensor, target: Tensor) -> Tensor:
        return (1 + target).reshape(-1, 1, 1, 1) * x.flip(-1) + x.mean() / 10


@pytest.mark.slow
def test_residuals_that_were_searched_for_go_on_within_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Digits, "residual", lambda *_: Searching())
    assert_goes_on(tmp_path, {"model": {"alignment_weight": 0.1}})
    assert (tmp_path / "stopped/checkpoints/residuals-0").stat().st_size > 0


class OwnLoader(Digits):
    """Digits whose loader is not this package's."""

    def train_dataloader(self) -> Any:
        return super().train_dataloader()


class Remembering(nn.Module):
    """An aggregator that TorchJD would call stateful."""

    def reset(self) -> None:
        pass


def test_what_cannot_go_on_within_an_epoch_is_refused() -> None:
    check_goes_on_within(Classifier(), Digits())
    with pytest.raises(ValueError, match=r"`save.steps` should be left out for data with .* Found OwnLoader"):
        check_goes_on_within(Classifier(), OwnLoader())
    stateful = Classifier()
    stateful.combiner = TorchJD(Remembering())
    with pytest.raises(ValueError, match=r"should be left out for an aggregator that .* Found Remembering"):
        check_goes_on_within(stateful, Digits())


def test_refused_before_the_first_step(tmp_path: Path) -> None:
    own = {"data": {"class_path": f"{__name__}.OwnLoader"}}
    with pytest.raises(ValueError, match=r"`save.steps` should be left out"):
        trained(tmp_path, own)
    assert not [*tmp_path.rglob("*.ckpt")]
