"""What is refused, in the words of `pgd`; what an attack is given; and what the size of its perturbation is."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eval.robustness.draws import Draws
from eval.robustness.judge import Judge
from eval.robustness.masking import masking_signs, masking_verdict
from eval.robustness.radii import critical_radii, minimal_radii
from tests.alignment.classifiers import Answer, restless
from tests.eval.classifiers import Half, half_problem, known_radii
from tests.waits import waits
from training import pgd
from training.passes import CountPasses

BOUNDS = (-1.0, 1.0)
ATTACK = partial(pgd, steps=2)
Search = Callable[..., object]


def minimal(classifier: nn.Module, x: Tensor, y: Tensor, **_: object) -> Tensor:
    return x


def of_radii(classifier: nn.Module, x: Any, y: Any, **options: Any) -> object:
    return critical_radii(classifier, [(x, y)], ATTACK, **({"bounds": BOUNDS} | options))


def of_minimal_radii(classifier: nn.Module, x: Any, y: Any, **options: Any) -> object:
    return minimal_radii(classifier, [(x, y)], minimal, **({"bounds": BOUNDS} | options))


def of_signs(classifier: nn.Module, x: Any, y: Any, **options: Any) -> object:
    options = {"bounds": BOUNDS, "epsilon": 0.1, "steps": 1, "black_box": ATTACK} | options
    return masking_signs(classifier, [(x, y)], **options)


def of_verdict(classifier: nn.Module, x: Any, y: Any, **options: Any) -> object:
    options = {"bounds": BOUNDS, "steps": 1, "black_box": ATTACK} | options
    return masking_verdict(classifier, [(x, y)], **options)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ValueError, match="`") as found:
        call()
    return str(found.value)


SEARCHES = pytest.mark.parametrize("search", [of_radii, of_minimal_radii, of_signs, of_verdict])
X, Y = torch.zeros(4, 3), torch.tensor([0, 1, 0, 1])
BAD = {
    "class that is not there": ({"y": Y + 1}, "`y` should lie in [0, 2). Found values from 1 to 2."),
    "negative class": ({"y": Y - 1}, "`y` should lie in [0, 2). Found values from -1 to 0."),
    "too few labels": ({"y": Y[:3]}, "`y` should have shape (4,). Found (3,)."),
    "labels in a column": ({"y": Y[:, None]}, "`y` should have shape (4,). Found (4, 1)."),
    "NaN": ({"x": X * torch.nan}, "`x` should be finite. Found 12 NaN or infinite of 12 values."),
    "outside": ({"x": X + 2}, "`x` should lie within `bounds` (-1.0, 1.0). Found values from 2 to 2."),
    "norm": ({"norm": "l2"}, "`norm` should be one of Linf, L2, L1"),
}
TYPES = {
    "float labels": ({"y": Y.float()}, "`y` should be a tensor of int64"),
    "NumPy labels": ({"y": Y.numpy()}, "`y` should be a tensor of int64"),
    "integer inputs": ({"x": X.long()}, "`x` should be a tensor of floating-point numbers"),
    "NumPy inputs": ({"x": X.numpy()}, "`x` should be a tensor of floating-point numbers"),
}


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize("bad", [*BAD, *TYPES])
@SEARCHES
def test_searches_refuse_in_the_words_of_pgd(search: Search, bad: str) -> None:
    arguments, message = (BAD | TYPES)[bad]
    classifier = Half(torch.ones(3))
    said = refusal(lambda: search(classifier, **({"x": X, "y": Y} | arguments)))
    assert said.startswith(message)
    if bad != "norm":
        assert said == refusal(lambda: pgd(classifier, **({"x": X, "y": Y} | arguments), epsilon=0.1, bounds=BOUNDS))


@pytest.mark.usefixtures("as_in_production")
@SEARCHES
def test_searches_need_bounds_and_whole_batches(search: Search) -> None:
    for size in (0, -1):
        with pytest.raises(ValueError, match=f"`batch_size` should be at least 1. Found {size}"):
            search(Half(torch.ones(3)), X, Y, batch_size=size)
    with pytest.raises(ValueError, match=r"`batch_size` should be a whole number. Found 1.5"):
        search(Half(torch.ones(3)), X, Y, batch_size=1.5)
    with pytest.raises(ValueError, match=r"`bounds` should be \(low, high\) with low < high"):
        search(Half(torch.ones(3)), X, Y, bounds=(1.0, -1.0))


@pytest.mark.parametrize("call", [critical_radii, minimal_radii])
def test_bounds_have_no_default(call: Search) -> None:
    with pytest.raises(TypeError, match="bounds"):
        call(Half(torch.ones(3)), [(X, Y)], ATTACK)
    with pytest.raises(TypeError, match="bounds"):
        masking_signs(Half(torch.ones(3)), [(X, Y)], epsilon=0.1)  # type: ignore[call-arg]


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": "some"}, "`only` should be one of all, median. Found 'some'"),
        ({"norm": "L3"}, "`norm` should be one of Linf, L2, L1, None. Found 'L3'"),
        ({"pilot": 0}, "`pilot` should be at least 1. Found 0"),
        ({"curve_resolution": 1.0}, r"`curve_resolution` should lie in \(0, 1\). Found 1.0"),
        ({"guess": 0.0}, "`guess` should be above 0 and finite. Found 0.0"),
        ({"guess": float("nan")}, "`guess` should be above 0 and finite. Found nan"),
        ({"epsilon_max": float("inf")}, "`epsilon_max` should be above 0 and finite. Found inf"),
        ({"norm": None}, "`epsilon_max` should be given where strength is no distance. Found None"),
        ({"at": [0.1, 3.0]}, r"`at` should lie in \[0, 2.0\]. Found 3.0"),
        ({"at": [-0.1]}, r"`at` should lie in \[0, 2.0\]. Found -0.1"),
    ],
)
def test_bad_options_are_refused_before_the_attack(options: dict, message: str) -> None:
    def never(*_: object, **__: object) -> Tensor:
        raise AssertionError("attacked")

    with pytest.raises(ValueError, match=message):
        critical_radii(Half(torch.ones(3)), [(X, Y)], never, **({"bounds": BOUNDS} | options))


def test_batches_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="`x` should have the shape of `x of the first batch`"):
        critical_radii(Half(torch.ones(3)), [(X, Y), (torch.zeros(2, 4), Y[:2])], ATTACK, bounds=BOUNDS)


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ({"norm": "L2"}, "have `norm` bound to it, which the search passes itself. Found 'L2' beside 'Linf'"),
        ({"bounds": (0.0, 1.0)}, r"Found \(0.0, 1.0\) beside \(-1.0, 1.0\)"),
        ({"strength": 0.1}, "`strength` bound to it.* Found 0.1"),
        ({"epsilon": 0.1}, "`epsilon` bound to it.* Found 0.1"),
        ({"generator": None}, "`generator` bound to it.* Found None"),
    ],
)
@pytest.mark.parametrize("search", [of_signs, of_verdict])
def test_options_bound_to_an_attack_do_not_contradict_the_search(search: Search, bound: dict, message: str) -> None:
    attack = partial(partial(pgd, steps=2), **bound)
    classifier, x, y = half_problem(8)
    with pytest.raises(ValueError, match=message):
        critical_radii(classifier, [(x, y)], attack, bounds=BOUNDS)
    with pytest.raises(ValueError, match=message):
        minimal_radii(classifier, [(x, y)], attack, bounds=BOUNDS, norm="Linf")
    with pytest.raises(ValueError, match=message):
        search(classifier, x, y, black_box=attack)


def test_arguments_bound_without_a_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`attack` should be bound to options by name only. Found 1 without a name"):
        critical_radii(Half(torch.ones(3)), [(X, Y)], partial(pgd, Half(torch.ones(3))), bounds=BOUNDS)


def test_attack_may_be_bound_to_what_the_search_says() -> None:
    classifier, x, y = half_problem(8)
    bound = partial(pgd, steps=2, norm="L2", bounds=BOUNDS)
    plain = critical_radii(classifier, [(x, y)], ATTACK, norm="L2", bounds=BOUNDS)
    assert torch.equal(critical_radii(classifier, [(x, y)], bound, norm="L2", bounds=BOUNDS).upper, plain.upper)


class Flattening(nn.Module):
    """As the commonest ResNet of CIFAR-10: `view(out.size(0), -1)` survives no empty batch."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(36, 10)

    def forward(self, x: Tensor) -> Tensor:
        assert len(x)
        return self.linear(x.view(x.size(0), -1))


