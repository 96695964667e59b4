"""The partial correlation given the ε of training, against residuals of linear regressions."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eval.records import Model, Quantity, Record
from eval.report import correlation_table, side_by_side
from eval.studies import load_study
from eval.studies.correlation import GIVEN, correlations
from tests.eval.made import ALPHA, PGD, record, written

DENOISER = {"name": "score", "settings": {"sigma": 0.3}, "digest": "d"}
SCORE = Quantity("score_alignment", settings={"of": "difference", "estimator": DENOISER})


def frame(alpha: np.ndarray, radius: np.ndarray, epsilon: np.ndarray) -> pd.DataFrame:
    rows = []
    for i, values in enumerate(zip(alpha, radius, strict=True)):
        row = {"data": "d", "recipe": "P", "setting": str(i // 2), "seed": i, "trained_at": float(epsilon[i])}
        rows += [
            row | {"measurement": m, "value": float(v)} for m, v in zip(("alpha", "radius"), values, strict=True)
        ]
    return pd.DataFrame(rows)


def found(*columns: np.ndarray, resamples: int = 300) -> pd.Series:
    table = correlations(frame(*columns), ["alpha"], ["radius"], statistics=["Pearson", GIVEN], resamples=resamples)
    return table.set_index("statistic")


def regressed(a: np.ndarray, b: np.ndarray, given: np.ndarray) -> float:
    """Pearson's correlation of what two linear regressions on the third leave."""
    design = np.column_stack([np.ones(len(given)), given])
    left = [column - design @ np.linalg.lstsq(design, column, rcond=None)[0] for column in (a, b)]
    return float(np.corrcoef(*left)[0, 1])


def made(count: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    epsilon = rng.choice([0.0, 0.1, 0.2, 0.3], count)
    shared = rng.normal(size=count)
    return 2 * epsilon + shared, 3 * epsilon + shared + rng.normal(size=count), epsilon


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_correlation_of_residuals_of_regressions(seed: int) -> None:
    columns = made(seed=seed)
    assert found(*columns).value[GIVEN] == pytest.approx(regressed(*columns), abs=1e-12)


def test_what_both_owe_to_epsilon_alone_is_taken_away() -> None:
    rng = np.random.default_rng(0)
    epsilon = np.repeat([0.0, 0.1, 0.2, 0.3], 100)
    values = found(epsilon + 0.01 * rng.normal(size=400), epsilon + 0.01 * rng.normal(size=400), epsilon).value
    assert values["Pearson"] > 0.98
    assert abs(values[GIVEN]) < 0.15


def test_the_interval_is_that_of_resampled_settings_one_by_one() -> None:
    alpha, radius, epsilon = made(20)
    line = found(alpha, radius, epsilon, resamples=200).loc[GIVEN]
    values = []
    for drawn in np.random.default_rng(0).integers(10, size=(200, 10)):
        # `setting` is text, in whose order "10" would come after "1"; ten settings have one digit each.
        rows = np.concatenate([[2 * place, 2 * place + 1] for place in drawn])
        values.append(regressed(alpha[rows], radius[rows], epsilon[rows]))
    assert [line.low, line.high] == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=1e-9)


def test_of_one_epsilon_it_is_pearsons() -> None:
    alpha, radius, _ = made(12)
    table = found(alpha, radius, np.full(12, 0.1))
    assert (
        table.loc[GIVEN, ["value", "low", "high"]].tolist() == table.loc["Pearson", ["value", "low", "high"]].tolist()
    )


def test_a_metric_that_is_a_line_of_epsilon_has_none() -> None:
    _, radius, epsilon = made(12)
    assert math.isnan(found(2 * epsilon + 1, radius, epsilon).value[GIVEN])


def test_three_models_have_no_residuals_to_correlate() -> None:
    alpha, radius, _ = made(3)
    assert math.isnan(found(alpha, radius, np.array([0.0, 0.1, 0.2])).value[GIVEN])


def pooled(epsilons: list[str], groups: tuple[str, ...] = ("side by side", "pooled")) -> list[Record]:
    rng = np.random.default_rng(0)
    models = []
    for i, epsilon in enumerate(epsilons):
        named = Model("digits", f"recipe {i}", epsilon, 0, groups)
        models += [record(q, float(rng.normal()), named) for q in (ALPHA, SCORE, PGD)]
    return models


def test_models_of_any_recipe_are_correlated_where_a_study_pools_them(tmp_path: Path) -> None:
    records = written(tmp_path, pooled(["", "0.1", "1/5", "0.3", "", "0.2"]))
    table = correlation_table(records)
    assert list(table.frame.of) == ["all models measured"] * 2
    assert list(table.frame.metric) == ["α_Δx", "sim(∇ℓ, score)"]
    assert list(table.frame.models) == [6, 6]
    by_model = {r.model.recipe: {} for r in records}
    for r in records:
        by_model[r.model.recipe][r.quantity] = r.value
    columns = np.array([[values[q] for q in (ALPHA, PGD)] for values in by_model.values()]).T
    order = [[*by_model].index(f"recipe {i}") for i in range(6)]
    expected = regressed(*columns[:, order], np.array([0, 0.1, 0.2, 0.3, 0, 0.2]))
    assert float(table.frame[GIVEN][0].split()[0]) == pytest.approx(expected, abs=6e-4)
    assert any(note.startswith(f"{GIVEN}: partial correlation") for note in table.notes)
    assert len(side_by_side(records).frame) == 6


def test_the_numbers_of_models_are_laid_side_by_side_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, widened, pivot = written(tmp_path, pooled(["", "0.1", "0.2"])), [], pd.DataFrame.pivot

    def counted(frame: pd.DataFrame, **given: object) -> pd.DataFrame:
        widened.append(given["columns"])
        return pivot(frame, **given)

    monkeypatch.setattr(pd.DataFrame, "pivot", counted)
    assert GIVEN in correlation_table(records).frame
    assert widened == ["measurement"]


def test_where_no_epsilon_differs_none_is_given(tmp_path: Path) -> None:
    assert GIVEN not in correlation_table(written(tmp_path, pooled([""] * 6))).frame


def test_models_that_are_not_pooled_are_not(tmp_path: Path) -> None:
    assert correlation_table(written(tmp_path, pooled(["", "0.1", "0.2"], ("side by side",)))).frame.empty


def test_swept_models_that_are_pooled_stand_in_no_row_side_by_side(tmp_path: Path) -> None:
    swept = [replace(r, model=replace(r.model, groups=("sweep", "pooled"))) for r in pooled(["0.1", "0.2", "0.3"])]
    assert side_by_side(written(tmp_path, swept)).frame.empty


def test_pool_is_true_or_false(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("title: t\nexperiments: {digits: {recipes: {B: {}}, pool: many}}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"digits: `pool` should be true or false. Found 'many'"):
        load_study(str(file))
    file.write_text("title: t\nexperiments: {digits: {recipes: {B: {}}, pool: true}}\n", encoding="utf-8")
    assert [cell.model.groups for cell in load_study(str(file)).cells] == [("side by side", "pooled")]
