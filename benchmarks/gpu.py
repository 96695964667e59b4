"""What a GPU is worth: recorded steps over single kernels, models side by side, and paper-scale rows.

    python benchmarks/gpu.py --save benchmarks/records/gpu.json [--rows pgd,step,…]

Every row is a ratio of medians measured side by side on one card, or a time beside its goal. Rows that are done are
kept in the record, so that the same command goes on. Data is random where only its shape matters. Without a GPU it
says so, and checks on the CPU that recorded steps end where single ones do.
"""

import argparse
import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn

from eval import critical_radii
from eval.records.provenance import provenance
from eval.records.store import read_json, write_json
from training import AGR, AT, Classifier, Plain, Strength, build_network, pgd
from training.attack_loss import attack_loss
from training.data import DataSet
from training.data.split import Split
from training.graphs import Alone, unrecorded
from training.side_by_side import SideBySide

SHAPES = {"small_cnn": (1, 28, 28), "resnet18": (1, 28, 28), "preact_resnet18": (3, 32, 32)}
QUIET = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
WARM = 8
"""Steps before the clock starts, in which a graph is recorded."""


class Random(DataSet):
    """Random bytes as images, for what depends on their shape alone."""

    def __init__(self, shape: tuple[int, ...], classes: int, train_size: int, batch_size: int, seed: int = 0) -> None:
        super().__init__(batch_size=batch_size, seed=seed)
        self.name, self.shape, self.size, self.bounds = "random", shape, train_size, (0.0, 1.0)
        self.classes = tuple(map(str, range(classes)))

    def make_split(self, name: str) -> Split:
        """The samples of a split."""
        source = torch.Generator().manual_seed(len(name))
        images = torch.randint(256, (self.size, *self.shape), generator=source, dtype=torch.uint8)
        return Split(images, torch.randint(self.num_classes, (self.size,), generator=source), self.bounds)


def network(name: str, classes: int) -> nn.Module:
    options = {"weights": None, "frozen_batch_norm": True} if name == "resnet18" else {}
    torch.manual_seed(0)
    return build_network(name, shape=SHAPES[name], num_classes=classes, bounds=(0.0, 1.0), **options).cuda().eval()


def milliseconds(job: Callable[[], Any], times: int = 9) -> float:
    """The median of some calls, after two that are not counted."""
    found = []
    for _ in range(times + 2):
        torch.cuda.synchronize()
        started = time.perf_counter()
        job()
        torch.cuda.synchronize()
        found.append(1e3 * (time.perf_counter() - started))
    return statistics.median(found[2:])


def bare_pgd(classifier: nn.Module, x: Tensor, y: Tensor, epsilon: float, steps: int) -> None:
    """PGD as a loop and nothing else."""
    point = (x + torch.empty_like(x).uniform_(-epsilon, epsilon)).clamp(0, 1)
    for _ in range(steps):
        point.requires_grad_()
        (slope,) = torch.autograd.grad(attack_loss(classifier(point), y).sum(), point)
        point = point.detach() + 2.5 * epsilon / steps * slope.sign()
        point = torch.min(torch.max(point, x - epsilon), x + epsilon).clamp(0, 1)


def pgd_row(name: str, classes: int, steps: int, batch: int, goal: float, bf16: bool = False) -> dict:
    plain, laid_out = network(name, classes), network(name, classes).to(memory_format=torch.channels_last)
    x, y = torch.rand(batch, *SHAPES[name]).cuda(), torch.randint(classes, (batch,)).cuda()
    single = milliseconds(lambda: bare_pgd(plain, x, y, 8 / 255, steps))

    def ours() -> None:
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            pgd(laid_out, x, y, 8 / 255, steps=steps, bounds=(0.0, 1.0))

    found = milliseconds(ours)
    return {"milliseconds": found, "bare loop": single, "ratio": found / single, "goal": goal}


class Clock(Callback):
    """Milliseconds of a step, after some that are not counted."""

    def on_train_batch_start(self, trainer: Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        """Start after the steps that are not counted."""
        if trainer.global_step == WARM:
            torch.cuda.synchronize()
            self.started = time.perf_counter()

    def on_train_end(self, trainer: Trainer, module: Any) -> None:
        """Divide by the steps."""
        torch.cuda.synchronize()
        self.step = 1e3 * (time.perf_counter() - self.started) / (trainer.global_step - WARM)


def step_time(
    name: str, data: DataSet, steps: int, *, precision: str = "32-true", runner: Any = None, **options: Any
) -> float:
    """Milliseconds of a step of a training."""
    chosen = {"weights": None, "frozen_batch_norm": True} if name == "resnet18" else {}
    optimizer = options.pop("optimizer", partial(torch.optim.Adam, lr=1e-4))
    about = {"shape": data.shape, "num_classes": data.num_classes, "bounds": data.bounds}
    module = Classifier(name, chosen, **about, optimizer=optimizer, **options)
    module.runner = runner
    clock = Clock()
    trainer = Trainer(
        max_steps=steps,
        accelerator="gpu",
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        limit_val_batches=0,
        inference_mode=False,
        callbacks=[clock],
        **QUIET,
    )
    trainer.fit(module, data)
    return clock.step


def at(steps: int) -> AT:
    return AT(Strength("8/255"), steps=steps)


def side_by_side_row(count: int, goal: float) -> dict:
    data = Random((1, 28, 28), 2, 12 * 60, 12)
    with unrecorded():
        alone = step_time("resnet18", data, 20, objective=at(40), graphs=False)

    def one(seed: int, member: Any) -> float:
        return step_time("resnet18", data, 60, objective=at(40), seed=seed, runner=member)

    times: Any = SideBySide([partial(one, seed) for seed in range(count)]).run()
    found = max(times) / count
    return {"milliseconds a model": found, "single kernels, alone": alone, "ratio": found / alone, "goal": goal}


def penalty_row(goal: float) -> dict:
    data = Random((1, 28, 28), 2, 50 * 80, 50)
    plain = step_time("resnet18", data, 80, objective=Plain())
    found = step_time("resnet18", data, 80, objective=Plain(), alignment_weight=0.1, residual="nearest")
    return {"milliseconds": found, "a plain step": plain, "ratio": found / plain, "goal": goal}


def combiner_row(precision: str, goal: float) -> dict:
    data = Random((3, 32, 32), 10, 128 * 60, 128)
    sgd = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=5e-4)
    given = {"precision": precision, "optimizer": sgd}
    single = step_time("preact_resnet18", data, 60, objective=at(10), **given)
    found = step_time("preact_resnet18", data, 60, objective=at(10), combiner=AGR(), **given)
    return {"milliseconds": found, "AT": single, "ratio": found / single, "goal": goal}


