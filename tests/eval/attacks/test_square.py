"""Square Attack: exact on linear models, the same for a sample in any company, as strong as its authors' program."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from eval.attacks import square
from eval.attacks import squares as moves
from eval.attacks.square import image_shape, square_attack, square_search
from eval.robustness.radii import critical_radii
from tests.properties import assert_within, unchanged
from tests.waits import waits
from training import build_network
from training.attacks import attack_loss
from training.balls import L2Ball, LinfBall
from training.data import Digits
from training.leaving import Leaving
from training.passes import CountPasses

UNBOUNDED = (-math.inf, math.inf)
ORDER = {"Linf": math.inf, "L2": 2}
both_norms = pytest.mark.parametrize("norm", ["Linf", "L2"])


class Exact(nn.Module):
    """A linear classifier of two classes whose sums do not round where features are small dyadic fractions."""

    def __init__(self, slope: Tensor) -> None:
        super().__init__()
        self.slope = nn.Parameter(slope)

    def forward(self, x: Tensor) -> Tensor:
        score = (x.double().flatten(1) * self.slope.double().flatten()).sum(dim=1)
        return torch.stack([-score, score], dim=1)


class Opaque(nn.Module):
    """A classifier that refuses to be differentiated, and keeps all it was asked."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier, self.asked = classifier, []

    def forward(self, x: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        self.asked.append(x.clone())
        return self.classifier(x)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def curved(features: int, classes: int = 3) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 16), nn.Tanh(), nn.Linear(16, classes))


