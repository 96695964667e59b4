"""The suite finds out before any real work whether an attack takes its options and the data."""

import re
import sys
import time
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from eval.attacks import ATTACKS, SuiteAttack, check_bound, square_attack
from eval.attacks.options import option_names
from training.attacks import pgd

# beartype would refuse values of a wrong type first
pytestmark = pytest.mark.usefixtures("as_in_production")

UNBOUNDED = (-torch.inf, torch.inf)
OF_ADV_LIB = ("ddn_advlib", "fmn_advlib", "pdgd", "pdpgd", "alma", "sigma_zero")
NEEDS = {
    "pyautoattack": ("apgd_ce", "apgd_dlr", "apgd_t", "fab", "fab_t", "autoattack"),
    "foolbox": ("cw", "ddn", "fmn", "deepfool"),
    "adv_lib": OF_ADV_LIB,
}


def available(name: str) -> bool:
    """Whether what an attack is made of is installed."""
    return all(find_spec(extra) for extra, names in NEEDS.items() if name in names)


def refused(name: str, options: dict[str, Any], **changed: Any) -> str:
    """What an attack of the suite says to its options, or to other data than digits."""
    entry = ATTACKS[name]
    given = {"norm": (entry.norms or (None,))[0], "shape": (1, 8, 8), "num_classes": 10, "bounds": (-1.0, 1.0)}
    with pytest.raises(ValueError, match=r"\w") as caught:
        entry.check(options, **(given | changed))
    return str(caught.value)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize(
    ("shape", "num_classes", "bounds"),
    [((1, 8, 8), 10, (-1.0, 1.0)), ((3, 32, 32), 2, (0.0, 1.0)), ((3, 224, 224), 1000, (0.0, 1.0))],
)
def test_every_attack_takes_images_and_says_so_at_once(name, shape, num_classes, bounds) -> None:
    if not available(name):
        pytest.skip("not installed")
    entry = ATTACKS[name]
    for norm in entry.norms or (None,):
        entry.check({}, norm, shape, num_classes, bounds)
        started = time.process_time()
        entry.check({}, norm, shape, num_classes, bounds)
        assert time.process_time() - started < 0.5


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "sta"])
def test_all_but_the_spatial_attack_take_vectors_without_bounds(name) -> None:
    if not available(name):
        pytest.skip("not installed")
    for norm in ATTACKS[name].norms:
        ATTACKS[name].check({}, norm, (500,), 2, UNBOUNDED)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pgd", {"setps": 5}, "`options` of PGD should be among steps, .* Found 'setps'. Did you mean 'steps'?"),
        ("square", {"querys": 5}, "Found 'querys'. Did you mean 'queries'?"),
        ("fgsm", {"restarts": 2}, "`options` of FGSM should be among loss, leave_when_fooled. Found 'restarts'."),
        ("pgd", {"bounds": (0, 1)}, "should leave out 'bounds', which the search passes itself"),
        ("pgd", {"epsilon": 0.1}, "should leave out 'epsilon', which the search passes itself"),
        ("square", {"norm": "L2"}, "should leave out 'norm', which the search passes itself"),
        ("spsa", {"generator": None}, "should leave out 'generator', which the search passes itself"),
        ("pgd20", {"steps": 5}, "`options` of PGD-20 should leave out 'steps', which is 20 there. Found 5."),
        ("cw_linf", {"loss": "dlr"}, "should leave out 'loss', which is 'margin' there. Found 'dlr'."),
        ("pgd", {"restarts": 0}, "PGD cannot run: `restarts` should be at least 1. Found 0."),
        ("pgd", {"steps": "ten"}, "PGD cannot run: `steps` should be a whole number. Found 'ten'."),
        ("pgd", {"momentum": "much"}, "PGD cannot run: `momentum` should be at least 0. Found 'much'."),
        ("pgd", {"loss": "mse"}, "PGD cannot run: `loss` should be one of"),
        ("mi_fgsm", {"steps": -1}, "`steps` should be at least 0. Found -1"),
        ("square", {"p": 2.0}, "`p` should lie in"),
        ("spsa", {"samples": 0}, "`samples` should be at least 1"),
        ("spsa", {"batch_size": 0}, "`batch_size` should be at least 1. Found 0"),
        ("sta", {"iterations": 0}, "`iterations` should be at least 1"),
        ("sta", {"tolerance": -1.0}, "`tolerance` should be at least 0"),
    ],
)
def test_options_are_refused_before_any_work(name: str, options: dict[str, Any], message: str) -> None:
    assert re.search(message.replace("?", r"\?"), refused(name, options))


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("square", {"norm": "L1"}, "`norm of Square` should be one of Linf, L2. Found 'L1'"),
        ("sta", {"norm": "Linf"}, "`norm of STA` should be one of None. Found 'Linf'"),
        ("sta", {"shape": (500,)}, "STA cannot run: `x` should be images"),
        ("pgd", {"bounds": (1.0, -1.0)}, "`bounds` should be"),
    ],
)
def test_data_are_refused_before_any_work(name: str, changed: dict[str, Any], message: str) -> None:
    assert message in refused(name, {}, **changed)


