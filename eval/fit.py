"""Train from a configuration, through the Lightning CLI."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from eval.selection import MONITORED, Epsilon50
from training import Classifier
from training.data import DataSet
from training.watch import EpochCost, StopAtCollapse

TRAINER_DEFAULTS = {
    "max_epochs": 30,
    # Lightning's inference mode would break every attack and metric that needs a gradient.
    "inference_mode": False,
    "num_sanity_val_steps": 0,
}
CHECKPOINT_DEFAULTS = {
    "checkpoint.monitor": MONITORED,
    "checkpoint.mode": "max",
    "checkpoint.save_last": True,
    "checkpoint.filename": "best",
    "checkpoint.enable_version_counter": False,
}


class FitCLI(LightningCLI):
    """A classifier, a data set and a trainer from one configuration.

    The network learns shape, classes and bounds from the data set, and seeds from `seed_everything`. The best
    epoch by ε50% on validation is kept as `best.ckpt`, the last one as `last.ckpt`.
    """

    def __init__(self, args: list[str] | Mapping[str, Any]) -> None:
        super().__init__(
            Classifier,
            DataSet,
            subclass_mode_data=True,
            run=False,
            args=args if isinstance(args, list) else dict(args),
            seed_everything_default=0,
            trainer_defaults=TRAINER_DEFAULTS,
            save_config_kwargs={"overwrite": True},
            auto_configure_optimizers=False,
            parser_kwargs={"prog": "alphadx fit"},
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse what was given; Lightning would warn that the command line holds arguments as well."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
            super().parse_arguments(parser, args)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What there is beside model, data and trainer."""
        parser.add_lightning_class_args(Epsilon50, "selection")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(StopAtCollapse, "collapse")
        parser.add_lightning_class_args(EpochCost, "cost")
        parser.set_defaults(CHECKPOINT_DEFAULTS)
        parser.add_argument(
            "--resume", type=str | None, default=None, help="checkpoint to go on from, or the word last"
        )
        parser.link_arguments("data.shape", "model.shape", apply_on="instantiate")
        parser.link_arguments("data.num_classes", "model.num_classes", apply_on="instantiate")
        parser.link_arguments("data.bounds", "model.bounds", apply_on="instantiate")
        parser.link_arguments("seed_everything", "model.seed", compute_fn=int)
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=int)

    def fit(self) -> ModelCheckpoint:
        """Train, and answer the checkpoint callback, which knows the best and the last checkpoint.

        Raises:
            FileNotFoundError: if there is no checkpoint to go on from.
        """
        checkpoint = self.trainer.checkpoint_callback
        assert isinstance(checkpoint, ModelCheckpoint)  # add_arguments_to_parser asks for one
        start = self._start()
        if start is not None:
            checkpoint.dirpath = str(start.parent)  # the best epoch so far lies there
        self.trainer.fit(self.model, self.datamodule, ckpt_path=start)
        return checkpoint

    def _start(self) -> Path | None:
        """The checkpoint to go on from; Lightning's own "last" would look into a new folder and start afresh."""
        if self.config.resume is None:
            return None
        if self.config.resume != "last":
            found = [Path(self.config.resume)]
        else:
            root = Path(self.config.checkpoint.dirpath or self.trainer.default_root_dir)
            found = sorted(root.rglob("last.ckpt"), key=lambda path: path.stat().st_mtime)
        if not (found and found[-1].is_file()):
            where = found[-1] if found else f"{root} (no last.ckpt in it)"
            raise FileNotFoundError(f"{where}: no checkpoint to go on from. Leave out --resume to start afresh.")
        return found[-1]
