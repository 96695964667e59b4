"""Folders of Hugging Face's: the network, its weights, and how inputs were prepared."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training.networks import Normalization, OneLogit, find_network

DATA = {"shape": (3, 8, 8), "bounds": (0.0, 1.0)}
SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
HALF = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture
def transformers():
    found = pytest.importorskip("transformers", reason="the extra transformers is not installed")
    found.utils.logging.disable_progress_bar()
    return found


@pytest.fixture
def save(transformers, tmp_path) -> Callable[..., tuple[Path, nn.Module]]:
    """Saves a tiny vision transformer, or a part of one, and says how its inputs are prepared."""

    def make(kind: str = "ViTForImageClassification", **processor: object) -> tuple[Path, nn.Module]:
        config = transformers.ViTConfig(image_size=8, patch_size=4, num_labels=4, **SIZES)
        network = getattr(transformers, kind)(config).eval()
        network.save_pretrained(tmp_path)
        if processor:
            (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
        return tmp_path, network

    return make


def found(folder: Path, **options):
    return find_network(f"hf:{folder}", **(DATA | {"num_classes": 4} | options))


def images() -> Tensor:
    return torch.rand(2, 3, 8, 8)


MOMENTS = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def test_pretrained_network_returns_the_logits_of_the_saved_one(save):
    folder, network = save(**MOMENTS)
    loaded, x = found(folder, pretrained=True), images()
    with torch.no_grad():
        torch.testing.assert_close(loaded.network.eval()(x), network(x).logits)
    assert loaded.network.state_dict().keys() == network.state_dict().keys()
    assert loaded.normalization == HALF
    assert loaded.said_by == str(folder / "preprocessor_config.json")


@pytest.mark.parametrize("kind", ["ResNetForImageClassification", "ConvNextForImageClassification"])
def test_convolutional_networks_too(transformers, tmp_path, kind):
    options = {"num_labels": 4, "hidden_sizes": [8] * 4, "depths": [1] * 4}
    config = getattr(transformers, kind.replace("ForImageClassification", "Config"))(**options)
    network = getattr(transformers, kind)(config).eval()
    network.save_pretrained(tmp_path)
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(found(tmp_path, pretrained=True).network.eval()(x), network(x).logits)


def test_fresh_network_has_the_classes_of_the_data_and_nobody_says_how_it_normalises(save):
    folder, _ = save(**MOMENTS)
    fresh = found(folder, num_classes=7)
    assert fresh.network.eval()(images()).shape == (2, 7)
    assert (fresh.normalization, fresh.said_by) == (None, "")
    binary = found(folder, num_classes=2, one_logit=True).network
    assert isinstance(binary, OneLogit)
    assert binary.eval()(images()).shape == (2, 2)


def test_options_are_those_of_the_configuration(save):
    folder, _ = save()
    assert found(folder, hidden_act="relu").network.config.hidden_act == "relu"
    with pytest.raises(ValueError, match=r"does not take these options: nonsense, other"):
        found(folder, other=1, nonsense=2)


def test_classes_of_pretrained_weights_are_mapped_and_never_replaced(save):
    folder, network = save()
    with pytest.raises(ValueError, match=r"which of the 4 outputs of 'hf:.*' belong .* with 2 classes"):
        found(folder, pretrained=True, num_classes=2)
    mapped, x = found(folder, pretrained=True, num_classes=2, classes=[[3], [0]], reduce="max"), images()
    with torch.no_grad():
        torch.testing.assert_close(mapped.network.eval()(x), network(x).logits[:, [3, 0]])


PROCESSORS = {
    "plain": ({}, HALF),
    "as it is": ({"do_normalize": False}, None),
    "from bytes": ({"rescale_factor": 1 / 255}, HALF),
    "to [-1, 1] by an offset": (
        {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
        Normalization((0.5,), (0.5,)),
    ),
    "not rescaled": ({"do_rescale": False}, Normalization((0.5 / 255,) * 3, (0.5 / 255,) * 3)),
    "EfficientNet with a head": (
        {"image_processor_type": "EfficientNetImageProcessor"},
        Normalization((0.5,) * 3, (0.25,) * 3),
    ),
    "EfficientNet without": (
        {"image_processor_type": "EfficientNetImageProcessor", "include_top": False},
        HALF,
    ),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_how_inputs_were_prepared(save, name):
    options, expected = PROCESSORS[name]
    folder, _ = save(**(MOMENTS | options))
    normalization = found(folder, pretrained=True).normalization
    if expected is None:
        assert normalization is None
    else:
        assert normalization.mean == pytest.approx(expected.mean)
        assert normalization.std == pytest.approx(expected.std)


@pytest.mark.parametrize("kind", ["ViTImageProcessor", "EfficientNetImageProcessor"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]},
        {"do_normalize": False, "include_top": False},
        {"rescale_factor": 1 / 127.5, "rescale_offset": True, "include_top": False},
    ],
)
def test_transformers_prepares_images_so(transformers, save, kind, options):
    """What its own image processor makes of bytes, without changing their size."""
    if kind == "ViTImageProcessor" and "rescale_offset" in options:
        pytest.skip("only EfficientNet's processor has an offset")
    folder, _ = save()
    sizes = {"size": {"height": 8, "width": 8}, "do_resize": False, "do_center_crop": False}
    processor = getattr(transformers, kind)(**(MOMENTS | sizes | options))
    processor.save_pretrained(folder)
    pixels = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    expected = processor(pixels, return_tensors="pt")["pixel_values"][0]
    said = found(folder, pretrained=True).normalization or Normalization((0.0,), (1.0,))
    mean, std = (torch.tensor(values).reshape(-1, 1, 1) for values in (said.mean, said.std))
    torch.testing.assert_close((pixels / 255 - mean) / std, expected, rtol=1e-4, atol=1e-4)


def test_nobody_says_how_inputs_were_prepared(save):
    folder, _ = save(do_resize=True)
    assert found(folder, pretrained=True).said_by == ""
    (folder / "preprocessor_config.json").unlink()
    assert found(folder, pretrained=True).said_by == ""


def test_backbone_without_a_head_is_refused(save, transformers):
    folder, _ = save("ViTModel")
    transformers.utils.logging.set_verbosity_error()
    with pytest.raises(ValueError, match=r"should hold all weights of ViTFor.* for 2, such as classifier.bias"):
        found(folder, pretrained=True)


def test_folder_without_weights_is_refused(save):
    folder, _ = save()
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"should hold weights beside its config.json"):
        found(folder, pretrained=True)
    assert found(folder).network is not None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "should hold a mapping. Found list"),
        ("{", "should hold JSON"),
        ('{"model_type": "nonsense"}', "should describe a network of transformers"),
        ('{"a": 1}', "should describe a network of transformers"),
        (
            '{"model_type": "bert", "architectures": ["BertModel"]}',
            "an image classifier .* Found BertModel",
        ),
    ],
)
@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.usefixtures("transformers")
def test_configuration_of_something_else(tmp_path, content, message, pretrained):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        found(tmp_path, pretrained=pretrained)


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere/config.json: no such file. `hf:` goes before a folder"):
        found(tmp_path / "nowhere")


def test_code_in_a_folder_is_not_run(save):
    folder, _ = save()
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "mine.Config", "AutoModelForImageClassification": "mine.Net"}
    config["model_type"] = "something_of_mine"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(folder / 'trap')!r}, 'w').close()\n")
    with pytest.raises(ValueError, match="should describe a network of transformers"):
        found(folder, pretrained=True)
    assert not (folder / "trap").exists()


def test_missing_transformers_is_named(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"pip install 'alphadx\[transformers\]'"):
        found(tmp_path)


@pytest.fixture
def timms(tmp_path) -> tuple[Path, nn.Module]:
    """A folder as timm saves it for Hugging Face's hub."""
    timm = pytest.importorskip("timm", reason="the extra timm is not installed")
    from timm.models._hub import save_for_hf

    network = timm.create_model("test_resnet", num_classes=4).eval()
    save_for_hf(network, tmp_path, safe_serialization="both")
    return tmp_path, network


