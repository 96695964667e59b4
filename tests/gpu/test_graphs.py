"""Recorded steps on a GPU: they end where single kernels do, draw anew, follow schedules, and never wait."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

from tests.gpu.problems import BOUNDS, CLASSES, SIDE, Noise, network, on_cpu, there
from training import (
    AGR,
    AT,
    AWP,
    CAAT,
    CLP,
    MART,
    TRADES,
    AvMixup,
    Classifier,
    Edges,
    Jacobian,
    LenientAlignment,
    PerpendicularAT,
    SampleCAAT,
    Strength,
    WeightedAlignment,
    WeightedSum,
    pgd,
)
from training.graphs import Repeated, unrecorded
from training.passes import CountPasses
from training.recorded import RecordedTraining
from training.recordings import recordings_of

pytestmark = pytest.mark.gpu
GIVEN: dict[str, Any] = {"epsilon": Strength("0.1"), "steps": 3}


def recorded_here(device: torch.device) -> bool:
    """Whether anything is recorded: not where the CPU stands in for the GPU."""
    return device.type == "cuda"


class Keeps(Callback):
    """Keeps what the steps were taken with."""

    recorded: RecordedTraining | None = None

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *given: Any) -> None:
        self.recorded = pl_module.recorded


def trained(
    device: torch.device, *, graphs: bool, epochs: int = 3, precision: Any = "64-true", **options: Any
) -> tuple[dict[str, Tensor], Keeps, dict[str, float]]:
    own = {"network": "small_cnn", "network_options": {"width": 4}, "optimizer": partial(SGD, lr=0.1, momentum=0.9)}
    about = {"shape": (1, SIDE, SIDE), "num_classes": CLASSES, "bounds": BOUNDS}
    module = Classifier(**about, graphs=graphs, **(own | options))
    silent = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    kept = Keeps()
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision=precision,
        inference_mode=False,
        limit_val_batches=0,
        callbacks=[kept],
        **silent,  # type: ignore[arg-type]
    )
    trainer.fit(module, datamodule=Noise(batch_size=32))  # of which the last holds 16
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return {name: weight.cpu() for name, weight in module.network.state_dict().items()}, kept, logged


def graphs_of(kept: Keeps) -> int:
    return len(kept.recorded.run.repeated.graphs) if kept.recorded is not None else 0  # type: ignore[attr-defined]


RECIPES: dict[str, Callable[[], dict]] = {
    "plain": dict,
    "Adam": lambda: {"optimizer": partial(Adam, lr=1e-3), "precision": "64-true"},
    "AT": lambda: {"objective": AT(**GIVEN)},
    "AT L2": lambda: {"objective": AT(**GIVEN, norm="L2")},
    "AT L1": lambda: {"objective": AT(**GIVEN, norm="L1")},
    "TRADES": lambda: {"objective": TRADES(**GIVEN)},
    "MART": lambda: {"objective": MART(**GIVEN)},
    "CLP": lambda: {"objective": CLP(**GIVEN)},
    "AvMixup": lambda: {"objective": AvMixup(**GIVEN)},
    "AWP": lambda: {"objective": AWP(TRADES(**GIVEN))},
    "SampleCAAT": lambda: {"objective": SampleCAAT(AT(**GIVEN))},
    "PerpendicularAT": lambda: {"objective": PerpendicularAT(**GIVEN), "residual": "nearest"},
    "AGR": lambda: {"objective": AT(**GIVEN), "combiner": AGR()},
    "CAAT": lambda: {"objective": TRADES(**GIVEN), "combiner": CAAT()},
    "sum": lambda: {"objective": AT(**GIVEN), "combiner": WeightedSum({"clean": 0.5, "adversarial": 0.5})},
    "combining later": lambda: {"objective": AT(**GIVEN), "combiner": AGR(), "combiner_start": 1},
    "penalty": lambda: {"alignment_weight": 0.5, "residual": "nearest"},
    "penalty with AGR": lambda: {
        "objective": AT(**GIVEN),
        "combiner": AGR(),
        "alignment_weight": 0.5,
        "residual": "nearest",
        "candidates": 2,
    },
    "gradient's norm": lambda: {"gradient_weight": 0.5},
    "lenient": lambda: {"penalty": LenientAlignment(0.5, among=2), "residual": "nearest"},
    "weighted": lambda: {"penalty": WeightedAlignment(0.5), "residual": "nearest"},
    "edges": lambda: {"penalty": Edges(0.5)},
    "Jacobian": lambda: {"penalty": Jacobian(0.1)},
    "schedule by epoch": lambda: {"scheduler": partial(StepLR, step_size=1, gamma=0.3)},
    "schedule by step": lambda: {"scheduler": partial(CosineAnnealingLR, T_max=9), "scheduler_interval": "step"},
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_recorded_steps_end_where_single_kernels_do(cuda: torch.device, recipe: str) -> None:
    """In float64, to 1e-6, since learning rates are read from the device in float32."""
    single, _, told = trained(cuda, graphs=False, **RECIPES[recipe]())
    found, kept, logged = trained(cuda, graphs=True, **RECIPES[recipe]())
    assert bool(graphs_of(kept)) == recorded_here(cuda)
    torch.testing.assert_close(found, single, rtol=1e-6, atol=1e-7)
    assert logged == pytest.approx(told, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_recorded_steps_in_other_precisions_stay_near(cuda: torch.device, precision: str) -> None:
    """float32 to 1e-4, half precision to 2e-2; float16 is taken by single kernels and says why."""
    tolerance = 1e-4 if precision == "32-true" else 2e-2
    options = {"objective": AT(**GIVEN, random_start=False), "precision": precision}
    if cuda.type == "cpu" and precision == "16-mixed":
        pytest.skip("float16 is for a GPU")
    single, _, _ = trained(cuda, graphs=False, **options)
    found, kept, _ = trained(cuda, graphs=True, **options)
    assert bool(graphs_of(kept)) == (recorded_here(cuda) and precision != "16-mixed")
    torch.testing.assert_close(found, single, rtol=tolerance, atol=tolerance)


class Dropping(nn.Sequential):
    """Half of the features at random."""

    def __init__(self, outputs: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(SIDE * SIDE, 64), nn.Dropout(0.5), nn.Linear(64, outputs))


def test_dropout_draws_anew_at_every_replay(cuda: torch.device) -> None:
    """Replays that draw the same have the same loss where no weight moves."""
    losses = []

    class Notes(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, *given: Any) -> None:
            losses.append(float(outputs["loss"]))

    about = {"shape": (1, SIDE, SIDE), "num_classes": CLASSES, "bounds": BOUNDS}
    options = {"network": f"{__name__}.Dropping", "network_options": {"outputs": CLASSES}}
    module = Classifier(**about, **options, optimizer=partial(SGD, lr=0.0))
    silent = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    data = Noise(batch_size=80)
    where = "gpu" if cuda.type == "cuda" else "cpu"
    Trainer(max_epochs=8, accelerator=where, devices=1, limit_val_batches=0, callbacks=[Notes()], **silent).fit(
        module, data
    )
    assert len({round(loss, 6) for loss in losses}) == 8


def test_a_random_start_draws_anew_at_every_replay_and_as_its_seed_says(cuda: torch.device) -> None:
    source, drawn = torch.Generator(cuda), torch.zeros(5, device=cuda)
    repeated, found = Repeated(cuda), []

    def work() -> None:
        drawn.copy_(torch.rand(5, generator=source, device=cuda))

    for seed in (1, 2, 3, 4, 3):
        source.manual_seed(seed)
        repeated("draw", [work], [source])
        found.append(drawn.tolist())
    assert len(repeated.graphs) == recorded_here(cuda)
    assert found[2] == found[4]
    assert len({tuple(values) for values in found}) == 4
    expected = torch.rand(5, generator=torch.Generator(cuda).manual_seed(4), device=cuda)
    assert found[3] == expected.tolist()


def samples(classifier: nn.Module, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    x = 1.6 * torch.rand(count, 1, SIDE, SIDE, generator=on_cpu(3), dtype=torch.float64).to(device) - 0.8
    with torch.no_grad():
        return x, classifier(x).argmax(dim=1)


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
@pytest.mark.parametrize("loss", ["auto", "margin", "dlr", "kl"])
@pytest.mark.parametrize("leave", [False, True])
def test_a_replayed_attack_ends_where_single_kernels_do(
    cuda: torch.device, norm: Any, loss: Any, leave: bool
) -> None:
    classifier = there(network(), cuda)
    x, y = samples(classifier, 300, cuda)
    strength = torch.linspace(0.001, 0.3, 300, dtype=torch.float64, device=cuda)
    strength *= {"Linf": 1, "L2": 4, "L1": 20}[norm]
    options = {"norm": norm, "loss": loss, "steps": 40, "leave_when_fooled": leave, "bounds": BOUNDS}
    with unrecorded():
        single = pgd(classifier, x, y, strength, generator=on_cpu(1), **options)
    for _ in range(3):
        found = pgd(classifier, x, y, strength, generator=on_cpu(1), **options)
        torch.testing.assert_close(found, single, rtol=1e-7, atol=1e-9)
    known = recordings_of(classifier)
    assert known is not None
    assert known.reason is None
    assert bool(known.kept) == recorded_here(cuda)


def test_replays_count_their_passes(cuda: torch.device) -> None:
    counted = CountPasses(there(network(), cuda))
    x, y = samples(counted.classifier, 128, cuda)
    for calls in range(1, 4):
        pgd(counted, x, y, 0.1, steps=40, bounds=BOUNDS)
        assert counted.backward_passes == calls * 40 * 128


@contextmanager
def waits() -> Iterator[list[str]]:
    """What waits for the device meanwhile."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode("default")
    found += [f"{w.filename}:{w.lineno}" for w in caught if "synchronizing CUDA" in str(w.message)]


