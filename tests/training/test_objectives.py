"""Objectives: closed forms, a naive second implementation, and what they ask of the classifier."""

import math

import pytest
import torch
import torch.nn.functional as F
from jsonargparse import ArgumentParser
from scipy.stats import kstest
from torch import Tensor, nn

from tests.properties import assert_within, unchanged
from training import AT, Plain, Strength, pgd
from training.attacks import attack_loss
from training.objectives import CLP, MART, TRADES, AdversarialObjective, AvMixup, Objective, Step

UNBOUNDED = (-math.inf, math.inf)
DUAL = {"Linf": 1, "L2": 2}


class Recorder(nn.Module):
    """Remembers the mode and the input of every forward pass."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.modes: list[bool] = []
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        self.inputs.append(x.detach())
        return self.classifier(x)


def losses_of(objective, classifier, x, y, bounds=UNBOUNDED, seed=0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return objective(classifier, x, y, lambda: classifier(x), bounds=bounds, generator=generator)


def test_plain_is_the_cross_entropy_of_the_clean_inputs(linear):
    classifier, x, y = linear(6, 4), torch.randn(8, 6), torch.randint(4, (8,))
    (name, loss), *others = losses_of(Plain(), classifier, x, y).items()
    expected = -classifier(x).softmax(dim=1)[range(8), y].log().mean()
    torch.testing.assert_close(loss, expected)
    assert (name, others) == ("clean", [])


@pytest.mark.parametrize(("norm", "step_size"), [("Linf", None), ("L2", Strength(5.0))])
def test_adversarial_loss_has_its_closed_form_on_a_linear_model(linear, norm, step_size):
    classifier, x, y = linear(6, 2, torch.float64), torch.randn(8, 6).double(), torch.randint(2, (8,))
    losses = losses_of(AT(Strength("1/4"), norm=norm, step_size=step_size), classifier, x, y)
    weight, bias = classifier[1].weight[1] - classifier[1].weight[0], classifier[1].bias[1] - classifier[1].bias[0]
    lead = (2 * y - 1) * (x @ weight + bias) - 0.25 * torch.linalg.vector_norm(weight, ord=DUAL[norm])
    torch.testing.assert_close(losses["adversarial"], F.softplus(-lead).mean(), rtol=1e-5, atol=0)


@pytest.mark.usefixtures("as_in_production")
def test_strengths_may_be_written_as_fractions(linear):
    classifier, x, y = linear(6, 3), torch.randn(4, 6), torch.randint(3, (4,))
    written, numbers = (
        losses_of(AT(epsilon, step_size=step_size, steps=2), classifier, x, y)["adversarial"]
        for epsilon, step_size in (("8/255", "2/255"), (8 / 255, 2 / 255))
    )
    assert torch.equal(written, numbers)


def test_adversarial_training_names_its_loss_adversarial(linear):
    losses = losses_of(AT(Strength(0.1), steps=1), linear(6, 3), torch.randn(4, 6), torch.randint(3, (4,)))
    assert list(losses) == ["adversarial"]


def test_adversarial_loss_reaches_the_weights(linear):
    classifier = linear(6, 3)
    losses_of(AT(Strength(0.1), steps=1), classifier, torch.randn(4, 6), torch.randint(3, (4,)))[
        "adversarial"
    ].backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in classifier.parameters())


def test_attack_leaves_no_gradient_on_the_weights(linear):
    classifier = linear(6, 3)
    losses_of(AT(Strength(0.1), steps=3), classifier, torch.randn(4, 6), torch.randint(3, (4,)))
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_attack_sees_evaluation_mode_and_the_loss_sees_training_mode(linear):
    recorder = Recorder(linear(6, 3)).train()
    losses_of(AT(Strength(0.1), steps=4), recorder, torch.randn(4, 6), torch.randint(3, (4,)))
    assert recorder.modes == [False] * 4 + [True]


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_trained_inputs_lie_within_ball_and_bounds(linear, norm):
    recorder, x = Recorder(linear(6, 3)), torch.rand(16, 6)
    losses_of(AT(Strength("8/255"), norm=norm, steps=5), recorder, x, torch.randint(3, (16,)), bounds=(0.0, 1.0))
    order = math.inf if norm == "Linf" else 2
    assert_within(recorder.inputs[-1], x, torch.tensor(8 / 255), order, (0.0, 1.0))


def test_clean_logits_are_not_computed_when_they_are_not_needed(linear):
    def refuse() -> Tensor:
        raise AssertionError("nobody needs the clean logits")

    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(4, 6), torch.randint(3, (4,))
    AT(Strength(0.1), steps=1)(linear(6, 3), x, y, refuse, bounds=UNBOUNDED, generator=generator)


def test_randomness_comes_from_the_generator_alone(linear):
    classifier, x, y = linear(6, 3), torch.randn(4, 6), torch.randint(3, (4,))
    objective = AT(Strength(0.1), steps=1, step_size=Strength(0.001))
    before = torch.get_rng_state()
    once, again, other = (losses_of(objective, classifier, x, y, seed=seed)["adversarial"] for seed in (0, 0, 1))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("loss", ["margin", "cross_entropy", "dlr"])
def test_chosen_loss_is_what_the_attack_raises(linear, loss):
    recorder, x, y = Recorder(linear(6, 4)), torch.randn(8, 6), torch.randint(4, (8,))
    losses_of(AT(Strength(0.5), steps=2, loss=loss), recorder, x, y)
    generator = torch.Generator().manual_seed(0)
    expected = pgd(recorder.classifier, x, y, 0.5, steps=2, loss=loss, bounds=UNBOUNDED, generator=generator)
    assert torch.equal(recorder.inputs[-1], expected)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def curved(classes: int = 4, dtype: torch.dtype = torch.float64) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, classes)).to(dtype)


class Fixed(nn.Module):
    """Answers the same logits whatever the input."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


