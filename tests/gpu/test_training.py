"""A training step on a GPU ends where it does on the CPU: every objective, combiner, penalty, and resuming."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor
from torch.optim import SGD

from generators.global_batch import SharedGenerator
from tests.eval.fit.runs import epochs, fitted, saved
from tests.gpu.problems import BOUNDS, CLASSES, SIDE, Noise, on_cpu, problem, there
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
    Plain,
    SampleCAAT,
    Strength,
    TorchJD,
    WeightedAlignment,
    WeightedSum,
)
from training.combining import separate_gradients
from training.conflict import conflict
from training.data.augmentation import Augmentation
from training.objective import observed_by, takes_residual

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    # PCGrad of torchjd looks at values.
    pytest.mark.filterwarnings("ignore:steps are taken one kernel at a time.* at .*torchjd"),
]

TURNING = 0.99
"""A goal of the cosine above what gradients of a new network have, so that they are turned."""
INNER: dict[str, Any] = {"epsilon": Strength(0.1), "steps": 3, "random_start": False}
OBJECTIVES: dict[str, Callable[..., Any]] = {
    "AT": AT,
    "AT L2": partial(AT, norm="L2"),
    "AT L1": partial(AT, norm="L1"),
    "APGD": partial(AT, solver="apgd"),
    "targeted PGD": partial(AT, target="least_likely"),
    "TRADES": partial(TRADES, loss="cross_entropy"),
    "MART": MART,
    "CLP": CLP,
    "CLP apart": partial(CLP, clean="apart", of="probabilities", squared=False),
    # Without a share that is drawn: at x itself, and with one probability.
    "AvMixup": partial(AvMixup, gamma=0.0, lambda1=0.9, lambda2=0.9),
    "AWP": lambda **inner: AWP(TRADES(loss="cross_entropy", **inner)),
    "SampleCAAT": lambda **inner: SampleCAAT(AT(**inner), TURNING),
    "SampleCAAT that measures alone": lambda **inner: SampleCAAT(MART(**inner), gamma=None, at_once=10),
}


def pcgrad() -> TorchJD:
    from torchjd.aggregation import PCGrad

    return TorchJD(PCGrad())


COMBINERS: dict[str, Callable[[], Any]] = {
    "sum": lambda: None,
    "weighted": lambda: WeightedSum({"clean": 0.25, "adversarial": 0.75}),
    "AGR": AGR,
    "CAAT": lambda: CAAT(TURNING),
    "PCGrad": pcgrad,
}
OWN = WeightedSum({"clean": 1.0, "alignment": 1.0})
PENALISED: dict[str, dict[str, Any]] = {
    "plain": {"objective": Plain()},
    "penalty": {"alignment_weight": 0.5},
    "closest of two": {"alignment_weight": 0.5, "candidates": 2},
    "penalty's own gradient": {"alignment_weight": 0.5, "alignment_with": "own", "combiner": OWN},
    "penalty with the adversarial loss": {
        "alignment_weight": 0.5,
        "alignment_with": "adversarial",
        "combiner": AGR(),
        "objective": AT(**INNER),
    },
    "gradient's norm": {"gradient_weight": 0.5},
    "norm and direction": {"gradient_weight": 0.5, "alignment_weight": 0.5},
    "lenient": {"penalty": LenientAlignment(0.5, among=2)},
    "weighted": {"penalty": WeightedAlignment(0.5, power=0.5, threshold=0.1)},
    # So cold that the likeliest class is drawn.
    "edges": {"penalty": Edges(0.5, temperature=1e-9)},
    "edges, in size": {"penalty": Edges(0.5, temperature=1e-9, magnitude=True)},
    "Jacobian": {"penalty": Jacobian(0.1, projections=None)},
    "Jacobian with CAAT": {
        "penalty": Jacobian(0.1, projections=None),
        "combiner": CAAT(TURNING),
        "objective": AT(**INNER),
    },
}
DRAWING: dict[str, dict[str, Any]] = {
    "AT": {"objective": AT(Strength(0.1), steps=3)},
    "PerpendicularAT": {"objective": PerpendicularAT(Strength(0.1), steps=3)},
    "PerpendicularAT that stays": {"objective": PerpendicularAT(Strength(0.5), steps=3, norm="L2", stay=True)},
    "SampleCAAT": {"objective": SampleCAAT(PerpendicularAT(Strength(0.1), steps=3), TURNING)},
    "edges": {"penalty": Edges(0.5)},
    "Jacobian": {"penalty": Jacobian(0.1, projections=2)},
}


def trained(device: torch.device, steps: int = 1, precision: Any = "64-true", **options: Any) -> dict[str, Tensor]:
    """Weights after some steps, on the CPU."""
    own = {"network": "small_cnn", "network_options": {"width": 4}, "optimizer": partial(SGD, lr=0.1)}
    module = Classifier(shape=(1, SIDE, SIDE), num_classes=CLASSES, bounds=BOUNDS, **(own | options))
    silent = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    trainer = Trainer(
        max_steps=steps,
        accelerator=device.type,
        devices=1,
        precision=precision,
        inference_mode=False,
        limit_val_batches=0,
        **silent,
    )
    before = {name: weight.clone() for name, weight in module.network.state_dict().items()}
    trainer.fit(module, datamodule=Noise(batch_size=32, count=64))
    after = {name: weight.cpu() for name, weight in module.network.state_dict().items()}
    assert any(not torch.equal(after[name], before[name].to(after[name])) for name in after)
    return after


def assert_same_weights(cuda: torch.device, *, rtol: float = 1e-7, atol: float = 1e-8, **options: Any) -> None:
    """To what a learning rate keeps in float32, which a GPU reads from its memory."""
    here, found = trained(torch.device("cpu"), **options), trained(cuda, **options)
    torch.testing.assert_close(found, here, rtol=rtol, atol=atol)


@pytest.mark.parametrize("combiner", COMBINERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_step_ends_at_the_weights_of_the_cpu(cuda: torch.device, objective: str, combiner: str) -> None:
    if combiner == "PCGrad" and find_spec("torchjd") is None:
        pytest.skip("torchjd is not installed")
    assert_same_weights(cuda, objective=OBJECTIVES[objective](**INNER), combiner=COMBINERS[combiner]())


@pytest.mark.parametrize("name", PENALISED)
def test_a_step_with_a_penalty_ends_at_the_weights_of_the_cpu(cuda: torch.device, name: str) -> None:
    assert_same_weights(cuda, residual="nearest", **PENALISED[name])


@pytest.mark.parametrize("name", DRAWING)
def test_a_step_that_draws_on_the_cpu_ends_at_the_weights_of_the_cpu(
    cuda: torch.device, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Kernel by kernel: a recorded step can draw on its own device alone."""
    made: list[SharedGenerator] = []

    def drawing(device: torch.device, portion: Any) -> SharedGenerator:
        made.append(SharedGenerator("cpu", portion))
        return made[-1]

    monkeypatch.setattr("training.classifier.SharedGenerator", drawing)
    assert_same_weights(cuda, residual="nearest", graphs=False, **DRAWING[name])
    assert len(made) == 2
    first, second = (generator.get_state() for generator in made)
    assert torch.equal(first, second)
    made[0].manual_seed(made[0].initial_seed())
    assert not torch.equal(made[0].get_state(), second)  # so that something was drawn