def dyadic(*shape: int, steps: int = 64) -> Tensor:
    return torch.randint(-steps // 2, steps // 2 + 1, shape) / steps


def margins(classifier: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return attack_loss(classifier(x), y, "margin")


def correct(classifier: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float((classifier(x).argmax(dim=1) == y).float().mean())


@pytest.mark.parametrize(
    "shape", [(2, 3, 6), *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((1, 6, 6), (36,), (37,)))]
)
def test_corner_of_the_box_is_reached_on_a_linear_model(shape):
    """Single squares of size 1 reach every corner, so the least score is found, and never more."""
    classifier, x = Exact(torch.randn(shape) + 3), torch.rand(2, *shape) / 4
    y, slope = torch.ones(2, dtype=torch.int64), classifier.slope.detach().double()
    lowest = x.double().flatten(1) @ slope.flatten() - 0.1 * slope.abs().sum()
    assert (lowest > 0).all()
    result = square_attack(classifier, x, y, 0.1, queries=2500, generator=seeded(), bounds=(-1.0, 1.0))
    torch.testing.assert_close(classifier(result)[:, 1].detach(), lowest, rtol=1e-6, atol=0)


@pytest.mark.slow
def test_critical_radii_of_a_linear_model_are_approached_from_above():
    classifier, x = Exact(torch.randn(1, 4, 4)), torch.rand(20, 1, 4, 4) - 0.5
    y = classifier(x).argmax(dim=1)
    known = classifier(x).amax(dim=1).detach() / classifier.slope.detach().double().abs().sum()
    attack = partial(square_attack, queries=500)
    found = critical_radii(classifier, [(x, y)], attack, bounds=(-1.0, 1.0), resolution=0.01).per_sample
    assert (found >= known * (1 - 1e-6)).all()
    assert (found <= known * 1.03).all()


def test_l2_shift_turns_towards_the_gradient_of_a_linear_model():
    """No shift gains more than one along the slope; windows of ready-made patterns come to about three quarters."""
    classifier, x, y = Exact(torch.randn(1, 10, 10)), torch.rand(4, 1, 10, 10), torch.ones(4, dtype=torch.int64)
    classifier.slope.data *= 50
    x += 1e3 * classifier.slope.detach().sign()
    result = square_attack(classifier, x, y, 1.0, norm="L2", queries=800, bounds=UNBOUNDED, generator=seeded())
    slope = classifier.slope.detach().double()
    gained = ((x.double() - result.double()) * slope).sum(dim=(1, 2, 3)) / slope.norm()
    assert (gained > 0.6).all()
    assert (gained <= 1).all()


@both_norms
def test_everything_is_fooled_far_above_the_largest_radius(norm):
    classifier, x = Exact(torch.randn(1, 6, 6)), torch.rand(20, 1, 6, 6) - 0.5
    y = classifier(x).argmax(dim=1)
    known = classifier(x).amax(dim=1).detach() / torch.linalg.vector_norm(
        classifier.slope.detach().double(), ord=1 if norm == "Linf" else 2
    )
    strength = float(5 * known.max())
    result, queries = square_search(
        classifier, x, y, strength, norm=norm, queries=1000, bounds=UNBOUNDED, generator=seeded()
    )
    assert correct(classifier, result, y) == 0
    assert (queries < 1000).all()


@both_norms
@pytest.mark.parametrize(
    "shape", [(2, 3, 5), *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((1, 4, 6), (25,)))]
)
def test_result_does_not_depend_on_the_batch(norm, shape):
    """Bit by bit, for a model whose sums do not depend on the size of the batch."""
    classifier, x = Exact(dyadic(*shape)), dyadic(8, *shape)
    y = classifier(x).argmax(dim=1)
    radius = torch.linspace(1, 12, 8) / (64 if norm == "Linf" else 10)
    attack = partial(square_search, classifier, norm=norm, queries=80, bounds=UNBOUNDED)
    whole = attack(x, y, radius, generator=seeded())
    assert whole.queries.min() < 80
    assert whole.queries.max() == 80
    for chosen in (torch.randperm(8), torch.tensor([6, 1, 3]), *torch.arange(8).split(1)):
        part = attack(x[chosen], y[chosen], radius[chosen], generator=seeded())
        assert torch.equal(part.adversarial, whole.adversarial[chosen])
        assert torch.equal(part.queries, whole.queries[chosen])


@both_norms
def test_seed_decides(norm):
    classifier, x, y = curved(36), torch.rand(8, 1, 6, 6), torch.arange(8) % 3
    first, again, other = (
        square_attack(classifier, x, y, 0.01, norm=norm, queries=30, generator=seeded(seed), bounds=(-1.0, 1.0))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    fresh = [square_attack(classifier, x, y, 0.01, norm=norm, queries=30, bounds=(-1.0, 1.0)) for _ in range(2)]
    assert not torch.equal(*fresh)


@both_norms
@pytest.mark.parametrize(
    "epsilon", [1e-12, 1e-3, 1e12, *(pytest.param(e, marks=pytest.mark.slow) for e in (1e-6, 0.5, 1e3))]
)
@pytest.mark.parametrize("bounds", [(-1.0, 1.0), UNBOUNDED])
def test_result_lies_within_ball_and_bounds(norm, epsilon, bounds):
    x = torch.rand(9, 2, 5, 4) * 2 - 1
    x[0, 0] = 1
    radius = epsilon * torch.linspace(0.2, 2, 9)
    for y in torch.arange(3):
        result = square_attack(curved(40), x, y.expand(9), radius, norm=norm, queries=20, bounds=bounds)
        assert result.isfinite().all()
        assert_within(result, x, radius, ORDER[norm], bounds)


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), UNBOUNDED])
def test_every_query_lies_in_the_ball_and_uses_all_of_it(bounds):
    classifier = Opaque(Exact(torch.full((49,), 10.0)))
    x, y = torch.rand(3, 49), torch.ones(3, dtype=torch.int64)
    for norm in ("Linf", "L2"):
        classifier.asked.clear()
        square_attack(classifier, x, y, 0.1, norm=norm, queries=100, bounds=bounds, generator=seeded())
        assert len(classifier.asked) == 100
        for point in classifier.asked[1:]:
            assert_within(point, x, torch.full((3,), 0.1 * (1 + 1e-6)), ORDER[norm], bounds)
            size = torch.linalg.vector_norm(point - x, ord=ORDER[norm], dim=1)
            assert (norm == "L2" and bounds[1] == 1) or (size > 0.0999).all()


