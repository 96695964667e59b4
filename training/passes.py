"""Count forward and backward passes, so that cost is measured and not declared."""

from torch import Tensor, nn

from alignment.contracts import check_classifier
from alignment.gradients import logits_of


class Wrapper(nn.Module):
    """Around a classifier, and with nothing of its own: any two of one kind around the same one return the same.

    Attributes:
        classifier: within it.
    """

    classifier: nn.Module


class CountPasses(Wrapper):
    """A classifier that counts what is asked of it, in samples: a batch of 64 is 64 passes.

    Args:
        classifier: from `(B, *shape)` to logits `(B, C)`; its output is read as `alignment.logits_of` reads it.

    Raises:
        ValueError: if it is no module.
    """

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        check_classifier(classifier)
        self.classifier = classifier
        self.forward_passes = 0
        self.backward_passes = 0
        # Of this module alone: `train` would flip every part of the classifier that is in another mode.
        self.training = classifier.training

    def forward(self, x: Tensor) -> Tensor:
        """The classifier's logits."""
        logits = logits_of(self.classifier, x)
        self.forward_passes += len(x)
        if logits.requires_grad:
            logits.register_hook(self._count_backward)
        return logits

    def add(self, forward: int, backward: int) -> None:
        """Count passes that were made without a call, by a replay."""
        self.forward_passes += forward
        self.backward_passes += backward

    def _count_backward(self, gradient: Tensor) -> None:
        self.backward_passes += len(gradient)
