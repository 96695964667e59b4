"""Several processes train as one does with as large a batch of all: weights, and what is logged."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn
from torch.optim import SGD

from eval.fit.selection import Epsilon50
from generators import ConditionalGAN, DirectGAN, TransportGAN
from generators.networks import ConditionalDiscriminator
from tests.distributed.meeting import in_processes
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
    PerpendicularAT,
    Plain,
    SampleCAAT,
    TorchJD,
    WeightedAlignment,
    WeightedSum,
)
from training.data import Augmentation, DataSet, Split, SplitName
from training.seeds import generator_for
from training.strength import Strength

SHARED = 12
"""Samples of a batch of all processes, as many for each of two or of three."""


class Points(DataSet):
    """Two classes in four dimensions. The last batch of all has five samples, which go to no two or three alike."""

    name, bounds, classes, shape = "points", (-1.0, 1.0), ("low", "high"), (4,)
    sizes: dict[SplitName, int]

    def __init__(self, train: int = 53, **options: Any) -> None:
        super().__init__(**options)
        self.sizes = {"train": train, "validation": 13, "test": 13}

    def make_split(self, name: SplitName) -> Split:
        labels = torch.arange(self.sizes[name]) % 2
        noise = torch.rand(len(labels), *self.shape, generator=generator_for(name))
        return Split(1.2 * noise - 0.9 + 0.6 * labels.reshape(-1, *[1] * len(self.shape)), labels, self.bounds)


class Images(Points):
    """The same as images."""

    name, shape = "images", (1, 8, 8)

    def __init__(self, augmentation: Augmentation | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.augmentation = augmentation


class Searched(Points):
    """Whose residuals are as if a search of many passes had found them, and so are kept by each process."""

    def residual(self, name: Any, **options: Any) -> Any:
        estimator: Any = super().residual(name, **options)
        estimator.passes = 100
        return estimator


class Normed(nn.Sequential):
    """A small network with batch norm."""

    def __init__(self, classes: int = 2) -> None:
        convolution = nn.Conv2d(1, 4, 3, bias=False)  # one before batch norm would have no gradient
        super().__init__(convolution, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, classes))


class Partly(nn.Module):
    """A network with weights that no loss reaches."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(4, classes), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


class Case(NamedTuple):
    """What is trained."""

    module: Callable[[], LightningModule]
    data: Callable[..., DataSet] = Points
    trainer: dict[str, Any] = {}  # noqa: RUF012 (never written to)
    unreached: bool = False


def classifier(network: str = "mlp", shape: tuple[int, ...] = (4,), **options: Any) -> Classifier:
    made_with = {"hidden": [8]} if network == "mlp" else {}
    rate = partial(SGD, lr=0.1, momentum=0.9)
    return Classifier(network, made_with, shape=shape, bounds=Points.bounds, optimizer=rate, **options)


def of(**options: Any) -> Case:
    return Case(partial(classifier, **options))


def image_case(network: str = "small_cnn", data: Any = Images, **options: Any) -> Case:
    return Case(partial(classifier, network, (1, 8, 8), **options), data)


HALF = {"clean": 1.0, "adversarial": 0.5}
REACH = Strength(0.1)
NORMED = f"{__name__}.Normed"
attacked = partial(AT, REACH, steps=2)
unet = {"network": "unet", "network_options": {"width": 4, "levels": 1}, "shape": (1, 8, 8)}
mlp = {"network": "mlp", "network_options": {"hidden": [8]}, "shape": (4,)}

DOUBLE = {"precision": "64-true"}
"""Adam takes whole steps along gradients that are zero but for rounding, as of biases before batch norm."""


class Projected(nn.Module):
    """An aggregator that draws which gradient gives way, as PCGrad does."""

    def forward(self, rows: Tensor) -> Tensor:
        """Of two gradients the sum, one of them without what opposes the other."""
        kept, other = rows[torch.randperm(2)]
        return kept + other - (other @ kept).clamp(max=0) / (kept @ kept) * kept


