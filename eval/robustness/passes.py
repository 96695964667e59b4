"""Count forward and backward passes, so that cost is measured and not declared."""

from torch import Tensor, nn


class CountPasses(nn.Module):
    """A classifier that counts what is asked of it, in samples: a batch of 64 is 64 passes.

    Args:
        classifier: any module whose answer is a tensor.
    """

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.forward_passes = 0
        self.backward_passes = 0
        self.train(classifier.training)

    def forward(self, x: Tensor) -> Tensor:
        """The classifier's answer."""
        logits = self.classifier(x)
        self.forward_passes += len(x)
        if logits.requires_grad:
            logits.register_hook(self._count_backward)
        return logits

    def _count_backward(self, gradient: Tensor) -> None:
        self.backward_passes += len(gradient)
