"""What every data set promises, whichever it is."""

import math
import pickle
from collections import Counter

import pytest
import torch

from generators import NearestExample
from training.attacks import check_inputs
from training.data import Batch, DataSet, Digits, Spheres, Split, Squares
from training.data.checks import check_samples
from training.data.order import EpochOrder

SPLITS = ("train", "validation", "test")
MAKERS = {
    "digits": Digits,
    "spheres": lambda **options: Spheres(dimensions=20, train_size=1200, **options),
    "squares": lambda **options: Squares(size=32, train_size=350, **options),
}
SIZES = {"digits": (1077, 180, 540), "spheres": (1200, 200, 1000), "squares": (350, 200, 1000)}
every_data_set = pytest.mark.parametrize("name", MAKERS)


def everything(data: DataSet, split: str) -> Batch:
    samples = data.split(split)
    return samples.__getitems__(range(len(samples)))


@every_data_set
def test_splits_have_their_sizes(name):
    assert tuple(len(MAKERS[name]().split(split)) for split in SPLITS) == SIZES[name]


@every_data_set
@pytest.mark.parametrize("split", SPLITS)
def test_samples_have_the_stated_shape_classes_and_bounds(name, split):
    data = MAKERS[name]()
    x, y, _ = everything(data, split)
    assert x.shape[1:] == data.shape
    assert x.dtype == torch.float32
    assert data.bounds[0] <= x.min() <= x.max() <= data.bounds[1]
    assert y.unique().tolist() == list(range(data.num_classes))


@every_data_set
@pytest.mark.parametrize("split", SPLITS)
def test_classes_are_balanced(name, split):
    data = MAKERS[name]()
    y = everything(data, split).y
    share, expected = y.bincount() / len(y), 1 / data.num_classes
    assert (share - expected).abs().max() < 4 * (expected / len(y)) ** 0.5


@every_data_set
def test_no_sample_is_in_two_splits(name):
    data = MAKERS[name]()
    samples = torch.cat([everything(data, split).x.flatten(1) for split in SPLITS])
    assert len(samples.unique(dim=0)) == sum(SIZES[name])


