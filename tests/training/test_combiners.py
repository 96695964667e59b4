"""Combiners and conflict: worked by hand, against a plain second implementation, and as the papers' theorems say."""

import math
from collections.abc import Iterator

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from training.combiners import AGR, CAAT, Combiner, TorchJD, WeightedSum
from training.conflict import conflict

SHAPES = [(1,), (7,), (3, 4), (), (16, 3, 3, 3), (2000,)]
GAMMAS = [0.0, 0.3, 0.7, 0.8, 0.9, 0.999]
HALVES = [torch.float16, torch.bfloat16]
SINGLE = 2**-23
"""The gap between float32 numbers around 1."""


class Total(nn.Module):
    """The simplest aggregator; remembers the matrix it was given."""

    def forward(self, matrix: Tensor) -> Tensor:
        self.matrix = matrix
        return matrix.sum(dim=0)


COMBINERS = {
    "weighted": lambda: WeightedSum({"clean": 0.3, "adversarial": 0.7}),
    "agr": AGR,
    "caat": CAAT,
    "caat1": lambda: CAAT(gamma=1.0),
    "torchjd": lambda: TorchJD(Total()),
}
every_combiner = pytest.mark.parametrize("make", COMBINERS.values(), ids=COMBINERS)


def tensors(*values: list[float]) -> list[Tensor]:
    return [torch.tensor(value) for value in values]


def pair(clean: list[Tensor], adversarial: list[Tensor]) -> dict[str, list[Tensor]]:
    return {"clean": clean, "adversarial": adversarial}


