"""Whatever a user holds in Python becomes a data set with the same samples, or is refused with a remedy."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from pytorch_lightning import LightningDataModule
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)
from torchvision.transforms import v2

from tests.training.data.sets import LABELS, SHAPE, FloatPictures, Module, Pictures, Stream, expected, floats, pixels
from training.data import DataSet, Digits, GivenData, data_set_of
from training.data.split import Split

BYTES = torch.stack([torch.from_numpy(pixels(i)).permute(2, 0, 1) for i in range(10)])
X, Y = torch.stack([expected(i) for i in range(10)]), torch.tensor(LABELS)


def as_mapping(image: str, label: str) -> Any:
    return lambda x, y: {"extra": 7, image: x, label: y}


def collated(items: list[Any]) -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.stack([x for x, _ in items]), "labels": torch.tensor([y for _, y in items])}


class OneByOne:
    """Neither a data set of torch nor of anybody: a length and an index."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Any:
        return floats(index)


FORMS = {
    "tensors": lambda: (X, Y),
    "bytes": lambda: (BYTES, Y),
    "arrays": lambda: (X.numpy(), Y.numpy()),
    "double arrays": lambda: (X.double().numpy(), Y.to(torch.int32).numpy()),
    "channels last": lambda: (BYTES.permute(0, 2, 3, 1).numpy(), Y.numpy()),
    "labels in a column": lambda: (X, Y[:, None].float()),
    "TensorDataset": lambda: TensorDataset(X, Y),
    "three tensors": lambda: TensorDataset(X, Y, torch.arange(10)),
    "PIL": Pictures,
    "arrays of bytes": lambda: Pictures(np.asarray),
    "16 bit": lambda: Pictures(lambda x: np.ascontiguousarray(x.transpose(2, 0, 1)).astype(np.uint16) * 257),
    "float tensors": lambda: Pictures(transform=torchvision.transforms.ToTensor()),
    "v2": lambda: Pictures(transform=v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])),
    "triples": lambda: Pictures(item=lambda x, y: (x, y, "name")),
    "lists": lambda: Pictures(item=lambda x, y: [x, torch.tensor([y])]),
    "mapping image label": lambda: Pictures(item=as_mapping("image", "label")),
    "mapping img fine": lambda: Pictures(item=as_mapping("img", "target")),
    "no data set of torch": OneByOne,
    "subset": lambda: Subset(ConcatDataset([FloatPictures(), FloatPictures()]), range(10, 20)),
    "loader": lambda: DataLoader(FloatPictures(), 3),
    "loader that shuffles": lambda: DataLoader(FloatPictures(), 3, shuffle=True),
    "loader with a collate function": lambda: DataLoader(FloatPictures(), 3, collate_fn=collated),
    "loader with a shuffling collate": lambda: DataLoader(FloatPictures(), 4, shuffle=True, collate_fn=collated),
    "loader of a stream": lambda: DataLoader(Stream(), 4),
    "batches": lambda: [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 10, 4)],
    "batches in mappings": lambda: [{"x": X[i : i + 4], "y": Y[i : i + 4]} for i in range(0, 10, 4)],
    "items in a list": lambda: [floats(i) for i in range(10)],
    "stream": Stream,
    "generator": lambda: (floats(i) for i in range(10)),
    "module": Module,
    "mapping of splits": lambda: {"train": FloatPictures(2), "test": FloatPictures()},
}


def everything(data: DataSet, split: Any = "test") -> Any:
    samples = data.split(split)
    return samples.__getitems__(range(len(samples)))


@pytest.mark.parametrize("form", FORMS)
def test_samples_are_the_same_in_every_form(form: str) -> None:
    data = data_set_of(FORMS[form](), bounds=(0, 1))
    x, y, indices = everything(data)
    assert (data.shape, data.bounds, data.num_classes) == (SHAPE, (0.0, 1.0), 3)
    torch.testing.assert_close(x, X, rtol=0, atol=1e-6)
    assert x.dtype == torch.float32
    assert y.tolist() == LABELS == data.split("test").labels.tolist()
    assert indices.tolist() == list(range(10))