def test_steps_of_an_attack_do_not_wait_for_the_device(cuda: torch.device) -> None:
    if not recorded_here(cuda):
        pytest.skip("a CPU has nobody to wait for")
    classifier = there(network(), cuda)
    x, y = samples(classifier, 64, cuda)
    found = {}
    for steps in (8, 80):
        for _ in range(3):
            with waits() as calls:
                pgd(classifier, x, y, 0.1, steps=steps, bounds=BOUNDS)
            found[steps] = calls
    assert len(found[8]) == len(found[80]) <= 4


def test_a_training_step_waits_for_the_device_at_most_once(cuda: torch.device) -> None:
    if not recorded_here(cuda):
        pytest.skip("a CPU has nobody to wait for")
    found = []

    class Watches(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *given: Any) -> None:
            self.watching = waits()
            self.calls = self.watching.__enter__()

        def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *given: Any) -> None:
            self.watching.__exit__(None, None, None)
            if not trainer.is_last_batch:
                found.append(self.calls)

    about = {"shape": (1, SIDE, SIDE), "num_classes": CLASSES, "bounds": BOUNDS}
    module = Classifier(**about, objective=AT(**GIVEN), combiner=AGR(), optimizer=partial(SGD, lr=0.1))
    silent = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    Trainer(max_epochs=4, accelerator="gpu", devices=1, limit_val_batches=0, callbacks=[Watches()], **silent).fit(
        module, Noise(batch_size=16)
    )
    assert [len(calls) for calls in found[6:]] == [0] * len(found[6:]), found[-1]