def loss_at(objective, classifier, x, y, perturbed, clean_logits=None) -> Tensor:
    """The loss for given x'."""
    given = clean_logits or (lambda: classifier(x))
    (loss,) = objective.losses(Step(classifier, x, y, perturbed, given, seeded())).values()
    return loss


def probabilities(logits: Tensor) -> Tensor:
    """One sample's, in the words of the textbook."""
    return logits.exp() / logits.exp().sum()


def naive_cross_entropy(logits: Tensor, y: int) -> Tensor:
    return -probabilities(logits)[y].log()


def naive_divergence(clean: Tensor, adversarial: Tensor) -> Tensor:
    pairs = zip(probabilities(clean), probabilities(adversarial), strict=True)
    return sum(p * (p / q).log() for p, q in pairs)


def naive_at(clean: Tensor, adversarial: Tensor, y: int) -> Tensor:
    return naive_cross_entropy(adversarial, y)


def naive_trades(clean: Tensor, adversarial: Tensor, y: int) -> Tensor:
    return naive_cross_entropy(clean, y) + 3.5 * naive_divergence(clean, adversarial)


def naive_mart(clean: Tensor, adversarial: Tensor, y: int) -> Tensor:
    wrong = max(p for c, p in enumerate(probabilities(adversarial)) if c != y)
    boosted = naive_cross_entropy(adversarial, y) - (1.0001 - wrong).log()
    return boosted + 3.5 * naive_divergence(clean, adversarial) * (1 - probabilities(clean)[y])


def naive_clp(clean: Tensor, adversarial: Tensor, y: int) -> Tensor:
    pairs = zip(clean, adversarial, strict=True)
    return naive_cross_entropy(clean, y) + 0.7 * sum((a - b) ** 2 for a, b in pairs)


def naive_drift(clean: Tensor, adversarial: Tensor, y: int) -> Tensor:
    """Of TRADES in paper 3's program."""
    return naive_divergence(clean, adversarial)


def naive_distance(clean: Tensor, adversarial: Tensor, y: int) -> Tensor:
    """Of CLP in paper 3's program."""
    pairs = zip(probabilities(clean), probabilities(adversarial), strict=True)
    return sum((p - q) ** 2 for p, q in pairs).sqrt()