@pytest.mark.parametrize("form", FORMS)
def test_samples_can_be_read_in_any_order_and_in_batches(form: str) -> None:
    data = data_set_of(FORMS[form](), bounds=(0, 1))
    x, y, _ = data.split("test").__getitems__([7, 0, 7, 9])
    torch.testing.assert_close(x, X[[7, 0, 7, 9]], rtol=0, atol=1e-6)
    assert y.tolist() == [1, 0, 1, 2]
    torch.testing.assert_close(torch.cat([batch.x for batch in data.test_dataloader()]), X, rtol=0, atol=1e-6)


@pytest.mark.parametrize("form", ["bytes", "PIL", "16 bit"])
def test_whole_numbers_are_mapped_to_the_bounds_with_exact_ends(form: str) -> None:
    x = everything(data_set_of(FORMS[form](), bounds=(-1, 1))).x
    assert (float(x.min()), float(x.max())) == (-1.0, 1.0)
    torch.testing.assert_close(x, 2 * X - 1, rtol=0, atol=1e-6)


def test_bytes_in_memory_stay_bytes_and_items_are_not_read_before_they_are_asked_for() -> None:
    assert data_set_of((BYTES, Y), bounds=(0, 1)).split("test").images.dtype == torch.uint8
    items = FloatPictures()
    data = data_set_of(items, bounds=(0, 1), classes=["a", "b", "c"])
    split, before = data.split("test"), items.read
    split.__getitems__([3, 4])
    assert items.read == before + 2


def test_data_set_of_ours_is_taken_as_it_is() -> None:
    ours = Digits()
    assert data_set_of(ours) is ours
    assert data_set_of(ours, bounds=ours.bounds, classes=ours.classes, name=ours.name) is ours
    for said in ({"bounds": (0, 1)}, {"classes": ["a", "b"]}, {"name": "mine"}):
        with pytest.raises(ValueError, match=r"should be left out, or be that of"):
            data_set_of(ours, **said)


def test_name_and_classes_come_from_the_data_or_are_given() -> None:
    data = data_set_of(DataLoader(FloatPictures(), 2), bounds=(0, 1))
    assert (data.name, data.classes) == ("FloatPictures", ("ant", "bee", "cat"))
    data = data_set_of(FloatPictures(), bounds=(0, 1), classes=["x", "y", "z", "w"], name="mine")
    assert (data.name, data.classes) == ("mine", ("x", "y", "z", "w"))
    assert data_set_of(Subset(FloatPictures(), [0, 1]), bounds=(0, 1)).classes == ("ant", "bee", "cat")


def test_labels_may_be_names() -> None:
    items = Pictures(item=lambda x, y: (x, "cab"[y]))
    data = data_set_of(items, bounds=(0, 1))
    assert data.classes == ("a", "b", "c")
    assert everything(data).y.tolist() == [{"c": 2, "a": 0, "b": 1}["cab"[label]] for label in LABELS]
    ordered = data_set_of(items, bounds=(0, 1), classes=["c", "a", "b"])
    assert everything(ordered).y.tolist() == LABELS


class Listed(FloatPictures):
    """Lists its labels, but returns others where it is told to."""

    classes = None

    def __init__(self, wrong: int | None = None) -> None:
        super().__init__()
        self.targets, self.wrong = list(LABELS), wrong

    def __getitem__(self, index: int) -> Any:
        x, y = super().__getitem__(index)
        return x, (y + 1) % 3 if index == self.wrong else y


def test_listed_labels_save_a_pass_and_are_not_believed_where_items_say_others() -> None:
    items = Listed()
    assert data_set_of(items, bounds=(0, 1)).num_classes == 3
    assert items.read < 2 * len(LABELS)
    other = data_set_of(Listed(wrong=1), bounds=(0, 1))
    assert other.split("test").labels[:3].tolist() == [0, 2, 2]
    late = data_set_of(Listed(wrong=6), bounds=(0, 1)).split("test")
    assert late.labels.tolist() == LABELS
    with pytest.raises(ValueError, match=r"labels of items should be those that the data set lists"):
        late.__getitems__([5, 6])


