"""What an attack does to its arguments or to the classifier changes neither the verdict nor the classifier."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from eval.robustness import tampering
from eval.robustness.masking import masking_signs
from eval.robustness.radii import Radii, critical_radii, minimal_radii
from eval.robustness.tampering import Watch, checksum, checksums, states
from tests.alignment.classifiers import restless
from tests.properties import unchanged
from tests.waits import waits
from training import pgd

Change = Callable[[nn.Module], object]
DOUBLE = torch.float64
HONEST = partial(pgd, steps=3, random_start=False, leave_when_fooled=True)


def layer(classifier: nn.Module, kind: type[nn.Module] = nn.Linear) -> nn.Module:
    return next(part for part in classifier.modules() if isinstance(part, kind))


def changing(change: Change) -> Callable[..., Tensor]:
    """PGD that then changes the classifier."""

    def tampering(classifier: nn.Module, *args: Tensor, **options: object) -> Tensor:
        adversarial = HONEST(classifier, *args, **options)
        change(classifier)
        return adversarial

    return tampering


def problem() -> tuple[nn.Module, Tensor, Tensor]:
    """A network with parts in evaluation and in training mode, and samples that it classifies correctly."""
    torch.manual_seed(0)
    classifier, x = restless(4, 3), torch.rand(12, 4) - 0.5
    modes = [(part, part.training) for part in classifier.modules()]
    y = classifier.eval()(x).argmax(dim=1)
    for part, training in modes:
        part.training = training
    return classifier, x, y


def measured(attack: Callable[..., Tensor], classifier: nn.Module, x: Tensor, y: Tensor) -> Radii:
    return critical_radii(classifier, [(x, y)], attack, bounds=(-1.0, 1.0), resolution=0.1)


def backwards(classifier: nn.Module) -> None:
    with torch.enable_grad():
        classifier(torch.rand(3, 4)).sum().backward()


def zeros(classifier: nn.Module) -> None:
    layer(classifier).weight = nn.Parameter(torch.zeros(16, 4))


def no_data(classifier: nn.Module) -> None:
    layer(classifier).weight.data = torch.zeros(16, 4)


def no_layer(classifier: nn.Module) -> None:
    inner = layer(classifier, nn.Sequential)
    inner[1] = nn.Identity()


def hooked(classifier: nn.Module) -> None:
    classifier.register_forward_hook(lambda part, args, output: torch.zeros_like(output))


PUT_RIGHT: dict[str, tuple[Change, str]] = {
    "training mode": (lambda classifier: classifier.train(), "mode of 6"),
    "evaluation mode": (lambda classifier: classifier.eval(), "mode of the classifier, mode of 0"),
    "no parameter asks": (lambda classifier: classifier.requires_grad_(False), "requires_grad of 1.weight"),
    "hook on the classifier": (hooked, "forward hooks of the classifier"),
    "hook on a layer": (lambda classifier: hooked(layer(classifier)), "forward hooks of 1"),
    "pre-hook": (
        lambda classifier: layer(classifier).register_forward_pre_hook(lambda part, args: (0 * args[0],)),
        "forward pre hooks of 1",
    ),
    "other parameter": (zeros, "parameters of 1"),
    "other memory": (no_data, "memory of 1.weight"),
    "other precision": (lambda classifier: classifier.double(), "memory of 1.weight"),
    "other layer": (no_layer, "modules of the classifier"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "other" in name else []) for name in PUT_RIGHT]
)
def test_what_can_be_undone_is_undone_and_told(name: str) -> None:
    change, told = PUT_RIGHT[name]
    honest = measured(HONEST, *problem())
    classifier, x, y = problem()
    with unchanged(classifier), pytest.warns(UserWarning, match=f"attack tampering changed .*{told}"):
        radii = measured(changing(change), classifier, x, y)
    assert torch.equal(radii.upper, honest.upper)
    assert 0 < radii.epsilon50 < float("inf")


def test_honest_attack_is_not_suspected() -> None:
    classifier, x, y = problem()
    with unchanged(classifier):
        measured(HONEST, classifier, x, y)


def test_gradients_of_parameters_are_given_back() -> None:
    classifier, x, y = problem()
    classifier.eval()
    kept = torch.ones(16, 4)
    layer(classifier).weight.grad = kept
    measured(changing(backwards), classifier, x, y)
    assert layer(classifier).weight.grad is kept
    assert torch.equal(kept, torch.ones(16, 4))
    assert layer(classifier).bias.grad is None


def test_classifier_is_put_right_where_the_attack_fails() -> None:
    def failing(classifier: nn.Module, *args: Tensor, **options: object) -> Tensor:
        classifier.train()
        raise KeyError("no such thing")

    classifier, x, y = problem()
    with unchanged(classifier), pytest.raises(KeyError, match="no such thing"):
        measured(failing, classifier, x, y)


def in_place(classifier: nn.Module) -> None:
    with torch.no_grad():
        layer(classifier).weight.mul_(0.5)


def by_data(classifier: nn.Module) -> None:
    layer(classifier).weight.data.mul_(0.5)


def statistics(classifier: nn.Module) -> None:
    layer(classifier, nn.BatchNorm1d).running_mean.data.add_(1)


def in_training(classifier: nn.Module) -> None:
    classifier.train()
    classifier(torch.rand(5, 4))
    classifier.eval()


WRITTEN: dict[str, tuple[Change, str, bool]] = {
    "in place": (in_place, "1.weight", True),
    "by data": (by_data, "1.weight", False),
    "statistics": (statistics, "2.running_mean", False),
    "passes in training mode": (in_training, "num_batches_tracked", True),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_writing_to_weights_is_refused(name: str) -> None:
    calls: list[nn.Module] = []

    def change(classifier: nn.Module) -> None:
        calls.append(classifier)
        written(classifier)

    written, where, at_once = WRITTEN[name]
    with pytest.raises(
        ValueError, match=rf"parameters and buffers as they are\. Found that tampering wrote to .*{where}"
    ):
        measured(changing(change), *problem())
    assert (len(calls) == 1) == at_once


def test_writing_to_weights_is_refused_by_every_search() -> None:
    classifier, x, y = problem()

    def minimal(classifier: nn.Module, x: Tensor, y: Tensor, **options: object) -> Tensor:
        by_data(classifier)
        return x

    with pytest.raises(ValueError, match=r"minimal wrote to 1\.weight"):
        minimal_radii(classifier, [(x, y)], minimal, bounds=(-1.0, 1.0))
    classifier, x, y = problem()
    with pytest.raises(ValueError, match=r"tampering wrote to 1\.weight"):
        masking_signs(classifier, [(x, y)], epsilon=1e-4, bounds=(-1.0, 1.0), steps=1, black_box=changing(by_data))


def test_weights_that_were_written_back_are_accepted() -> None:
    def there_and_back(classifier: nn.Module) -> None:
        weight = layer(classifier).weight
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.zero_()
            weight.copy_(kept)

    classifier, x, y = problem()
    with unchanged(classifier):
        measured(changing(there_and_back), classifier, x, y)


def test_what_the_classifier_writes_to_itself_is_no_tampering() -> None:
    class Diary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)
            self.register_buffer("calls", torch.zeros(()))
            self.register_buffer("last", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            self.last = x.detach().mean()
            return self.linear(x)

    classifier, x = Diary(), torch.rand(6, 4) - 0.5
    radii = measured(HONEST, classifier, x, classifier(x).argmax(dim=1))
    assert radii.epsilon50 > 0
    assert classifier.calls > 10


@pytest.mark.parametrize("kept", ["x", "y", "strength"])
def test_attack_that_overwrites_its_arguments_is_judged_by_copies(kept: str) -> None:
    def overwriting(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **options: object) -> Tensor:
        adversarial = HONEST(classifier, x, y, strength, **options)
        {"x": x, "y": y, "strength": strength}[kept].fill_(0)
        return adversarial

    classifier, x, y = problem()
    before = x.clone(), y.clone()
    assert torch.equal(measured(overwriting, classifier, x, y).upper, measured(HONEST, *problem()).upper)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


def test_moving_the_input_itself_is_no_way_to_a_small_perturbation() -> None:
    def moving(classifier: nn.Module, x: Tensor, y: Tensor, *strength: Tensor, **_: object) -> Tensor:
        return x.neg_()

    class Sign(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([-x, x], dim=1)

    x, y = torch.tensor([[0.25], [-0.5], [0.125]]), torch.tensor([1, 0, 1])
    radii = critical_radii(Sign(), [(x, y)], moving, bounds=(-1.0, 1.0), epsilon_max=0.75)
    assert radii.per_sample.tolist() == [0.5, float("inf"), 0.25]
    assert radii.rejected > 0
    assert minimal_radii(Sign(), [(x, y)], moving, bounds=(-1.0, 1.0)).per_sample.tolist() == [0.5, 1.0, 0.25]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(0,), (), (1,), (3,), (4, 5)])
def test_checksum_sees_every_change_of_one_value(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.ones(shape, dtype=dtype)
    assert checksum(tensor) == checksum(tensor.clone())
    for place in range(tensor.numel()):
        other = tensor.clone()
        other.view(-1)[place] = 0
        assert checksum(other) != checksum(tensor)


def test_checksum_of_a_part_of_a_tensor_is_about_that_part() -> None:
    whole = torch.randn(5, 7)
    for part in (whole[1:, 1:4], whole.T, whole.flatten()[1:], whole.flatten()[1:5]):
        before = checksum(part)
        whole[0, 0] += 1
        assert (checksum(part) == before) == (part.data_ptr() != whole.data_ptr())


def test_checksums_of_many_tensors_are_read_at_once() -> None:
    tensors = [torch.randn(shape, dtype=dtype) for shape in ((3,), (), (2, 5)) for dtype in (torch.float32, DOUBLE)]
    tensors += [torch.arange(3), torch.zeros(2, device="meta")]
    with waits() as found:
        sums = checksums(tensors)
    assert not found  # `tolist` of one tensor is all
    assert sums == [int(checksum(tensor)) for tensor in tensors]
    assert checksums([]) == []


def test_nothing_waits_around_an_attack_that_writes_nothing() -> None:
    classifier = problem()[0]
    watch = Watch(classifier, states(classifier))
    with waits() as found, watch.over(lambda: None):
        pass
    assert not found


def test_only_what_was_written_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr(tampering, "checksums", lambda tensors: [read.append(1) or 0 for _ in tensors])
    classifier = problem()[0]
    watch = Watch(classifier, states(classifier))
    read.clear()
    with watch.over(lambda: None):
        pass
    assert not read
    with watch.over(lambda: None), torch.no_grad():
        layer(classifier).weight.mul_(0.5)
    assert read == [1]
