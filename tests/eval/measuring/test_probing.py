import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from eval.measuring import measure
from eval.measuring.calibration import calibrated_loss
from eval.measuring.probing import DOUBT, ERRORS, LEVEL, Compared, Probe, Seen, behind, candidates, compared, probe
from tests.eval.measuring.models import as_mnist, trained
from training.data import DataSet, Digits, Spheres
from training.networks.normalization import NORMALIZATIONS, Normalization


def seen(correct: Tensor) -> Seen:
    """What is right and wrong, with a loss that says nothing."""
    return Seen(correct, torch.ones(len(correct), dtype=torch.float64))


class Shaped(DataSet):
    """A data set of which nothing but the form is known."""

    def __init__(self, shape: tuple[int, ...], bounds: tuple[float, float]) -> None:
        super().__init__()
        self.shape, self.bounds = shape, bounds


@pytest.mark.parametrize(
    ("shape", "bounds", "expected"),
    [
        ((3, 32, 32), (0, 1), {"imagenet", "cifar10", "mnist", "half"}),
        ((3, 32, 32), (-1, 1), {"0,1", "imagenet", "cifar10", "mnist"}),  # "half" leaves these as they are
        ((1, 28, 28), (0, 1), {"mnist", "half"}),
        ((3, 8, 8), (0, 255), {"0,1", "imagenet", "cifar10", "mnist", "half"}),
        ((7,), (0, 1), set()),
        ((1, 8, 8), (-float("inf"), float("inf")), set()),
    ],
)
def test_those_are_compared_that_fit_and_change_something(shape: tuple, bounds: tuple, expected: set) -> None:
    assert {*candidates(Shaped(shape, bounds))} == expected


def test_the_chance_is_that_of_mcnemars_exact_test() -> None:
    plain, other = torch.rand(200) < 0.6, torch.rand(200) < 0.7
    gained, lost = int((other & ~plain).sum()), int((plain & ~other).sum())
    found = compared("half", seen(plain), seen(other))
    assert found.chance == pytest.approx(binomtest(gained, gained + lost, 0.5, "greater").pvalue)
    assert found.ahead == pytest.approx(100 * float(other.double().mean() - plain.double().mean()))
    assert compared("half", seen(plain), seen(plain)).chance == 1


def test_a_network_that_was_trained_behind_a_normalisation_is_asked_about() -> None:
    found = probe(trained(as_mnist), Digits())
    assert found is not None
    assert found.better
    assert found.samples == 512
    assert found.forward_passes == 512 * (1 + len(found.compared))
    with pytest.raises(
        ValueError,
        match=r"(points better|surer of the true classes) than inputs.*none \d+\.\d%.*mnist 9\d.*--normalize none",
    ):
        measure(trained(as_mnist), Digits(), attacks=[], masking=False, say=lambda _: None)


def test_a_network_that_takes_inputs_as_they_are_is_not() -> None:
    found = probe(trained(), Digits())
    assert found is not None
    assert not found.better
    assert "left as they are" in found.sentence
    assert f"none {found.accuracy:.1%}" in found.sentence
    assert "chance" not in found.sentence


def test_what_is_not_probed_is_no_bounded_image() -> None:
    assert probe(nn.Linear(5, 2), Spheres(dimensions=5)) is None


def test_noise_asks_no_question() -> None:
    """Two classifiers of equal accuracy, on few samples and on many: at most one question in a hundred."""
    questions = {40: 0, 512: 0}
    for count in questions:
        for _ in range(300):
            plain = torch.rand(count) < 0.8
            four = tuple(compared(str(number), seen(plain), seen(torch.rand(count) < 0.8)) for number in range(4))
            questions[count] += bool(Probe(0.8, four, count, 0, "noise").better)
    assert max(questions.values()) <= 300 * LEVEL + 3


def test_five_points_of_few_samples_are_said_to_be_chance_and_fewer_of_many_are_no_question() -> None:
    few = compared("half", seen(torch.arange(40) < 37), seen(torch.arange(40) < 40))
    told = Probe(37 / 40, (few,), 40, 80, "few")
    assert not told.better
    assert "half is 7.5 points better (p = 0.12, McNemar), which may be chance" in told.sentence
    many = compared("half", seen(torch.arange(10_000) < 9_000), seen(torch.arange(10_000) < 9_490))
    assert many.chance < 1e-9
    assert not Probe(0.9, (many,), 10_000, 0, "many").better