def test_dlr_of_two_classes_is_refused_before_any_work() -> None:
    assert "'dlr' needs at least three classes. Found 2." in refused("pgd", {"loss": "dlr"}, num_classes=2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cw", {"step_size": 0.0}, "`step_size` should be above 0. Found 0.0"),
        ("cw", {"initial_const": -1.0}, "`initial_const` should be above 0"),
        ("deepfool", {"candidates": 1}, "`candidates` should be at least 2. Found 1"),
        ("deepfool", {"overshoot": -0.1}, "`overshoot` should be at least 0"),
        ("fmn", {"steps": 0}, "FMN cannot run: `steps` should be at least 1"),
    ],
)
def test_options_of_foolbox_are_refused_before_any_work(name: str, options: dict[str, Any], message: str) -> None:
    pytest.importorskip("foolbox")
    assert message in refused(name, options)


def test_sizes_that_pyautoattack_cannot_tile_are_refused_before_any_work() -> None:
    pytest.importorskip("pyautoattack")
    assert "which it cannot tile" in refused("autoattack", {}, norm="L2", shape=(1, 3, 3))
    assert "`version` should be one of" in refused("autoattack", {"version": "best"})


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foolbox.attacks", None)
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    monkeypatch.setitem(sys.modules, "adv_lib.attacks", None)
    assert "pip install 'alphadx[foolbox]'" in refused("ddn", {})
    for name in OF_ADV_LIB:
        assert "needs adv-lib: pip install --no-deps 'adv-lib>=0.2.8,<0.3'" in refused(name, {})
    assert "pip install 'alphadx[autoattack]'" in refused("autoattack", {})


def test_what_is_allowed_passes() -> None:
    data = ((1, 8, 8), 10, (-1.0, 1.0))
    ATTACKS["pgd"].check({"steps": 7, "step_size": 0.1, "leave_when_fooled": False}, "L2", *data)
    ATTACKS["pgd20"].check({"steps": 20}, "L1", *data)
    ATTACKS["mi_fgsm"].check({"steps": 10**8}, "Linf", *data)  # a rehearsal ends at its first step
    ATTACKS["square"].check({"queries": 10**7}, "Linf", *data)
    SuiteAttack("Mine", pgd).check({"restarts": 50, "steps": 10**6}, "Linf", *data)


def test_names_of_options_are_those_of_the_function_below() -> None:
    assert option_names(partial(square_attack, queries=3)) == ("queries", "p")


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ({"norm": "L2"}, "`attack` should not have `norm` bound to it, .* Found 'L2' beside 'Linf'"),
        (
            {"bounds": (0, 1)},
            r"`attack` should not have `bounds` bound to it, .* Found \(0, 1\) beside \(-1.0, 1.0\)",
        ),
        ({"epsilon": 0.3}, "`attack` should not have `epsilon` bound to it, .* Found 0.3"),
        ({"generator": torch.Generator()}, "`attack` should not have `generator` bound to it"),
    ],
)
def test_nothing_overrides_what_a_search_passes(bound: dict[str, Any], message: str) -> None:
    passed = {"norm": "Linf", "bounds": (-1.0, 1.0)}
    check_bound(pgd, **passed)
    check_bound(partial(pgd, steps=3, norm="Linf"), **passed)
    with pytest.raises(ValueError, match=message):
        check_bound(partial(partial(pgd, **bound), steps=3), **passed)