@pytest.mark.parametrize(
    ("network", "options"), [("wide_resnet", {"depth": 10, "widen": 1}), ("mlp", {"hidden": [32]})]
)
def test_other_networks_train_alike(cuda: torch.device, network: str, options: dict[str, Any]) -> None:
    """One with batch norm, and one without convolutions."""
    assert_same_weights(cuda, network=network, network_options=options, steps=2, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_lower_precision_stays_near_the_cpu(cuda: torch.device, precision: str) -> None:
    """float32 to 1e-4 after four steps, bf16, which has three digits, to 2e-2."""
    tolerance = {"32-true": 1e-4, "bf16-mixed": 2e-2}[precision]
    assert_same_weights(cuda, objective=Plain(), precision=precision, steps=4, rtol=tolerance, atol=tolerance)


def loss_and_gradients(device: torch.device, make: Callable[..., Any], **options: Any) -> tuple[Tensor, list[Tensor]]:
    classifier, x, y = problem()
    moved, shown, true = there(classifier, device), x.to(device), y.to(device)
    objective = make(**(INNER | {"random_start": True} | options))
    if takes_residual(objective):
        objective = objective.with_residual(shown.flip(-1))
    losses = objective(moved, shown, true, lambda: moved(shown), bounds=BOUNDS, generator=on_cpu())
    (loss,) = (value for name, value in losses.items() if name not in observed_by(objective))
    loss.backward()
    return loss.detach().cpu(), [parameter.grad.cpu() for parameter in moved.parameters()]


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (AT, {}),
        (AT, {"norm": "L2"}),
        (AT, {"norm": "L1", "epsilon": Strength(2.0)}),
        (TRADES, {}),
        (MART, {}),
        (CLP, {}),
        (AvMixup, {}),
        (lambda **inner: AWP(TRADES(**inner)), {}),
        (lambda **inner: SampleCAAT(AT(**inner)), {}),
        (PerpendicularAT, {}),
        (PerpendicularAT, {"norm": "L2", "stay": True}),
        (PerpendicularAT, {"norm": "L1", "epsilon": Strength(2.0)}),
    ],
    ids=[
        *("AT", "AT L2", "AT L1", "TRADES", "MART", "CLP", "AvMixup", "AWP"),
        *("SampleCAAT", "PerpendicularAT", "PerpendicularAT L2", "PerpendicularAT L1"),
    ],
)
def test_objective_with_random_starts_of_the_cpu_is_the_same(cuda: torch.device, make: Any, options: dict) -> None:
    state = torch.get_rng_state()
    found = []
    for device in (torch.device("cpu"), cuda):
        torch.set_rng_state(state)  # so that both networks have the same weights
        found.append(loss_and_gradients(device, make, **options))
    torch.testing.assert_close(found[1], found[0], rtol=1e-8, atol=1e-10)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("combiner", ["weighted", "AGR", "CAAT"])
