"""Models side by side in one CUDA graph end where those one at a time do."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from eval.fit import FitCLI
from eval.studies import StudyRun, load_study, run_study
from tests.eval.studies.killed import killed
from training import graphs
from training.side_by_side import Member, SideBySide

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore:training collapsed"),
]

AT = {"class_path": "training.AT", "init_args": {"epsilon": "1/10", "steps": 3}}
RECIPES: dict[str, dict[str, Any]] = {
    "B": {},
    "Lα": {"model": {"alignment_weight": 1.0}},
    "P": {"model": {"objective": AT}},
    "AT+AGR": {"model": {"objective": AT, "combiner": {"class_path": "training.AGR"}}},
}
MLP: dict[str, Any] = {"network": "mlp", "network_options": {"hidden": [16]}}
DATA = {
    "Spheres": ({"class_path": "training.data.Spheres", "init_args": {"dimensions": 8, "train_size": 520}}, MLP),
    "digits": ({"class_path": "training.data.Digits", "init_args": {"batch_size": 128}}, {"network": "small_cnn"}),
}
TOLERANCE = 1e-3
"""Of a weight: kernels of a GPU add in another order, and what Adam makes of a small gradient magnifies it. Weights
move fifty times as far."""
FARTHER = 1e-3
"""The share of weights that may be farther: those whose gradient is so near 0 that its sign turns on the last bit."""
ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.003}}


def ran(folder: Path, name: str, size: int | None, out: str = "", **trainer: Any) -> tuple[StudyRun, Path]:
    data, network = DATA[name]
    base = {
        "trainer": {"accelerator": "gpu", "max_epochs": 2} | trainer,
        "model": network | {"optimizer": ADAM},
        "selection": {"steps": 2, "resolution": 0.2},
        "checkpoint": {"monitor": "val_accuracy"},
        "data": data,
    }
    measure = {"masking": False, "steps": 3, "limit": 50, "resolution": 0.1}
    experiments = {"here": {"recipes": RECIPES, "seeds": [0, 1]}}
    plan = folder / "plan.yaml"
    plan.write_text(yaml.safe_dump({"title": "t", "base": base, "measure": measure, "experiments": experiments}))
    home = folder / (out or f"run-{size}")
    return run_study(load_study(str(plan)), home, jobs=1, side_by_side=size), home


def weights(out: Path) -> dict[str, torch.Tensor]:
    return {
        path.parents[1].name: torch.cat(
            [
                value.double().flatten()
                for value in torch.load(path, map_location="cpu", weights_only=True)["state_dict"].values()
            ]
        )
        for path in out.glob("models/*/training/last.ckpt")
    }


@pytest.mark.parametrize("size", [3, None], ids=["three", "by memory"])
@pytest.mark.parametrize("data", DATA)
def test_side_by_side_on_a_gpu_ends_as_one_at_a_time(
    tmp_path: Path, data: str, size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, wanted = ran(tmp_path, data, 1)
    recorded: list[int] = []
    made = graphs.Graph

    def counted(pieces: list, *rest: Any) -> graphs.Graph:
        recorded.append(len(pieces))
        return made(pieces, *rest)

    monkeypatch.setattr(graphs, "Graph", counted)
    run, out = ran(tmp_path, data, size)
    assert (run.failures, alone.failures) == ([], [])
    assert max(recorded) == (size or 8)
    found, expected = weights(out), weights(wanted)
    assert found.keys() == expected.keys()
    assert len(found) == 8
    for name, values in found.items():
        assert_same(values, expected[name], name)
    first = {name.split("-")[1]: values for name, values in found.items() if "seed0" in name}
    plain, robust = first["B"], first["P"]
    assert (plain - robust).abs().max() > 10 * TOLERANCE  # so that those that were exchanged would be seen
    marks = [json.loads(path.read_text()) for path in out.glob("models/*/training/trained.json")]
    assert max(mark["side_by_side"] for mark in marks) == (size or 8)


def assert_same(found: torch.Tensor, wanted: torch.Tensor, name: str = "") -> None:
    farther = ~torch.isclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE)
    share, most = farther.double().mean(), (found - wanted).abs().max()
    assert share <= FARTHER, f"{name}: {farther.sum()} of {len(found)} weights differ, at most by {most:.1e}"


def test_side_by_side_under_bfloat16_learns_as_one_at_a_time(tmp_path: Path) -> None:
    """Rounding to eight bits is magnified too much for weights to be compared; what is learnt is not."""
    scores = []
    for size in (1, 4):
        run, out = ran(tmp_path, "digits", size, precision="bf16-mixed", max_epochs=4)
        assert run.failures == []
        scores.append({r.model: r.value for r in run.results.load() if r.quantity.kind == "accuracy"})
        assert len(scores[-1]) == len(list(out.glob("models/*"))) == 8
    for model, accuracy in scores[0].items():
        assert scores[1][model] == pytest.approx(accuracy, abs=0.1), model


def test_a_group_that_was_killed_on_a_gpu_ends_as_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = ran(tmp_path, "Spheres", 8)
    with monkeypatch.context() as patched:
        patched.setattr(FitCLI, "instantiate_trainer", killed(FitCLI.instantiate_trainer, (1,)))
        with pytest.raises(SystemExit, match="killed"):
            ran(tmp_path, "Spheres", 8, "killed")
    run, out = ran(tmp_path, "Spheres", 8, "killed")
    assert run.failures == []
    found, expected = weights(out), weights(whole)
    assert len(found) == 8
    for name, values in found.items():
        assert_same(values, expected[name], name)


class Failing(nn.Module):
    """A linear classifier that raises an error at its second call in training."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(8, num_classes), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        if self.calls == 2:
            raise ValueError("broken")
        return self.layer(x)


def trained(folder: Path, network: str, options: dict | None, member: Member) -> torch.Tensor:
    whole = {
        "data": {"class_path": "training.data.Spheres", "init_args": {"dimensions": 8, "train_size": 640}},
        "model": {"network": network, "network_options": options, "optimizer": ADAM},
        "selection": {"steps": 2, "resolution": 0.2},
        "checkpoint": {"monitor": "val_accuracy"},
        "trainer": {"accelerator": "gpu", "max_epochs": 2, "default_root_dir": str(folder / str(member.number))}
        | dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False),
    }
    cli = FitCLI(whole)
    cli.model.runner = member
    cli.fit()
    return torch.cat([weight.detach().cpu().flatten() for weight in cli.model.parameters()])


@pytest.mark.filterwarnings("ignore")  # of Lightning, which a study silences
def test_one_that_fails_on_a_gpu_leaves_the_others_and_their_graphs(tmp_path: Path) -> None:
    mlp = partial(trained, tmp_path / "beside", "mlp", {"hidden": [16]})
    broken = partial(trained, tmp_path / "broken", f"{__name__}.Failing", None)
    found = SideBySide([mlp, broken, mlp]).run()
    assert str(found[1]) == "broken"
    wanted = SideBySide([partial(trained, tmp_path / "alone", "mlp", {"hidden": [16]})]).run()[0]
    for weights in (found[0], found[2]):
        assert_same(weights, wanted)