@pytest.mark.parametrize("without", ["model.safetensors", "pytorch_model.bin"])
def test_folder_of_timm(timms, without):
    folder, network = timms
    (folder / without).unlink()
    loaded, x = found(folder, pretrained=True), torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(loaded.network.eval()(x), network(x))
    assert loaded.normalization == HALF
    assert loaded.said_by == f"pretrained_cfg in {folder / 'config.json'}"
    assert found(folder, num_classes=7).network.num_classes == 7
    assert found(folder, num_classes=7).said_by == ""


def test_folder_of_timm_that_does_not_fit(timms):
    folder, _ = timms
    with pytest.raises(ValueError, match=r"which of the 4 outputs"):
        found(folder, pretrained=True, num_classes=5)
    for file in folder.glob("*model*"):
        file.unlink()
    with pytest.raises(ValueError, match=r"should hold weights for 'test_resnet'"):
        found(folder, pretrained=True)


def test_pickle_in_a_folder_of_timm_is_not_run(timms):
    folder, _ = timms

    class Trap:
        def __reduce__(self):
            return Path.touch, (folder / "trap",)

    (folder / "model.safetensors").unlink()
    torch.save({"weight": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"should hold weights for"):
        found(folder, pretrained=True)
    assert not (folder / "trap").exists()
