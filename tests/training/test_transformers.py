"""Our own vision transformers train with the alignment penalty, which differentiates attention twice."""

import pytest
import torch

from alignment import alignment_penalty
from training.networks import build_network

pytest.importorskip("timm")

SMALL = {
    "vit_adapters": {"model": "vit_tiny_patch16_224", "depth": 2, "embed_dim": 24, "num_heads": 3},
    "swin_adapters": {"embed_dim": 16, "depths": (1, 2), "num_heads": (1, 2), "window_size": 4},
}


@pytest.mark.parametrize("name", list(SMALL))
def test_penalty_reaches_every_weight_that_trains(name: str) -> None:
    size = 32 if name == "vit_adapters" else 64
    network = build_network(
        name, shape=(3, size, size), num_classes=3, bounds=(-1.0, 1.0), weights=None, **SMALL[name]
    ).train()
    for part in network.modules():  # adapters start as the identity, through which no gradient reaches `down`
        if hasattr(part, "up"):
            torch.nn.init.normal_(part.up.weight)
    x, y = 2 * torch.rand(2, 3, size, size) - 1, torch.tensor([0, 1])
    alignment_penalty(network, x, y, lambda x, y, target: torch.ones_like(x)).backward()
    trained = {key: weight for key, weight in network.named_parameters() if weight.requires_grad}
    assert [key for key, weight in trained.items() if weight.ndim > 1 and not weight.grad.abs().sum() > 0] == []
