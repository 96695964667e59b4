"""Train from a configuration, through the Lightning CLI."""

import signal
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning import Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from eval.fit.checkpoints import LAST, BestEpoch, LastEpoch, NoBestEpoch
from eval.fit.curves import LossCurves
from eval.fit.damaged import read_checkpoint
from eval.fit.launching import as_launched, check_launched
from eval.fit.parsing import RefusingParser
from eval.fit.refusals import as_value_errors, check_monitor, check_selection, check_trainer, without_validation
from eval.fit.resuming import Resumable, check_epochs, check_same_run, check_weights, run_of
from eval.fit.same_data import SaysData, check_same_data
from eval.fit.selection import MONITORED, Epsilon50
from eval.fit.telling import Telling, without_advertisements
from eval.fit.whereabouts import check_folder, last_checkpoint
from eval.fit.whole_checkpoints import keep_whole
from eval.fit.within_epoch import SaveWithinEpoch
from eval.progress import shown, silenced
from generators.files import remove_leftovers
from generators.generator_module import GeneratorModule
from generators.progress import Stage
from training import Classifier
from training.data import DataSet
from training.watch import EpochCost, StopAtCollapse

TRAINER_DEFAULTS = {
    # A GPU where there is one: the same rule as `--device auto` of the other commands.
    "accelerator": "auto",
    "max_epochs": 30,
    # Lightning's inference mode would break every attack and metric that needs a gradient.
    "inference_mode": False,
    "num_sanity_val_steps": 0,
    # A table of layers for a log; what is trained is said in one line.
    "enable_model_summary": False,
}
CHECKPOINT_DEFAULTS = {
    "checkpoint.filename": "best",
    "checkpoint.enable_version_counter": False,
}


class FitParser(RefusingParser, LightningArgumentParser):
    """Lightning's parser, which refuses in one sentence."""


class FitCLI(LightningCLI):
    """A classifier, a data set and a trainer from one configuration.

    The network learns shape, classes and bounds from the data set, and seeds from `seed_everything`. The best
    epoch by ε50% on validation is kept as `best.ckpt`, if some epoch was a candidate, or the last one with
    `selection: {keep: last}`; the last one always as `last.ckpt`.

    Args:
        args: configuration, or options of a command line.
        trained: base of what is trained; a configuration names its class where it is not Classifier itself.

    Raises:
        ValueError: if the configuration asks for what cannot be done, or would leave no best epoch.
    """

    def __init__(self, args: Sequence[str] | Mapping[str, Any], trained: type = Classifier) -> None:
        with as_value_errors(), without_advertisements():
            super().__init__(
                trained,
                DataSet,
                subclass_mode_model=trained is not Classifier,
                subclass_mode_data=True,
                run=False,
                args=dict(args) if isinstance(args, Mapping) else list(args),
                seed_everything_default=0,
                trainer_defaults=TRAINER_DEFAULTS | as_launched(),
                save_config_kwargs={"overwrite": True},
                auto_configure_optimizers=False,
                parser_class=FitParser,
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
        parser.add_lightning_class_args(LossCurves, "curves")
        parser.set_defaults({"checkpoint.monitor": MONITORED, "checkpoint.mode": "max"})
        parser.link_arguments("seed_everything", "model.seed", compute_fn=int)

    def add_common(self, parser: LightningArgumentParser, arguments: str) -> None:
        """What classifiers and generators share.

        Args:
            parser: to be added to.
            arguments: where the parser keeps the arguments of what is trained.
        """
        parser.add_lightning_class_args(BestEpoch, "checkpoint")
        parser.add_lightning_class_args(EpochCost, "cost")
        parser.add_lightning_class_args(SaveWithinEpoch, "save")
        parser.set_defaults(CHECKPOINT_DEFAULTS)
        parser.add_argument(
            "--resume", type=str | None, default=None, help="checkpoint to go on from, or the word last"
        )
        for known in ("shape", "num_classes", "bounds"):
            parser.link_arguments(f"data.{known}", f"{arguments}.{known}", apply_on="instantiate")
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=int)

    def before_instantiate_classes(self) -> None:
        """Refuse what would leave no best epoch, before anything is built."""
        check_trainer(self.config.trainer.as_dict())
        if self.config.get("selection.keep") == "last":
            self.config.checkpoint.monitor = None  # every epoch takes the place of the one before
        if not self.config.trainer.callbacks:  # which may log more
            check_monitor(self.config.checkpoint.get("monitor"))

    def instantiate_trainer(self, **options: Any) -> Trainer:
        """The trainer, which keeps the last epoch beside the best one and says in both which run they are of."""
        plain = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
        self.run = run_of(plain)
        self.best: BestEpoch = self.config_init.checkpoint
        extra = [self.config_init[key] for key in self.parser.callback_keys]
        callbacks = [*extra, LastEpoch(self.best), Resumable(self.run), SaysData()]
        # Lightning's bar, which fills a log with its states, gives way to ours, and is a switch for it.
        self.quiet = self.config_init.trainer.enable_progress_bar is False
        try:
            trainer = self._instantiate_trainer(
                {**self.config_init.trainer, "enable_progress_bar": False, **options}, callbacks
            )
        except TypeError as error:  # what Lightning raises for devices that an accelerator cannot have
            raise ValueError(str(error)) from error
        check_launched(trainer)
        if trainer.world_size > 1:  # with another number the same batch size is another batch of all
            self.run["processes"] = trainer.world_size
        keep_whole(trainer)
        return trainer

    def fit(self) -> BestEpoch:
        """Train, and return the checkpoint callback, which knows the best epoch.

        Raises:
            FileNotFoundError: if there is no checkpoint to go on from.
            NoBestEpoch: if no epoch was a candidate for the best one.
            ValueError: if the checkpoint is of another run, or the trainer cannot do what is asked.
        """
        if isinstance(self.datamodule, DataSet):
            check_selection(self.datamodule, keep=self.config.get("selection.keep", "best"))
            if without_validation(self.datamodule):
                self.trainer.limit_val_batches = 0  # Lightning warns of a loader without batches
        start = self._start()
        if start is not None:
            self.best.dirpath = str(start.resolve().parent)  # the best epoch so far lies there
            remove_leftovers(start.resolve().parent)
        self._train(start)
        if not self.best.found:
            raise NoBestEpoch(self.without_best())
        return self.best

    def _train(self, start: Path | None) -> None:
        """Train, and tell on the way.

        Raises:
            KeyboardInterrupt: if it is interrupted, which Lightning would make the end of the process.
        """
        epochs = Stage(unit="epoch")
        handler = signal.getsignal(signal.SIGINT)
        with ExitStack() as around:
            around.enter_context(silenced(self.quiet))
            display = around.enter_context(shown(epochs))
            around.enter_context(as_value_errors())
            around.enter_context(without_advertisements())
            if type(self.datamodule).train_dataloader is DataSet.train_dataloader:  # which skips what was done
                warnings.filterwarnings(
                    "ignore", message="You're resuming from a checkpoint that ended before the epoch"
                )
            self.trainer.callbacks.append(Telling(epochs, display))  # type: ignore[attr-defined]
            try:
                self.trainer.fit(self.model, self.datamodule, ckpt_path=start)
            except SystemExit as error:
                if not isinstance(error.__context__, KeyboardInterrupt):
                    raise
                signal.signal(signal.SIGINT, handler)
                raise type(error.__context__)(*self._kept()) from error  # Ctrl-C, or SIGTERM

    def _kept(self) -> list[str]:
        """The last checkpoint, if an epoch was finished."""
        last = Path(str(self.best.dirpath)) / LAST
        return [str(last)] if last.is_file() else []

    def without_best(self) -> str:
        """What is said where no epoch was a candidate."""
        first = self.config_init.selection.first(self.model)
        needed = "an accuracy above chance on validation" if self.best.monitor == MONITORED else "a value"
        later = f" and to be epoch {first}, counted from 0, or later" if first else ""
        last = Path(str(self.best.dirpath)) / LAST
        return (
            f"No epoch was a candidate for the best one by {self.best.monitor}, which needs {needed}{later}. {last} "
            "is the last epoch, from which --resume goes on where --trainer.max_epochs is raised."
        )

    def _start(self) -> Path | None:
        """The checkpoint to go on from, which must be of this run."""
        if self.config.resume is None:
            return None
        named = self.config.resume != "last"
        start = Path(self.config.resume) if named else last_checkpoint(self.trainer, self.config.checkpoint.dirpath)
        if not start.is_file():
            raise FileNotFoundError(f"{start}: no checkpoint to go on from. Leave out --resume to start afresh.")
        check_folder(start, self.config.checkpoint.dirpath)
        content = read_checkpoint(start)
        check_same_run(start, content, self.run, named=named)
        if isinstance(self.datamodule, DataSet):
            check_same_data(start, content, self.datamodule)
        check_weights(start, content, self.model)
        check_epochs(start, content, self.trainer.max_epochs)
        return start