@every_data_set
@pytest.mark.parametrize("split", SPLITS)
def test_data_set_built_twice_has_the_same_content(name, split):
    once, again = (everything(MAKERS[name](), split) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


@every_data_set
def test_building_leaves_the_global_random_state_alone(name):
    before = torch.get_rng_state()
    everything(MAKERS[name](), "test")
    assert torch.equal(torch.get_rng_state(), before)


@every_data_set
def test_validation_and_test_do_not_depend_on_the_seed(name):
    for split in ("validation", "test"):
        assert torch.equal(everything(MAKERS[name](seed=0), split).x, everything(MAKERS[name](seed=1), split).x)


@every_data_set
def test_an_epoch_visits_every_training_sample_once(name):
    indices = torch.cat([batch.indices for batch in MAKERS[name](batch_size=64).train_dataloader()])
    assert indices.sort().values.tolist() == list(range(SIZES[name][0]))


@every_data_set
def test_indices_lead_back_to_the_samples(name):
    data = MAKERS[name](batch_size=64)
    loader = data.train_dataloader()
    loader.sampler.set_epoch(3)
    for batch in loader:
        again = data.split("train").__getitems__(batch.indices.tolist())
        assert torch.equal(batch.x, again.x)
        assert torch.equal(batch.y, again.y)


@every_data_set
def test_evaluation_visits_a_split_in_order(name):
    data = MAKERS[name](eval_batch_size=64)
    for split, loader in (("validation", data.val_dataloader()), ("test", data.test_dataloader())):
        batches = list(loader)
        assert max(len(batch.y) for batch in batches) == 64
        assert torch.equal(torch.cat([batch.indices for batch in batches]), torch.arange(len(data.split(split))))


@every_data_set
def test_epoch_repeats_itself_whatever_happened_before(name):
    def epoch(loader, number: int) -> torch.Tensor:
        loader.sampler.set_epoch(number)
        return torch.cat([batch.x for batch in loader])

    resumed, whole = (MAKERS[name](batch_size=50, seed=5).train_dataloader() for _ in range(2))
    previous, expected = epoch(whole, 1), epoch(whole, 2)
    torch.rand(3)
    assert torch.equal(epoch(resumed, 2), expected)
    assert not torch.equal(previous, expected)


@every_data_set
def test_another_seed_gives_another_epoch(name):
    def first_batch(seed: int) -> torch.Tensor:
        loader = MAKERS[name](seed=seed).train_dataloader()
        loader.sampler.set_epoch(0)
        return next(iter(loader)).x

    assert not torch.equal(first_batch(0), first_batch(1))


@every_data_set
def test_worker_processes_change_nothing(name):
    def epoch(workers: int) -> torch.Tensor:
        loader = MAKERS[name](batch_size=100, workers=workers).train_dataloader()
        loader.sampler.set_epoch(2)
        return torch.cat([batch.x for batch in loader])

    assert torch.equal(epoch(workers=1), epoch(workers=0))


@every_data_set
def test_data_set_can_be_pickled(name):
    data = MAKERS[name]()
    copy, expected = pickle.loads(pickle.dumps(data)), everything(data, "test")
    assert all(torch.equal(a, b) for a, b in zip(everything(copy, "test"), expected, strict=True))


def test_one_sample_is_a_batch_of_one():
    x, y, index = Digits().split("train")[7]
    assert (x.shape, y.shape, index.tolist()) == ((1, 1, 8, 8), (1,), [7])


@pytest.mark.parametrize(("resizing", "mean"), [("pad", 0.25), ("bilinear", 1.0)])
def test_digits_of_another_size_lie_within_their_bounds(resizing, mean):
    data = Digits(bounds=(0.0, 1.0), size=16, resizing=resizing)
    x, small = (everything(d, "test")[0] for d in (data, Digits(bounds=(0.0, 1.0))))
    assert data.shape == tuple(x.shape[1:]) == (1, 16, 16)
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
    assert float(x.mean()) == pytest.approx(mean * float(small.mean()), rel=0.03)


def test_digits_are_those_of_the_file():
    from sklearn.datasets import load_digits

    raw, labels = load_digits(return_X_y=True)
    expected = Counter((row.tobytes(), int(label)) for row, label in zip(raw, labels, strict=True))
    found = Counter(
        (((row.flatten() + 1) * 8).double().numpy().tobytes(), int(label))
        for split in SPLITS
        for row, label in zip(*everything(Digits(), split)[:2], strict=True)
    )
    assert found == expected


many_bounds = pytest.mark.parametrize(
    "bounds",
    [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-1.0, 0.7), (-3.0, -0.8), (0.1, 0.9), (-2.1179, 2.64)],
)


def all_bytes(bounds: tuple[float, float]) -> torch.Tensor:
    """What a split makes of the bytes 0 to 255."""
    images = torch.arange(256, dtype=torch.uint8).reshape(256, 1)
    return Split(images, torch.zeros(256), bounds).__getitems__(range(256)).x.flatten()


@many_bounds
def test_bytes_are_mapped_to_the_bounds_with_exact_ends(bounds):
    x = all_bytes(bounds)
    assert torch.equal(x[[0, -1]], torch.tensor(bounds))
    torch.testing.assert_close(x.double(), torch.linspace(*bounds, 256, dtype=torch.float64), rtol=1e-6, atol=1e-6)


@many_bounds
def test_bytes_are_legal_inputs_of_an_attack(bounds):
    check_inputs(all_bytes(bounds), bounds)


def test_float_images_are_taken_as_they_are():
    images = torch.rand(5, 2)
    assert torch.equal(Split(images, torch.zeros(5), (-1.0, 1.0)).__getitems__(range(5)).x, images)


