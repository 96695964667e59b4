"""Every form that a checkpoint has in public programs, and that it loads as what was saved, to the last bit."""

import argparse
import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tests.training.checkpoints import tiny
from tests.training.checkpoints.tiny import CLASSES, MEAN, SHAPE, STD, Tiny, trained, under, weights
from training.checkpoints import load
from training.networks.normalization import Normalization

W = dict[str, Tensor]
CIFAR = Normalization(MEAN, STD)


def image(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).reshape(1, 3, 1, 1)


def robustness(w: W) -> object:
    """MadryLab's package saves an attacker beside the model, with the same model and a normaliser of its own."""
    names: W = {}
    for part in ("model", "attacker.model"):
        names |= under(f"module.{part}.", w)
    for part in ("normalizer", "attacker.normalize"):
        names |= {f"module.{part}.new_mean": image(MEAN)[0], f"module.{part}.new_std": image(STD)[0]}
    return {"model": names, "optimizer": {"state": {}}, "schedule": None, "epoch": 109, "amp": None}


def lightning(prefix: str) -> Callable[[W], object]:
    """Another project's checkpoint of Lightning: its module holds more than the network."""

    def make(w: W) -> object:
        beside = {"criterion.weight": torch.ones(CLASSES), "train_acc.tp": torch.zeros(CLASSES)}
        return {
            "epoch": 7,
            "global_step": 1000,
            "pytorch-lightning_version": "2.1.0",
            "state_dict": under(prefix, w) | beside,
            "loops": {"fit_loop": {"state_dict": {}}},
            "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.9)}},
            "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]}],
            "lr_schedulers": [],
            "hyper_parameters": {"lr": 0.1, "arch": "tiny"},
        }

    return make


def averaged(w: W) -> object:
    network = trained()
    network.load_state_dict(w)
    return {"swa": AveragedModel(network).state_dict(), "swa_n": 3}


def numbers(w: W) -> object:
    """What training programs save beside weights, as values of numpy and of the standard library."""
    args = argparse.Namespace(lr=0.1, betas=[1, 2], out=PurePosixPath("runs"))
    return {"net": w, "acc": np.float64(91.5), "best": np.float32(1), "curve": np.arange(3), "args": args}


PLAIN: dict[str, Callable[[W], object]] = {
    "state dict": lambda w: w,
    "ordered": OrderedDict,
    "parameters": lambda w: {n: nn.Parameter(v) if v.is_floating_point() else v for n, v in w.items()},
    "state_dict": lambda w: {"state_dict": w, "epoch": 3},
    "model_state_dict": lambda w: {"model_state_dict": w, "optimizer_state_dict": {"state": {}}},
    "TRADES and kuangliu": lambda w: {"net": under("module.", w), "acc": 94.5, "epoch": 199},
    "numbers of numpy and a Namespace": numbers,
    "model": lambda w: {"model": w},
    "network": lambda w: {"network": w},
    "weights": lambda w: {"weights": w},
    "ema alone": lambda w: {"ema": w},
    "params": lambda w: {"params": w},
    "timm, averaged alone": lambda w: {"arch": "tiny", "state_dict_ema": under("module.", w), "epoch": 3},
    "four keys deep": lambda w: {"a": {"b": {"c": {"d": w}}}},
    "in a tuple of a dict": lambda w: {"saved": (w, {"lr": 0.1})},
    "DeepSpeed": lambda w: {"module": w, "dp_world_size": 1, "global_steps": 3},
    "beside a number": lambda w: w | {"epoch": 3},
    "DataParallel": lambda w: under("module.", w),
    "torch.compile": lambda w: under("_orig_mod.", w),
    "compiled, parallel, in a model": lambda w: under("module._orig_mod.model.", w),
    "any words": lambda w: {"state_dict": under("net.encoder.trunk.", w)},
    "part compiled": lambda w: {n.replace("layers.0.", "layers.0._orig_mod."): v for n, v in w.items()},
    "FSDP": lambda w: {
        f"_fsdp_wrapped_module.{n.replace('layers.', 'layers._fsdp_wrapped_module.')}": v for n, v in w.items()
    },
    "activation checkpointing": lambda w: {
        n.replace("layers.1.", "layers.1._checkpoint_wrapped_module."): v for n, v in w.items()
    },
    "part parallel, as VGG of the ImageNet example": lambda w: {
        n.replace("layers.", "layers.module."): v for n, v in w.items()
    },
    "Sequential behind what has no weights": lambda w: under("1.", w),
    "smoothing: Sequential and parallel": lambda w: {"arch": "tiny", "state_dict": under("1.module.", w)},
    "Lightning, model": lightning("model."),
    "Lightning, net": lightning("net."),
    "Lightning, the module is the network": lightning(""),
    "AveragedModel": averaged,
    "without counts, as before torch 0.4.1": lambda w: {
        n: v for n, v in w.items() if not n.endswith("num_batches_tracked")
    },
    "twice the same": lambda w: {"state_dict": w, "state_dict_ema": dict(w)},
    "float64": lambda w: {n: v.double() if v.is_floating_point() else v for n, v in w.items()},
    "channels last": lambda w: {
        n: v.contiguous(memory_format=torch.channels_last) if v.ndim == 4 else v for n, v in w.items()
    },
}
"""What is saved, by the program or the habit that saves it; the network takes inputs as they are."""

