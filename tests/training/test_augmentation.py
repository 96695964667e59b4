"""Augmentation: what each part does to an image, what it depends on, and when a data set uses it."""

import pytest
import torch
from jsonargparse import ArgumentParser
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn

from training import Classifier
from training.data import Augmentation, Batch, DataSet, Split

BOUNDS = (0.0, 1.0)
OFF = {"crop": 0, "flip": False, "rotation": 0.0, "cutout": 0, "erasing": 0.0}
EVERYTHING = {"crop": 3, "flip": True, "rotation": 30.0, "cutout": 4, "erasing": 0.5}


def images(count: int = 64, size: tuple[int, int] = (8, 6), bounds: tuple[float, float] = BOUNDS) -> Tensor:
    """Random images, away from the lowest value, which is what uncovered pixels get."""
    low, high = bounds
    return low + (high - low) * (0.1 + 0.9 * torch.rand(count, 3, *size))


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0)])
def test_nothing_asked_for_changes_nothing(bounds):
    x = images(bounds=bounds)
    assert torch.equal(Augmentation(**OFF)(x, bounds=bounds, seed=0), x)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (-3.0, -2.0)])
@pytest.mark.parametrize("part", [{"crop": 3}, {"rotation": 45.0}, {"cutout": 3}, EVERYTHING])
def test_result_lies_within_the_bounds_and_uncovers_the_lowest_value(bounds, part):
    x = images(bounds=bounds)
    before = x.clone()
    result = Augmentation(**(OFF | part))(x, bounds=bounds, seed=0)
    assert result.shape == x.shape
    assert result.dtype == x.dtype
    assert bounds[0] == result.min() < result.max() <= bounds[1]
    assert torch.equal(x, before)


@pytest.mark.parametrize("crop", [1, 3])
def test_crop_shifts_each_image_by_up_to_the_padding(crop):
    x = images(400)
    result = Augmentation(**(OFF | {"crop": crop}))(x, bounds=BOUNDS, seed=0)
    padded = nn.functional.pad(x, [crop] * 4)
    places = [(i, j) for i in range(2 * crop + 1) for j in range(2 * crop + 1)]
    found = torch.stack([(padded[:, :, i : i + 8, j : j + 6] == result).all(dim=(1, 2, 3)) for i, j in places])
    assert found.sum(dim=0).eq(1).all()
    assert found.any(dim=1).all()  # every place occurs: 1/49 of 400 images each


def test_flip_mirrors_half_of_the_images():
    x = images(400)
    result = Augmentation(**(OFF | {"flip": True}))(x, bounds=BOUNDS, seed=0)
    kept, mirrored = (result == x).all(dim=(1, 2, 3)), (result == x.flip(3)).all(dim=(1, 2, 3))
    assert (kept ^ mirrored).all()
    assert 140 < int(mirrored.sum()) < 260


@pytest.mark.parametrize("side", [1, 4, 5])
def test_cutout_removes_a_square_around_a_pixel(side):
    x = images(400)
    result = Augmentation(**(OFF | {"cutout": side}))(x, bounds=BOUNDS, seed=0)
    removed = result.eq(0).all(dim=1)
    assert torch.equal(result, x * ~removed.unsqueeze(1))
    middles = [(i, j) for i in range(8) for j in range(6)]
    expected = torch.zeros(len(middles), 8, 6, dtype=torch.bool)
    for number, (i, j) in enumerate(middles):
        top, left = i - side // 2, j - side // 2
        expected[number, max(0, top) : top + side, max(0, left) : left + side] = True
    found = (removed.unsqueeze(1) == expected).all(dim=(2, 3))
    assert found.any(dim=1).all()
    assert found.any(dim=0).all()  # every middle occurs: 1/48 of 400 images each


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0)])
def test_erasing_greys_a_rectangle_of_half_of_the_images(bounds):
    x = images(1000, (32, 32), bounds)
    result = Augmentation(**(OFF | {"erasing": 0.5}))(x, bounds=bounds, seed=0)
    erased = (result != x).any(dim=1)
    touched = erased.flatten(1).any(dim=1)
    assert 440 < int(touched.sum()) < 560
    rows, columns = (erased[touched].any(dim=dim) for dim in (2, 1))
    assert torch.equal(erased[touched], rows.unsqueeze(2) & columns.unsqueeze(1))  # a product of two ranges
    for side in (rows, columns):
        ends = side.long().diff(dim=1).abs().sum(dim=1) + side[:, 0].long() + side[:, -1].long()
        assert (ends == 2).all()
    share = erased[touched].float().mean(dim=(1, 2))
    assert 0.01 < share.min() < 0.03
    assert 0.35 < share.max() < 0.42  # sides are rounded to pixels
    greys = torch.stack(
        [image[:, mask].unique() for image, mask in zip(result[touched], erased[touched], strict=True)]
    )
    assert greys.shape[1] == 1  # one value in all channels
    assert torch.quantile(greys, 0.02) < bounds[0] + 0.05 * (bounds[1] - bounds[0])
    assert torch.quantile(greys, 0.98) > bounds[1] - 0.05 * (bounds[1] - bounds[0])
    assert len(greys.unique()) > 400