def test_no_query_in_linf_repeats_the_best():
    """A square of the colour that is there already would be a query for nothing."""
    classifier = Opaque(Exact(torch.full((1, 5, 5), 10.0)))
    x, y = torch.rand(4, 1, 5, 5) / 2, torch.ones(4, dtype=torch.int64)
    square_attack(classifier, x, y, 0.1, queries=300, generator=seeded(), bounds=(-1.0, 1.0))
    best = classifier.asked[1]
    for point in classifier.asked[2:]:
        assert ((point != best).flatten(1).any(dim=1)).all()
        better = point.flatten(1).sum(dim=1) < best.flatten(1).sum(dim=1)
        best = torch.where(better[:, None, None, None], point, best)


def test_share_is_halved_on_the_papers_schedule():
    """At 10,000 queries after 10, 50, 200, 500, 1,000, 2,000, 4,000, 6,000 and 8,000, and in proportion at others."""
    shares = {number: share for numbers, share in square._rounds(10_000, 0.8) for number in numbers}
    assert list(shares) == list(range(2, 10_000))
    ends = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000, 9999]
    for halved, (end, start) in enumerate(zip(ends, [2, *(end + 1 for end in ends)], strict=False)):
        assert shares[start] == shares[end] == 0.8 / 2**halved
    fewer = {number: share for numbers, share in square._rounds(1000, 0.8) for number in numbers}
    assert list(fewer) == list(range(2, 1000))
    assert all(fewer[number] == shares[10 * number] for number in fewer)


