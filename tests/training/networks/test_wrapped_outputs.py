"""Networks that return more than a tensor of logits work behind every adapter of ours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn

from alignment.logits import logits_of
from training import AWP, CAAT, MART, TRADES, Classifier, Jacobian, SampleCAAT, Strength
from training.data import Digits
from training.networks import ClassMapping, Normalized, OneLogit, ToImageNetInput
from training.networks.adapters import Prepared


class Named(NamedTuple):
    logits: Tensor
    features: Tensor


@dataclass
class Answer:
    logits: Tensor
    loss: Tensor | None = None


WRAPS: dict[str, Callable[[Tensor], Any]] = {
    "tensor": lambda z: z,
    "mapping": lambda z: {"logits": z, "loss": None},
    "object": Answer,
    "named tuple": lambda z: Named(z, torch.zeros(len(z), 64)),
    "tuple of one": lambda z: (z,),
    "list of one": lambda z: [z],
    "tuple with a map of features": lambda z: (z, torch.zeros(len(z), 2, 4, 4)),
    "tuple with the loss": lambda z: (torch.zeros(()), z),
}


class Wrapped(nn.Module):
    """Three numbers of an image, or fewer, as something else."""

    def __init__(self, name: str, outputs: int = 3) -> None:
        super().__init__()
        self.wrap, self.outputs = WRAPS[name], outputs

    def forward(self, x: Tensor) -> Any:
        return self.wrap(x.mean(dim=(2, 3))[:, : self.outputs])


def images(size: int) -> Tensor:
    return torch.rand(size, 3, 4, 4)


@pytest.mark.parametrize("name", WRAPS)
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize(
    "adapter",
    [
        lambda network: network,
        lambda network: Normalized(network, "imagenet", bounds=(0.0, 1.0)),
        lambda network: Prepared(ToImageNetInput((0.0, 1.0)), network),
        lambda network: ClassMapping(network, [[0, 2], [1]]),
        lambda network: ClassMapping(Normalized(network, "half", bounds=(-1.0, 1.0)), [2, 0], "max"),
        lambda network: Normalized(ClassMapping(network, [2, 0], "max"), "half", bounds=(-1.0, 1.0)),
    ],
    ids=["none", "Normalized", "Prepared", "ClassMapping", "ClassMapping of Normalized", "Normalized ClassMapping"],
)
def test_logits_are_those_of_the_plain_network(name, size, adapter):
    x = images(size)
    torch.testing.assert_close(logits_of(adapter(Wrapped(name)), x), logits_of(adapter(Wrapped("tensor")), x))


@pytest.mark.parametrize("name", WRAPS)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_one_logit_is_found_in_what_a_network_returns(name, size):
    x = images(size)
    z = x.mean(dim=(2, 3))[:, :1]
    torch.testing.assert_close(OneLogit(Wrapped(name, outputs=1))(x), torch.cat([-z, z], dim=1) / 2)


@pytest.mark.parametrize("features", [64, 2])
def test_one_logit_beside_features_of_each_sample(features):
    class Both(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.new_full((len(x), features), 7.0), x.mean(dim=(1, 2, 3))

    x = images(3)
    z = x.mean(dim=(1, 2, 3))
    torch.testing.assert_close(OneLogit(Both())(x)[:, 1], z / 2)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ((torch.zeros(2, 1), torch.zeros(2, 1)), r"should return one output per sample. Found tuple"),
        ({"scores": torch.zeros(2, 1)}, r"should return one output per sample. Found dict"),
        (torch.zeros(2, 2), r"should return one output per sample. Found 2"),
        (None, r"should return one output per sample. Found NoneType"),
    ],
)
def test_outputs_among_which_nothing_tells_are_refused(output, message):
    class Fixed(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return output

    with pytest.raises(ValueError, match=message):
        OneLogit(Fixed())(images(2))


class Learning(nn.Module):
    """A linear network that returns an object."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Answer:
        return Answer(self.linear(x.flatten(1)))


class Bare(Learning):
    """The same that returns its logits."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x).logits


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"objective": TRADES(Strength(0.1), steps=1), "combiner": CAAT()},
        {"objective": AWP(MART(Strength(0.1), steps=1)), "log_layers": True},
        {"objective": SampleCAAT(TRADES(Strength(0.1), steps=1, clean="apart")), "penalty": Jacobian(0.1)},
    ],
)
def test_a_network_that_returns_an_object_trains_as_one_that_returns_its_logits(
    options: dict[str, Any], quiet_trainer: Callable[..., Trainer]
) -> None:
    found = []
    for network in (Learning, Bare):
        data = Digits(batch_size=16)
        module = Classifier(f"{__name__}.{network.__name__}", {}, (1, 8, 8), 10, data.bounds, **options)
        trainer = quiet_trainer(1, limit_train_batches=1, limit_val_batches=1)
        trainer.fit(module, data)
        found.append({name: float(value) for name, value in trainer.callback_metrics.items()})
    assert found[0] == found[1]
    assert "val_accuracy" in found[0]
