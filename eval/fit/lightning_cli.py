"""Train from a configuration, through the Lightning CLI."""

import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from eval.fit.selection import MONITORED, Epsilon50
from generators.gan import GAN
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
    "checkpoint.save_last": True,
    "checkpoint.filename": "best",
    "checkpoint.enable_version_counter": False,
}


class FitCLI(LightningCLI):
    """A classifier, a data set and a trainer from one configuration.

    The network learns shape, classes and bounds from the data set, and seeds from `seed_everything`. The best
    epoch by ε50% on validation is kept as `best.ckpt`, the last one as `last.ckpt`.

    Args:
        args: configuration, or options of a command line.
        trained: base of what is trained; a configuration names its class where it is not Classifier itself.
    """

    def __init__(self, args: Sequence[str] | Mapping[str, Any], trained: type = Classifier) -> None:
        super().__init__(
            trained,
            DataSet,
            subclass_mode_model=trained is not Classifier,
            subclass_mode_data=True,
            run=False,
            args=dict(args) if isinstance(args, Mapping) else list(args),
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
        self.add_common(parser, "model")
        parser.add_lightning_class_args(Epsilon50, "selection")
        parser.add_lightning_class_args(StopAtCollapse, "collapse")
        parser.set_defaults({"checkpoint.monitor": MONITORED, "checkpoint.mode": "max"})
        parser.link_arguments("seed_everything", "model.seed", compute_fn=int)

    def add_common(self, parser: LightningArgumentParser, arguments: str) -> None:
        """What classifiers and generators share.

        Args:
            parser: to be added to.
            arguments: where the parser keeps the arguments of what is trained.
        """
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(EpochCost, "cost")
        parser.set_defaults(CHECKPOINT_DEFAULTS)
        parser.add_argument(
            "--resume", type=str | None, default=None, help="checkpoint to go on from, or the word last"
        )
        for known in ("shape", "num_classes", "bounds"):
            parser.link_arguments(f"data.{known}", f"{arguments}.{known}", apply_on="instantiate")
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


class GeneratorCLI(FitCLI):
    """The same for a generator, whose class the configuration names: `model: {class_path: generators.DirectGAN, …}`.

    The best epoch is the one lowest in what the class says, among those in which the generator had not collapsed.
    """

    def __init__(self, args: Sequence[str] | Mapping[str, Any]) -> None:
        super().__init__(args, trained=GAN)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What there is beside model, data and trainer."""
        self.add_common(parser, "model.init_args")
        parser.link_arguments("model", "checkpoint.monitor", compute_fn=_monitored, apply_on="instantiate")
        parser.set_defaults({"checkpoint.mode": "min"})

    def fit(self) -> ModelCheckpoint:
        """Train, and answer the checkpoint callback.

        Raises:
            FileNotFoundError: if there is no checkpoint to go on from.
            ValueError: if the generator had collapsed in every epoch.
        """
        checkpoint = super().fit()
        score = checkpoint.best_model_score
        if score is None or not math.isfinite(score):
            raise ValueError(
                "The generator collapsed: in no epoch did its images differ from each other by a tenth of what real "
                f"ones do, or its loss was no number. {checkpoint.dirpath} holds no result. Try another seed, a "
                "lower learning rate, or a weaker discriminator."
            )
        return checkpoint


def fit_from(args: Sequence[str] | Mapping[str, Any]) -> FitCLI:
    """The training that a configuration or command line describes: of a generator if it names the model's class."""
    return GeneratorCLI(args) if _names_model(args) else FitCLI(args)


def _names_model(args: Sequence[str] | Mapping[str, Any]) -> bool:
    if isinstance(args, Mapping):
        return "class_path" in (args.get("model") or {})
    given = any(arg == "--model" or arg.startswith(("--model=", "--model.class_path")) for arg in args)
    files = [after for option, after in pairwise(args) if option == "--config"]
    files += [arg.removeprefix("--config=") for arg in args if arg.startswith("--config=")]
    read = [yaml.safe_load(Path(file).read_text()) for file in files if Path(file).is_file()]
    return given or any(isinstance(content, dict) and _names_model(content) for content in read)


def _monitored(model: GAN) -> str:
    return model.monitored
