"""The weights of a network in a file: one set is found, one of several chosen, and what differs said in short."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from training import build_network, load_classifier
from training.checkpoints import load_weights

MLP = {"shape": (4,), "num_classes": 3, "hidden": [5]}
CIFAR = {"shape": (3, 8, 8), "num_classes": 10}
ONES = torch.ones(10, dtype=torch.long)


@pytest.fixture
def save(tmp_path) -> Callable[..., Path]:
    """Saves anything to a file and returns its path."""

    def make(content: object) -> Path:
        torch.save(content, tmp_path / "file.pt")
        return tmp_path / "file.pt"

    return make


def under(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in weights.items()}


def two() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return tuple(build_network("mlp", **MLP).state_dict() for _ in range(2))


def assert_loaded(network: nn.Module, expected: dict[str, Tensor]) -> None:
    assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("raw_key", "ema_key"), [("model", "ema"), ("state_dict", "state_dict_ema"), ("params", "params_ema")]
)
def test_of_several_sets_one_is_chosen_by_the_user(save, raw_key, ema_key):
    raw, averaged = two()
    path = save({"epoch": 3, raw_key: raw, ema_key: averaged})
    message = rf"holds several sets of weights that fit the network, under \['{raw_key}', '{ema_key}'\]\. .*key="
    with pytest.raises(ValueError, match=message):
        load_classifier("mlp", checkpoint=path, **MLP)
    assert_loaded(load_classifier("mlp", checkpoint=path, key=raw_key, **MLP), raw)
    assert_loaded(load_classifier("mlp", checkpoint=path, key=ema_key, **MLP), averaged)


def test_set_two_keys_deep_is_chosen_by_both_or_by_the_outer_one(save):
    raw, averaged = two()
    path = save({"model": {"state_dict": raw}, "teacher": {"state_dict": averaged}})
    for key in ("teacher", "teacher.state_dict"):
        assert_loaded(load_classifier("mlp", checkpoint=path, key=key, **MLP), averaged)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_set_that_alone_fits_needs_no_choice(save, prefix):
    weights, _ = two()
    moments = {key: torch.zeros(2) for key in weights}
    path = save({"momentum": moments, "model": under(prefix, weights), "optimizer": {"state": {0: moments}}})
    assert_loaded(load_classifier("mlp", checkpoint=path, **MLP), weights)


def test_names_that_begin_with_the_key_are_taken_and_others_passed_over(save):
    student, teacher = two()
    path = save({"state_dict": under("student.", student) | under("teacher.", teacher) | {"seen": torch.zeros(2)}})
    message = r"several sets of weights that fit the network, under \['state_dict.student', 'state_dict.teacher'\]"
    with pytest.raises(ValueError, match=message):
        load_classifier("mlp", checkpoint=path, **MLP)
    for key in ("teacher", "state_dict.teacher"):
        assert_loaded(load_classifier("mlp", checkpoint=path, key=key, **MLP), teacher)


def test_doubled_file_of_robustness_says_what_to_take(save):
    """MadryLab's package saves every weight twice, and a normaliser, which the network must replace."""
    network = build_network("resnet18_cifar", **CIFAR)
    doubled = {}
    for prefix in ("module.model.", "module.attacker.model."):
        doubled |= under(prefix, network.state_dict())
    path = save({"model": doubled | {"module.normalizer.new_mean": torch.zeros(3)}})
    with pytest.raises(ValueError, match=r"key='model\.module\.model'") as refusal:
        load_classifier("resnet18_cifar", checkpoint=path, **CIFAR)
    assert len(str(refusal.value)) < 1000
    loaded = load_classifier("resnet18_cifar", checkpoint=path, key="module.model", **CIFAR)
    assert_loaded(loaded, network.state_dict())


@pytest.mark.parametrize("key", ["emma", "model.layer"])
def test_unknown_key_is_refused_with_those_that_there_are(save, key):
    raw, averaged = two()
    with pytest.raises(ValueError, match=rf"`key` should be one of \['model', 'ema'\]. Found '{key}'"):
        load_classifier("mlp", checkpoint=save({"ema": averaged, "model": raw}), key=key, **MLP)


