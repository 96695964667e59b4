"""Files that other libraries wrote, loaded as they load them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from training import load_classifier
from training.checkpoints import load

CIFAR10 = {"shape": (3, 32, 32), "num_classes": 10, "bounds": (0.0, 1.0)}


def assert_same(loaded: nn.Module, original: nn.Module, size: int = 32) -> None:
    x = torch.rand(2, 3, size, size)
    with torch.no_grad():
        assert torch.equal(loaded(x), original.eval()(x))


def test_model_that_pyautoattack_ships() -> None:
    examples = pytest.importorskip("pyautoattack.examples.resnet", reason="an extra")
    path = Path(examples.__file__).with_name("model_test.pt")
    original = examples.ResNet18()
    original.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    loaded = load("pyautoattack.examples.resnet.ResNet18", checkpoint=path, **CIFAR10)
    assert_same(loaded.classifier, original)
    assert (loaded.normalization, loaded.said_by, loaded.notes) == (None, "", ())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"])
def test_networks_of_torchvision(tmp_path: Path, name: str) -> None:
    make = getattr(torchvision.models, name)
    original = make(weights=None, num_classes=10)
    # As nn.DataParallel saves them, which would move the network to a GPU where there is one.
    weights = {f"module.{key}": value for key, value in original.state_dict().items()}
    torch.save({"state_dict": weights, "arch": name}, tmp_path / "file.pth.tar")
    loaded = load_classifier(f"torchvision.models.{name}", checkpoint=tmp_path / "file.pth.tar", **CIFAR10)
    assert_same(loaded, original)


@pytest.mark.parametrize("name", ["resnet10t", "test_vit", "test_efficientnet"])
def test_folder_of_timm(tmp_path: Path, name: str) -> None:
    timm = pytest.importorskip("timm", reason="an extra")
    safetensors = pytest.importorskip("safetensors.torch", reason="an extra")
    original = timm.create_model(name, num_classes=10)
    safetensors.save_file(original.state_dict(), tmp_path / "model.safetensors")
    described = {"architecture": name, "num_classes": 10, "pretrained_cfg": original.pretrained_cfg}
    (tmp_path / "config.json").write_text(json.dumps(described))
    size = original.pretrained_cfg["input_size"][-1]
    sizes = CIFAR10 | {"shape": (3, size, size)}
    loaded = load("timm.create_model", checkpoint=tmp_path, model_name=name, **sizes)
    assert loaded.normalization.mean == tuple(original.pretrained_cfg["mean"])
    assert loaded.said_by == "config.json beside the weights"
    assert_same(loaded.classifier.network, original, size)


def hugging_face_resnet(num_classes: int) -> nn.Module:
    """A tiny ResNet of transformers."""
    from transformers import ResNetConfig, ResNetForImageClassification

    small = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    return ResNetForImageClassification(ResNetConfig(num_labels=num_classes, **small))


def hugging_face_vit(num_classes: int) -> nn.Module:
    """A tiny ViT of transformers, which writes other names than it has."""
    from transformers import ViTConfig, ViTForImageClassification

    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return ViTForImageClassification(ViTConfig(image_size=32, patch_size=8, num_labels=num_classes, **small))


@pytest.mark.parametrize("largest", ["5GB", "8KB"], ids=["one file", "several"])
def test_folder_of_transformers(tmp_path: Path, largest: str) -> None:
    transformers = pytest.importorskip("transformers", reason="an extra")
    original = hugging_face_resnet(10)
    original.save_pretrained(tmp_path, max_shard_size=largest)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == (1 if largest == "5GB" else 4)
    loaded = load(f"{__name__}.hugging_face_resnet", checkpoint=tmp_path, **CIFAR10)
    assert (loaded.normalization.mean, loaded.said_by) == ((0.5,) * 3, "preprocessor_config.json beside the weights")
    found, expected = loaded.classifier.network.state_dict(), original.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_folder_that_only_transformers_reads_says_so(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="an extra")
    hugging_face_vit(10).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"look like those of a ViT of transformers, .*`network` hf:FOLDER"):
        load(f"{__name__}.hugging_face_vit", checkpoint=tmp_path, **CIFAR10)


def test_checkpoint_of_another_project_of_lightning(tmp_path: Path, quiet_trainer: Callable) -> None:
    pytorch_lightning, torchmetrics = pytest.importorskip("pytorch_lightning"), pytest.importorskip("torchmetrics")

    class Theirs(pytorch_lightning.LightningModule):
        def __init__(self, lr: float = 0.1) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = torchvision.models.squeezenet1_1(num_classes=10)
            self.criterion = nn.CrossEntropyLoss(weight=torch.ones(10))
            self.train_acc = torchmetrics.classification.MulticlassAccuracy(10)
            self.train_acc.persistent(True)

        def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
            loss = self.criterion(self.net(batch), torch.zeros(len(batch), dtype=torch.long))
            self.train_acc(self.net(batch).argmax(dim=1), torch.zeros(len(batch), dtype=torch.long))
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), self.hparams.lr)

    theirs, trainer = Theirs(), quiet_trainer(1, max_steps=1, limit_val_batches=0)
    trainer.fit(theirs, torch.utils.data.DataLoader(torch.rand(2, 3, 32, 32), batch_size=2))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded = load("torchvision.models.squeezenet1_1", checkpoint=tmp_path / "last.ckpt", **CIFAR10)
    assert_same(loaded.classifier, theirs.net)
    assert loaded.notes[0].startswith("Weights that the network does not take were passed over: ['criterion.weight'")
