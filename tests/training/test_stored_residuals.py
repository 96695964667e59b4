"""A store of residuals stands in for its estimator: in training, in measuring, and by name."""

from pathlib import Path

import pytest
import torch
from torch import nn

from eval.records import Model, Sitting
from eval.records.measurements import Alignment
from generators import NearestExample, ResidualStore, StoredResidual
from training import Classifier
from training.data import DataSet, Digits, Squares
from training.data.augmentation import Augmentation


def filled(folder: Path, data: DataSet, split: str) -> str:
    path = folder / f"{split}.h5"
    ResidualStore(
        path,
        data.residual("nearest-even"),
        data.split(split),
        data=data.name,
        split=split,
        classes=range(data.num_classes),
    ).fill()
    return str(path)


def classifier(residual: str) -> Classifier:
    return Classifier("mlp", {"hidden": [8]}, (1, 8, 8), 10, alignment_weight=1.0, candidates=1, residual=residual)


def test_training_with_a_store_equals_training_with_its_estimator(quiet_trainer, tmp_path: Path) -> None:
    data = Digits(batch_size=256)
    trained = []
    for residual in ("nearest-even", filled(tmp_path, data, "train")):
        module = classifier(residual)
        quiet_trainer(2).fit(module, data)
        trained.append(nn.utils.parameters_to_vector(module.parameters()))
    # Stored in float16.
    torch.testing.assert_close(trained[0], trained[1], rtol=1e-3, atol=1e-4)


def test_measuring_with_a_store_equals_measuring_with_its_estimator(tmp_path: Path) -> None:
    data, network = Digits(), classifier("auto").network
    records = [
        Sitting.of(network, data, Model("digits", "any"), limit=50).take(Alignment(residual))[0]
        for residual in ("nearest-even", filled(tmp_path, data, "test"))
    ]
    assert records[1].value == pytest.approx(records[0].value, abs=1e-5)


def test_store_of_another_split_is_refused(tmp_path: Path) -> None:
    data, network = Digits(), classifier("auto").network
    with pytest.raises(ValueError, match="train split"):
        Sitting.of(network, data, Model("digits", "any"), limit=50).take(Alignment(filled(tmp_path, data, "train")))


def test_store_is_refused_where_images_are_augmented(quiet_trainer, tmp_path: Path) -> None:
    data = Digits(batch_size=256)
    path = filled(tmp_path, data, "train")
    data.augmentation = Augmentation(crop=1)
    with pytest.raises(ValueError, match=r"should not be a store where `data` is augmented"):
        quiet_trainer(1).fit(classifier(path), data)


def test_data_set_opens_the_stores_that_are_its_own(tmp_path: Path) -> None:
    path = filled(tmp_path, Digits(), "test")
    assert isinstance(Digits().residual(path), StoredResidual)
    with pytest.raises(ValueError, match=r"data.*digits.*Squares32|data.*Squares32.*digits"):
        Squares(size=32).residual(path)
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5: no such store"):
        Digits().residual(str(tmp_path / "nothing.h5"))
    with pytest.raises(FileNotFoundError, match=r"nothing\.ckpt: no such checkpoint"):
        Digits().residual(str(tmp_path / "nothing.ckpt"))


@pytest.mark.parametrize("options", [{}, {"memory": 0}])
def test_options_may_stand_beside_the_name_or_with_it(tmp_path: Path, options: dict) -> None:
    path, data = filled(tmp_path, Digits(), "test"), Digits()
    named = data.residual({"residual": path, "options": options})
    beside = data.residual(path, **options)
    assert named.memory == beside.memory == options.get("memory", 2**30)
    assert isinstance(data.residual({"residual": "nearest"}), NearestExample)
    assert data.residual({"residual": path, "options": {"memory": 5}}, memory=7).memory == 7


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ({"residual": "nearest", "option": {}}, {}, r"should be a name, or hold `residual` and `options`\. Found"),
        ({"options": {}}, {}, r"should be a name, or hold `residual` and `options`"),
        ({"residual": None}, {}, r"`residual` should be a name or a path\. Found None"),
        ("nearst", {"method": "ours"}, r"`residual` should be one of auto, exact, nearest, .* Found 'nearst'"),
        (
            "nearest",
            {"method": "ours"},
            "`options` of 'nearest' should be among examples_per_class, seed, keep. Found method",
        ),
        ({"residual": "auto", "options": {"batch": 3}}, {}, r"`options` should be left out for 'auto'\. Found batch"),
    ],
)
def test_misspelt_residual_is_refused(name: object, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Digits().residual(name, **options)


def test_options_that_no_estimator_takes_are_refused(tmp_path: Path) -> None:
    path = filled(tmp_path, Digits(), "test")
    with pytest.raises(ValueError, match=r"test\.h5 does not take these options: .*memry"):
        Digits().residual(path, memry=3)