def test_rounds_are_short_while_few_queries_have_been_made():
    for numbers, _ in square._rounds(5000, 0.8):
        assert len(numbers) <= min(max(numbers.start // 8, 1), 64)


def test_squares_have_as_many_features_as_the_share_says():
    classifier = Opaque(Exact(torch.full((1, 20, 20), 10.0)))
    x, y = torch.full((1, 1, 20, 20), 0.9), torch.ones(1, dtype=torch.int64)
    square_attack(classifier, x, y, 0.01, queries=500, generator=seeded(), bounds=(-1.0, 1.0))
    best, sides = classifier.asked[1], {}
    for number, point in enumerate(classifier.asked[2:], start=2):
        changed = (point != best)[0, 0]
        rows, columns = changed.any(dim=1).nonzero(), changed.any(dim=0).nonzero()
        sides[number] = 1 + int(max(rows.max() - rows.min(), columns.max() - columns.min()))
        best = min(point, best, key=lambda image: float(image.double().sum()))
    for numbers, share in square._rounds(500, 0.8):
        side = max(round(math.sqrt(share * 400)), 1)
        assert all(sides[number] <= side for number in numbers)
        assert len(numbers) < 8 or max(sides[number] for number in numbers) == side


@both_norms
def test_margin_never_falls_and_more_queries_never_harm(norm):
    classifier, x = curved(36), torch.rand(10, 1, 6, 6)
    y = classifier(x).argmax(dim=1)
    clean, results = margins(classifier, x, y), {}
    for queries in (2, 20, 200):
        results[queries] = margins(
            classifier,
            square_attack(classifier, x, y, 0.05, norm=norm, queries=queries, generator=seeded(), bounds=(-1.0, 1.0)),
            y,
        )
        assert (results[queries] >= clean).all()
    assert (results[200] > results[20]).float().mean() > 0.8
    assert (results[20] > results[2]).float().mean() > 0.8


@both_norms
def test_queries_are_counted_until_the_first_success(norm):
    opaque = Opaque(curved(36))
    x = torch.rand(1, 1, 6, 6)
    y = margins(opaque, x, torch.zeros(1, dtype=torch.int64)).new_zeros(1).long() + opaque.classifier(x).argmax(dim=1)
    for strength in (0.02, 0.3, 1.0):
        opaque.asked.clear()
        _, queries = square_search(
            opaque, x, y, strength, norm=norm, queries=200, generator=seeded(), bounds=(-1.0, 1.0)
        )
        wrong = [int(opaque.classifier(point).argmax(dim=1)) != int(y) for point in opaque.asked]
        assert int(queries) == (wrong.index(True) + 1 if any(wrong) else 200)
        assert len(opaque.asked) <= 200
        assert len(opaque.asked) <= int(queries) * 1.15 + 1


def test_fooled_samples_leave():
    classifier, x, y = Exact(torch.ones(16)), torch.full((64, 16), 1 / 16), torch.ones(64, dtype=torch.int64)
    radius = torch.where(torch.arange(64) == 0, 0.01, 0.5)
    counted = CountPasses(classifier)
    queries = square_search(counted, x, y, radius, queries=1000, bounds=(-1.0, 1.0)).queries
    assert queries[0] == 1000
    assert (queries[1:] < 100).all()
    assert queries.sum() <= counted.forward_passes <= 1.2 * queries.sum() + 2 * 64


def test_misclassified_input_is_returned_as_it_is():
    classifier, x = curved(6), torch.rand(5, 6)
    y = (classifier(x).argmax(dim=1) + 1) % 3
    result, queries = square_search(classifier, x, y, 0.0, queries=50, bounds=(-1.0, 1.0))
    assert torch.equal(result, x)
    assert (queries == 1).all()


@both_norms
def test_epsilon_zero_returns_the_input(norm):
    x = torch.rand(5, 1, 4, 4)
    y = torch.randint(3, (5,))
    assert torch.equal(square_attack(curved(16), x, y, 0.0, norm=norm, queries=20, bounds=(-1.0, 1.0)), x)


@both_norms
@pytest.mark.parametrize("shape", [(1,), (6,), (7,), (2, 3), (1, 1, 5), (3, 4, 4), (2, 2, 3, 4)])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_inputs_of_any_shape_are_attacked(norm, shape, size):
    x, y = torch.rand(size, *shape), torch.randint(3, (size,))
    result, queries = square_search(curved(math.prod(shape)), x, y, 0.1, norm=norm, queries=30, bounds=(-1.0, 1.0))
    assert result.shape == x.shape
    assert queries.shape == (size,)
    if size:
        assert_within(result, x, torch.full((size,), 0.1), ORDER[norm], (-1, 1))


@both_norms
def test_whole_image_is_within_reach(norm):
    """Windows begin in every row and column, the last ones included, with every size."""
    for window in ((1, 1), (3, 3), (4, 6)):
        squares = moves.LinfSquares(LinfBall(torch.zeros(1, 1, 5, 7), torch.ones(1), (-1.0, 1.0)))
        share = torch.stack(
            torch.meshgrid(torch.linspace(0, 1 - 2**-53, 50), torch.linspace(0, 1 - 2**-53, 50), indexing="ij"), -1
        )
        first = squares.first_features(share.double().reshape(50, 50, 2).clamp(max=1 - 2**-53), window).flatten()
        rows, columns = first // 7, first % 7
        assert sorted(set(rows.tolist())) == list(range(5 - window[0] + 1))
        assert sorted(set(columns.tolist())) == list(range(7 - window[1] + 1))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((500,), (1, 20, 25)),
        ((36,), (1, 6, 6)),
        ((13,), (1, 1, 13)),
        ((1,), (1, 1, 1)),
        ((8, 9), (1, 8, 9)),
        ((3, 8, 9), (3, 8, 9)),
        ((2, 3, 8, 9), (6, 8, 9)),
    ],
)
def test_layout_as_an_image(shape, expected):
    assert image_shape(shape) == expected