def test_items_of_a_random_split_list_their_labels() -> None:
    items = Listed()
    part, _ = random_split(items, [4, 6], generator=torch.Generator().manual_seed(0))
    assert data_set_of(part, bounds=(0, 1), classes=["a", "b", "c"]).split("test").labels.tolist() == [
        LABELS[i] for i in part.indices
    ]


def test_module_is_prepared_once_and_set_up_for_what_is_needed() -> None:
    module = Module(batch_size=3)
    data = data_set_of(module, bounds=(0, 1))
    assert module.called == ["prepare", "test"]
    assert (data.name, data.classes, data.eval_batch_size) == ("Module", ("ant", "bee", "cat"), 3)
    torch.testing.assert_close(everything(data, "train").x, X[2:], rtol=0, atol=1e-6)
    torch.testing.assert_close(everything(data, "validation").x, X[6:], rtol=0, atol=1e-6)
    assert module.called == ["prepare", "test", "fit"]
    assert any("shuffles" in note for note in data.notes)


def test_module_made_of_data_sets_has_the_splits_that_were_given() -> None:
    module = LightningDataModule.from_datasets(train_dataset=FloatPictures(2), val_dataset=FloatPictures(6))
    data = data_set_of(module, bounds=(0, 1))
    torch.testing.assert_close(everything(data, "validation").x, X[6:], rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"there are no test samples. Found train and validation"):
        data.split("test")


class Halving(Module):
    """Changes batches where they arrive on a device."""

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch[0] / 2, batch[1]


class AsksTrainer(Module):
    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        assert self.trainer.training
        return batch


class Broken(Module):
    def setup(self, stage: str) -> None:
        raise KeyError("no files")


class Several(Module):
    def test_dataloader(self) -> Any:
        return {"a": DataLoader(self.test), "b": DataLoader(self.test)}


