"""What holds for every attack: what it refuses and in which words, and that it leaves everything as it was."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eval.attacks.adversarial_library import alma, ddn_advlib, fmn_advlib, pdgd, pdpgd, sigma_zero
from eval.attacks.autoattack import auto_attack
from eval.attacks.minimum_norm import carlini_wagner, ddn, deepfool, fmn
from eval.attacks.protocols import Attack, MinimumNormAttack
from eval.attacks.spatial import spatial_attack
from eval.attacks.spsa import spsa
from eval.attacks.square import square_attack
from tests.properties import unchanged
from training.attacks import fgsm, mi_fgsm, pgd

Call = Callable[..., Tensor]


def budgeted(attack: Attack, norm: str | None = "Linf", strength: float = 0.3, **options: Any) -> Call:
    def call(classifier: Any, x: Any, y: Any, **changed: Any) -> Tensor:
        given = {"strength": strength, "norm": norm, "bounds": (-1.0, 1.0), "generator": None} | options | changed
        return attack(classifier, x, y, given.pop("strength"), **given)

    return call


def minimal(attack: MinimumNormAttack, norm: str = "L2", **options: Any) -> Call:
    return partial(attack, norm=norm, bounds=(-1.0, 1.0), generator=None, **options)


WITH_GRADIENT = {
    "pgd": budgeted(pgd, steps=3),
    "pgd L2 leaving": budgeted(pgd, "L2", 2.0, steps=3, restarts=3, leave_when_fooled=True),
    "pgd L1": budgeted(pgd, "L1", 5.0, steps=3),
    "pgd kl": budgeted(pgd, steps=3, loss="kl"),
    "pgd momentum": budgeted(pgd, steps=3, momentum=0.5),
    "fgsm": budgeted(fgsm),
    "mi_fgsm": budgeted(mi_fgsm, steps=2),
    "sta": budgeted(spatial_attack, None, 9.0, iterations=3),
    "apgd": budgeted(auto_attack, attacks=["apgd-ce", "apgd-t"], steps=3),
    "apgd L1": budgeted(auto_attack, "L1", 5.0, attacks=["apgd-ce"], steps=5),
    "fab": budgeted(auto_attack, attacks=["fab", "fab-t"], steps=3),
    "cw": minimal(carlini_wagner, steps=3, search_steps=2),
    "ddn": minimal(ddn, steps=3),
    "fmn": minimal(fmn, "Linf", steps=3),
    "deepfool": minimal(deepfool, steps=3),
    "ddn_advlib": minimal(ddn_advlib, steps=3),
    "fmn_advlib": minimal(fmn_advlib, "L0", steps=3),
    "pdgd": minimal(pdgd, steps=3),
    "pdpgd": minimal(pdpgd, "L1", steps=3),
    "alma": minimal(alma, steps=3),
    "sigma_zero": minimal(sigma_zero, "L0", steps=3),
}
WITHOUT = {
    "square": budgeted(square_attack, queries=9),
    "square L2": budgeted(square_attack, "L2", 2.0, queries=9),
    "spsa": budgeted(spsa, steps=3, samples=2),
    "autoattack square": budgeted(auto_attack, attacks=["square"], queries=5),
}
NEEDS = {
    **dict.fromkeys(("apgd", "fab", "autoattack"), "pyautoattack"),
    **dict.fromkeys(("cw", "ddn", "fmn", "deepfool"), "foolbox"),
    **dict.fromkeys(("ddn_advlib", "fmn_advlib", "pdgd", "pdpgd", "alma", "sigma_zero"), "adv_lib"),
}


def each(attacks: dict[str, Call]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "attack",
        [
            pytest.param(
                attack,
                id=name,
                marks=pytest.mark.skipif(
                    name.split()[0] in NEEDS and find_spec(NEEDS[name.split()[0]]) is None, reason="not installed"
                ),
            )
            for name, attack in attacks.items()
        ],
    )


every_attack = each(WITH_GRADIENT | WITHOUT)


class Flattening(nn.Module):
    """The commonest of small networks: it flattens by its batch, which no empty batch survives."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(1, 4, 3), nn.Linear(4 * 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x).tanh()
        return self.linear(out.view(out.size(0), -1))


