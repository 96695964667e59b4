"""The words of the command: where the job of each lies, what its help shows first, and which options it shows.

Nothing here imports a job: help, completion and the hint at a misspelt word need not load torch.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from eval.cli.reading import Option, options_of, summary_of

HELP_ALL = "--help-all"
"""Every option of a word, as the parser knows it."""


class Place(NamedTuple):
    """A function or class in a file of the packages, and what stands before the names of its arguments."""

    file: str
    name: str
    prefix: str = ""


@dataclass(frozen=True)
class Word:
    """A job by its name on the command line.

    Attributes:
        place: of the function that does it.
        form: what follows the word, in short.
        examples: whole commands.
        usual: options that its help shows; all are those of the function and of `further`.
        further: take what the function passes on.
    """

    place: Place
    form: str
    examples: tuple[str, ...]
    usual: tuple[str, ...] = ()
    further: tuple[Place, ...] = ()

    @property
    def summary(self) -> str:
        """What it does, in a sentence."""
        return summary_of(self.place.file, self.place.name)

    @property
    def options(self) -> dict[str, Option]:
        """All options, by name; where two functions take one of a name, the word's own comes first."""
        return {option.name: option for place in (*self.further, self.place) for option in options_of(*place)}

    def job(self) -> Any:
        """The function, which is imported now."""
        module = self.place.file.removesuffix(".py").replace("/", ".")
        return getattr(import_module(module), self.place.name)


WORDS = {
    "measure": Word(
        Place("eval/cli/measuring.py", "measure"),
        "CHECKPOINT --data NAME [options]",
        (
            "alphadx measure model.pt --data Digits --network small_cnn",
            "alphadx measure model.pt --data CIFAR10 --network wide_resnet28_10 \\\n"
            "    --attacks pgd,square --norms Linf,L2 --epsilons 8/255 --out runs/mine",
        ),
        (
            "data", "network", "normalize", "attacks", "norms", "epsilons", "figures", "residual", "limit",
            "device", "out",
        ),
        (
            Place("eval/figures/wanted.py", "all_measurements"),
            Place("eval/records/measurements.py", "standard_measurements"),
        ),
    ),
    "fit": Word(
        Place("eval/cli/commands.py", "fit"),
        "CONFIG.yaml [--key value ...]",
        (
            "alphadx fit fit.yaml",
            "alphadx fit fit.yaml --model.alignment_weight 0.3 --trainer.max_epochs 30",
            "alphadx fit fit.yaml --trainer.max_epochs 60 --resume last",
        ),
        ("model.network", "model.objective", "model.combiner", "model.alignment_weight", "model.residual"),
        (Place("training/classifier.py", "Classifier", "model."),),
    ),
    "study": Word(
        Place("eval/cli/commands.py", "study"),
        "PRESET|FILE.yaml [options]",
        (
            "alphadx study --list",
            "alphadx study mnist35 --fast --data-root DIR",
            "alphadx study my.yaml --out runs/mine --jobs 4",
            "alphadx study my.yaml --out /shared/mine --ray auto --cpus 2 --gpus 0.25",
        ),
        ("out", "fast", "list", "data_root", "jobs", "device", "side_by_side", "ray", "slurm"),
    ),
    "report": Word(
        Place("eval/cli/commands.py", "report"),
        "FOLDER [FOLDER ...]",
        (
            "alphadx report runs/quick",
            "alphadx report runs/mine runs/theirs --out runs/both",
        ),
        ("out",),
    ),
    "residuals": Word(
        Place("eval/cli/fill.py", "residuals"),
        "ESTIMATOR FILE.h5 --data NAME [options]",
        (
            "alphadx residuals nearest digits.h5 --data Digits",
            "alphadx residuals best.ckpt mnist.h5 --data MNIST --jobs 2",
        ),
        ("data", "split", "classes", "limit", "jobs", "device", "ray", "slurm"),
    ),
    "export": Word(
        Place("eval/cli/export.py", "export"),
        "FOLDER [options]",
        (
            "alphadx export runs/mine --form robustbench",
            "alphadx export runs/mine --form csv --out tables",
        ),
        ("form", "out", "about"),
    ),
}  # fmt: skip
"""By name, in the order in which somebody meets them."""
