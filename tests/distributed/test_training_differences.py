"""What a training in several processes says of how it differs from one process."""

from torch import nn

from training.processes import said_to_differ

NORMED = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))


def test_one_process_has_nothing_to_say():
    assert said_to_differ(NORMED, 1) == ""


def test_batch_norm_is_named_where_its_statistics_are_not_exchanged():
    assert "batch norm" in said_to_differ(NORMED, 2)
    assert "batch norm" not in said_to_differ(nn.SyncBatchNorm.convert_sync_batchnorm(NORMED), 2)
    assert "batch norm" not in said_to_differ(nn.Linear(2, 2), 2)


def test_draws_and_repeated_samples_are_named_with_the_number_of_processes():
    said = said_to_differ(nn.Linear(2, 2), 3)
    assert said.startswith("3 processes")
    assert "attack starts" in said
    assert "uneven batches" in said
