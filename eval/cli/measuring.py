"""The `measure` job: a thin form of `eval.measure`, and the quality of residual estimators."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from eval.cli.showing import fail, show
from eval.figures.wanted import DEFAULTS, all_measurements
from eval.measuring import measure as measure_models
from eval.measuring.folders import check_folder
from eval.measuring.launched import launched
from eval.records import EstimatorQuality, Model, Record, Results
from eval.records.device import AUTO, chosen_device
from eval.records.identity import plain
from eval.records.judges import load_judges
from eval.records.subject import LimitOrder
from eval.report import all_tables, write_report
from eval.robustness.together import agreed, by_the_first
from generators import holds_estimator
from training.data import DataSet, SplitName

NO_DATA = "`--data` should name a data set, such as Digits or training.data.MNISTPair. Found none."


def measure(
    checkpoint: str,
    data: DataSet | None = None,
    network: str | None = None,
    network_options: dict[str, Any] | None = None,
    key: str | None = None,
    trust: bool = False,
    normalize: str | None = None,
    recipe: str = "",
    split: SplitName = "test",
    limit: int | None = None,
    limit_order: LimitOrder = "random",
    limit_seed: int = 0,
    seed: int = 0,
    device: str = AUTO,
    out: Path | None = None,
    keep_adversarial: Path | None = None,
    judge: dict[str, str] | list[str] | str | None = None,
    residual_options: dict[str, Any] | None = None,
    **measurements: Any,
) -> list[Record]:
    """Measure a classifier's alignment and robustness, or an estimator.

    Everything that can be refused is refused before the first measurement. One that fails all the same does not
    keep the others from being made, printed and kept; the command then ends with what failed, and exit status 1.

    Args:
        checkpoint: file, folder of checkpoints, or YAML list of models. The file is of a classifier of ours, or a
            state dict (plain, wrapped in a dict, with or without `model.` or `module.` prefixes) of the network named
            by `network`. What a folder or a list (`- {checkpoint: a.pt, network: …, recipe: AT, normalize: …}`) holds
            is measured in one go. Of a generator of ours, or a store of residuals (.h5), the quality is measured, see
            `eval.records.quality`, and that of the nearest example beside it. May be left out where `network` names a
            network with weights of its own.
        data: data set, with its options as --data.data_root DIR. Must be given.
        network: small_cnn, torchvision:resnet50 or mypackage:Net; not needed for a checkpoint of ours. A name of
            `training.build_network`, or the dotted path of a class.
        network_options: what the network takes.
        key: which weights to take from a file with several sets, such as "ema".
        trust: read a pickle, which can run anything that whoever wrote it wants.
        normalize: none, imagenet, cifar10, or mean and std for inputs in [0, 1], such as 0.5,0.25. If not given, what
            the file or the library says is taken; where nothing says it, the usual ones are compared on labelled
            samples, and the command asks where one is better by five points.
        recipe: how the model was trained, for the table; several checkpoints of one recipe are repetitions of it. The
            checkpoint's name if not given.
        split: of the data set.
        limit: only that many samples; all if not given.
        limit_order: which ones: random, of each class its share, or first. A residual estimator is measured on the
            first ones, which a store holds.
        limit_seed: of the draw.
        seed: of the attacks.
        device: cpu, cuda, cuda:1, mps, …; auto takes a GPU where there is one.
        out: folder for records, tables and page; nothing is saved if not given. What is recorded there is not
            measured again.
        keep_adversarial: HDF5 file for the adversarial examples of every attack.
        judge: checkpoint of a classifier of ours that had no part in the estimator's training; or several, in a list
            or by name, such as `'{"plain": "a.ckpt", "adversarially trained": "b.ckpt"}'`.
        residual_options: what the estimator takes, such as `'{"method": "paper"}'` for a conditional generator.
        measurements: what to measure, as `eval.figures.wanted.all_measurements` takes it, for example
            `--attacks pgd,square,sta,cw,autoattack --norms Linf,L2 --epsilons 8/255`.

    Returns:
        The records.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if no data set is given, the checkpoint does not fit, see `training.load_classifier`, a
            normalisation must be chosen, a choice cannot be measured, or a measurement failed.
    """
    with launched():
        if data is None:
            raise ValueError(NO_DATA)
        if Path(checkpoint).is_file() and holds_estimator(checkpoint):
            what = "a residual estimator"
            _check_unused(what, network=network, network_options=network_options, key=key, normalize=normalize)
            _check_unused(what, trust=trust, keep_adversarial=keep_adversarial, **_not_default(measurements))
            check_folder(out)
            with TemporaryDirectory() as nowhere:
                results = Results(out or nowhere)
                records = _quality(
                    Path(checkpoint), data, results, recipe, judge, residual_options or {}, split=split, limit=limit,
                    device=chosen_device(device), seed=seed,
                )  # fmt: skip
                by_the_first(lambda: show(all_tables(results.load()) if out is None else write_report(out), out))
            return records
        _check_unused("a classifier", judge=judge, residual_options=residual_options)
        if out is None and measurements.get("figures") is None:
            measurements["figures"] = ()  # nobody sees what stands on no page
        wanted = all_measurements(seed=seed, **measurements)
        report = measure_models(
            checkpoint or None,
            data,
            network=network,
            network_options=network_options,
            key=key,
            trust=trust,
            normalize=normalize,
            recipe=recipe,
            split=split,
            limit=limit,
            limit_order=limit_order,
            limit_seed=limit_seed,
            seed=seed,
            device=device,
            out=out,
            keep_adversarial=keep_adversarial,
            wanted=wanted,
        )
        if report.records:
            by_the_first(lambda: show(report.tables if out is None else write_report(out), out))
        agreed(lambda: fail(report.failures))
        return report.records


def _quality(
    checkpoint: Path,
    data: DataSet,
    results: Results,
    recipe: str,
    judge: dict[str, str] | list[str] | str | None,
    options: Mapping[str, Any],
    **chosen: Any,
) -> list[Record]:
    """The quality of a residual estimator, and of the nearest example beside it."""
    judging, nearest = load_judges(judge, data), data.residual("nearest")
    estimators = {
        recipe or checkpoint.stem: data.residual(str(checkpoint), **options),
        "nearest example": nearest,
    }
    records = []
    for name, estimator in estimators.items():
        rival = name == "nearest example"  # lies in no file, and is called so everywhere
        file, named = ("", True) if rival else (str(checkpoint), bool(recipe))
        model = Model(data.name, name, seed=chosen["seed"], groups=("estimators",), checkpoint=file, named=named)
        quality = EstimatorQuality(estimator, data, model, judging, nearest=nearest, **chosen)
        records += quality.measured(results.home(model, estimator.digest))
    return records


def _check_unused(what: str, **options: Any) -> None:
    """Refuse options that would change nothing.

    Raises:
        ValueError: naming the first.
    """
    for name, value in options.items():
        if value:
            raise ValueError(
                f"`--{name.replace('_', '-')}` should be left out where {what} is measured. Found {value}."
            )


def _not_default(measurements: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody chose among the arguments of `all_measurements`."""
    return {name: value for name, value in measurements.items() if plain(value) != plain(DEFAULTS[name])}