def test_classifier_never_sees_an_empty_batch() -> None:
    network, x = Flattening().eval(), torch.rand(20, 1, 6, 6)
    right = network(x).argmax(dim=1)
    wrong, bounds = (right + 1) % 10, (0.0, 1.0)
    for only in ("all", "median"):
        assert critical_radii(network, [(x, wrong)], ATTACK, bounds=bounds, only=only, at=[0.5]).epsilon50 == 0
        assert critical_radii(network, [(x, right)], ATTACK, bounds=bounds, only=only, at=[0.0, 1.0]).epsilon50 > 0
    assert minimal_radii(network, [(x, wrong)], minimal, bounds=bounds).epsilon50 == 0
    assert len(masking_signs(network, [(x, right)], epsilon=0.9, bounds=bounds, steps=5, black_box=ATTACK)) == 8
    assert masking_verdict(network, [(x, wrong)], bounds=bounds, steps=5, black_box=ATTACK).signs == []
    empty = x[:0], right[:0]
    assert critical_radii(network, [empty, (x, right), empty], ATTACK, bounds=bounds).per_sample.shape == (20,)


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_radius_is_the_norm_that_was_verified_and_not_the_strength_that_was_tried(norm: str) -> None:
    def nearest(classifier: Half, x: Tensor, y: Tensor, strength: Tensor, **_: object) -> Tensor:
        """Well inside its ball: a thousandth beyond the boundary, wherever that is nearer than half of ε."""
        slope = half.slope.detach()
        normal = slope.sign() / slope.abs().sum() if norm == "Linf" else slope / slope.square().sum()
        if norm == "L1":
            normal = nn.functional.one_hot(slope.abs().argmax(), len(slope)) / slope[slope.abs().argmax()]
        step = -1.001 * (x @ slope)[:, None] * normal
        size = torch.linalg.vector_norm(step, ord={"Linf": torch.inf, "L2": 2, "L1": 1}[norm], dim=1)
        return torch.where((size < strength / 2)[:, None], x + step, x)

    half, x, y = half_problem(60)
    score = (x @ half.slope).detach().double().abs()
    dual = torch.linalg.vector_norm(half.slope.detach().double(), ord={"Linf": 1, "L2": 2, "L1": torch.inf}[norm])
    known = torch.where(half(x).argmax(dim=1) == y, 1.001 * score / dual, 0)
    for resolution in (0.01, 0.5):
        radii = critical_radii(half, [(x, y)], nearest, norm=norm, bounds=BOUNDS, resolution=resolution)
        assert torch.allclose(radii.per_sample, known, rtol=1e-4, atol=1e-7)