@pytest.mark.parametrize("erasing", [0.0, 1.0])
def test_erasing_none_and_all_are_certain(erasing):
    x = images(50, (32, 32))
    result = Augmentation(**(OFF | {"erasing": erasing}))(x, bounds=BOUNDS, seed=0)
    assert (result != x).flatten(1).any(dim=1).float().mean() == erasing


def test_rotation_turns_about_the_middle_by_up_to_the_angle():
    x = torch.zeros(200, 1, 33, 33)
    x[:, :, 14:19, 26:31] = 1.0  # right of the middle, 12 pixels away
    result = Augmentation(**(OFF | {"rotation": 30.0}))(x, bounds=BOUNDS, seed=0)
    rows, columns = torch.meshgrid(torch.arange(33) - 16.0, torch.arange(33) - 16.0, indexing="ij")
    mass = result.sum(dim=(1, 2, 3))
    across, down = ((result[:, 0] * place).sum(dim=(1, 2)) / mass for place in (columns, rows))
    torch.testing.assert_close(mass, torch.full_like(mass, 25.0), rtol=0.05, atol=0)
    torch.testing.assert_close(across.hypot(down), torch.full_like(mass, 12.0), rtol=0.02, atol=0)
    angles = torch.atan2(down, across).rad2deg()
    assert -30.5 < angles.min() < -25
    assert 25 < angles.max() < 30.5


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (0.1, 0.9)])
def test_rotation_rounds_to_within_the_bounds(bounds):
    x = torch.full((64, 1, 9, 9), bounds[1])
    result = Augmentation(**(OFF | {"rotation": 30.0}))(x, bounds=bounds, seed=0)
    assert result.max() <= x.max()


def test_every_image_moves_on_its_own():
    x = images(1).expand(32, -1, -1, -1)
    for part in ({"crop": 3}, {"flip": True}, {"rotation": 30.0}, {"cutout": 4}, {"erasing": 0.7}):
        result = Augmentation(**(OFF | part))(x, bounds=BOUNDS, seed=0)
        assert len(result.unique(dim=0)) > 1


def test_result_depends_on_the_seed_alone():
    x, augmentation = images(), Augmentation(**EVERYTHING)
    first = augmentation(x, bounds=BOUNDS, seed=1)
    torch.rand(5)
    assert torch.equal(augmentation(x, bounds=BOUNDS, seed=1), first)
    assert torch.equal(Augmentation(**EVERYTHING)(x, bounds=BOUNDS, seed=1), first)
    assert not torch.equal(augmentation(x, bounds=BOUNDS, seed=2), first)


def test_global_random_state_is_left_alone():
    x, before = images(), torch.get_rng_state()
    Augmentation(**EVERYTHING)(x, bounds=BOUNDS, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"crop": -1}, "`crop` should be at least 0. Found -1"),
        ({"cutout": -2}, "`cutout` should be at least 0. Found -2"),
        ({"erasing": 1.5}, r"`erasing` should lie in \[0, 1\]. Found 1.5"),
        ({"rotation": -1.0}, r"`rotation` should lie in \[0, 180\]. Found -1.0"),
        ({"rotation": 181.0}, r"`rotation` should lie in \[0, 180\]. Found 181.0"),
    ],
)
def test_impossible_augmentation_is_refused(part, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**part)


class Patches(DataSet):
    """Twenty images whose sum says which one it is."""

    name = "patches"
    bounds = BOUNDS
    classes = ("a", "b")
    shape = (3, 8, 6)

    def __init__(self, augmentation: Augmentation | None = None, seed: int = 0) -> None:
        super().__init__(batch_size=5, eval_batch_size=8, seed=seed)
        self.augmentation = augmentation

    def make_split(self, name: str) -> Split:
        x = images(20, bounds=self.bounds) if name == "train" else torch.rand(9, *self.shape)
        return Split(x, torch.arange(len(x)) % 2, self.bounds)


class Recorded(Classifier):
    """Remembers the batches that its steps saw."""

    def __init__(self) -> None:
        super().__init__("logistic_regression", shape=(3, 8, 6), bounds=BOUNDS)
        self.seen: dict[tuple[int, int], Batch] = {}
        self.validated: list[Batch] = []

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        self.seen[self.current_epoch, batch_index] = batch
        return super().training_step(batch, batch_index)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        self.validated.append(batch)
        super().validation_step(batch, batch_index)