def test_a_network_that_waits_for_the_device_is_attacked_all_the_same(cuda: torch.device) -> None:
    class Looks(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) * (2.0 if float(x.sum()) > -1e9 else 1.0)

    inner = there(network(), cuda)
    x, y = samples(inner, 64, cuda)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [pgd(Looks(inner), x, y, 0.1, bounds=BOUNDS, generator=on_cpu(1)) for _ in range(2)]
    assert any("waits for the device" in str(w.message) for w in caught) == recorded_here(cuda)
    with unrecorded():
        single = pgd(Looks(inner), x, y, 0.1, bounds=BOUNDS, generator=on_cpu(1))
    torch.testing.assert_close(found[1], single, rtol=1e-7, atol=1e-9)


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(cuda: torch.device, tmp_path: Any) -> None:
    about = {"shape": (1, SIDE, SIDE), "num_classes": CLASSES, "bounds": BOUNDS}
    silent = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)

    def run(epochs: int, start: Any = None, where: str = "gpu" if cuda.type == "cuda" else "cpu") -> Trainer:
        module = Classifier(
            **about, objective=AT(**GIVEN, random_start=False), optimizer=partial(Adam, lr=1e-3), network="small_cnn"
        )
        trainer = Trainer(
            max_epochs=epochs,
            accelerator=where,
            devices=1,
            limit_val_batches=0,
            precision="64-true",
            **silent,  # type: ignore[arg-type]
        )
        trainer.fit(module, Noise(batch_size=32), ckpt_path=start)
        return trainer

    whole = run(4).lightning_module.network
    half = run(2)
    half.save_checkpoint(tmp_path / "half.ckpt")
    resumed = run(4, tmp_path / "half.ckpt").lightning_module.network
    on_the_cpu = run(4, tmp_path / "half.ckpt", "cpu").lightning_module.network
    for found in (resumed, on_the_cpu):
        torch.testing.assert_close(
            {name: weight.cpu() for name, weight in found.state_dict().items()},
            {name: weight.cpu() for name, weight in whole.state_dict().items()},
            rtol=1e-5,
            atol=1e-7,
        )
