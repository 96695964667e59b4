"""A Lightning module whose steps are taken as CUDA graphs where that is possible: what its hooks then leave out."""

from typing import TYPE_CHECKING, Any, cast

from pytorch_lightning import LightningModule
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from training.data import Batch
from training.recorded import RecordedTraining, Runner, why_plain

if TYPE_CHECKING:
    from training.classifier import Classifier


class StepsRecorded(LightningModule):
    """Base of a classifier in training; a subclass takes its steps with `recorded` where there is one.

    Attributes:
        graphs: whether steps may be recorded.
        runner: does the work of a step; None for one training alone on a GPU.
        recorded: takes the steps; None where they are taken one kernel at a time.
    """

    graphs: bool
    runner: Runner | None = None
    recorded: RecordedTraining | None = None

    def on_train_start(self) -> None:
        """Decide how steps are taken."""
        if not self.graphs or (self.device.type != "cuda" and self.runner is None):
            return
        module = cast("Classifier", self)
        reason = why_plain(module, self.trainer)
        if reason is None:
            self.recorded = RecordedTraining(module, self.trainer.optimizers[0], self.runner)
        else:
            rank_zero_info(f"Steps are taken one kernel at a time, not as a CUDA graph: {reason}.")

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_index: int) -> None:
        """Log what recorded steps have added up."""
        if self.recorded is not None and self.trainer.is_last_batch:
            self.recorded.look()
            self.log_dict(self.recorded.means(), on_step=False, on_epoch=True, batch_size=1)

    def on_train_end(self) -> None:
        """Let go of the recorded steps and their memory."""
        self.recorded = None

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """The backward pass of a loss; a recorded step has made it already."""
        if self.recorded is None:
            super().backward(loss, *args, **kwargs)

    def optimizer_zero_grad(self, *given: Any) -> None:
        """Forget the last gradient; a recorded step writes its own over it."""
        if self.recorded is None:
            super().optimizer_zero_grad(*given)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Take the step; a recorded one moves the weights in `training_step`."""
        if self.recorded is None:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        else:
            optimizer_closure()