@pytest.mark.parametrize("side", [1, 2, 5, 9, 12])
@pytest.mark.parametrize("size", [(12, 12), (3, 48), (48, 3), (1, 144)])
def test_window_of_a_flat_image_is_as_large_as_a_square(side, size):
    tall, wide = moves._window(side, *size)
    assert tall <= size[0]
    assert wide <= size[1]
    assert tall * wide == pytest.approx(side**2, rel=0.35)


@pytest.mark.parametrize("window", [(3, 3), (5, 5), (8, 8), (1, 7), (2, 5)])
def test_pattern_is_two_opposite_bumps(window):
    upright, lying = moves._patterns(window, torch.zeros(1, dtype=torch.float64)).reshape(2, *window)
    middle = window[0] // 2
    assert (upright[:middle] > 0).all()
    assert (upright[middle:] < 0).all()
    assert (lying[:, : window[1] // 2] > 0).all()
    assert (lying[:, window[1] // 2 :] < 0).all()
    torch.testing.assert_close(torch.stack([upright, lying]).square().sum(dim=(1, 2)), torch.ones(2).double())
    if window[0] == window[1]:
        torch.testing.assert_close(upright.T, lying)


def test_bump_follows_equation_2():
    """η at (r, s), one-based, is the sum over k up to M(r, s) of 1 / (n + 1 − k)² with n = ⌊5/2⌋."""
    bump, n = moves._bump(5, 5), 2
    for r in range(1, 6):
        for s in range(1, 6):
            m = n - max(abs(r - n - 1), abs(s - n - 1))
            assert float(bump[r - 1, s - 1]) == pytest.approx(sum(1 / (n + 1 - k) ** 2 for k in range(m + 1)))


def test_l2_mass_moves_as_in_algorithm_3():
    """One move against the paper's algorithm written out for one channel of one sample after the other."""
    x, radius = torch.rand(3, 2, 9, 9, dtype=torch.float64), torch.full((3,), 2.0, dtype=torch.float64)
    heaps = moves.L2Squares(L2Ball(x, radius, UNBOUNDED))
    keys = torch.arange(3)
    heaps.start(keys)
    heaps.state *= torch.tensor([0.5, 0.9, 1.0])[:, None, None]
    before = heaps.state.reshape(3, 2, 9, 9).clone()
    (move,) = heaps.moves(keys, range(7, 8), 0.2)
    points = heaps.moved(*move)
    gaining, losing, lying, signs, patterns, _ = move
    side = round(math.sqrt(patterns.shape[1]))
    for i in range(3):
        shift, expected = before[i], before[i].clone()
        corners = [divmod(int(first[i]), 9) for first in (gaining, losing)]
        one, two = ((slice(a, a + side), slice(b, b + side)) for a, b in corners)
        union = torch.zeros(9, 9, dtype=torch.bool)
        union[one] = union[two] = True
        unused = 1 - shift.square().sum()
        for c in range(2):
            heap = signs[i, c] * patterns[lying[i]].reshape(side, side) + shift[c][one] / shift[c][one].norm()
            available = (shift[c][union].square().sum() + unused / 2).sqrt()
            expected[c][two] = 0
            expected[c][one] = heap / heap.norm() * available
        torch.testing.assert_close((points[i] - x[i]) / 2, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.slow
@both_norms
def test_as_strong_as_the_authors_program(norm, quiet_trainer):
    """Robust accuracy at equal queries within a few points of pyautoattack's Square, which takes inputs in [0, 1]."""
    reference = pytest.importorskip("pyautoattack.square")
    data = Digits(batch_size=64)
    classifier = build_network("small_cnn", shape=data.shape, num_classes=10, bounds=(-1.0, 1.0))
    optimizer = torch.optim.Adam(classifier.parameters(), lr=3e-3)
    for _ in range(4):
        for x, y, *_ in data.batches("train"):
            optimizer.zero_grad()
            nn.functional.cross_entropy(classifier(x), y).backward()
            optimizer.step()
    batches = list(data.batches("test"))
    x, y = torch.cat([batch[0] for batch in batches])[:150], torch.cat([batch[1] for batch in batches])[:150]
    for epsilon in (0.2, 0.35) if norm == "Linf" else (1.0, 1.7):
        ours = square_attack(
            classifier, x, y, epsilon, norm=norm, queries=200, generator=seeded(), bounds=(-1.0, 1.0)
        )
        theirs = reference.SquareAttack(
            lambda z: classifier(2 * z - 1), norm=norm, n_queries=199, eps=epsilon / 2, seed=0
        )
        with torch.random.fork_rng():
            result = theirs.perturb((x + 1) / 2, y) * 2 - 1
        found, expected = correct(classifier, ours, y), correct(classifier, result, y)
        assert 0.02 < expected < correct(classifier, x, y) - 0.05
        assert found <= expected + 0.04
        assert found >= expected - 0.15


@both_norms
@pytest.mark.parametrize("inference", [False, True])
def test_attack_leaves_no_trace_and_asks_for_no_gradient(norm, inference):
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3))
    classifier = Opaque(network)
    x, y = torch.rand(5, 1, 3, 4).requires_grad_(), torch.arange(5) % 3
    before = x.detach().clone()
    with unchanged(classifier), torch.inference_mode(inference):
        result = square_attack(classifier, x, y, 0.1, norm=norm, queries=20, bounds=(-1.0, 1.0))
    assert torch.equal(x, before)
    assert not result.requires_grad


def test_radii_of_unbounded_vectors():
    """Spheres' case: vectors of no legal range, and a radius per sample."""
    classifier, x = Exact(torch.ones(20)), torch.randn(10, 20) + 1
    y = classifier(x).argmax(dim=1)
    known = classifier(x).amax(dim=1).detach() / 20
    attack = partial(square_attack, queries=500)
    radii = critical_radii(classifier, [(x, y)], attack, bounds=UNBOUNDED, resolution=0.02)
    assert radii.rejected == 0
    torch.testing.assert_close(radii.per_sample, known, rtol=0.03, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "L1"}, "`norm` should be one of Linf, L2. Found 'L1'"),
        ({"queries": 1}, "`queries` should be at least 2. Found 1"),
        ({"p": 0.0}, r"`p` should lie in \(0, 1\]. Found 0.0"),
        ({"p": 1.5}, r"`p` should lie in \(0, 1\]. Found 1.5"),
        ({"strength": -0.1}, "`strength` should be at least 0. Found -0.1"),
        ({"strength": torch.ones(3)}, r"`strength` should be one number or one per sample \(4\)"),
        ({"y": torch.tensor([0, 1, 2, 3])}, r"`y` should lie in \[0, 3\)"),
        ({"x": torch.full((4, 6), torch.nan)}, "`x` should be finite"),
        ({"x": torch.full((4, 6), 2.0)}, "`x` should lie within `bounds`"),
        ({"bounds": (1.0, -1.0)}, r"`bounds` should be \(low, high\)"),
    ],
)
def test_bad_input_is_refused(as_in_production, options, message):
    given = {"x": torch.rand(4, 6), "y": torch.arange(4) % 3, "strength": 0.1, "bounds": (-1.0, 1.0)} | options
    with pytest.raises(ValueError, match=message):
        square_attack(curved(6), **given)