def test_hooks_of_a_module_are_part_of_its_samples() -> None:
    torch.testing.assert_close(everything(data_set_of(Halving(), bounds=(0, 1))).x, X / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (AsksTrainer, "`on_before_batch_transfer` should work without a trainer"),
        (
            Broken,
            r"`test_dataloader` after `prepare_data` and `setup\('test'\)` should return a loader. Found KeyError",
        ),
        (Several, "should return one DataLoader. Found 2 of them"),
        (LightningDataModule, "should define train_dataloader, val_dataloader, test_dataloader. Found none"),
    ],
)
def test_module_that_cannot_be_used_is_refused(module: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data_set_of(module(), bounds=(0, 1)).split("test")


def test_only_the_samples_that_are_there_are_given() -> None:
    data = data_set_of(FloatPictures(), bounds=(0, 1))
    for split in ("train", "validation"):
        with pytest.raises(ValueError, match=rf"there are no {split} samples. Found test. Give both, as"):
            data.split(split)
    both = data_set_of({"training": FloatPictures(2), "val": FloatPictures(6), "test": (X, Y)}, bounds=(0, 1))
    assert [len(both.split(split)) for split in ("train", "validation", "test")] == [8, 4, 10]
    assert both.residual("nearest") is not None


def test_classes_of_two_splits_must_mean_the_same() -> None:
    other = FloatPictures()
    other.classes = ("bee", "ant", "cat")
    data = data_set_of({"train": other, "test": FloatPictures()}, bounds=(0, 1))
    with pytest.raises(ValueError, match=r"its classes should be those of the other splits, ant, bee, cat \(3\)"):
        data.split("train")


IMAGENET = v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
TO_FLOAT = torchvision.transforms.ToTensor()
NORMALIZED = {
    "seen in a Compose": lambda: Pictures(transform=torchvision.transforms.Compose([TO_FLOAT, IMAGENET])),
    "seen in v2": lambda: Pictures(transform=v2.Compose([TO_FLOAT, v2.Compose([IMAGENET])])),
    "seen in a subset of a loader": lambda: DataLoader(Subset(FloatPictures(transform=IMAGENET), range(10)), 5),
    "seen in several": lambda: ConcatDataset([FloatPictures(transform=IMAGENET)]),
    "seen in a Sequential": lambda: FloatPictures(transform=torch.nn.Sequential(IMAGENET)),
}


@pytest.mark.parametrize("form", NORMALIZED)
@pytest.mark.parametrize("bounds", [None, (0, 1), (-3, 3)])
def test_data_that_normalise_are_refused_with_what_is_to_be_given_instead(form: str, bounds: Any) -> None:
    told = r"Normalize\(mean=\[0.485,0.456,0.406\].*--normalize 0.485,0.456,0.406,0.229,0.224,0.225"
    with pytest.raises(ValueError, match=told):
        data_set_of(NORMALIZED[form](), bounds=bounds)


def test_normalisation_of_bounds_alone_is_fine() -> None:
    items = FloatPictures(transform=v2.Normalize((0.5,) * 3, (0.5,) * 3))
    torch.testing.assert_close(everything(data_set_of(items, bounds=(-1, 1))).x, 2 * X - 1, rtol=0, atol=1e-5)
    for bounds, message in (
        (None, r"\(-1, 1\) fits"),
        ((0, 1), r"Or give `bounds` \(-1.0, 1.0\), to which it maps"),
    ):
        with pytest.raises(ValueError, match=message):
            data_set_of(items, bounds=bounds)


def hidden(x: torch.Tensor) -> torch.Tensor:
    return (x - 0.3) / 0.25


@pytest.mark.parametrize("bounds", [None, (0, 1), (-1, 1)])
def test_normalisation_that_cannot_be_seen_shows_in_the_values(bounds: Any) -> None:
    with pytest.raises(ValueError, match=r"seems to normalise, in which unit ε means nothing: take Normalize out"):
        data_set_of(FloatPictures(transform=hidden), bounds=bounds).split("test")[0]


def test_odd_values_within_the_bounds_are_noted() -> None:
    (note,) = data_set_of(FloatPictures(transform=hidden), bounds=(-3, 3)).notes
    assert "as if images were normalised" in note
    (note,) = data_set_of(FloatPictures(), bounds=(-1, 1)).notes
    assert "none below 0" in note
    assert data_set_of(FloatPictures(), bounds=(0, 1)).notes == ()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FloatPictures(), r"values from 0 to 1: \(0, 1\) fits"),
        (lambda: Pictures(), r"are bytes, .* take \(0, 1\), or \(-1, 1\) if the network was trained with that"),
        (lambda: (255 * X, Y), r"\(0, 255\) fits"),
        (lambda: (100 * X - 50, Y), "No usual choice fits"),
    ],
)
def test_bounds_are_asked_for_with_what_the_samples_say(make: Any, message: str) -> None:
    with pytest.raises(
        ValueError, match=r"`bounds` should be the lowest and highest legal.* Found none. .*" + message
    ):
        data_set_of(make())


@pytest.mark.parametrize("bounds", [(1, 0), (0, 0), (0, 1, 2)])
def test_bounds_are_two_numbers_in_order(bounds: Any, as_in_production: None) -> None:
    with pytest.raises(ValueError, match=r"`bounds` should be two numbers, the lower one first"):
        data_set_of((X, Y), bounds=bounds)


def test_bytes_cannot_be_mapped_to_infinite_bounds() -> None:
    with pytest.raises(ValueError, match=r"images in bytes need finite `bounds`"):
        data_set_of(Pictures(), bounds=(-float("inf"), float("inf")))


def test_vectors_without_bounds_are_taken() -> None:
    data = data_set_of((torch.randn(10, 7), Y), bounds=(-float("inf"), float("inf")))
    assert data.shape == (7,)