def epoch_row(goal: float) -> dict:
    data = Random((3, 32, 32), 10, 50_000, 128)
    sgd = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=5e-4)
    step = step_time("preact_resnet18", data, 150, precision="bf16-mixed", objective=at(10), optimizer=sgd)
    return {"seconds an epoch": step * 391 / 1e3, "milliseconds a step": step, "goal, seconds": goal}


def epsilon50_row(goal: float) -> dict:
    classifier = network("small_cnn", 2)
    x = torch.rand(1902, 1, 28, 28)
    with torch.no_grad():
        y = classifier(x.cuda()).argmax(dim=1).cpu()
    attack = partial(pgd, steps=40, leave_when_fooled=True)

    def search() -> Any:
        return critical_radii(classifier, [(x.cuda(), y)], attack, bounds=(0.0, 1.0), only="median")

    with unrecorded():
        single = milliseconds(search, 3)
    first = search().seconds
    found = milliseconds(search, 5)
    evaluations = search().backward_passes / len(x)
    seconds = {"seconds": found / 1e3, "the first time": first, "single kernels": single / 1e3}
    return seconds | {"evaluations": evaluations, "goal, seconds": goal}


ROWS: dict[str, Callable[[], dict]] = {
    "pgd, small CNN, PGD-40, batch 64": partial(pgd_row, "small_cnn", 2, 40, 64, 0.12),
    "pgd, ResNet-18 28×28, PGD-40, batch 50": partial(pgd_row, "resnet18", 2, 40, 50, 0.20),
    "pgd, PreAct-18 CIFAR, PGD-10, batch 128": partial(pgd_row, "preact_resnet18", 10, 10, 128, 0.40),
    "the same in bf16": partial(pgd_row, "preact_resnet18", 10, 10, 128, 0.40, bf16=True),
    "step P, ResNet-18, batch 12, 5 side by side": partial(side_by_side_row, 5, 13.0),
    "step P, ResNet-18, batch 12, 10 side by side": partial(side_by_side_row, 10, 13.0),
    "step Lα over a plain step, ResNet-18": partial(penalty_row, 2.5),
    "AGR over AT, PreAct-18": partial(combiner_row, "32-true", 1.05 * 26 / 23),
    "AGR over AT, PreAct-18, bf16": partial(combiner_row, "bf16-mixed", 1.05 * 26 / 23),
    "epoch of PGD-10 AT, CIFAR-10's size, PreAct-18, bf16": partial(epoch_row, 12.0),
    "ε50% under PGD-40, 1,902 images, small CNN": partial(epsilon50_row, 0.3),
}


def checked_on_cpu() -> Iterator[str]:
    """That steps on buffers, as a graph holds them, end where Lightning's own steps do."""
    for name, options in {
        "B": {},
        "AT": {"objective": at(3)},
        "AGR": {"objective": at(3), "combiner": AGR()},
    }.items():
        weights = []
        for runner in (None, Alone(torch.device("cpu"))):
            data = Random((1, 28, 28), 2, 90, 40)
            about = {"shape": data.shape, "num_classes": 2, "bounds": data.bounds}
            module = Classifier("small_cnn", **about, optimizer=partial(torch.optim.SGD, lr=0.1), **options)
            module.runner = runner
            Trainer(max_epochs=2, accelerator="cpu", limit_val_batches=0, inference_mode=False, **QUIET).fit(
                module, data
            )
            weights.append(torch.cat([weight.detach().flatten() for weight in module.parameters()]))
        yield f"{name}: largest difference between weights {float((weights[0] - weights[1]).abs().max()):.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", type=Path, help="JSON file for the record, which is gone on with")
    parser.add_argument("--rows", default="", help="beginnings of the rows' names, with commas; all if not given")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    if not torch.cuda.is_available():
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        print("There is no GPU here: nothing is timed. On the CPU, recorded against single steps:")
        print("\n".join(checked_on_cpu()))
        return
    record: dict = {"rows": {}}
    if options.save and options.save.exists():
        record = read_json(options.save, {"command", "provenance", "rows"})
    record |= {"command": " ".join(["python", *sys.argv]), "provenance": provenance("cuda")}
    for name, row in ROWS.items():
        if name not in record["rows"] and name.startswith(tuple(options.rows.split(","))):
            found = record["rows"][name] = row()
            print(name + ": " + ", ".join(f"{what} {value:.3g}" for what, value in found.items()), flush=True)
            torch.cuda.empty_cache()
            if options.save:
                write_json(options.save, record)


if __name__ == "__main__":
    main()