def test_bad_logits_are_refused():
    x, y = torch.rand(4, 6), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"`classifier\(x\)` should be finite"):
        square_attack(lambda_of(lambda x: torch.full((len(x), 2), torch.nan)), x, y, 0.1, bounds=(-1.0, 1.0))
    with pytest.raises(ValueError, match="`classifier` should return logits"):
        square_attack(lambda_of(lambda x: x[:, :1]), x, y, 0.1, bounds=(-1.0, 1.0))


def test_nan_on_the_way_counts_as_no_success():
    def logits(x: Tensor) -> Tensor:
        broken = (x - 0.5).abs().amax(dim=1, keepdim=True) > 0
        return torch.where(broken, torch.nan, torch.tensor([[1.0, 0.0]]))

    x = torch.full((3, 6), 0.5)
    result = square_search(
        lambda_of(logits), x, torch.zeros(3, dtype=torch.int64), 0.1, queries=30, bounds=(-1.0, 1.0)
    )
    assert torch.equal(result.adversarial, x)
    assert (result.queries == 30).all()


def lambda_of(function) -> nn.Module:
    module = nn.Module()
    module.forward = function
    return module


def on_gpu(monkeypatch: pytest.MonkeyPatch, every: int = 8) -> None:
    """Samples leave as they do on a GPU."""
    monkeypatch.setattr(Leaving, "for_device", lambda device: Leaving(every=every, buckets=True))