class Narrow(nn.Module):
    """A network whose logits are NaN for inputs that it was not made for."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = trained()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) if x.min() >= -1 else torch.full((len(x), 10), torch.nan)


def test_logits_that_are_nan_behind_a_normalisation_are_not_right(monkeypatch: pytest.MonkeyPatch) -> None:
    lowest = {"lowest": Normalization((1.0,), (0.1,))}
    monkeypatch.setattr("eval.measuring.probing.candidates", lambda data: lowest)
    found = probe(Narrow(), Digits())
    assert found is not None
    assert found.compared[0].accuracy == 0
    assert not found.better


def test_a_probe_leaves_the_network_as_it_was() -> None:
    network = trained()
    network.train()
    network[0].eval()
    before = [part.training for part in network.modules()]
    probe(network, Digits())
    assert [part.training for part in network.modules()] == before
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_normalisation_stands_before_the_network_which_is_neither_copied_nor_moved() -> None:
    network = trained()
    wrapped = behind(NORMALIZATIONS["mnist"], network, Digits())
    assert wrapped.network is network
    assert "mean" not in wrapped.state_dict()


def test_best_first() -> None:
    found = Probe(0.5, (Compared("a", 0.7, 20.0, 1e-9), Compared("b", 0.9, 40.0, 1e-9)), 512, 0, "d")
    assert [one.name for one in found.better] == ["b", "a"]
    assert "--normalize b " in found.question


def test_where_nearly_all_is_right_either_way_the_loss_is_asked() -> None:
    """As of a network of MNIST behind another normalisation: right either way, and surer behind its own."""
    y = torch.zeros(512, dtype=torch.int64)
    right = torch.arange(512) < 480
    margin = torch.where(right, 3.0, -1.0) + 0.1 * torch.randn(512)
    plain = Seen(right, calibrated_loss(torch.stack([margin, torch.zeros(512)], dim=1), y))
    sure = Seen(right, calibrated_loss(torch.stack([margin.abs() + 3, torch.zeros(512)], dim=1), y))
    (one,) = Probe(0.98, (compared("mnist", plain, sure),), 512, 0, "d").better
    assert one.ahead == 0
    assert one.share < 0.75
    found = Probe(0.98, (one,), 512, 0, "d").question
    assert "surer of the true classes" in found
    assert f"{one.errors:.1f} standard errors lower" in found
    assert not Probe(0.98, (compared("mnist", sure, plain),), 512, 0, "d").better


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_the_scale_of_logits_is_no_loss(scale: float) -> None:
    logits, y = torch.randn(200, 5), torch.randint(5, (200,))
    logits[range(200), y] += 1
    torch.testing.assert_close(calibrated_loss(scale * logits, y), calibrated_loss(logits, y), rtol=1e-3, atol=1e-4)


def test_calibration_ends_at_the_lowest_mean() -> None:
    logits, y = 3 * torch.randn(100, 4).double(), torch.randint(4, (100,))
    lowest = min(
        float(nn.functional.cross_entropy(logits * scale, y)) for scale in torch.logspace(-3, 3, 3000).tolist()
    )
    assert float(calibrated_loss(logits, y).mean()) == pytest.approx(lowest, abs=1e-5)


def test_noise_in_the_loss_asks_no_question() -> None:
    questions = 0
    for _ in range(300):
        plain, other = (Seen(torch.ones(512, dtype=torch.bool), torch.rand(512).double() ** 8) for _ in range(2))
        questions += bool(Probe(1.0, (compared("half", plain, other),), 512, 0, "noise").better)
    assert questions <= 3


def test_a_loss_that_may_be_lower_by_chance_is_said() -> None:
    plain = Seen(torch.ones(100, dtype=torch.bool), torch.where(torch.arange(100) < 6, 1.0, 0.01).double())
    other = Seen(plain.correct, torch.full((100,), 0.01).double())
    found = Probe(1.0, (compared("mnist", plain, other),), 100, 0, "d")
    assert DOUBT < found.compared[0].errors < ERRORS
    assert not found.better
    assert "mnist is surer of the true classes (0.14 of the loss, 2.5 standard errors lower)" in found.sentence