@pytest.mark.parametrize(
    "transform", [v2.RandomHorizontalFlip(), v2.RandomCrop((5, 6), padding=1), lambda x: x * torch.rand(())]
)
@pytest.mark.parametrize("wrap", [lambda items: items, lambda items: DataLoader(items, 4, collate_fn=collated)])
def test_augmentation_at_random_is_noticed(transform: Any, wrap: Any) -> None:
    data = data_set_of(wrap(FloatPictures(transform=transform)), bounds=(0, 1))
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=r"the data set augments at random"):
        data.split("test")
    assert torch.equal(before, torch.get_rng_state())


def test_augmentation_is_named_where_it_can_be_seen() -> None:
    items = FloatPictures(transform=v2.Compose([v2.RandomHorizontalFlip()]))
    with pytest.raises(
        ValueError, match=r"augments at random \(RandomHorizontalFlip\). Give it with the transforms of"
    ):
        data_set_of({"train": items, "test": FloatPictures()}, bounds=(0, 1)).split("train")


def test_loader_keeps_its_batches_and_its_collate_function() -> None:
    seen = []

    def noticing(items: list[Any]) -> Any:
        seen.append(len(items))
        x, y = zip(*items, strict=True)
        return torch.stack(x) / len(items), torch.tensor(y)

    data = data_set_of(DataLoader(FloatPictures(), 4, collate_fn=noticing), bounds=(0, 1))
    assert data.eval_batch_size == 4
    data.split("test")
    seen.clear()
    x = torch.cat([batch.x for batch in data.test_dataloader()])
    torch.testing.assert_close(x, torch.cat([X[:8] / 4, X[8:] / 2]), rtol=0, atol=1e-6)
    assert seen == [4, 4, 2]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"sampler": SubsetRandomSampler([8, 2, 5])}, [2, 5, 8]),
        ({"sampler": [8, 2, 5]}, [8, 2, 5]),
        ({"batch_sampler": [[3, 4], [1]]}, [3, 4, 1]),
        ({"drop_last": True, "batch_size": 4}, [0, 1, 2, 3, 4, 5, 6, 7]),
        (
            {"sampler": RandomSampler(range(10), generator=torch.Generator().manual_seed(1)), "batch_size": 4},
            range(10),
        ),
    ],
)
def test_loader_visits_the_samples_of_its_sampler(options: dict[str, Any], numbers: Any) -> None:
    loader = DataLoader(FloatPictures(), **options)
    before = torch.get_rng_state()
    data = data_set_of(loader, bounds=(0, 1))
    torch.testing.assert_close(everything(data).x, X[list(numbers)], rtol=0, atol=1e-6)
    assert torch.equal(before, torch.get_rng_state())
    assert any("drops the last 2 samples" in note for note in data.notes) == ("drop_last" in options)


def test_loader_that_draws_its_samples_is_refused() -> None:
    for sampler in (WeightedRandomSampler([1.0] * 10, 10), RandomSampler(range(10), replacement=True)):
        with pytest.raises(
            ValueError, match=r"visits the same samples each time. Found one whose sampler \(\w*RandomS"
        ):
            data_set_of(DataLoader(FloatPictures(), 2, sampler=sampler), bounds=(0, 1))
    with pytest.raises(ValueError, match=r"should be a DataLoader with a batch size"):
        data_set_of(DataLoader(FloatPictures(), batch_size=None), bounds=(0, 1))


def test_collate_function_that_leaves_samples_out_is_refused() -> None:
    loader = DataLoader(FloatPictures(), 5, collate_fn=lambda items: torch.utils.data.default_collate(items[1:]))
    with pytest.raises(ValueError, match=r"a batch should hold one sample per item, 5. Found 4 inputs"):
        data_set_of(loader, bounds=(0, 1))