def test_order_of_an_epoch_depends_on_seed_and_epoch_alone():
    split = Split(torch.zeros(100, 1), torch.zeros(100), (-1.0, 1.0))
    orders = {}
    for seed in (0, 1):
        for epoch in (0, 1):
            order = EpochOrder(split, seed)
            order.set_epoch(epoch)
            orders[seed, epoch] = tuple(order)
            assert tuple(order) == orders[seed, epoch]
    assert len(set(orders.values())) == 4


def test_auto_residual_is_exact_where_it_is_known():
    data = MAKERS["spheres"]()
    assert data.residual("auto") is data.residual("exact") is data.exact_residual


def test_auto_residual_is_the_nearest_example_elsewhere():
    estimator = Digits().residual("auto")
    assert isinstance(estimator, NearestExample)
    assert estimator.name == "nearest"


@pytest.mark.parametrize(("name", "start"), [("nearest-even", 0), ("nearest-odd", 1)])
def test_half_of_the_training_split_serves_as_examples(name, start):
    data = Digits()
    x, y, _ = everything(data, "train")
    estimator = data.residual(name)
    assert estimator.name == name
    # A sample that is itself among the examples of the target class finds itself.
    found = estimator(x, y, y).flatten(1).norm(dim=1) == 0
    assert found.nonzero().flatten().tolist() == list(range(start, len(x), 2))


def test_unknown_residual_is_refused():
    with pytest.raises(ValueError, match=r"`residual` should be one of auto, exact, nearest, .* Found 'best'"):
        Digits().residual("best")


def test_exact_residual_is_refused_where_it_is_not_known():
    with pytest.raises(ValueError, match="`residual` 'exact' is not known for digits"):
        Digits().residual("exact")


@pytest.mark.parametrize("argument", ["batch_size", "eval_batch_size"])
def test_batch_without_samples_is_refused(argument):
    with pytest.raises(ValueError, match=f"`{argument}` should be at least 1. Found 0"):
        Digits(**{argument: 0})


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(2).long(), "one label per image. Found 3 images and 2 labels"),
        (torch.zeros(2, 2), torch.tensor([0, 2]), r"labels should lie in \[0, 2\). Found values from 0 to 2"),
        (torch.zeros(2, 2), torch.tensor([0, -1]), r"labels should lie in \[0, 2\). Found values from -1 to 0"),
        (torch.tensor([[torch.nan]]), torch.tensor([0]), "images should not hold NaN. Found 1"),
        (torch.tensor([[1.5]]), torch.tensor([0]), r"images should lie within \(-1.0, 1.0\). Found values from 1.5"),
        (torch.tensor([[-1.5]]), torch.tensor([0]), r"images should lie within \(-1.0, 1.0\)"),
    ],
)
def test_impossible_samples_are_refused_by_the_name_of_their_source(images, labels, message):
    with pytest.raises(ValueError, match="^my.h5: .*" + message):
        check_samples(images, labels, 2, (-1.0, 1.0), "my.h5")


@pytest.mark.parametrize("value", [math.inf, -math.inf])
@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (-math.inf, math.inf)])
def test_infinite_images_are_refused_whatever_the_bounds(value, bounds):
    with pytest.raises(ValueError, match=r"^my.h5: images should not hold infinite values. Found 1"):
        check_samples(torch.tensor([[0.0], [value]]), torch.tensor([0, 1]), 2, bounds, "my.h5")


@pytest.mark.parametrize("data", [Digits(), Digits(bounds=(-1.0, 1.0))])
def test_what_was_recorded_before_bounds_could_be_given_is_known_again(data: Digits) -> None:
    assert "bounds" not in data.arguments
    assert Digits(bounds=(0.0, 1.0)).arguments["bounds"] == (0.0, 1.0)


def test_digits_in_other_bounds_are_the_same_digits() -> None:
    own, unit = (data.split("test")[0].x for data in (Digits(), Digits(bounds=(0.0, 1.0))))
    assert torch.equal(own, 2 * unit - 1)
    assert (unit.min(), unit.max()) == (0, 1)