def random_pairs(number: int = 40) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Gradients of scales from 1e-10 to 1e10, another for every tensor, at all angles to each other."""
    for _ in range(number):
        scales = 10 ** torch.empty(2, len(SHAPES)).uniform_(-10, 10)
        clean = [torch.randn(shape) for shape in SHAPES]
        lean = torch.randn(()) * 3
        adversarial = [torch.randn(shape) + lean * g for shape, g in zip(SHAPES, clean, strict=True)]
        yield (
            [g * scale for g, scale in zip(clean, scales[0], strict=True)],
            [g * scale for g, scale in zip(adversarial, scales[1], strict=True)],
        )


def flat(gradients: list[Tensor]) -> Tensor:
    return torch.cat([g.double().flatten() for g in gradients])


def cosine(u: Tensor, v: Tensor) -> float:
    u, v = u.double().flatten(), v.double().flatten()
    return float(u @ v / (u.norm() * v.norm()))


def naive_agr(g_n: Tensor, g_a: Tensor, clip_norm: float | None, gop: bool = True, gics: bool = True) -> Tensor:
    """Algorithm 1 of paper 2 for one tensor, line by line, in float64."""
    g_n, g_a = g_n.double(), g_a.double()
    cs = cosine(g_n, g_a)
    g = g_a
    if cs < 0 and gop:
        g = g_a - (g_a * g_n).sum() / (g_n * g_n).sum() * g_n
    if cs >= 0 and gics:
        g = cs * g_n + (1 - cs) * g_a
    return g if clip_norm is None else g / max(1, float(g.norm()) / clip_norm)


def naive_caat(g_n: Tensor, g_a: Tensor, gamma: float) -> Tensor:
    """Eq. 4 of paper 3 for one vector in float64."""
    phi, rest = cosine(g_n, g_a), math.sqrt(1 - gamma**2)
    if phi > gamma:
        return g_n
    return g_a + g_a.norm() * (gamma * math.sqrt(1 - phi**2) - phi * rest) / (g_n.norm() * rest) * g_n


def assert_near(found: Tensor, expected: Tensor, size: Tensor) -> None:
    """Equal to float32 rounding of something of that size."""
    assert (found.double() - expected).norm() <= 4 * SINGLE * size.double().norm()


# Conflict


def test_conflict_worked_by_hand():
    # Tensor 1: lengths 5 and 10, at right angles. Tensor 2: lengths 1 and 2, opposed.
    # Together ⟨g_n, g_a⟩ = 0 − 2, ‖g_n‖² = 26, ‖g_a‖² = 104, so φ = −2/52 and μ = 52 + 2.
    measured = conflict(tensors([3.0, 4.0], [[1.0, 0.0]]), tensors([8.0, -6.0], [[-2.0, 0.0]]))
    assert measured.cosines.tolist() == [0, -1]
    assert measured.clean_norms.tolist() == [5, 1]
    assert measured.adversarial_norms.tolist() == [10, 2]
    assert float(measured.opposed) == 0.5
    assert float(measured.clean_norm) == pytest.approx(math.sqrt(26))
    assert float(measured.adversarial_norm) == pytest.approx(math.sqrt(104))
    assert float(measured.cosine) == pytest.approx(-1 / 26)
    assert float(measured.mu) == pytest.approx(54)


def test_conflict_is_right_at_every_scale():
    for clean, adversarial in random_pairs():
        measured = conflict(clean, adversarial)
        exact = [cosine(g_n, g_a) for g_n, g_a in zip(clean, adversarial, strict=True)]
        torch.testing.assert_close(measured.cosines, torch.tensor(exact).double(), rtol=0, atol=SINGLE)
        lengths = torch.stack([g.double().norm() for g in clean])
        torch.testing.assert_close(measured.clean_norms, lengths, rtol=1e-12, atol=0)
        phi = cosine(flat(clean), flat(adversarial))
        assert float(measured.cosine) == pytest.approx(phi, abs=SINGLE)
        mu = float(flat(clean).norm() * flat(adversarial).norm()) * (1 - phi)
        size = float(flat(clean).norm() * flat(adversarial).norm())
        assert float(measured.mu) == pytest.approx(mu, abs=SINGLE * size)
        assert float(measured.opposed) == sum(value < 0 for value in exact) / len(exact)


@pytest.mark.parametrize("scale", [1e-18, 1e18])
def test_conflict_is_right_at_the_ends_of_its_range(scale):
    clean, adversarial = torch.randn(2, 1000) * scale
    found = conflict([clean], [adversarial]).cosine
    assert float(found) == pytest.approx(cosine(clean, adversarial), abs=SINGLE)


@pytest.mark.parametrize("delta", [1e-1, 1e-2, 1e-3])
def test_conflict_of_nearly_parallel_gradients_goes_with_the_square_of_their_difference(delta):
    # ‖g_n‖ = 1 and g_a = g_n + δ h with h a unit vector at a right angle: μ = √(1 + δ²) − 1 ≈ δ²/2.
    g_n, h = torch.linalg.qr(torch.randn(1000, 2, dtype=torch.float64)).Q.T
    mu = conflict([g_n.float()], [(g_n + delta * h).float()]).mu
    assert float(mu) == pytest.approx(delta**2 / 2, rel=0.01)


def test_parallel_gradients_do_not_exceed_one():
    clean = [torch.randn(()) for _ in range(500)]
    cosines = conflict(clean, [3 * g for g in clean]).cosines
    assert cosines.max() == 1
    assert cosines.min() > 1 - SINGLE


@pytest.mark.parametrize("zero", ["clean", "adversarial", "both"])
def test_zero_gradient_has_a_cosine_of_zero(zero):
    gradients = pair([torch.ones(3)], [torch.ones(3)])
    for name in gradients if zero == "both" else [zero]:
        gradients[name] = [torch.zeros(3)]
    measured = conflict(**gradients)
    assert [measured.cosines.item(), measured.cosine.item(), measured.opposed.item(), measured.mu.item()] == [0] * 4


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_not_hidden(bad):
    measured = conflict(tensors([1.0, bad], [1.0]), tensors([1.0, 1.0], [1.0]))
    assert measured.cosines.isnan().tolist() == [True, False]
    assert measured.mu.isnan()


# Weighted sum


def test_weighted_sum_worked_by_hand():
    # ¼ (4, 8) + ¾ (8, −4) = (7, −1)
    combine = WeightedSum({"adversarial": 0.75, "clean": 0.25})
    (combined,) = combine(pair(tensors([4.0, 8.0]), tensors([8.0, -4.0])))
    assert combined.tolist() == [7, -1]


def test_weighted_sum_takes_any_number_of_losses_by_any_name():
    gradients = {name: [torch.randn(3, 2), torch.randn(5)] for name in ("a", "b", "c")}
    combined = WeightedSum({"a": 2.0, "b": -1.0, "c": 0.5})(gradients)
    for found, a, b, c in zip(combined, *gradients.values(), strict=True):
        torch.testing.assert_close(found, 2 * a - b + 0.5 * c)


def test_weight_of_one_beside_zero_is_plain_adversarial_training_bit_for_bit():
    for clean, adversarial in random_pairs(10):
        combined = WeightedSum({"clean": 0.0, "adversarial": 1.0})(pair(clean, adversarial))
        assert all(torch.equal(found, g_a) for found, g_a in zip(combined, adversarial, strict=True))


@pytest.mark.parametrize("names", [{"clean"}, {"clean", "other"}, {"clean", "adversarial", "alignment"}])
def test_weights_must_name_the_losses(names):
    combine = WeightedSum(dict.fromkeys(names, 1.0))
    message = f"`weights` should name the losses adversarial, clean. Found {', '.join(sorted(names))}"
    with pytest.raises(ValueError, match=message):
        combine(pair([torch.ones(2)], [torch.ones(2)]))


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_weights_must_be_finite(weight):
    with pytest.raises(ValueError, match=rf"`weights\['clean'\]` should be finite. Found {weight}"):
        WeightedSum({"clean": weight})


# AGR


def test_agr_projects_opposed_gradients_worked_by_hand():
    # ⟨g_a, g_n⟩ = −6 and ⟨g_n, g_n⟩ = 4, so g_a + 1.5 g_n = (−3, 4) + (3, 0).
    (combined,) = AGR(clip_norm=None)(pair(tensors([2.0, 0.0]), tensors([-3.0, 4.0])))
    assert combined.tolist() == [0, 4]


def test_agr_interpolates_agreeing_gradients_worked_by_hand():
    # cs = 6 / (2 · 5) = 0.6, so 0.6 (2, 0) + 0.4 (3, 4) = (2.4, 1.6).
    (combined,) = AGR(clip_norm=None)(pair(tensors([2.0, 0.0]), tensors([3.0, 4.0])))
    torch.testing.assert_close(combined, torch.tensor([2.4, 1.6]))


def test_agr_clips_every_tensor_on_its_own_worked_by_hand():
    # Lengths 4, as above, and 0.05: only the first is longer than 0.1.
    clean, adversarial = tensors([2.0, 0.0], [0.0, 1.0]), tensors([-3.0, 4.0], [0.05, 0.0])
    first, second = AGR()(pair(clean, adversarial))
    torch.testing.assert_close(first, torch.tensor([0.0, 0.1]))
    torch.testing.assert_close(second, torch.tensor([0.05, 0.0]))


@pytest.mark.parametrize(
    "options", [(None,), (0.1,), (1e5,), (None, False, True), (None, True, False), (0.1, False, False)]
)
def test_agr_agrees_with_the_algorithm_tensor_by_tensor(options):
    for clean, adversarial in random_pairs(30):
        combined = AGR(*options)(pair(clean, adversarial))
        for found, g_n, g_a in zip(combined, clean, adversarial, strict=True):
            expected, size = naive_agr(g_n, g_a, *options), torch.maximum(g_n.norm(), g_a.norm())
            if expected.norm() > 1e-5 * g_a.norm():  # else the combined is the rounding of what cancels
                scale = min(1, (options[0] or math.inf) / float(naive_agr(g_n, g_a, None, *options[1:]).norm()))
                assert_near(found, expected, size * scale)


@pytest.mark.parametrize("clip_norm", [None, 0.1, 1e5])
def test_agr_opposes_neither_gradient_in_any_tensor(clip_norm):
    # Theorem 4.1. Opposed gradients cancel, which float32 does to a part in 2²³ of g_a's length.
    opposed = 0
    for clean, adversarial in random_pairs():
        gradients = pair(clean, adversarial)
        opposed += float(conflict(**gradients).opposed)
        for free, found, g_n, g_a in zip(
            AGR(None)(gradients), AGR(clip_norm)(gradients), clean, adversarial, strict=True
        ):
            shrink = found.double().norm() / free.double().norm().clamp(min=1e-300)
            for g in (g_n, g_a):
                inner = (found.double() * g.double()).sum()
                assert inner >= -2 * SINGLE * shrink * g_a.double().norm() * g.double().norm()
    assert 8 < opposed < 32


def test_agr_returns_no_tensor_longer_than_its_clip():
    for clean, adversarial in random_pairs():
        for combined in AGR(clip_norm=0.1)(pair(clean, adversarial)):
            assert combined.double().norm() <= 0.1 * (1 + SINGLE)


def test_agr_acts_per_tensor_and_not_on_the_whole():
    # Together the gradients agree (⟨g_n, g_a⟩ = 9 − 1), in the second tensor alone they are opposed.
    clean, adversarial = tensors([3.0], [1.0, 0.0]), tensors([3.0], [-1.0, 1.0])
    combined = AGR(clip_norm=None)(pair(clean, adversarial))
    assert [tensor.tolist() for tensor in combined] == [[3], [0, 1]]


@pytest.mark.parametrize("parts", [{}, {"gop": False}, {"gics": False}])
def test_tensor_without_a_clean_gradient_keeps_the_adversarial_one(parts):
    adversarial = [torch.randn(4), torch.randn(3)]
    combined = AGR(clip_norm=None, **parts)(pair([torch.zeros(4), torch.ones(3)], adversarial))
    assert torch.equal(combined[0], adversarial[0])


def test_agr_of_opposite_gradients_is_zero():
    g = torch.randn(50)
    (combined,) = AGR()(pair([g], [-g]))
    assert combined.norm() <= SINGLE * g.norm()


@pytest.mark.parametrize("clip_norm", [0.0, -1.0, math.nan])
def test_clip_must_be_above_zero(clip_norm):
    with pytest.raises(ValueError, match=f"`clip_norm` should be above 0, or None for no clip. Found {clip_norm}"):
        AGR(clip_norm=clip_norm)


# CA-AT


def test_caat_turns_the_adversarial_gradient_worked_by_hand():
    # φ = −6 / (2 · 5) = −0.6 ≤ 0.6: the factor is 5 (0.6·0.8 + 0.6·0.8) / (2·0.8) = 3, so (−3, 4) + 3 (2, 0).
    (combined,) = CAAT(gamma=0.6)(pair(tensors([2.0, 0.0]), tensors([-3.0, 4.0])))
    torch.testing.assert_close(combined, torch.tensor([3.0, 4.0]))


def test_caat_lets_the_clean_gradient_lead_where_the_two_agree():
    # φ = 0.96 > 0.8.
    clean, adversarial = tensors([3.0], [4.0]), tensors([4.0], [3.0])
    combined = CAAT(gamma=0.8)(pair(clean, adversarial))
    assert [tensor.tolist() for tensor in combined] == [[3], [4]]


def test_caat_turns_gradients_exactly_at_the_goal():
    # φ = γ = 0 belongs to the first branch, whose factor is 0 there: the combined is g_a.
    (combined,) = CAAT(gamma=0.0)(pair(tensors([2.0, 0.0]), tensors([0.0, 5.0])))
    assert combined.tolist() == [0, 5]


@pytest.mark.parametrize("gamma", GAMMAS)
def test_caat_agrees_with_the_equation_over_the_whole_vector(gamma):
    turned = 0
    for clean, adversarial in random_pairs(30):
        g_n, g_a = flat(clean), flat(adversarial)
        turned += cosine(g_n, g_a) <= gamma
        combined = flat(CAAT(gamma)(pair(clean, adversarial)))
        factor = 1 / math.sqrt(1 - gamma**2)
        assert_near(combined, naive_caat(g_n, g_a, gamma), torch.maximum(g_n.norm(), factor * g_a.norm()))
    assert turned > 10


@pytest.mark.parametrize("gamma", GAMMAS)
def test_caat_reaches_its_goal(gamma):
    # cos(g, g_n) = γ, and ‖g‖ = ‖g_a‖ sin φ / sin γ; g is that much shorter than what cancels in it.
    for clean, adversarial in random_pairs():
        g_n, g_a, g = flat(clean), flat(adversarial), flat(CAAT(gamma)(pair(clean, adversarial)))
        phi = cosine(g_n, g_a)
        if abs(phi) < min(gamma, 0.99) or phi in (0, -gamma):
            assert cosine(g, g_n) == pytest.approx(gamma, abs=40 * SINGLE)
            length = float(g_a.norm()) * math.sqrt((1 - phi**2) / (1 - gamma**2))
            assert float(g.norm()) == pytest.approx(length, rel=1e-4)


def test_caat_acts_on_the_whole_and_not_per_tensor():
    clean, adversarial = [torch.randn(3, 2), torch.randn(5)], [torch.randn(3, 2), torch.randn(5)]
    apart = CAAT()(pair(clean, adversarial))
    whole = [torch.cat([g.flatten() for g in gradient]) for gradient in (clean, adversarial)]
    (together,) = CAAT()(pair(*([g] for g in whole)))
    torch.testing.assert_close(torch.cat([g.flatten() for g in apart]), together)


def test_goal_of_one_is_the_clean_gradient():
    for clean, adversarial in random_pairs(10):
        combined = CAAT(gamma=1.0)(pair(clean, adversarial))
        assert all(torch.equal(found, g_n) for found, g_n in zip(combined, clean, strict=True))


def test_caat_without_a_clean_gradient_is_the_adversarial_one():
    g_a = [torch.randn(4), torch.randn(3)]
    combined = CAAT()(pair([torch.zeros(4), torch.zeros(3)], g_a))
    assert all(torch.equal(found, expected) for found, expected in zip(combined, g_a, strict=True))


def test_caat_without_an_adversarial_gradient_is_zero():
    (combined,) = CAAT()(pair([torch.randn(4)], [torch.zeros(4)]))
    assert combined.tolist() == [0] * 4


def test_caat_of_opposite_gradients_is_zero():
    g = torch.randn(50)
    (combined,) = CAAT()(pair([g], [-g]))
    assert combined.norm() <= SINGLE * g.norm()


@pytest.mark.parametrize("gamma", [-0.1, 1.1, math.nan])
def test_goal_must_be_in_the_unit_interval(gamma):
    with pytest.raises(ValueError, match=rf"`gamma` should be in \[0, 1\]. Found {gamma}"):
        CAAT(gamma=gamma)


# TorchJD


def test_rows_of_the_matrix_are_the_losses_by_name():
    aggregator = Total()
    gradients = {"clean": tensors([[1.0], [2.0]], 3.0), "adversarial": tensors([[4.0], [5.0]], 6.0)}
    combined = TorchJD(aggregator)(gradients)
    assert aggregator.matrix.tolist() == [[4, 5, 6], [1, 2, 3]]
    assert [tensor.tolist() for tensor in combined] == [[[5], [7]], 9]


@pytest.mark.parametrize(("name", "share"), [("Sum", 1), ("Mean", 1 / 3)])
def test_linear_aggregators_have_their_closed_form(name, share):
    aggregation = pytest.importorskip("torchjd.aggregation")
    gradients = {loss: [torch.randn(3, 2), torch.randn(5)] for loss in ("clean", "adversarial", "alignment")}
    combined = TorchJD(getattr(aggregation, name)())(gradients)
    for found, *parts in zip(combined, *gradients.values(), strict=True):
        torch.testing.assert_close(found, share * (parts[0] + parts[1] + parts[2]))


@pytest.mark.parametrize("lean", [-1, 1])
def test_pcgrad_has_its_closed_form(lean):
    aggregation = pytest.importorskip("torchjd.aggregation")
    clean, adversarial = [torch.randn(3, 2), torch.randn(5)], [torch.randn(3, 2), torch.randn(5)]
    adversarial = [g_a + lean * g_n for g_a, g_n in zip(adversarial, clean, strict=True)]
    g_n, g_a = flat(clean), flat(adversarial)
    conflicting = min(float(g_n @ g_a), 0.0)
    assert (conflicting < 0) == (lean < 0)
    expected = g_n - conflicting / (g_a @ g_a) * g_a + g_a - conflicting / (g_n @ g_n) * g_n
    combined = TorchJD(aggregation.PCGrad())(pair(clean, adversarial))
    torch.testing.assert_close(flat(combined), expected, rtol=1e-5, atol=1e-5)


def test_upgrad_of_two_gradients_is_half_of_pcgrad():
    """Each gradient is projected onto those that oppose neither; UPGrad takes the mean of the two, PCGrad the sum."""
    pytest.importorskip("quadprog")
    aggregation = pytest.importorskip("torchjd.aggregation")
    clean, adversarial = [torch.randn(3, 2), torch.randn(5)], [torch.randn(3, 2), torch.randn(5)]
    opposed = [g_a - g_n for g_a, g_n in zip(adversarial, clean, strict=True)]
    found, twice = (TorchJD(make())(pair(clean, opposed)) for make in (aggregation.UPGrad, aggregation.PCGrad))
    torch.testing.assert_close(flat(found), flat(twice) / 2, rtol=1e-3, atol=1e-3)


# What all have in common


@every_combiner
def test_single_gradient_is_left_as_it_is_bit_for_bit(make):
    for name in ("clean", "adversarial", "alignment"):
        gradient = [torch.randn(4) * 1e10, torch.randn(3, 2)]
        combined = make()({name: gradient})
        assert all(torch.equal(found, g) for found, g in zip(combined, gradient, strict=True))


@every_combiner
def test_one_loss_through_a_combiner_is_ordinary_sgd_bit_for_bit(make, linear):
    x, y = torch.randn(20, 6), torch.randint(3, (20,))
    models = [linear(6, 3), linear(6, 3)]
    models[1].load_state_dict(models[0].state_dict())
    combine = make()
    for model in models:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            loss = nn.functional.cross_entropy(model(x), y)
            if model is models[0]:
                optimizer.zero_grad()
                loss.backward()
            else:
                parameters = list(model.parameters())
                gradient = combine({"adversarial": list(torch.autograd.grad(loss, parameters))})
                for parameter, g in zip(parameters, gradient, strict=True):
                    parameter.grad = g
            optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True))


@every_combiner
def test_gradients_given_are_left_unchanged(make):
    clean, adversarial = next(random_pairs(1))
    before = [g.clone() for g in clean + adversarial]
    make()(pair(clean, adversarial))
    assert all(torch.equal(g, b) for g, b in zip(clean + adversarial, before, strict=True))


@every_combiner
def test_order_of_the_losses_does_not_matter(make):
    clean, adversarial = next(random_pairs(1))
    combined = make()({"clean": clean, "adversarial": adversarial})
    swapped = make()({"adversarial": adversarial, "clean": clean})
    assert all(torch.equal(a, b) for a, b in zip(combined, swapped, strict=True))


@every_combiner
@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_computed_in_single(make, dtype):
    # In float16 the square of 6e4 overflows, and so does a sum of two such numbers.
    halves = [[(torch.rand(shape) * 3e4).to(dtype) for shape in SHAPES] for _ in range(2)]
    combined = make()(pair(*halves))
    expected = make()(pair(*([g.float() for g in gradient] for gradient in halves)))
    for found, exact in zip(combined, expected, strict=True):
        assert found.dtype == dtype
        assert torch.equal(found, exact.to(dtype))


@every_combiner
def test_double_precision_stays_double(make):
    clean, adversarial = ([g.double() for g in gradient] for gradient in next(random_pairs(1)))
    assert all(tensor.dtype == torch.float64 for tensor in make()(pair(clean, adversarial)))


@every_combiner
def test_nothing_waits_for_the_device(make):
    # Tensors without values: whatever asks for one raises.
    with FakeTensorMode():
        clean, adversarial = ([torch.randn(shape) for shape in SHAPES] for _ in range(2))
        with pytest.raises(Exception, match=r"item|_local_scalar_dense"):
            bool(clean[0].sum() > 0)
        combined = make()(pair(clean, adversarial))
        measured = conflict(clean, adversarial)
        everything = measured.cosines, measured.opposed, measured.cosine, measured.mu
    assert [tensor.shape for tensor in combined] == [torch.Size(shape) for shape in SHAPES]
    assert [tensor.shape for tensor in everything] == [(len(SHAPES),), (), (), ()]


@pytest.mark.parametrize("make", [AGR, CAAT, lambda: CAAT(gamma=1.0)], ids=["agr", "caat", "caat1"])
def test_further_gradients_are_added_to_the_combination_of_two(make):
    clean, adversarial, alignment = ([torch.randn(3, 2), torch.randn(5)] for _ in range(3))
    before = [g.clone() for g in clean + adversarial + alignment]
    two = make()(pair(clean, adversarial))
    three = make()({"alignment": alignment} | pair(clean, adversarial))
    for found, combined, further in zip(three, two, alignment, strict=True):
        assert torch.equal(found, combined + further)
    assert all(torch.equal(g, b) for g, b in zip(clean + adversarial + alignment, before, strict=True))


@pytest.mark.parametrize("make", [AGR, CAAT], ids=["agr", "caat"])
def test_what_has_been_measured_is_not_measured_again(make, monkeypatch):
    gradients = pair(*next(random_pairs(1)))
    measured, expected = conflict(**gradients), make()(gradients)
    monkeypatch.setattr("training.combiners.conflict", None)
    assert all(torch.equal(a, b) for a, b in zip(make()(gradients, measured), expected, strict=True))


@pytest.mark.parametrize("make", [AGR, CAAT], ids=["agr", "caat"])
def test_combiners_of_two_need_these_two(make):
    with pytest.raises(ValueError, match=r"should be `clean`, `adversarial` and .* Found alignment, clean"):
        make()({"clean": [torch.ones(2)], "alignment": [torch.ones(2)]})


@every_combiner
@pytest.mark.parametrize("other", [[(3,)], [(2,), (3,)], []])
def test_gradients_of_different_shapes_are_refused(make, other):
    gradients = pair([torch.ones(2)], [torch.ones(shape) for shape in other])
    with pytest.raises(
        ValueError, match=r"`gradients` should have the same shapes .* \[\(2,\)\]. Found .* 'adversarial'"
    ):
        make()(gradients)


@pytest.mark.parametrize(
    ("written", "kind", "held"),
    [
        ({"class_path": "training.combiners.AGR", "init_args": {"clip_norm": None}}, AGR, {"clip_norm": None}),
        ({"class_path": "training.combiners.CAAT", "init_args": {"gamma": 0.9}}, CAAT, {"gamma": 0.9}),
        (
            {"class_path": "training.combiners.WeightedSum", "init_args": {"weights": {"clean": 0.1, "b": 0.9}}},
            WeightedSum,
            {"weights": {"clean": 0.1, "b": 0.9}},
        ),
    ],
)
def test_combiners_are_made_from_a_configuration(written, kind, held):
    combine = configured(written)
    assert isinstance(combine, kind)
    assert {name: getattr(combine, name) for name in held} == held


def test_aggregators_are_made_from_a_configuration():
    aggregation = pytest.importorskip("torchjd.aggregation")
    inner = {"class_path": "torchjd.aggregation.TrimmedMean", "init_args": {"trim_number": 1}}
    combine = configured({"class_path": "training.combiners.TorchJD", "init_args": {"aggregator": inner}})
    assert isinstance(combine.aggregator, aggregation.TrimmedMean)
    assert combine.aggregator.trim_number == 1


def configured(written: dict) -> Combiner:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--combiner", type=Combiner)
    return parser.instantiate_classes(parser.parse_object({"combiner": written})).combiner