class GeneratorCLI(FitCLI):
    """The same for a generator, whose class the configuration names: `model: {class_path: generators.DirectGAN, …}`.

    The best epoch is the one lowest in what the class says, among those in which the generator had not collapsed.
    """

    def __init__(self, args: Sequence[str] | Mapping[str, Any]) -> None:
        super().__init__(args, trained=GeneratorModule)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What there is beside model, data and trainer."""
        self.add_common(parser, "model.init_args")
        parser.link_arguments("model", "checkpoint.monitor", compute_fn=_monitored, apply_on="instantiate")
        parser.set_defaults({"checkpoint.mode": "min"})

    def without_best(self) -> str:
        """What is said where the generator had collapsed in every epoch."""
        return (
            "The generator collapsed: in no epoch did its images differ from each other by a tenth of what real "
            f"ones do, or its loss was no number. {self.best.dirpath} holds no result. Try another seed, a "
            "lower learning rate, or a weaker discriminator."
        )


def fit_from(args: Sequence[str] | Mapping[str, Any]) -> FitCLI:
    """The training that a configuration or command line describes: of a generator if it names the model's class."""
    return GeneratorCLI(args) if _names_model(args) else FitCLI(args)


def _names_model(args: Sequence[str] | Mapping[str, Any]) -> bool:
    if isinstance(args, Mapping):
        model = args.get("model")
        return isinstance(model, str) or (isinstance(model, Mapping) and "class_path" in model)
    given = any(arg == "--model" or arg.startswith(("--model=", "--model.class_path")) for arg in args)
    files = [after for option, after in pairwise(args) if option == "--config"]
    files += [arg.removeprefix("--config=") for arg in args if arg.startswith("--config=")]
    read = [_read(Path(file)) for file in files if Path(file).is_file()]
    return given or any(isinstance(content, dict) and _names_model(content) for content in read)


def _read(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{file} should hold YAML. ({error})") from error


def _monitored(model: GeneratorModule) -> str:
    return model.monitored