EPSILON = Strength(0.1)
THEIRS_OF_PAPER_3 = {
    "TRADES": (TRADES(EPSILON, beta=1.0, clean="apart"), naive_drift),
    "CLP": (CLP(EPSILON, weight=1.0, clean="apart", of="probabilities", squared=False), naive_distance),
}
AGAINST_NAIVE = {
    "AT": (AT(EPSILON), naive_at),
    "TRADES": (TRADES(EPSILON, beta=3.5), naive_trades),
    "MART": (MART(EPSILON, beta=3.5), naive_mart),
    "CLP": (CLP(EPSILON, weight=0.7), naive_clp),
}
ADVERSARIAL = {"AT": AT, "TRADES": TRADES, "MART": MART, "CLP": CLP, "AvMixup": AvMixup}
each_adversarial = pytest.mark.parametrize("kind", ADVERSARIAL.values(), ids=ADVERSARIAL)


def gradients(loss: Tensor, classifier: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(classifier.parameters())))


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize(("objective", "naive"), AGAINST_NAIVE.values(), ids=AGAINST_NAIVE)
def test_loss_and_gradient_agree_with_a_naive_implementation(objective, naive, size, classes):
    classifier = curved(classes)
    x, y = torch.randn(size, 6, dtype=torch.float64), torch.randint(classes, (size,))
    perturbed = x + torch.randn_like(x)
    samples = zip(x, perturbed, y.tolist(), strict=True)
    expected = sum(naive(classifier(a[None])[0], classifier(b[None])[0], c) for a, b, c in samples) / size
    loss = loss_at(objective, classifier, x, y, perturbed)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(gradients(loss, classifier), gradients(expected, classifier), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize(("objective", "naive"), THEIRS_OF_PAPER_3.values(), ids=THEIRS_OF_PAPER_3)
def test_losses_of_paper_3_are_the_clean_one_and_the_drift_alone(objective, naive, classes):
    classifier = curved(classes)
    x, y = torch.randn(7, 6, dtype=torch.float64), torch.randint(classes, (7,))
    perturbed = x + torch.randn_like(x)
    losses = objective.losses(Step(classifier, x, y, perturbed, lambda: classifier(x), seeded()))
    assert list(losses) == list(objective.names) == ["clean", "adversarial"]
    torch.testing.assert_close(losses["clean"], F.cross_entropy(classifier(x), y))
    samples = zip(x, perturbed, y.tolist(), strict=True)
    expected = sum(naive(classifier(a[None])[0], classifier(b[None])[0], c) for a, b, c in samples) / 7
    torch.testing.assert_close(losses["adversarial"], expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(
        gradients(losses["adversarial"], classifier), gradients(expected, classifier), rtol=1e-9, atol=1e-12
    )


def test_losses_apart_sum_to_the_published_one():
    classifier, x, y = curved(), torch.randn(5, 6, dtype=torch.float64), torch.randint(4, (5,))
    for kind in (TRADES, CLP):
        whole, apart = (losses_of(kind(EPSILON, clean=clean), classifier, x, y) for clean in ("within", "apart"))
        torch.testing.assert_close(whole["adversarial"], apart["clean"] + apart["adversarial"])
        assert kind(EPSILON).names == ("adversarial",)


def test_known_distances_of_pairs():
    """Softmax (¾, ¼) at x and (¼, ¾) at x': a distance of ½√2, ½ squared; of the logits (ln 3, 0) and (0, ln 3)."""
    logits, x = torch.tensor([[math.log(3), 0.0]]), torch.zeros(1, 6)
    classifier = Fixed([[0.0, math.log(3)]])
    known = {
        ("probabilities", False): math.sqrt(0.5),
        ("probabilities", True): 0.5,
        ("logits", False): math.sqrt(2) * math.log(3),
        ("logits", True): 2 * math.log(3) ** 2,
    }
    for (of, squared), expected in known.items():
        objective = CLP(EPSILON, 1.0, "apart", of, squared)
        losses = objective.losses(Step(classifier, x, torch.tensor([0]), x, lambda: logits, seeded()))
        assert losses["adversarial"].item() == pytest.approx(expected, rel=1e-6)
        assert losses["clean"].item() == pytest.approx(math.log(4 / 3), rel=1e-6)


def test_equal_pairs_have_a_finite_gradient():
    classifier, x, y = curved(), torch.randn(3, 6, dtype=torch.float64), torch.tensor([0, 1, 2])
    objective = CLP(EPSILON, clean="apart", squared=False)
    losses = objective.losses(Step(classifier, x, y, x, lambda: classifier(x), seeded()))
    assert all((gradient == 0).all() for gradient in gradients(losses["adversarial"], classifier))


def test_mixup_with_hard_labels_is_the_cross_entropy_of_the_mixture():
    classifier, objective = curved(), AvMixup(EPSILON, labels="hard", lambda1=0.5, lambda2=0.7)
    x, y = torch.randn(7, 6, dtype=torch.float64), torch.randint(4, (7,))
    vertex = x + torch.randn_like(x)
    share = torch.rand(7, generator=seeded(), dtype=torch.float64).unsqueeze(1)
    expected = F.cross_entropy(classifier(share * x + (1 - share) * vertex), y)
    torch.testing.assert_close(loss_at(objective, classifier, x, y, vertex), expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("size", [1, 7])
def test_mixup_agrees_with_a_naive_implementation(size, classes):
    classifier, objective = curved(classes), AvMixup(EPSILON, lambda1=0.9, lambda2=0.3)
    x, y = torch.randn(size, 6, dtype=torch.float64), torch.randint(classes, (size,))
    vertex = x + torch.randn_like(x)
    shares = torch.rand(size, generator=seeded(), dtype=torch.float64)
    expected = 0
    for share, a, b, true in zip(shares, x, vertex, y.tolist(), strict=True):
        p = probabilities(classifier((share * a + (1 - share) * b)[None])[0])
        for c in range(classes):
            at_x, at_vertex = (0.9, 0.3) if c == true else (0.1 / (classes - 1), 0.7 / (classes - 1))
            expected = expected - (share * at_x + (1 - share) * at_vertex) * p[c].log() / size
    loss = loss_at(objective, classifier, x, y, vertex)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(gradients(loss, classifier), gradients(expected, classifier), rtol=1e-9, atol=1e-12)


def test_vertex_lies_twice_as_far_as_the_adversarial_input():
    classifier, x, y = curved(), torch.rand(8, 6, dtype=torch.float64), torch.randint(4, (8,))
    adversarial, vertex = (
        kind(EPSILON, steps=3, loss="cross_entropy").perturbed(classifier, x, y, bounds=UNBOUNDED, generator=seeded())
        for kind in (AT, AvMixup)
    )
    torch.testing.assert_close(vertex - x, 2 * (adversarial - x))


def test_vertex_is_clipped_to_the_bounds():
    classifier, x, y = curved(), torch.rand(8, 6, dtype=torch.float64), torch.randint(4, (8,))
    vertex = AvMixup(EPSILON, gamma=20.0).perturbed(classifier, x, y, bounds=(0.0, 1.0), generator=seeded())
    assert (vertex.min(), vertex.max()) == (0, 1)


def test_every_sample_draws_its_own_uniform_share():
    recorder = Recorder(curved())
    x = torch.zeros(1000, 6, dtype=torch.float64)
    loss_at(AvMixup(EPSILON), recorder, x, torch.zeros(1000, dtype=torch.int64), x + 1)
    mixed = recorder.inputs[-1]
    assert (mixed == mixed[:, :1]).all()
    assert kstest(mixed[:, 0], "uniform").pvalue > 1e-3


@pytest.mark.parametrize("kind", [AT, TRADES, CLP, AvMixup])
def test_without_a_ball_every_loss_is_the_clean_cross_entropy(kind):
    classifier, x, y = curved(), torch.randn(8, 6, dtype=torch.float64), torch.randint(4, (8,))
    options = {"lambda2": 1.0} if kind is AvMixup else {}
    (loss,) = losses_of(kind(Strength(0.0), steps=2, **options), classifier, x, y).values()
    torch.testing.assert_close(loss, F.cross_entropy(classifier(x), y), rtol=1e-14, atol=0)


def test_without_a_ball_mart_is_its_boosted_cross_entropy():
    classifier, x, y = curved(), torch.randn(8, 6, dtype=torch.float64), torch.randint(4, (8,))
    (loss,) = losses_of(MART(Strength(0.0), steps=2), classifier, x, y).values()
    logits = classifier(x)
    wrong = (logits.softmax(dim=1) * (1 - F.one_hot(y, 4))).amax(dim=1)
    torch.testing.assert_close(loss, F.cross_entropy(logits, y) - (1.0001 - wrong).log().mean())


@pytest.mark.parametrize(
    ("objective", "y", "expected"),
    [
        (TRADES(EPSILON), 0, 6 * 2e4),
        (TRADES(EPSILON), 1, 2e4 + 6 * 2e4),
        (MART(EPSILON), 0, 2e4 - math.log(1e-4)),
        (MART(EPSILON), 1, -math.log(1.0001) + 6 * 2e4),
        (CLP(EPSILON), 0, 0.5 * 8e8),
        (AT(EPSILON), 0, 2e4),
    ],
)
def test_huge_logits_give_exact_losses_and_finite_gradients(objective, y, expected):
    clean, adversarial = Fixed([[1e4, -1e4]]), Fixed([[-1e4, 1e4]])
    x = torch.zeros(1, 6)
    loss = loss_at(objective, adversarial, x, torch.tensor([y]), x, lambda: clean(x))
    torch.testing.assert_close(loss, torch.tensor(expected))
    loss.backward()
    assert adversarial.logits.grad.isfinite().all()
    assert clean.logits.grad is None or clean.logits.grad.isfinite().all()


def test_boost_is_exact_where_the_wrong_class_is_certain():
    rivals = Fixed([[-30.0, 30.0]])
    x = torch.zeros(1, 6)
    loss = loss_at(MART(EPSILON, beta=0.0), rivals, x, torch.tensor([0]), x)
    torch.testing.assert_close(loss.item() - 60, -math.log(1e-4), rtol=2e-6, atol=0)


@each_adversarial
@pytest.mark.parametrize("mixed", [True, False])
def test_losses_are_scalars_in_float32_also_in_lower_precision(kind, mixed):
    dtype = torch.float32 if mixed else torch.bfloat16
    classifier, x, y = curved(dtype=dtype), torch.randn(3, 6, dtype=dtype), torch.randint(4, (3,))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
        loss = loss_at(kind(EPSILON), classifier, x, y, x + 0.1)
    assert (loss.shape, loss.dtype, loss.requires_grad) == ((), torch.float32, True)


INNER = {"AT": "cross_entropy", "TRADES": "kl", "MART": "cross_entropy", "CLP": "cross_entropy"}


@pytest.mark.parametrize("name", INNER)
def test_inner_maximisation_is_that_of_pgd(name):
    classifier, x, y = curved(), torch.rand(8, 6, dtype=torch.float64), torch.randint(4, (8,))
    options = {"norm": "L2", "steps": 4, "step_size": Strength(0.03)}
    x_adv = ADVERSARIAL[name](EPSILON, **options).perturbed(classifier, x, y, bounds=(0.0, 1.0), generator=seeded())
    options |= {"step_size": 0.03, "loss": INNER[name], "bounds": (0.0, 1.0)}
    assert torch.equal(x_adv, pgd(classifier, x, y, 0.1, generator=seeded(), **options))


@each_adversarial
def test_inner_maximisation_may_start_at_the_input(kind):
    x = torch.rand(8, 6, dtype=torch.float64)
    objective = kind(EPSILON, norm="L2", steps=1, step_size=Strength(0.01), loss="margin", random_start=False)
    found = objective.perturbed(curved(), x, torch.randint(4, (8,)), bounds=UNBOUNDED, generator=seeded())
    reach = 0.01 * getattr(objective, "gamma", 1.0)
    torch.testing.assert_close((found - x).norm(dim=1), torch.full((8,), reach, dtype=torch.float64))


@pytest.mark.parametrize("kind", [AT, MART, CLP, AvMixup])
def test_inner_maximisation_raises_the_cross_entropy(kind):
    classifier, x, y = curved(), torch.randn(16, 6, dtype=torch.float64), torch.randint(4, (16,))
    x_adv = kind(EPSILON).perturbed(classifier, x, y, bounds=UNBOUNDED, generator=seeded())
    assert (attack_loss(classifier(x_adv), y) > attack_loss(classifier(x), y)).all()


def test_inner_maximisation_of_trades_raises_the_divergence():
    classifier, x, y = curved(), torch.randn(16, 6, dtype=torch.float64), torch.randint(4, (16,))
    found = {
        loss: TRADES(EPSILON, beta=1.0, loss=loss).perturbed(classifier, x, y, bounds=UNBOUNDED, generator=seeded())
        for loss in ("kl", "cross_entropy")
    }
    drift = {
        loss: loss_at(TRADES(EPSILON, beta=1.0), classifier, x, y, x_adv) - F.cross_entropy(classifier(x), y)
        for loss, x_adv in found.items()
    }
    assert drift["kl"] > drift["cross_entropy"] > 0


@each_adversarial
def test_x_is_found_without_a_trace_on_the_classifier(kind):
    classifier = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 4)).train()
    x, y = torch.randn(5, 6), torch.randint(4, (5,))
    with unchanged(classifier):
        x_adv = kind(EPSILON, steps=2).perturbed(
            classifier, x.requires_grad_(), y, bounds=UNBOUNDED, generator=seeded()
        )
    assert not x_adv.requires_grad


@pytest.mark.parametrize(("kind", "passes"), [(AT, 1), (TRADES, 2), (MART, 2), (CLP, 2), (AvMixup, 1)])
def test_clean_and_perturbed_inputs_are_normalised_apart(kind, passes):
    normalisation = nn.BatchNorm1d(6)
    recorder = Recorder(nn.Sequential(normalisation, nn.Linear(6, 4)))
    losses_of(kind(EPSILON, steps=2), recorder, torch.randn(5, 6), torch.randint(4, (5,)))
    assert int(normalisation.num_batches_tracked) == passes
    assert {len(inputs) for inputs in recorder.inputs} == {5}


@pytest.mark.parametrize("kind", [AT, AvMixup])
def test_clean_logits_are_asked_for_only_where_they_are_needed(kind):
    def refuse() -> Tensor:
        raise AssertionError("nobody needs the clean logits")

    x, y = torch.randn(4, 6), torch.randint(4, (4,))
    kind(EPSILON, steps=1)(curved(dtype=torch.float32), x, y, refuse, bounds=UNBOUNDED, generator=seeded())


@each_adversarial
def test_configuration_names_every_option(kind):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--objective", type=Objective)
    inner = {"norm": "L2", "steps": 3, "step_size": "2/255", "loss": "margin", "random_start": False}
    chosen = {"class_path": f"training.objectives.{kind.__name__}", "init_args": {"epsilon": "8/255"} | inner}
    objective = parser.instantiate_classes(parser.parse_object({"objective": chosen})).objective
    assert isinstance(objective, kind)
    assert isinstance(objective, AdversarialObjective)
    assert {name: getattr(objective, name) for name in inner} == inner | {"step_size": Strength("2/255")}
    assert objective.epsilon.written == "8/255"


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (TRADES, {"beta": -1.0}, "`beta` should be finite and at least 0. Found -1.0"),
        (MART, {"beta": math.nan}, "`beta` should be finite and at least 0. Found nan"),
        (CLP, {"weight": -0.5}, "`weight` should be finite and at least 0. Found -0.5"),
        (AvMixup, {"gamma": -2.0}, "`gamma` should be finite and at least 0. Found -2.0"),
        (TRADES, {"beta": math.inf}, "`beta` should be finite and at least 0. Found inf"),
        (AT, {"steps": 0}, "`steps` should be at least 1. Found 0"),
        (TRADES, {"steps": -3}, "`steps` should be at least 1. Found -3"),
        (MART, {"step_size": 0.0}, "`step_size` should be above 0"),
        (CLP, {"norm": "L7"}, "`norm` should be one of Linf, L2, L1. Found 'L7'"),
        (AT, {"loss": "hinge"}, "`loss` should be one of .* Found 'hinge'"),
        (TRADES, {"clean": "beside"}, "`clean` should be one of within, apart. Found 'beside'"),
        (CLP, {"of": "features"}, "`of` should be one of logits, probabilities. Found 'features'"),
        (AvMixup, {"labels": "smooth"}, "`labels` should be one of soft, hard. Found 'smooth'"),
        (AvMixup, {"lambda1": 1.1}, r"`lambda1` should lie in \[0, 1\]. Found 1.1"),
        (AvMixup, {"lambda2": -0.1}, r"`lambda2` should lie in \[0, 1\]. Found -0.1"),
    ],
)
def test_wrong_argument_is_named(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(EPSILON, **options)