CASES: dict[str, Callable[[], Case]] = {
    "plain": lambda: of(objective=Plain()),
    "AT": lambda: of(objective=attacked()),
    "AT in L2": lambda: of(objective=attacked(norm="L2")),
    "AT in L1": lambda: of(objective=attacked(norm="L1")),
    "AT with APGD": lambda: of(objective=attacked(solver="apgd", target="random")),
    "TRADES": lambda: of(objective=TRADES(REACH, steps=2)),
    "MART": lambda: of(objective=MART(REACH, steps=2)),
    "CLP": lambda: of(
        objective=CLP(REACH, steps=2, clean="apart"), combiner=WeightedSum({"clean": 1.0, "adversarial": 0.5})
    ),
    "AvMixup": lambda: of(objective=AvMixup(REACH, steps=2)),
    "AWP": lambda: of(objective=AWP(attacked(), gamma=0.1)),
    "AWP around AvMixup": lambda: of(objective=AWP(AvMixup(REACH, steps=2), gamma=0.1)),
    "AGR": lambda: of(objective=attacked(), combiner=AGR(), log_layers=True),
    "CA-AT": lambda: of(objective=attacked(), combiner=CAAT(), combiner_start=1),
    "CA-AT by sample": lambda: of(objective=SampleCAAT(attacked()), log_layers=True),
    "CA-AT, measured by sample": lambda: of(objective=SampleCAAT(attacked(), gamma=None), combiner=CAAT()),
    "TorchJD": lambda: of(objective=attacked(), combiner=TorchJD(Projected())),
    "watched": lambda: of(objective=attacked(), log_layers=True),
    "penalty": lambda: of(alignment_weight=0.5, residual="nearest"),
    "penalty of residuals that are kept": lambda: of(alignment_weight=0.5)._replace(data=Searched),
    "penalty of its own": lambda: of(
        objective=attacked(), combiner=AGR(), alignment_weight=0.5, residual="nearest", alignment_with="own"
    ),
    "penalty with AWP": lambda: of(
        objective=AWP(attacked()), combiner=CAAT(), alignment_weight=0.5, alignment_with="adversarial"
    ),
    "gradient penalty": lambda: of(gradient_weight=0.5),
    "weighted alignment": lambda: of(penalty=WeightedAlignment(0.5), residual="nearest"),
    "Jacobian, drawn": lambda: of(objective=attacked(), penalty=Jacobian(0.1)),
    "Jacobian of its own": lambda: of(
        objective=attacked(), combiner=AGR(), penalty=Jacobian(0.1), alignment_with="own"
    ),
    "edges, drawn": lambda: image_case(penalty=Edges(0.5)),
    "edges and one sample left": lambda: image_case(data=partial(Images, train=49), penalty=Edges(0.5)),
    "perpendicular starts": lambda: of(objective=PerpendicularAT(REACH, steps=2), residual="nearest"),
    "perpendicular starts and AWP": lambda: of(
        objective=AWP(PerpendicularAT(REACH, steps=1, stay=True)), alignment_weight=0.5, residual="nearest"
    ),
    "weights that no loss reaches": lambda: of(
        network=f"{__name__}.Partly", objective=attacked(), combiner=AGR()
    )._replace(unreached=True),
    "accumulated": lambda: of(objective=attacked())._replace(trainer={"accumulate_grad_batches": 2}),
    "one sample left": lambda: of(objective=attacked())._replace(data=partial(Points, train=49)),
    "augmentation": lambda: image_case(data=partial(Images, Augmentation(crop=2, rotation=10.0, erasing=0.5))),
    "batch norm": lambda: image_case(NORMED, objective=attacked()),
    "batch norm and AWP": lambda: image_case(NORMED, objective=AWP(TRADES(REACH, steps=2))),
    "batch norm and AGR": lambda: image_case(NORMED, objective=attacked(), combiner=AGR()),
    "batch norm and penalty": lambda: image_case(NORMED, alignment_weight=0.5),
    "batch norm and one sample left": lambda: image_case(NORMED, data=partial(Images, train=49)),
    "direct": lambda: Case(partial(DirectGAN, nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), **unet), Images),
    "direct of the paper": lambda: Case(
        partial(DirectGAN, nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), form="paper", **unet), Images, DOUBLE
    ),
    "transport": lambda: Case(partial(TransportGAN, potential(), gradient_weight=0.1, **mlp), Points, DOUBLE),
    "transport with one sample left": lambda: Case(
        partial(TransportGAN, potential(), **mlp), partial(Points, 49), DOUBLE
    ),
    "conditional": lambda: Case(conditional, Images, DOUBLE),
    "conditional with pairs": lambda: Case(
        partial(conditional, encoder=4, projection_weight=1.0, distance_weight=0.5), Images, DOUBLE
    ),
}


def potential() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.Softplus(), nn.Linear(16, 2, bias=False))


def conditional(encoder: int = 0, **options: Any) -> ConditionalGAN:
    made_with = {"width": 4, "latent_size": 4} | ({"encoder": encoder} if encoder else {})
    discriminator = ConditionalDiscriminator((1, 8, 8), 2, width=4)
    return ConditionalGAN(discriminator, network_options=made_with, shape=(1, 8, 8), num_classes=2, **options)


class Found(NamedTuple):
    """What a training ends with."""

    weights: dict[str, Tensor]
    logged: dict[str, Tensor]


def trained(name: str, processes: int = 1) -> Found:
    """Two epochs of a case, with the batches of as many processes."""
    torch.manual_seed(0)
    case = CASES[name]()
    module = case.module()
    ddp = DDPStrategy(process_group_backend="gloo", find_unused_parameters=case.unreached)
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        inference_mode=False,
        num_sanity_val_steps=0,
        callbacks=[Epsilon50(steps=2)] if isinstance(module, Classifier) else [],
        **quiet,
        **({"devices": 1} if processes == 1 else {"devices": processes, "strategy": ddp}),
        **case.trainer,
    )
    trainer.fit(module, datamodule=case.data(batch_size=SHARED // processes, eval_batch_size=4))
    logged = {key: value.detach().clone() for key, value in trainer.callback_metrics.items()}
    return Found({key: value.clone() for key, value in module.state_dict().items()}, logged)


def all_trained(rank: int, processes: int, names: list[str]) -> dict[str, Found]:
    """What one of several processes ends with."""
    given = {
        "NODE_RANK": 0,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": processes,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": 1,
    }
    os.environ.update({key: str(value) for key, value in given.items()})
    return {name: trained(name, processes) for name in names}


def check(processes: int, folder: Path, names: list[str]) -> None:
    ends = in_processes(processes, folder, partial(all_trained, processes=processes, names=names))
    for name in names:
        alone = trained(name)
        for end in ends:
            for kind in Found._fields:
                found, wanted = getattr(end[name], kind), getattr(alone, kind)
                assert found.keys() == wanted.keys(), name
                for key, value in wanted.items():
                    told = partial("{0} of {1}: {2}".format, key, name)
                    torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-6, msg=told)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_train_as_one(processes: int, tmp_path: Path) -> None:
    check(processes, tmp_path, [*CASES])