def test_size_that_rounding_carries_beyond_the_strength_counts_as_the_strength() -> None:
    def beyond(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor, **_: object) -> Tensor:
        tried.append(float(strength))
        return x + strength[:, None] * (1 + 5e-7)

    tried: list[float] = []
    always = Answer(lambda x: torch.cat([-x - 1e-9, x + 1e-9], dim=1))
    x, y = torch.zeros(1, 1, dtype=torch.float64) - 1e-6, torch.zeros(1, dtype=torch.int64)
    radii = critical_radii(always, [(x, y)], beyond, bounds=BOUNDS)
    assert float(radii.per_sample) == min(at for at in tried if at > 1e-6)


def test_samples_never_attacked_are_told_from_those_never_fooled() -> None:
    classifier, x, y = half_problem(200)
    known = known_radii(classifier, x, y, "Linf")
    found = critical_radii(
        classifier, [(x, y)], ATTACK, bounds=BOUNDS, only="median", guess=float(known.median()), epsilon_max=2.0
    )
    assert torch.equal(found.attacked, known > 0)
    half = float(known[known > 0].quantile(0.3))
    low = critical_radii(classifier, [(x, y)], ATTACK, bounds=BOUNDS, epsilon_max=half)
    assert torch.equal(low.attacked, known > 0)
    assert (low.per_sample.isinf() & low.attacked).any()

    def silent(classifier: nn.Module, x: Tensor, y: Tensor, **_: object) -> Tensor:
        return x

    never = minimal_radii(classifier, [(x, y)], silent, bounds=BOUNDS)
    assert torch.equal(never.attacked, known > 0)