def run(quiet_trainer, data: DataSet, epochs: int = 2, start: str | None = None, **options) -> Recorded:
    torch.manual_seed(3)  # the same images in every run
    data.split("train"), data.split("validation")
    model = Recorded()
    trainer = quiet_trainer(epochs, **({"limit_val_batches": 0} | options))
    trainer.fit(model, data, ckpt_path=start)
    return model


def test_data_set_says_whether_it_augments():
    assert not Patches().augments
    assert Patches(Augmentation()).augments


def test_training_batches_are_augmented_and_know_their_indices(quiet_trainer):
    data = Patches(Augmentation(**(OFF | {"flip": True})))
    seen = run(quiet_trainer, data).seen
    assert seen.keys() == {(epoch, number) for epoch in (0, 1) for number in range(4)}
    changed = 0
    for batch in seen.values():
        x = data.split("train").__getitems__(batch.indices.tolist()).x
        mirrored = (batch.x == x.flip(3)).all(dim=(1, 2, 3))
        assert (mirrored | (batch.x == x).all(dim=(1, 2, 3))).all()
        changed += int(mirrored.sum())
    assert 0 < changed < 40


def test_parameters_differ_between_batches_and_epochs(quiet_trainer):
    data = Patches(Augmentation(**(OFF | {"cutout": 3})))
    seen = run(quiet_trainer, data).seen
    assert len({batch.x.eq(0).numpy().tobytes() for batch in seen.values()}) == len(seen)


def test_validation_batches_stay_as_they_are(quiet_trainer):
    data = Patches(Augmentation(**EVERYTHING))
    model = run(quiet_trainer, data, limit_val_batches=1.0, num_sanity_val_steps=1)
    assert len(model.validated) == 1 + 2 * 2  # the sanity check, and two batches in each of two epochs
    for batch in model.validated:
        assert torch.equal(batch.x, data.split("validation").__getitems__(batch.indices.tolist()).x)


def test_batches_that_are_asked_for_directly_stay_as_they_are():
    data = Patches(Augmentation(**EVERYTHING))
    for batch in data.train_dataloader():
        assert torch.equal(batch.x, data.split("train").__getitems__(batch.indices.tolist()).x)


def test_training_without_augmentation_sees_the_samples(quiet_trainer):
    data = Patches()
    for batch in run(quiet_trainer, data).seen.values():
        assert torch.equal(batch.x, data.split("train").__getitems__(batch.indices.tolist()).x)


def test_run_repeats_its_augmentation_and_another_seed_does_not(quiet_trainer):
    first, again, other = (run(quiet_trainer, Patches(Augmentation(**EVERYTHING), seed)).seen for seed in (0, 0, 1))
    assert all(torch.equal(first[key].x, again[key].x) for key in first)
    assert not any(torch.equal(first[key].x, other[key].x) for key in first)


def test_validation_in_between_changes_nothing(quiet_trainer):
    first, again = (
        run(quiet_trainer, Patches(Augmentation(**EVERYTHING)), limit_val_batches=limit).seen for limit in (0, 1.0)
    )
    assert all(torch.equal(first[key].x, again[key].x) for key in first)


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_resumed_run_repeats_the_augmentation(quiet_trainer, tmp_path):
    def kept(epochs: int, start: str | None = None) -> dict[tuple[int, int], Batch]:
        keep = {"enable_checkpointing": True, "callbacks": [ModelCheckpoint(tmp_path, filename="kept")]}
        return run(quiet_trainer, Patches(Augmentation(**EVERYTHING)), epochs, start, **keep).seen

    whole = run(quiet_trainer, Patches(Augmentation(**EVERYTHING)), epochs=3).seen
    kept(1)
    rest = kept(3, str(tmp_path / "kept.ckpt"))
    assert rest.keys() == {(epoch, number) for epoch in (1, 2) for number in range(4)}
    assert all(torch.equal(rest[key].x, whole[key].x) for key in rest)


def test_configuration_names_augmentation_and_share():
    parser = ArgumentParser()
    parser.add_subclass_arguments(DataSet, "data")
    wanted = {"class_path": "training.data.Augmentation", "init_args": {"crop": 2, "cutout": 8}}
    init_args = {"augmentation": wanted, "validation_share": "1/6", "bounds": [-1, 1]}
    parsed = parser.parse_object({"data": {"class_path": "training.data.CIFAR10", "init_args": init_args}})
    data = parser.instantiate_classes(parsed).data
    assert (data.augmentation.crop, data.augmentation.flip, data.augmentation.cutout) == (2, True, 8)
    assert (float(data.validation_share), data.bounds) == (1 / 6, (-1.0, 1.0))
