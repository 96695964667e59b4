"""Logits are found in what networks return, and nothing is guessed."""

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from alignment import alpha_dx, alpha_x, closest_class, logits_of
from tests.alignment.classifiers import Answer, smooth

LOGITS = torch.arange(6.0).reshape(2, 3)
FEATURES, MAPS, SCORES = torch.ones(2, 5, 4), torch.ones(2, 1), torch.ones(2)


class Output(OrderedDict):
    """As `transformers` returns: a mapping whose entries are attributes as well."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


@dataclass
class Dataclass:
    logits: Tensor
    loss: Tensor | None = None


Named = namedtuple("Named", ["logits", "aux_logits"])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda z: z,
        lambda z: {"logits": z, "other": torch.zeros(2, 3)},
        lambda z: Output(loss=None, logits=z),
        lambda z: Dataclass(z),
        lambda z: Named(z, torch.zeros(2, 3)),
        lambda z: (z,),
        lambda z: [z],
        lambda z: (z, FEATURES),
        lambda z: (None, MAPS, z, SCORES, torch.zeros(2, 3, dtype=torch.int64)),
    ],
)
def test_logits_are_taken_from_where_they_plainly_are(wrap: Callable[[Tensor], Any]) -> None:
    assert torch.equal(logits_of(Answer(lambda x: wrap(LOGITS)), torch.zeros(2, 4)), LOGITS)


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ((LOGITS, LOGITS + 1), r"tuple of \(2, 3\), \(2, 3\)"),
        ([LOGITS, LOGITS], r"list of \(2, 3\), \(2, 3\)"),
        ((FEATURES, MAPS), r"tuple of \(2, 5, 4\), \(2, 1\)"),
        ({"out": LOGITS}, r"dict of 'out': \(2, 3\)"),
        ({"logits": None}, "dict of 'logits': NoneType"),
        ({"logits": MAPS}, r"dict of 'logits': \(2, 1\)"),
        ((), "tuple"),
        ((torch.zeros(2, 3, dtype=torch.int64), None), r"tuple of \(2, 3\), NoneType"),
        (None, "NoneType"),
        (3.0, "float"),
    ],
)
def test_what_is_not_plain_is_refused_and_described(output: Any, found: str) -> None:
    with pytest.raises(ValueError, match=rf"return logits of shape \(2, C\) with C ≥ 2. Found {found}\. A binary"):
        logits_of(Answer(lambda x: output), torch.zeros(2, 4))


def test_measures_see_through_what_a_network_returns() -> None:
    network, x, y = smooth(6, 3), torch.randn(4, 6, dtype=torch.float64), torch.arange(4) % 3
    wrapped = Answer(lambda x: {"logits": network(x), "loss": None})
    residual = lambda x, y, target: torch.ones_like(x)  # noqa: E731
    for measure in (
        lambda classifier: closest_class(classifier, x, y),
        lambda classifier: alpha_x(classifier, x),
        lambda classifier: alpha_dx(classifier, x, y, residual),
    ):
        assert torch.equal(measure(wrapped), measure(network))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_another_precision_than_that_of_the_weights_is_named(dtype: torch.dtype) -> None:
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(
        ValueError, match=rf"^`x` should be float32 on cpu, as the weights .* Found {name} on cpu\. .*`class"
    ):
        logits_of(torch.nn.Linear(3, 2), torch.zeros(1, 3, dtype=dtype))


def test_other_failures_of_a_classifier_are_its_own() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        logits_of(torch.nn.Linear(3, 2), torch.zeros(1, 4))


def test_classifier_that_normalises_in_place_leaves_the_input_as_it_was() -> None:
    x = torch.ones(2, 3)
    for _ in range(2):
        assert torch.equal(logits_of(Answer(lambda x: x.sub_(0.25)), x), torch.full((2, 3), 0.75))
    assert torch.equal(x, torch.ones(2, 3))