def test_combiners_do_not_wait_for_the_gpu(cuda: torch.device, combiner: str) -> None:
    classifier, x, y = problem()
    moved, shown, true = there(classifier, cuda), x.to(cuda), y.to(cuda)
    losses = {
        "clean": torch.nn.functional.cross_entropy(moved(shown), true),
        "adversarial": torch.nn.functional.cross_entropy(moved(shown + 0.1), true),
    }
    _, gradients = separate_gradients(losses, dict(moved.named_parameters()), 1.0)
    make = COMBINERS[combiner]()
    make(gradients)  # and makes what it makes once
    try:
        if cuda.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("error")
        combined = make(gradients)
        conflict(**gradients).mu  # noqa: B018
    finally:
        if cuda.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    expected = COMBINERS[combiner]()({name: [part.cpu() for part in parts] for name, parts in gradients.items()})
    torch.testing.assert_close([part.cpu() for part in combined], expected, rtol=1e-9, atol=1e-12)


def test_augmentation_is_the_same(cuda: torch.device) -> None:
    """In float32, to a thousandth of the range; the random state of the GPU is left alone."""
    x = torch.rand(16, 1, SIDE, SIDE) * 2 - 1
    augmentation = Augmentation(crop=1, flip=True, rotation=15.0, cutout=2)
    state = torch.cuda.get_rng_state() if cuda.type == "cuda" else None
    found = augmentation(x.to(cuda), bounds=BOUNDS, seed=1)
    assert found.device.type == cuda.type
    torch.testing.assert_close(found.cpu(), augmentation(x, bounds=BOUNDS, seed=1), rtol=0, atol=1e-3)
    if state is not None:
        assert torch.equal(torch.cuda.get_rng_state(), state)


@pytest.mark.parametrize(
    "change",
    [{}, {"model": {"objective": {"class_path": "training.AT", "init_args": {"epsilon": "1/20", "steps": 2}}}}],
    ids=["plain", "AT"],
)
def test_a_run_that_is_resumed_ends_where_one_at_once_does(
    cuda: torch.device, tmp_path: Path, change: dict[str, Any]
) -> None:
    """To 1e-5: where one run replays steps, the other takes its first two kernel by kernel."""
    there_too = {"trainer": {"accelerator": cuda.type, "devices": 1}}
    fitted(tmp_path / "once", there_too, change, epochs(2))
    fitted(tmp_path / "twice", there_too, change, epochs(1))
    fitted(tmp_path / "twice", there_too, change, epochs(2), {"resume": "last"})
    once, twice = (saved(tmp_path / name) for name in ("once", "twice"))
    assert (twice["epoch"], twice["global_step"]) == (once["epoch"], once["global_step"])
    torch.testing.assert_close(twice["state_dict"], once["state_dict"], rtol=1e-5, atol=1e-6)


def test_a_run_of_the_cpu_goes_on_on_the_gpu(cuda: torch.device, tmp_path: Path) -> None:
    """And ends near where the CPU would have ended, to 1e-3 in float32."""
    fitted(tmp_path / "here", epochs(2))
    fitted(tmp_path / "both", epochs(1))
    fitted(tmp_path / "both", {"trainer": {"accelerator": cuda.type, "devices": 1}}, epochs(2), {"resume": "last"})
    here, both = (saved(tmp_path / name)["state_dict"] for name in ("here", "both"))
    torch.testing.assert_close({k: v.cpu() for k, v in both.items()}, here, rtol=1e-3, atol=1e-3)