def test_stream_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.foreign.streams.SAMPLES", 50)
    with pytest.raises(ValueError, match=r"a stream should end after at most 50 samples"):
        data_set_of(Stream(51), bounds=(0, 1))
    assert len(data_set_of(Stream(50), bounds=(0, 1)).split("test")) == 50
    monkeypatch.setattr("training.data.foreign.streams.BYTES", 1000)
    with pytest.raises(ValueError, match=r"a stream should end after"):
        data_set_of(Stream(10), bounds=(0, 1))


class Shuffled(Stream):
    def __iter__(self) -> Any:
        return (floats(int(i)) for i in torch.randperm(10))


def test_stream_that_differs_each_time_is_read_once_and_noted() -> None:
    data = data_set_of(Shuffled(), bounds=(0, 1))
    once, again = everything(data), everything(data)
    assert torch.equal(once.x, again.x)
    assert any("the stream is another one each time" in note for note in data.notes)


def small(number: int) -> Image.Image:
    return Image.fromarray(pixels(number)[: 3 if number == 9 else 5])


def deep(x: np.ndarray) -> Image.Image:
    return Image.fromarray(x[..., 0].astype(np.uint16) * 257)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Pictures(lambda x: small(x[0, 0, 0])),
            r"item 9: all inputs should have .* \(3, 5, 6\).*\(3, 3, 6\).*`si",
        ),
        (lambda: (X[:4], Y), r"inputs \(N, …\) and labels \(N,\). Found \(4, 3, 5, 6\)"),
        (lambda: (X, Y + 0.5), "labels should be whole numbers"),
        (
            lambda: (X, np.array([f"class {y}" for y in Y])),
            r"numbers as labels\. Found an array of <U7\. Number classes",
        ),
        (lambda: (np.array([None] * 6), Y), r"numbers as inputs\. Found an array of object"),
        (lambda: (X, Y - 1), "labels should be whole numbers from 0"),
        (lambda: (X.where(X < 0.99, float("nan")), Y), "should not hold NaN"),
        (lambda: FloatPictures(transform=lambda x: x * float("nan")), "inputs should be finite"),
        (
            lambda: FloatPictures(transform=lambda x: 255 * x),
            r"should lie within \(0.0, 1.0\). Found values from 0 to 255",
        ),
        (lambda: Pictures(item=lambda x, y: x), "an item should be \\(input, label, …\\) or a mapping"),
        (lambda: Pictures(item=lambda x, y: (x, torch.eye(3)[y])), "a label should be one whole number, or the name"),
        (lambda: Pictures(item=lambda x, y: (x, None)), "a label should be one whole number, or the name"),
        (lambda: Pictures(item=lambda x, y: {"picture": x, "label": y}), "its image as one of image, img"),
        (lambda: Pictures(item=lambda x, y: {"image": x, "coarse": y, "fine": y}), "its label as one of label"),
        (lambda: Pictures(item=lambda x, y: ("a.png", y)), "an input should be an image, a tensor or an array"),
        (lambda: TensorDataset(X), "an item should be"),
        (lambda: X, "`data` should be a data set, a DataLoader"),
        (lambda: "data", "`data` should be a data set, a DataLoader"),
        (lambda: [], "should hold at least one sample. Found none"),
        (
            lambda: {"x": X, "y": Y},
            "`data` should map train, validation or test to samples. Found x, y. Give tensors",
        ),
        (lambda: None, "`data` should be a data set"),
    ],
)
def test_what_cannot_be_right_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        everything(data_set_of(make(), bounds=(0, 1)))


def test_label_that_is_no_class_is_named() -> None:
    data = data_set_of(FloatPictures(), bounds=(0, 1), classes=["a", "b"])
    with pytest.raises(ValueError, match=r"item 2: labels should lie in \[0, 2\), or name a class. Found 2"):
        everything(data)


def test_grey_images_among_coloured_ones_get_three_channels_and_it_is_noted() -> None:
    def form(x: np.ndarray) -> Image.Image:
        return Image.fromarray(x).convert("L") if x[0, 0, 0] % 2 else Image.fromarray(x)

    data = data_set_of(Pictures(form), bounds=(0, 1))
    x = everything(data).x
    torch.testing.assert_close(x[::2], X[::2], rtol=0, atol=1e-6)
    assert torch.equal(x[1, 0], x[1, 2])
    assert any("grey images among coloured" in note for note in data.notes)