NORMALISED: dict[str, Callable[[W], object]] = {
    "MadryLab's robustness": robustness,
    "Sequential": lambda w: {"0.mean": image(MEAN), "0.std": image(STD)} | under("1.", w),
    "mu and sigma beside the layers, as RobustBench": lambda w: w | {"mu": image(MEAN), "sigma": image(STD)},
    "mean and std beside the model": lambda w: {"mean": torch.tensor(MEAN), "std": torch.tensor(STD)}
    | under("model.", w),
    "normalize": lambda w: {"state_dict": {"normalize.mean": image(MEAN), "normalize.std": image(STD)}
    | under("model.", w)},
    "normalizer, parallel": lambda w: under("module.normalizer.", {"mean": image(MEAN)[0], "std": image(STD)[0]})
    | under("module.model.", w),
    "norm": lambda w: {"norm.mean": image(MEAN), "norm.std": image(STD)} | under("net.", w),
    "means and sds": lambda w: {"0.means": torch.tensor(MEAN), "0.sds": torch.tensor(STD)} | under("1.module.", w),
    "for inputs up to 255": lambda w: {
        "pixel_mean": torch.tensor(MEAN, dtype=torch.float64) * 255,
        "pixel_std": torch.tensor(STD, dtype=torch.float64) * 255,
    }
    | under("backbone.", w),
}  # fmt: skip
"""Files that hold the normalisation that stood before the network."""


@pytest.mark.parametrize("form", PLAIN)
def test_form_loads_as_what_was_saved(tmp_path: Path, form: str) -> None:
    torch.save(PLAIN[form](weights()), tmp_path / "file.pt")
    loaded = load(tiny.NETWORK, checkpoint=tmp_path / "file.pt", **tiny.SIZES)
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(trained()))
    assert loaded.normalization is None
    assert loaded.said_by == ""
    assert not any(part.training for part in loaded.classifier.modules())


@pytest.mark.parametrize("form", NORMALISED)
def test_normalisation_in_the_file_is_taken_and_said(tmp_path: Path, form: str) -> None:
    torch.save(NORMALISED[form](weights()), tmp_path / "file.pt")
    loaded = load(tiny.NETWORK, checkpoint=tmp_path / "file.pt", **tiny.SIZES)
    torch.testing.assert_close(tiny.logits(loaded.classifier), tiny.logits(trained(), CIFAR), rtol=0, atol=1e-6)
    assert loaded.said_by.endswith("in the file")
    assert loaded.described["normalize"] == {"mean": [*loaded.normalization.mean], "std": [*loaded.normalization.std]}
    assert any("taken as the normalisation of inputs in [0, " in note for note in loaded.notes)
    if "255" not in form:
        assert loaded.normalization == CIFAR


