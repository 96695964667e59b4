"""What to show of a combiner, an objective and a data set of one's own, and that a configuration takes them."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from eval.fit import fit_from
from training.data import DataSet
from training.objective import Objective

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def gradients() -> dict[str, list[torch.Tensor]]:
    """Of two tensors each: as vectors (3, 0, 0) and (0, 0, 1)."""
    return {
        "clean": [torch.tensor([3.0, 0.0]), torch.tensor([0.0])],
        "adversarial": [torch.tensor([0.0, 0.0]), torch.tensor([1.0])],
    }


def flat(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def test_the_combination_has_one_angle_to_all_gradients(gradients) -> None:
    from own_combiner import Bisector

    combined = flat(Bisector()(gradients))
    cosines = [F.cosine_similarity(combined, flat(parts), dim=0) for parts in gradients.values()]
    torch.testing.assert_close(torch.stack(cosines), torch.full((2,), 0.5).sqrt())
    torch.testing.assert_close(combined.norm(), torch.tensor(2.0) / 2**0.5)


def test_a_combination_leaves_the_gradients_unchanged(gradients) -> None:
    from own_combiner import Bisector

    before = {name: flat(parts).clone() for name, parts in gradients.items()}
    Bisector()(gradients)
    assert all(torch.equal(before[name], flat(parts)) for name, parts in gradients.items())


def test_the_objective_names_its_losses_and_they_have_a_graph() -> None:
    from own_objective import Noisy

    linear, x, y = nn.Linear(2, 2), torch.rand(5, 2), torch.arange(5) % 2
    generator = torch.Generator().manual_seed(0)
    losses = Noisy(0.1)(linear, x, y, lambda: linear(x), bounds=(0.0, 1.0), generator=generator)
    assert isinstance(Noisy(), Objective)
    assert tuple(losses) == Noisy.names
    assert all(loss.requires_grad and loss.ndim == 0 for loss in losses.values())


def test_without_noise_both_losses_are_the_same() -> None:
    from own_objective import Noisy

    linear, x, y = nn.Linear(2, 2), torch.rand(5, 2), torch.arange(5) % 2
    losses = Noisy(0.0)(linear, x, y, lambda: linear(x), bounds=(0.0, 1.0), generator=torch.Generator())
    torch.testing.assert_close(losses["clean"], losses["adversarial"])


def test_the_data_set_is_within_its_bounds_and_its_splits_differ() -> None:
    from own_data import TwoRings

    data: DataSet = TwoRings()
    x, y, _ = next(iter(data.batches("test")))
    assert data.bounds[0] <= x.min() <= x.max() <= data.bounds[1]
    assert set(y.tolist()) == {0, 1}
    assert not torch.equal(data.split("test").images[:200], data.split("validation").images)


@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
def test_a_configuration_trains_with_all_of_them(here: Path) -> None:
    short = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--selection.steps", "2"]
    short += ["--trainer.accelerator", "cpu", "--trainer.default_root_dir", str(here / "runs")]
    short += [f"--trainer.{name}=false" for name in ("logger", "enable_progress_bar", "enable_model_summary")]
    best = fit_from(["--config", "own_training.yaml", *short]).fit()
    assert Path(best.best_model_path).is_file()