@both_norms
@pytest.mark.parametrize("every", [8, *(pytest.param(every, marks=pytest.mark.slow) for every in (1, 200))])
def test_samples_that_leave_in_buckets_end_where_they_would_have(norm, every, monkeypatch):
    """Bit by bit, for a model whose sums do not depend on the size of the batch."""
    classifier, x = Exact(dyadic(1, 5, 5)), dyadic(300, 1, 5, 5)
    y = classifier(x).argmax(dim=1)
    y[:20] = 1 - y[:20]
    radius = torch.linspace(1, 25, 300)[torch.randperm(300)] / (64 if norm == "Linf" else 10)
    attack = partial(square_search, y=y, strength=radius, norm=norm, queries=300, bounds=UNBOUNDED)
    at_once = Opaque(classifier)
    expected = attack(at_once, x, generator=seeded())
    assert (expected.queries[:20] == 1).all()
    assert 50 < (expected.queries < 300).sum() < 290
    on_gpu(monkeypatch, every)
    bucketed = Opaque(classifier)
    found = attack(bucketed, x, generator=seeded())
    assert torch.equal(found.adversarial, expected.adversarial)
    assert torch.equal(found.queries, expected.queries)
    sizes = [len(asked) for asked in bucketed.asked]
    assert set(sizes) <= {300, 256, 128, 64}
    assert {300, 64} < set(sizes)
    assert len({len(asked) for asked in at_once.asked}) > 10


def test_gpu_is_asked_to_decide_every_eight_queries_at_most(monkeypatch):
    """While rounds are short it is not waited for after each."""
    decided = []
    rows = Leaving.rows
    monkeypatch.setattr(Leaving, "rows", lambda self, stays: decided.append(len(stays)) or rows(self, stays))
    classifier, x, y = Exact(torch.full((16,), 10.0)), torch.rand(3, 16), torch.ones(3, dtype=torch.int64)
    counts = {}
    for every in (1, 8):
        decided.clear()
        on_gpu(monkeypatch, every)
        square_attack(classifier, x, y, 0.01, queries=500, bounds=(-1.0, 1.0))
        counts[every] = len(decided)
    assert counts[1] == len(list(square._rounds(500, 0.8)))
    assert counts[8] <= counts[1] - 15


@both_norms
def test_queries_make_no_gpu_wait_but_for_the_decisions(norm, monkeypatch):
    decided, rows = [], Leaving.rows
    monkeypatch.setattr(Leaving, "rows", lambda self, stays: decided.append(len(stays)) or rows(self, stays))
    on_gpu(monkeypatch)
    classifier, x, y = Exact(torch.full((1, 5, 5), 10.0)), torch.rand(3, 1, 5, 5), torch.ones(3, dtype=torch.int64)
    beside = []
    for queries in (20, 300):
        decided.clear()
        with waits() as found:
            square_attack(classifier, x, y, 0.01, norm=norm, queries=queries, bounds=(-1.0, 1.0))
        beside.append(len(found) - len(decided))
    assert beside[0] == beside[1]