def outcome(call: Callable[[], object]) -> str:
    """ "" if all went well, else what was said."""
    try:
        call()
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "wrap", [lambda z: (z, z[:, :1]), lambda z: {"logits": z}, lambda z: [z], lambda z: z[:, :1]]
)
def test_networks_that_return_no_tensor_are_treated_as_pgd_treats_them(wrap: Callable[[Tensor], object]) -> None:
    classifier, x, y = half_problem(6)
    network = Answer(lambda x: wrap(classifier(x)))
    expected = outcome(lambda: pgd(network, x, y, 0.1, steps=2, bounds=BOUNDS))
    for search in (of_radii, of_minimal_radii, of_signs, of_verdict):
        assert outcome(partial(search, network, x, y)) == expected
    assert outcome(lambda: CountPasses(network)(x)) == expected


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_every_part_in_its_mode(training: bool) -> None:
    network = restless(4, 3).train(training)
    network[2].train(not training)
    modes = [part.training for part in network.modules()]
    counted = CountPasses(network)
    assert [part.training for part in network.modules()] == modes
    assert counted.training == training
    x = torch.rand(8, 4)
    y = network.eval()(x).argmax(dim=1)
    for part, mode in zip(network.modules(), modes, strict=True):
        part.training = mode
    for search in (of_radii, of_minimal_radii, of_signs, of_verdict):
        search(network, x, y)
        assert [part.training for part in network.modules()] == modes


