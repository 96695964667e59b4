"""Logits of many samples: those of a batch are not kept beside the whole, where they would cut up free memory."""

import gc

import torch
from torch import Tensor, nn

from eval.robustness.batching import Batching
from eval.robustness.samples import clean_logits

BATCH, CLASSES = 4, 3


class Watching(nn.Module):
    """Twice the inputs as logits, counting at each batch how many tensors of a batch's logits are held."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        found = [one for one in gc.get_objects() if type(one) is Tensor and one.shape == (BATCH, CLASSES)]
        self.held.append(len(found))
        return 2 * x


def test_logits_of_earlier_batches_are_not_kept() -> None:
    x = torch.rand(40, CLASSES)
    watching = Watching()
    found = clean_logits(watching, lambda places: x[places], len(x), Batching(BATCH), torch.device("cpu"))
    assert len(watching.held) == 10
    assert watching.held[-1] <= watching.held[3]
    assert torch.equal(found, 2 * x)
