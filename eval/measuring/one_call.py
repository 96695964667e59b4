"""`measure`: alignment and robustness of any model on any data, in one call."""

import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from alignment.contracts import check_choice
from eval.figures.wanted import DEFAULTS, all_measurements
from eval.measuring.candidates import Candidate, candidates_of
from eval.measuring.folders import check_folder, check_keeping
from eval.measuring.report import Report
from eval.measuring.session import Session
from eval.progress import silenced
from eval.records import Results
from eval.records.device import AUTO, chosen_device
from eval.records.outcome import Measurement
from eval.records.subject import LimitOrder
from eval.robustness.together import agreed, rank, together
from training.data import DataSet, SplitName
from training.data.given import data_set_of


def to_stderr(sentence: str) -> None:
    """Say something beside the results."""
    tqdm.write(sentence, file=sys.stderr)


def _to_nobody(sentence: str) -> None:
    """Say nothing, as all processes but the first of those that measure together."""


def measure(
    model: Any = None,
    data: Any = None,
    *,
    bounds: tuple[float | int, float | int] | None = None,
    classes: Sequence[str] | None = None,
    network: str | None = None,
    network_options: Mapping[str, Any] | None = None,
    key: str | None = None,
    trust: bool = False,
    normalize: Any = None,
    recipe: str = "",
    split: SplitName = "test",
    limit: int | None = None,
    limit_order: LimitOrder = "random",
    limit_seed: int = 0,
    seed: int = 0,
    device: str | None = None,
    out: str | Path | None = None,
    keep_adversarial: str | Path | None = None,
    wanted: Sequence[Measurement] | None = None,
    say: Callable[[str], None] = to_stderr,
    progress: bool = True,
    **measurements: Any,
) -> Report:
    """Alignment and robustness of any model on any data.

    Everything that can be refused is refused before the first measurement. One that fails all the same does not keep
    the others from being made, and one model of several that fails does not keep the others from being measured; the
    report holds what failed. Models are left as they were found. Where there is a process group of torch.distributed,
    all its processes have to call this, and divide the work: batches of samples are dealt out, every process returns
    the report that one alone would, and the first alone speaks and writes to `out`.

    Args:
        model: a `torch.nn.Module`, measured where it is; the path of a checkpoint, of a folder of checkpoints or of a
            YAML list, see `eval.measuring.candidates`; several of these in a mapping by name; or None, with
            `network`, for the weights that a library has for a network.
        data: tensors (x, y), a Dataset, a DataLoader, a LightningDataModule or a `training.data.DataSet`.
        bounds: lowest and highest legal value of an input, which is the unit of ε; a data set of ours says it.
        classes: their names; numbered if not given.
        network: name of the network that a checkpoint belongs to, see `training.load_classifier`.
        network_options: what the network takes.
        key: which weights to take from a file with several sets, such as "ema".
        trust: read a pickle that can run anything.
        normalize: "none", "imagenet", "cifar10", "mean,std" or a pair of them, for inputs in [0, 1]: what stands
            before the model. None takes what the file or the library says; where nothing says it, the usual ones are
            compared on labelled samples, and one that is better by five points is asked about.
        recipe: how the model was trained, for tables; models of one recipe are repetitions of it.
        split: of the data set.
        limit: only that many samples; all if not given.
        limit_order: which ones: drawn at "random", of each class its share, or the "first".
        limit_seed: of the draw; a part of what was measured.
        seed: of the attacks.
        device: for a model that is loaded: cpu, cuda, cuda:1, mps, …; None or auto takes a GPU where there is one.
        out: folder for records, tables, plots and page, in which what is recorded is not measured again.
        keep_adversarial: HDF5 file for the adversarial examples of every attack, see `AdversarialFile`; whole, or not
            at all.
        wanted: measurements by themselves, such as `[AttackRadii("pgd", "L2")]` or one of your own making, in place
            of those that `measurements` describes.
        say: is told each sentence that a user should read, before the measurements; prints to stderr if not given.
        progress: show how far it is: a bar on a terminal or in a notebook, else a line on stderr now and then.
        measurements: what to measure, see `eval.figures.wanted.all_measurements`: `attacks`, `norms`, `epsilons`,
            `figures`, `only`, …

    Returns:
        The report: `.table`, `["epsilon50_pgd_linf"].value`, `.per_sample`, `.save(folder)`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if data or bounds are missing, the model does not fit, a normalisation must be chosen, or a choice
            cannot be measured; of several models, if none could be measured.

    Example:
        >>> import torch
        >>> from training.data import Spheres
        >>> ball = torch.nn.Sequential(torch.nn.Linear(2, 2))
        >>> report = measure(ball, Spheres(dimensions=2), attacks=[], masking=False, limit=20, say=lambda _: None)
        >>> report["accuracy"].samples
        20
    """
    usual = Candidate(
        network=network,
        network_options=network_options or {},
        key=key,
        normalize=normalize,
        trust=trust,
        recipe=recipe,
    )

    def prepared() -> tuple[Session, list[Candidate]]:
        check_folder(out)
        given = _data_set(data, bounds, classes)
        place = chosen_device(device or AUTO)
        candidates = [*candidates_of(model, usual)]
        if device is not None and any(one.module is not None for one in candidates):
            raise ValueError(
                f"`device` should be left out for a module, which is measured where it is. Found {device!r}."
            )
        # Without a folder, nobody sees what stands on no page.
        asked = {"figures": (), **measurements} if out is None and wanted is None else measurements
        session = Session(given, _wanted(wanted, seed, asked), seed, place, say if rank() == 0 else _to_nobody)
        session.chosen = {"split": split, "limit": limit, "limit_order": limit_order, "limit_seed": limit_seed}
        if keep_adversarial is not None:
            check_keeping(keep_adversarial, session.wanted, len(candidates))
            session.keep_adversarial = Path(keep_adversarial)
        return session, candidates

    with together():
        session, candidates = agreed(prepared)
        with _folder(out) as folder, silenced(not progress or rank() > 0):
            session.run_all(candidates, Results(folder))
            report = Report(folder, session.records, session.failures, session.notes)
    if out is None:
        weakref.finalize(report, shutil.rmtree, folder, ignore_errors=True)
    return report


@contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    """The folder for results; one of no name, which lasts as long as the report, where none is given."""
    folder = Path(tempfile.mkdtemp(prefix="alphadx-")) if out is None else Path(out)
    try:
        yield folder
    except BaseException:
        if out is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _wanted(
    wanted: Sequence[Measurement] | None, seed: int, measurements: Mapping[str, Any]
) -> Sequence[Measurement]:
    """The measurements that are named in one way or the other.

    Raises:
        ValueError: if they are named in both, or one of `measurements` is misspelt.
    """
    if wanted is not None and measurements:
        raise ValueError(f"`wanted` should stand alone. Found {', '.join(measurements)} beside it.")
    if wanted is not None:
        return wanted
    for name in measurements:
        check_choice(name, tuple(DEFAULTS), "measurements")
    return all_measurements(seed=seed, **measurements)


def _are_two_numbers(given: Any) -> bool:
    try:
        return len([float(number) for number in given]) == 2
    except (TypeError, ValueError):
        return False


def _data_set(data: Any, given: Sequence[float | int] | None, classes: Sequence[str] | None) -> DataSet:
    """The data as a data set of ours, which says its own bounds."""
    if data is None:
        raise ValueError(
            "`data` should be tensors (x, y), a Dataset, a DataLoader or a data set of ours. Found None."
        )
    if given is not None and not _are_two_numbers(given):
        raise ValueError(f"`bounds` should be two numbers, the lower one first, such as (0, 1). Found {given!r}.")
    bounds = None if given is None else (float(given[0]), float(given[1]))
    return data_set_of(data, bounds=bounds, classes=classes)