def test_network_that_normalises_in_place_does_not_change_the_samples() -> None:
    class InPlace(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if not x.requires_grad:
                x.sub_(0.25)
            return torch.cat([-x, x], dim=1)

    x, y = torch.tensor([[0.5], [-0.5]]), torch.tensor([1, 0])
    minimal_radii(InPlace(), [(x, y)], minimal, bounds=BOUNDS)
    assert x.tolist() == [[0.5], [-0.5]]


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize("classifier", [None, "resnet", torch.sum])
@SEARCHES
def test_what_is_no_module_is_refused(search: Search, classifier: Any) -> None:
    assert "`classifier` should be a torch.nn.Module" in refusal(lambda: search(classifier, X, Y))


def without_norm(classifier: nn.Module, x: Tensor, y: Tensor, strength: Tensor) -> Tensor:
    return x


@pytest.mark.parametrize(
    ("attack", "found"),
    [
        ("pgd", "Found 'pgd'"),
        (None, "Found None"),
        (partial(pgd, setps=3), "Found pgd: got an unexpected keyword argument 'setps'"),
        (minimal, "Found minimal: too many positional arguments"),
        (without_norm, "Found without_norm: got an unexpected keyword argument 'norm'"),
    ],
)
@pytest.mark.usefixtures("as_in_production")
def test_what_cannot_be_called_as_an_attack_is_refused(attack: Any, found: str) -> None:
    classifier, x, y = half_problem(8)[:3]
    for call in (
        lambda: critical_radii(classifier, [(x, y)], attack, bounds=BOUNDS),
        lambda: masking_signs(classifier, [(x, y)], epsilon=0.1, bounds=BOUNDS, black_box=attack),
        lambda: masking_verdict(classifier, [(x, y)], bounds=BOUNDS, black_box=attack),
    ):
        message = refusal(call)
        assert "(classifier, x, y, strength, *, norm, bounds, generator) → x_adv" in message
        assert found in message


def test_attack_that_asks_for_a_strength_is_no_minimum_norm_attack() -> None:
    message = refusal(lambda: minimal_radii(Half(torch.ones(3)), [(X, Y)], pgd, bounds=BOUNDS))
    assert "Found pgd: missing a required argument: 'epsilon'" in message


@pytest.mark.parametrize(
    ("batches", "found"),
    [
        (None, "batches of (x, y). Found NoneType"),
        ((X, Y), "(x, y, ...). Found Tensor"),
        ([X, X], "(x, y, ...). Found Tensor"),
        ([(X,)], "(x, y, ...). Found tuple"),
        ([{"image": X, "label": Y}], "(x, y, ...). Found dict of image, label"),
    ],
)
@pytest.mark.usefixtures("as_in_production")
def test_what_is_no_batch_is_named(batches: Any, found: str) -> None:
    for call in (
        lambda: critical_radii(Half(torch.ones(3)), batches, ATTACK, bounds=BOUNDS),
        lambda: masking_verdict(Half(torch.ones(3)), batches, bounds=BOUNDS),
    ):
        assert found in refusal(call)


@pytest.mark.parametrize("limit", [0, -1, 2.5, "all"])
@pytest.mark.usefixtures("as_in_production")
def test_limit_that_is_no_number_of_samples_is_refused(limit: Any) -> None:
    assert "`limit` should be" in refusal(lambda: of_verdict(Half(torch.ones(3)), X, Y, limit=limit))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": None}, "`resolution` should lie in (0, 1). Found None"),
        ({"curve_resolution": "fine"}, "`curve_resolution` should lie in (0, 1). Found 'fine'"),
        ({"epsilon_max": "much"}, "`epsilon_max` should be above 0 and finite. Found 'much'"),
        ({"at": 0.1}, "`at` should be a list of strengths. Found 0.1"),
        ({"at": ("8/255",)}, "`at` should lie in [0, 2.0]. Found '8/255'"),
        ({"seed": None}, "`seed` should be a whole number. Found None"),
    ],
)
@pytest.mark.usefixtures("as_in_production")
def test_options_of_a_search_that_are_no_numbers_are_named(options: dict[str, Any], message: str) -> None:
    assert message in refusal(lambda: of_radii(*half_problem(8)[:3], **options))


def test_batch_is_waited_for_once() -> None:
    """Whatever the judge does around an attack."""
    classifier, x, y = half_problem(8)
    judge = Judge(classifier, [(x, y)], "Linf", BOUNDS, "auto")
    given: list[int] = []

    def attack(classifier: nn.Module, x: Tensor, *_: object, **__: object) -> Tensor:
        given.append(len(found))
        return x

    with waits() as found:
        judge.judged(attack, torch.arange(8), torch.full((8,), 0.1), Draws(0))
    assert given == [0]
    # What is read after the transfer is on the CPU.
    assert found[0] == "cpu"
    assert found.count("cpu") == 1


def test_samples_and_clean_logits_lie_where_the_classifier_is() -> None:
    classifier, x, y = half_problem(8)
    judge = Judge(classifier, [(x[:5], y[:5]), (x[5:], y[5:])], "Linf", BOUNDS, 3)
    assert {judge.samples.first.device, judge.samples.y.device, judge.samples.logits.device} == {judge.device}
    assert torch.allclose(judge.samples.logits, classifier(x).detach())
    assert torch.equal(judge.correct, classifier(x).argmax(dim=1) == y)


def test_clean_logits_are_computed_in_true_float32() -> None:
    class Telling(Half):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(torch.backends.cudnn.allow_tf32)
            return super().forward(x)

    seen: list[bool] = []
    Judge(Telling(torch.ones(3)), [(X, Y)], "Linf", BOUNDS, "auto")
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32
