"""Strategies that no objective here can train under are refused before anything is trained."""

import pytest
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy, ModelParallelStrategy

from eval.fit import fit_from
from eval.fit.refusals import check_strategy
from tests.eval.fit.runs import configuration

SHARDED = ["fsdp", "fsdp_cpu_offload", "deepspeed", "deepspeed_stage_3", FSDPStrategy(), ModelParallelStrategy()]


@pytest.mark.parametrize("strategy", SHARDED, ids=lambda one: one if isinstance(one, str) else type(one).__name__)
def test_a_strategy_that_shares_out_the_weights_is_refused(strategy):
    with pytest.raises(ValueError, match=r"^`trainer.strategy` should leave each process all of the weights"):
        check_strategy(strategy)


@pytest.mark.parametrize(
    "strategy",
    [None, "auto", "ddp", "ddp_spawn", DDPStrategy()],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_a_strategy_that_leaves_them_whole_is_taken(strategy):
    check_strategy(strategy)


@pytest.mark.usefixtures("as_in_production")
def test_fit_refuses_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"^`trainer.strategy` should .* Found fsdp"):
        fit_from(configuration(tmp_path, {"trainer": {"strategy": "fsdp"}}))
    assert not list(tmp_path.iterdir())