def test_there_are_thirty_forms_and_more() -> None:
    assert len(PLAIN) + len(NORMALISED) >= 30


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_and_said(tmp_path: Path, kind: torch.dtype) -> None:
    half = {name: value.to(kind) if value.is_floating_point() else value for name, value in weights().items()}
    torch.save(half, tmp_path / "file.pt")
    loaded = load(tiny.NETWORK, checkpoint=tmp_path / "file.pt", **tiny.SIZES)
    network = trained()
    network.load_state_dict(half)
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(network))
    assert loaded.notes == (f"Weights of {str(kind).removeprefix('torch.')} were widened to float32.",)


def test_file_of_before_torch_1_6_loads(tmp_path: Path) -> None:
    torch.save(numbers(weights()), tmp_path / "file.pt", _use_new_zipfile_serialization=False)
    loaded = load(tiny.NETWORK, checkpoint=tmp_path / "file.pt", **tiny.SIZES)
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(trained()))


def shards(folder: Path, save: Callable[[W, Path], None], file: str) -> Path:
    """Weights in two files and their index, as Hugging Face's libraries write them."""
    found, index = weights(), {}
    names = [*found]
    stem, ending = file.split(".")
    for number, part in enumerate((names[:5], names[5:]), start=1):
        name = f"{stem}-0000{number}-of-00002.{ending}"
        save({key: found[key] for key in part}, folder / name)
        index |= dict.fromkeys(part, name)
    (folder / f"{file}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return folder / f"{file}.index.json"


@pytest.mark.parametrize("given", ["index", "folder"])
@pytest.mark.parametrize("library", ["torch", "safetensors"])
def test_weights_in_several_files_load(tmp_path: Path, library: str, given: str) -> None:
    file = "pytorch_model.bin"
    save = torch.save
    if library == "safetensors":
        file, save = "model.safetensors", pytest.importorskip("safetensors.torch", reason="an extra").save_file
    index = shards(tmp_path, save, file)
    loaded = load(tiny.NETWORK, checkpoint=index if given == "index" else tmp_path, **tiny.SIZES)
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(trained()))


@pytest.mark.parametrize("name", ["model.safetensors", "weights", "file.pt"])
def test_safetensors_loads_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    safetensors = pytest.importorskip("safetensors.torch", reason="an extra")
    safetensors.save_file(under("model.", weights()), tmp_path / name)
    loaded = load(tiny.NETWORK, checkpoint=tmp_path / name, **tiny.SIZES)
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(trained()))


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("preprocessor_config.json", {"do_normalize": True, "image_mean": MEAN, "image_std": STD}, CIFAR),
        ("preprocessor_config.json", {"do_normalize": False, "image_mean": MEAN}, Normalization((0.0,), (1.0,))),
        ("config.json", {"architecture": "tiny", "pretrained_cfg": {"mean": MEAN, "std": STD}}, CIFAR),
        ("config.json", {"architectures": ["Tiny"]}, None),
        ("preprocessor_config.json", {"rescale_factor": 1 / 127.5, "image_mean": MEAN, "image_std": STD}, None),
    ],
)
@pytest.mark.parametrize("given", ["", "pytorch_model.bin"])
def test_folder_says_how_its_weights_were_trained(
    tmp_path: Path, file: str, content: dict, expected: Normalization | None, given: str
) -> None:
    torch.save(weights(), tmp_path / "pytorch_model.bin")
    (tmp_path / file).write_text(json.dumps(content))
    loaded = load(tiny.NETWORK, checkpoint=tmp_path / given, **tiny.SIZES)
    assert loaded.normalization == expected
    assert loaded.said_by == (f"{file} beside the weights" if expected else "")
    assert torch.equal(tiny.logits(loaded.classifier), tiny.logits(trained(), expected))


def test_tiny_network_is_what_the_table_needs() -> None:
    """It has counts of batches, and depends on every other weight and buffer."""
    before = tiny.logits(trained())
    for name, value in weights().items():
        network = Tiny(CLASSES)
        network.load_state_dict(weights() | {name: value + 1})
        assert torch.equal(tiny.logits(network), before) == name.endswith("num_batches_tracked")
    assert before.shape == (7, CLASSES)
    assert SHAPE[0] == len(MEAN)
