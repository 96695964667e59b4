"""Chunks of steps, and their recordings: what they return is what single steps return.

A graph needs a GPU. Here a `Rehearsal` takes its place: it does the recorded work anew at every replay, on the
tensors that were recorded, so that all but the capture itself is tested.
"""

import gc
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from eval.robustness.guided import aimed_pgd, guided_pgd
from tests.waits import waits
from training import graphs, pgd
from training.ascent import Ascent
from training.leaving import Leaving
from training.passes import CountPasses
from training.proposals import CheckedLogits
from training.recordings import Recordings, recordings_of

NORMS = pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
GPU = Leaving(every=8, buckets=True)


class Rehearsal:
    """What a graph does, without a GPU."""

    made = 0
    counters: ClassVar[list[CountPasses]] = []
    """Of passes, which nobody calls when a graph is replayed."""

    def __init__(
        self, pieces: Sequence[Callable[[], None]], generators: Sequence[torch.Generator] = (), beside: Any = None
    ) -> None:
        self.pieces = pieces
        type(self).made += 1
        for work in pieces:
            work()

    def replay(self) -> None:
        before = [(counter.forward_passes, counter.backward_passes) for counter in self.counters]
        for work in self.pieces:
            work()
        for counter, (forward, backward) in zip(self.counters, before, strict=True):
            counter.forward_passes, counter.backward_passes = forward, backward


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, but for the graphs."""
    monkeypatch.setattr("training.recordings.Graph", Rehearsal)
    monkeypatch.setattr("training.ascent.may_record", lambda device: not graphs._recording.off)
    monkeypatch.setattr(Leaving, "for_device", classmethod(lambda cls, device: GPU))
    monkeypatch.setattr(Rehearsal, "counters", [])
    Rehearsal.made = 0


def network(seed: int = 0, classes: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, classes)).double()


def samples(classifier: nn.Module, count: int = 300) -> tuple[Tensor, Tensor]:
    x = torch.rand(count, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        return x, classifier(x).argmax(dim=1)


def attacked(classifier: nn.Module, x: Tensor, y: Tensor, **options) -> Tensor:
    return pgd(classifier, x, y, bounds=(0.0, 1.0), generator=drawn(), **options)


def drawn() -> torch.Generator:
    return torch.Generator().manual_seed(2)


OPTIONS = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "kl": {"loss": "kl"},
    "dlr": {"loss": "dlr"},
    "leaving": {"leave_when_fooled": True},
    "leaving with momentum and restarts": {"leave_when_fooled": True, "momentum": 0.5, "restarts": 3},
}


@pytest.mark.parametrize(
    ("norm", "options"),
    [
        pytest.param(norm, options, id=f"{name}-{norm}", marks=[] if (i - j) % 3 == 0 else pytest.mark.slow)
        for i, (name, options) in enumerate(OPTIONS.items())
        for j, norm in enumerate(("Linf", "L2", "L1"))
    ],
)
def test_replayed_steps_end_where_single_steps_do(norm: str, options: dict, request: pytest.FixtureRequest) -> None:
    classifier = network()
    x, y = samples(classifier)
    strength = torch.linspace(0.01, 0.6, len(x)).double() * {"Linf": 1, "L2": 2, "L1": 4}[norm]
    plainly = attacked(classifier, x, y, epsilon=strength, norm=norm, steps=40, **options)
    request.getfixturevalue("rehearsed")
    for _ in range(3):
        torch.testing.assert_close(
            attacked(classifier, x, y, epsilon=strength, norm=norm, steps=40, **options), plainly
        )
    assert Rehearsal.made


@pytest.mark.parametrize("steps", [4, 7, 10, 11, 24])
def test_any_number_of_steps_is_taken(steps: int, rehearsed: None) -> None:
    counted = CountPasses(network())
    Rehearsal.counters.append(counted)
    x, y = samples(counted.classifier, 128)
    attacked(counted, x, y, epsilon=0.1, steps=steps)
    attacked(counted, x, y, epsilon=0.1, steps=steps)
    assert counted.backward_passes == 2 * 128 * steps


def test_replays_count_their_passes_and_recording_does_not(rehearsed: None) -> None:
    counted = CountPasses(network())
    Rehearsal.counters.append(counted)
    x, y = samples(counted.classifier, 128)
    for calls in range(1, 4):
        attacked(counted, x, y, epsilon=0.1, steps=40)
        assert counted.backward_passes == calls * 128 * 40
    assert Rehearsal.made == 1


@pytest.mark.parametrize("leave", [False, True])
def test_batches_of_many_sizes_are_filled_up_to_few(leave: bool, request: pytest.FixtureRequest) -> None:
    """And end where they do alone: those that fill up are not returned."""
    classifier = network()
    sizes = (1, 5, 40, 63, 64, 65, 100, 127)
    batches = [tuple(part[:size] for part in samples(classifier)) for size in sizes]
    options = {"epsilon": 0.15, "steps": 16, "leave_when_fooled": leave}
    plainly = [attacked(classifier, x, y, **options) for x, y in batches]
    request.getfixturevalue("rehearsed")
    for (x, y), expected in zip(batches, plainly, strict=True):
        torch.testing.assert_close(attacked(classifier, x, y, **options), expected)
    assert Rehearsal.made == 2


def test_a_batch_shrinks_to_few_sizes(rehearsed: None) -> None:
    classifier, seen = network(), set()
    x, y = samples(classifier, 1000)

    class Sizes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.add(len(x))
            return classifier(x)

    strength = torch.linspace(0.001, 0.6, 1000).double()
    attacked(Sizes(), x, y, epsilon=strength, steps=40, leave_when_fooled=True)
    assert seen <= {1000, 512, 256, 128, 64}
    assert len(seen) > 1


def test_weights_that_moved_in_place_are_used(rehearsed: None) -> None:
    classifier, other = network(0), network(5)
    x, y = samples(classifier)
    attacked(classifier, x, y, epsilon=0.2, steps=16)
    classifier.load_state_dict(other.state_dict())
    made = Rehearsal.made
    found = attacked(classifier, x, y, epsilon=0.2, steps=16)
    assert Rehearsal.made == made
    torch.testing.assert_close(found, attacked(other, x, y, epsilon=0.2, steps=16))


def test_weights_that_were_exchanged_are_recorded_anew(rehearsed: None) -> None:
    classifier, other = network(0), network(5)
    x, y = samples(classifier)
    attacked(classifier, x, y, epsilon=0.2, steps=16)
    for mine, theirs in zip(classifier.parameters(), other.parameters(), strict=True):
        mine.data = theirs.data
    made = Rehearsal.made
    for _ in range(2):
        found = attacked(classifier, x, y, epsilon=0.2, steps=16)
    assert Rehearsal.made == made + 1
    torch.testing.assert_close(found, attacked(other, x, y, epsilon=0.2, steps=16))


def test_a_network_with_hooks_is_not_recorded(rehearsed: None) -> None:
    classifier, calls = network(), []
    x, y = samples(classifier)
    classifier[0].register_forward_hook(lambda *given: calls.append(1))
    attacked(classifier, x, y, epsilon=0.2, steps=16)
    assert (len(calls), Rehearsal.made, recordings_of(classifier)) == (16, 0, None)


class Frozen(Rehearsal):
    """A graph of a network that decides in Python: a replay does again what was decided when it was recorded."""

    def __init__(
        self, pieces: Sequence[Callable[[], None]], generators: Sequence[torch.Generator] = (), beside: Any = None
    ) -> None:
        network_then = partial(setattr, Frozen.network, "factor", Frozen.network.factor)
        self.before = network_then
        super().__init__(pieces, generators)

    def replay(self) -> None:
        now = Frozen.network.factor
        self.before()
        super().replay()
        Frozen.network.factor = now


def test_what_a_network_decides_in_python_is_noticed(rehearsed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = network()

    class Changing(nn.Module):
        factor = 1.0

        def forward(self, x: Tensor) -> Tensor:
            return inner(self.factor * x)

    classifier = Changing()
    monkeypatch.setattr(Frozen, "network", classifier, raising=False)
    monkeypatch.setattr("training.recordings.Graph", Frozen)
    x, y = samples(inner)
    attacked(classifier, x, y, epsilon=0.2, steps=16)
    classifier.factor = -2.0
    with pytest.warns(UserWarning, match="does not return the same as when it was recorded"):
        found = attacked(classifier, x, y, epsilon=0.2, steps=16)
    monkeypatch.undo()
    torch.testing.assert_close(found, attacked(classifier, x, y, epsilon=0.2, steps=16))


def test_steps_that_wait_for_the_device_are_taken_plainly_and_said_once(
    rehearsed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*given: Any, **options: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    classifier = network()
    x, y = samples(classifier)
    plainly = attacked(classifier, x, y, epsilon=0.2, steps=3)
    monkeypatch.setattr("training.recordings.Graph", refuses)
    with pytest.warns(UserWarning, match="not recorded as a CUDA graph: operation not permitted"):
        attacked(classifier, x, y, epsilon=0.2, steps=16)
    attacked(classifier, x, y, epsilon=0.2, steps=16)  # without a word, or the warning would be an error
    torch.testing.assert_close(attacked(classifier, x, y, epsilon=0.2, steps=3), plainly)


def test_gradients_that_are_not_finite_are_refused_after_replays(rehearsed: None) -> None:
    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            inner = (x - 0.5).sum(dim=1, keepdim=True)
            return torch.cat([inner.abs().sqrt() * 0 + inner, -inner], dim=1) + (x * 0).sqrt().sum(1, keepdim=True)

    x = torch.full((70, 6), 0.6, dtype=torch.float64)
    with pytest.raises(ValueError, match="gradient of classifier"):
        attacked(Root(), x, torch.zeros(70, dtype=torch.int64), epsilon=0.2, steps=16)


class Forgetful(Rehearsal):
    """A graph keeps kernels and no Python."""

    def __init__(
        self, pieces: Sequence[Callable[[], None]], generators: Sequence[torch.Generator] = (), beside: Any = None
    ) -> None:
        super().__init__(pieces, generators)
        self.pieces = []


def test_recordings_do_not_keep_a_classifier_alive(rehearsed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.recordings.Graph", Forgetful)
    classifier = CountPasses(network())
    x, y = samples(classifier.classifier)
    attacked(classifier, x, y, epsilon=0.2, steps=16)
    found = recordings_of(classifier)
    assert isinstance(found, Recordings)
    assert found.kept
    assert recordings_of(CountPasses(classifier.classifier)) is found
    gone = weakref.ref(classifier.classifier)
    del classifier, found
    gc.collect()
    assert gone() is None


def test_attacks_that_wrap_a_classifier_alike_share_its_recordings(rehearsed: None) -> None:
    """And no others: what passes NaN gradients on is another recording than what does not."""
    classifier = network()
    x, y = samples(classifier, 128)
    plainly = attacked(classifier, x, y, epsilon=0.1, steps=16)
    for _ in range(3):
        found = guided_pgd(classifier, x, y, torch.full((128,), 0.1), steps=16, bounds=(0.0, 1.0), generator=drawn())
        torch.testing.assert_close(found, plainly)
    assert Rehearsal.made == 2


def test_a_classifier_of_one_batch_is_neither_filled_up_nor_recorded(request: pytest.FixtureRequest) -> None:
    classifier = network()
    x, y = samples(classifier, 5)

    def aimed() -> Tensor:
        given = {"found": (y + 1) % 3, "steps": 16, "bounds": (0.0, 1.0), "generator": drawn()}
        return aimed_pgd(classifier, x, y, torch.full((5,), 0.2), **given)

    plainly = aimed()
    request.getfixturevalue("rehearsed")
    assert torch.equal(aimed(), plainly)
    assert Rehearsal.made == 0


def test_chunks_divide_the_steps() -> None:
    def length(steps: int) -> int:
        logits = CheckedLogits(network(), torch.zeros(1, dtype=torch.int64))
        return Ascent(logits, steps, "auto", 0.0, False, GPU).chunk_length

    assert [length(steps) for steps in (0, 1, 7, 10, 11, 40)] == [1, 1, 7, 5, 1, 8]


@NORMS
@pytest.mark.parametrize("loss", ["cross_entropy", "margin", "dlr", "kl"])
@pytest.mark.parametrize("options", [{}, {"leave_when_fooled": True}, {"momentum": 0.9}], ids=str)
def test_a_step_does_not_wait(norm: str, loss: str, options: dict, rehearsed: None) -> None:
    """By the operators that are called: the host looks once a chunk at who leaves, and else only at the ends."""
    classifier = network(classes=4)
    x, y = samples(classifier)
    counts = []
    with graphs.unrecorded():
        for steps in (8, 24):
            with waits() as found:
                attacked(classifier, x, y, epsilon=1e-4, norm=norm, loss=loss, steps=steps, **options)
            counts.append(len(found))
    looks = 16 // GPU.every if options.get("leave_when_fooled") else 0
    assert counts[1] - counts[0] == looks
