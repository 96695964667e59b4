"""What cannot end in a best epoch is refused before a training begins, in one sentence."""

from pathlib import Path

import pytest

from eval.fit import NoBestEpoch, fit_from
from tests.eval.fit.runs import AT, configuration, epochs, fitted, saved

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")


@pytest.mark.usefixtures("as_in_production")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trainer": {"enable_checkpointing": False}}, "^`trainer.enable_checkpointing` should be left out"),
        ({"trainer": {"fast_dev_run": True}}, "^`trainer.fast_dev_run` should be left out.* Found True"),
        ({"trainer": {"fast_dev_run": 3}}, "^`trainer.fast_dev_run` should be left out.* Found 3"),
        ({"trainer": {"limit_val_batches": 0}}, "^`trainer.limit_val_batches` should be above 0"),
        ({"trainer": {"limit_val_batches": 0.0}}, "^`trainer.limit_val_batches` should be above 0"),
        ({"trainer": {"limit_train_batches": 0}}, "^`trainer.limit_train_batches` should be above 0"),
        ({"trainer": {"max_epochs": 0}}, "^`trainer.max_epochs` should be at least 1"),
        ({"trainer": {"max_epochs": -5}}, "`max_epochs` must be a non-negative integer or -1"),
        ({"trainer": {"accumulate_grad_batches": 0}}, "^`trainer.accumulate_grad_batches` should be at least 1"),
        ({"trainer": {"check_val_every_n_epoch": 4}}, "^`trainer.check_val_every_n_epoch` should be at most .*, 3"),
        ({"trainer": {"accelerator": "tpu"}}, "torch_xla"),
        ({"trainer": {"devices": [3]}}, "`devices` selected with `CPUAccelerator` should be an int > 0"),
        (
            {"checkpoint": {"monitor": "val_acuracy"}},
            "^`checkpoint.monitor` should be one of val_accuracy",
        ),
        ({"checkpoint": {"mode": "most"}}, "`mode` can be min, max but got most"),
        ({"selection": {"steps": 0}}, "^`steps` should be at least 1. Found 0"),
        ({"selection": {"resolution": 1.0}}, r"^`resolution` should lie in \(0, 1\). Found 1.0"),
        ({"selection": {"first_epoch": -1}}, "^`first_epoch` should be at least 0. Found -1"),
        ({"model": {"combiner_start": -1}}, "^`combiner_start` should be at least 0. Found -1"),
        ({"model": {"alignment_weight": float("nan")}}, "^`alignment_weight` should be finite and at least 0"),
        ({"model": {"combiner": {"class_path": "training.AGR"}}}, "^`combiner` should have two or more losses"),
        ({"model": {"objective": AT | {"init_args": {"epsilon": 1, "steps": 0}}}}, "^`steps` should be at least 1"),
    ],
)
def test_refused_before_anything_is_trained(tmp_path: Path, change, message) -> None:
    with pytest.raises(ValueError, match=message):
        fit_from(configuration(tmp_path, change))
    assert not list(tmp_path.iterdir())


def test_misspelt_residual_is_refused_although_its_weight_is_0(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`residual` should be one of .* Found 'nearst'"):
        fitted(tmp_path, {"model": {"residual": "nearst"}})
    assert not list(tmp_path.rglob("*.ckpt"))


def test_configuration_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fit.yaml").write_text("model: [")
    with pytest.raises(ValueError, match=r"fit.yaml should hold YAML"):
        fit_from(["--config", str(tmp_path / "fit.yaml")])


COMBINED = {"objective": AT, "combiner": {"class_path": "training.CAAT"}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "model"),
    [
        pytest.param("bf16-true", {}, marks=pytest.mark.slow),
        pytest.param("64-true", COMBINED, marks=pytest.mark.slow),
        ("bf16-mixed", COMBINED),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in (("bf16-true", COMBINED), ("64-true", {}))),
    ],
)
def test_training_in_any_precision_ends_in_a_best_epoch(tmp_path: Path, precision, model) -> None:
    cli = fitted(tmp_path, {"trainer": {"precision": precision}, "model": model}, epochs(1))
    assert float(cli.best.best_model_score) > 0
    kind = str(saved(tmp_path)["state_dict"]["network.1.weight"].dtype).removeprefix("torch.")
    assert kind == {"bf16-true": "bfloat16", "64-true": "float64", "bf16-mixed": "float32"}[precision]


def test_run_that_diverges_is_said_to_and_leaves_no_best(tmp_path: Path) -> None:
    model = {"model": {"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 1e38}}}}
    with (
        pytest.warns(UserWarning, match="training collapsed in epoch 0 and was stopped: its loss is nan"),
        pytest.raises(NoBestEpoch),
    ):
        fitted(tmp_path, model, epochs(3))
    assert saved(tmp_path)["epoch"] == 0