def test_batch_norm_may_lack_its_count_as_in_torch(save):
    network = build_network("resnet18_cifar", **CIFAR)
    old = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert len(old) < len(network.state_dict())
    assert_loaded(load_classifier("resnet18_cifar", checkpoint=save(old), **CIFAR), network.state_dict())


@pytest.mark.parametrize("wrap", [nn.Identity, nn.DataParallel], ids=["plain", "DataParallel"])
def test_averaged_model_is_loaded_without_its_count(save, wrap):
    network = build_network("mlp", **MLP)
    expected = {key: value.clone() for key, value in network.state_dict().items()}
    averaged = AveragedModel(network if wrap is nn.Identity else wrap(network))  # which takes it to a GPU
    assert "n_averaged" in averaged.state_dict()
    path = save({"ema": averaged.state_dict()})
    assert_loaded(load_classifier("mlp", checkpoint=path, **MLP), expected)


def test_mismatch_names_ten_keys_of_all_kinds_and_counts_the_rest(save):
    wanted = build_network("resnet18_cifar", **CIFAR).state_dict()
    other = {f"x{i:02}": torch.zeros(1) for i in range(12)} | {"conv1.weight": torch.zeros(2), "fc.bias": 0 * ONES}
    message = (
        r"Missing keys: \[.*\] and 98 more\. Unexpected keys: \[.*\] and 10 more\. Keys of another shape: "
        r"\['conv1.weight \(2,\) for \(64, 3, 3, 3\)'\]\. Keys of another kind: \['fc.bias whole numbers"
    )
    with pytest.raises(ValueError, match=message) as refusal:
        load_classifier("resnet18_cifar", checkpoint=save(other), **CIFAR)
    named = [key for key in {*wanted, *other} if f"'{key}'" in str(refusal.value) or f"'{key} " in str(refusal.value)]
    assert len(named) <= 10


def test_start_of_a_training_can_choose_too(save):
    raw, averaged = two()
    network = build_network("mlp", **MLP)
    load_weights(network, save({"model": raw, "ema": averaged}), key="ema")
    assert_loaded(network, averaged)


@pytest.mark.parametrize(
    ("convert", "found"),
    [
        (lambda value: value.int(), "whole numbers for floating-point"),
        (lambda value: value.to(torch.complex64), "complex for floating-point"),
        (lambda value: value.to("meta"), "no values for floating-point"),
    ],
)
def test_weights_that_would_lose_something_are_refused(save, convert: Callable[[Tensor], Tensor], found: str) -> None:
    weights = {key: convert(value) for key, value in two()[0].items()}
    with pytest.raises(ValueError, match=f"Keys of another kind: .*1.bias {found}"):
        load_classifier("mlp", checkpoint=save(weights), **MLP)


def test_weights_of_another_precision_are_converted_counts_of_batches_too(save) -> None:
    network = build_network("resnet18_cifar", **CIFAR)
    half = {key: value.half() for key, value in network.state_dict().items()}
    loaded = load_classifier("resnet18_cifar", checkpoint=save(half), **CIFAR)
    assert_loaded(loaded, {key: half[key].to(value.dtype) for key, value in network.state_dict().items()})


@pytest.mark.parametrize("key", [3, ["model"]])
@pytest.mark.usefixtures("as_in_production")
def test_key_that_is_no_name_is_refused(save, key: object) -> None:
    with pytest.raises(ValueError, match=r"`key` should be a name. Found "):
        load_classifier("mlp", checkpoint=save(two()[0]), key=key, **MLP)


def test_weights_that_are_nan_are_one_set(save) -> None:
    weights = {name: value * torch.nan for name, value in build_network("mlp", **MLP).state_dict().items()}
    network = load_classifier("mlp", checkpoint=save(weights), **MLP)
    assert all(value.isnan().all() for value in network.state_dict().values())


def test_more_outputs_than_classes_are_said_to_be_mapped(save) -> None:
    weights = build_network("mlp", **MLP | {"num_classes": 9}).state_dict()
    with pytest.raises(ValueError, match=r"has 9 outputs, where 3 classes .* map them with the option `classes`"):
        load_classifier("mlp", checkpoint=save(weights), **MLP)