class Wrapped(nn.Module):
    """A network of which a function of its output is returned."""

    def __init__(self, network: nn.Module, wrap: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.network, self.wrap = network, wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(self.network(x))


def problem(size: int = 6) -> tuple[nn.Module, Tensor, Tensor]:
    """A network, images, and classes of which every third is wrong."""
    network, x = Flattening(), 1.6 * torch.rand(size, 1, 6, 6) - 0.8
    with torch.no_grad():
        y = network(x).argmax(dim=1) if size else torch.zeros(0, dtype=torch.int64)
    return network, x, torch.where(torch.arange(size) % 3 == 0, (y + 1) % 4, y)


@pytest.mark.usefixtures("as_in_production")
@every_attack
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y": torch.zeros(3)}, r"^`y` should be a tensor of int64, the numbers of classes. Found float32\.$"),
        ({"y": torch.zeros(3, dtype=torch.int32)}, r"^`y` should be a tensor of int64, .* Found int32\.$"),
        ({"y": torch.zeros(3, dtype=torch.bool)}, r"^`y` should be a tensor of int64, .* Found bool\.$"),
        ({"y": np.zeros(3, dtype=np.int64)}, r"^`y` should be a tensor of int64, .* Found ndarray\.$"),
        ({"y": torch.zeros(2, dtype=torch.int64)}, r"^`y` should have shape \(3,\). Found \(2,\)\.$"),
        ({"y": torch.tensor([0, 1, 4])}, r"^`y` should lie in \[0, 4\). Found values from 0 to 4\.$"),
        ({"y": torch.tensor([0, -1, 2])}, r"^`y` should lie in \[0, 4\). Found values from -1 to 2\.$"),
        (
            {"x": torch.zeros(3, 1, 6, 6, dtype=torch.int64)},
            r"^`x` should be a tensor of floating-point numbers. Found int64\.$",
        ),
        ({"x": np.zeros((3, 1, 6, 6))}, r"^`x` should be a tensor of floating-point numbers. Found ndarray\.$"),
        ({"x": torch.full((3, 1, 6, 6), torch.nan)}, "^`x` should be finite. Found 108 NaN or infinite of 108"),
        ({"x": torch.full((3, 1, 6, 6), 1.5)}, r"^`x` should lie within `bounds` \(-1.0, 1.0\). Found"),
        ({"bounds": (1.0, -1.0)}, r"^`bounds` should be \(low, high\) with low < high"),
        ({"norm": "L7"}, "^`norm` should be .*Found 'L7'"),
    ],
)
def test_all_refuse_the_same_in_the_same_words(attack: Call, changed: dict[str, Any], message: str) -> None:
    network, x, y = problem(3)
    arguments = {"classifier": network, "x": x, "y": y} | changed
    with pytest.raises(ValueError, match=message):
        attack(**arguments)


@every_attack
@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_logits_that_are_not_finite_are_refused(attack: Call, number: float) -> None:
    network, x, y = problem(3)
    with pytest.raises(ValueError, match=r"^`classifier\(x\)` should be finite. Found 12 NaN or infinite of 12"):
        attack(Wrapped(network, lambda z: z + number), x, y)


@each(WITH_GRADIENT)
def test_gradients_that_are_nan_are_refused(attack: Call) -> None:
    network, x, y = problem(6)
    broken = Wrapped(network, lambda z: z + (0 * z.sum(dim=1, keepdim=True)).sqrt())
    with pytest.raises(ValueError, match=r"^`gradient of classifier\(x\)` should be finite. Found"):
        attack(broken, x, y)


@every_attack
@pytest.mark.parametrize(
    "wrap", [lambda z: {"logits": z}, lambda z: OrderedDict(loss=None, logits=z), lambda z: (z,), lambda z: [z, z[0]]]
)
def test_networks_that_return_more_than_logits_are_attacked(attack: Call, wrap: Callable[[Tensor], Any]) -> None:
    network, x, y = problem(3)
    assert attack(Wrapped(network, wrap), x, y).shape == x.shape


@every_attack
@pytest.mark.parametrize(
    ("wrap", "found"),
    [(lambda z: (z, z), r"tuple of \(3, 4\), \(3, 4\)"), (lambda z: {"out": z}, r"dict of 'out': \(3, 4\)")],
)
def test_networks_whose_logits_are_not_plain_are_refused(attack: Call, wrap: Call, found: str) -> None:
    network, x, y = problem(3)
    with pytest.raises(ValueError, match=rf"`classifier` should return logits of shape \(3, C\).* Found {found}"):
        attack(Wrapped(network, wrap), x, y)


@every_attack
@pytest.mark.parametrize("size", [0, pytest.param(1, marks=pytest.mark.slow), 6])
@pytest.mark.parametrize("wrong", ["none", "some", "all"])
def test_no_network_sees_an_empty_batch(attack: Call, size: int, wrong: str) -> None:
    network, x, y = problem(size)
    if size and wrong != "some":
        y = (network(x).argmax(dim=1) + (wrong == "all")) % 4
    assert attack(network, x, y).shape == x.shape


@every_attack
@pytest.mark.parametrize("ambient", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_arguments_and_network_are_left_as_found(attack: Call, ambient: Any) -> None:
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(), Flattening())
    _, x, y = problem(6)
    before = x.clone(), y.clone()
    with unchanged(network), ambient():
        found = attack(network, x, y)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    assert not found.requires_grad
    assert found.data_ptr() != x.data_ptr()