def test_grey_images_of_16_bit_keep_them() -> None:
    x = everything(data_set_of(Pictures(deep), bounds=(0, 1))).x
    torch.testing.assert_close(x, X[:, :1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "YCbCr", "LA"])
def test_other_modes_of_images_become_grey_or_colour(mode: str) -> None:
    image = Image.new("RGB", (5, 4), "white").convert(mode)
    data = data_set_of([(image, 0), (image, 1)], bounds=(0, 1))
    assert data.shape == ((1 if mode in ("1", "L", "LA") else 3), 4, 5)
    assert everything(data).x.unique().tolist() == [1.0]


def test_rounding_of_float32_is_not_taken_for_another_range() -> None:
    data = data_set_of(FloatPictures(transform=lambda x: x * (1 + 1e-6)), bounds=(0, 1))
    assert float(everything(data).x.max()) == 1.0


def test_identity_is_that_of_the_samples() -> None:
    assert data_set_of(FloatPictures(), bounds=(0, 1)).arguments == {}
    copy = pickle.loads(pickle.dumps(data_set_of(FloatPictures(), bounds=(0, 1))))
    assert isinstance(copy, GivenData)
    torch.testing.assert_close(everything(copy).x, X, rtol=0, atol=1e-6)


def test_real_digits_of_torchvision_are_those_of_ours(real_data: Any) -> None:
    from training.data import MNIST

    given = data_set_of(torchvision.datasets.MNIST(str(real_data), train=False), bounds=(-1, 1))
    ours = MNIST(str(real_data)).split("test")
    assert isinstance(ours, Split)
    batch, own = given.split("test").__getitems__(range(50)), ours.__getitems__(range(50))
    assert torch.equal(batch.x, own.x)
    assert torch.equal(given.split("test").labels, ours.labels)


def test_digits_of_lightnings_own_module(real_data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytorch_lightning.demos import mnist_datamodule

    monkeypatch.setattr(mnist_datamodule, "_DATASETS_PATH", str(real_data))  # so that it has nothing to fetch
    data = data_set_of(mnist_datamodule.MNISTDataModule(str(real_data), num_workers=0), bounds=(0, 1))
    sizes = [len(data.split(split)) for split in ("validation", "test")]
    assert (data.name, data.num_classes, sizes) == ("mnist", 10, [4992, 9984])
    assert data.split("test").__getitems__([0, 1, 2]).y.tolist() == [7, 2, 1]
    assert any("mnist (test): the DataLoader drops the last 16 samples" in note for note in data.notes)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["PIL", "loader with a collate function", "module", "stream"])
def test_worker_processes_change_nothing(form: str) -> None:
    data = data_set_of({**FORMS, "PIL": lambda: FloatPictures()}[form](), bounds=(0, 1))
    data.workers, data.eval_batch_size = 2, 3
    torch.testing.assert_close(torch.cat([batch.x for batch in data.test_dataloader()]), X, rtol=0, atol=1e-6)


class Failing(FloatPictures):
    """Fails at an item, in a way of its own."""

    def __getitem__(self, index: int) -> Any:
        if index == 5:
            raise KeyError("a row is missing")
        return super().__getitem__(index)


def test_an_item_at_which_a_data_set_fails_is_named() -> None:
    with pytest.raises(ValueError, match=r"item 5: the data set itself .* KeyError: 'a row is missing'"):
        data_set_of(Failing(), bounds=(0, 1)).split("test")


def test_missing_test_samples_are_asked_for_by_name() -> None:
    with pytest.raises(ValueError, match=r"no test samples\. Found train\. Give them, as \{'test': …\}"):
        data_set_of({"train": (X, Y)}, bounds=(0, 1)).split("test")
