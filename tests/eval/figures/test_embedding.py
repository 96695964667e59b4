"""Gradients of single samples in two dimensions: groups that are known, and the picture of the saved places."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from eval import measure
from eval.figures.embedding import Embedding, apart, draw, measurements, table, within_span
from eval.records import Quantity, Results
from eval.records.subject import chosen_samples
from tests.eval.classifiers import Half, InMemory
from tests.eval.made import model, record
from training.passes import CountPasses


def test_the_silhouette_of_groups_that_are_known() -> None:
    near, far = np.zeros((4, 2)), np.full((4, 2), 1e6)
    near[:, 0] = range(4)
    assert apart(np.concatenate([near, far])) == pytest.approx(1, abs=1e-4)
    assert apart(np.concatenate([near, near])) < 0  # each lies on one of the other group
    assert np.isnan(apart(np.zeros((6, 2))))


@pytest.mark.parametrize("parameters", [3, 200, 70_000])
def test_distances_stay_in_the_space_that_is_spanned(parameters: int) -> None:
    """Of few parameters, of more than vectors, and of more than are taken together."""
    vectors = 5 + torch.randn(6, parameters)
    found = within_span(vectors.numpy())
    assert found.shape == (6, 6)
    np.testing.assert_allclose(torch.cdist(*[torch.from_numpy(found)] * 2), torch.cdist(vectors, vectors), rtol=1e-3)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-3)
    assert not within_span(np.full((4, parameters), 0.1, dtype=np.float32)).any()


@pytest.mark.parametrize("method", ["t-SNE", "PCA"])
def test_table_and_picture_are_of_the_saved_places(tmp_path: Path, method: str) -> None:
    data = InMemory(torch.rand(12, 5), torch.tensor([0, 1] * 6))
    options = {"embedding": {"budgets": [0.9, 0.01], "samples": 10, "method": method}}
    measure(Half(torch.randn(5)), data, only="figures", figures=["embedding"], figure_options=options, out=tmp_path)
    records = Results(tmp_path).load()
    (record,) = records
    arrays = records.arrays(record)
    assert arrays["places"].shape == (2, 2, 10, 2)
    assert [*arrays["budget"]] == [0.01, 0.9]
    assert record.samples == 10
    found = records.per_sample(record)
    assert record.value == found.silhouette.iloc[-1]
    assert found.silhouette.iloc[1] > found.silhouette.iloc[0]  # the larger budget moves the groups apart
    assert table(records, [record]).frame.iloc[0]["δ = 0.9"] == f"{record.value:.3f}"
    (figure,) = draw(records, [record]).values()
    drawn = figure.axes[1].collections[1].get_offsets()
    np.testing.assert_allclose(np.asarray(drawn), arrays["places"][1, 1])
    assert figure.axes[1].get_title().endswith("δ = 0.9")


def test_models_trained_at_several_budgets_are_drawn_at_their_own(tmp_path: Path) -> None:
    results, quantity = Results(tmp_path), Quantity("embedding", settings={"method": "PCA"})
    arrays = {"budget": np.array([0.1, 0.2]), "places": np.zeros((2, 2, 5, 2)), "label": np.zeros(5)}
    for epsilon in ("0.1", "1/5"):
        one = record(quantity, 0.5, model("d", "AT", epsilon=epsilon))
        results.home(one.model, one.subject.model_key).write(one, pd.DataFrame({"budget": [0.1, 0.2]}), arrays)
    records = results.load()
    (figure,) = draw(records, [*records]).values()
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert [title.rpartition(", ")[2] for title in titles] == ["δ = 0.1", "δ = 0.2"]


def test_gradients_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.figures.embedding.LARGEST", 100)
    data = InMemory(torch.rand(12, 5), torch.tensor([0, 1] * 6))
    with pytest.raises(ValueError, match="should be at most 10 for 5 parameters"):
        Embedding(samples=12)(CountPasses(Half(torch.randn(5))), data, [*chosen_samples(data)[0]])


def test_budgets_must_be_positive() -> None:
    assert measurements() == [Embedding()]
    with pytest.raises(ValueError, match="`budgets` should be one or more"):
        measurements(budgets=[])
