import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from eval.records import Quantity, Record, Samples
from eval.report.exports import export
from tests.eval.made import ACCURACY, ALPHA, PGD, PGD_L2, model, record, written


def cards(folder: Path, made: list[Record], **about: Any) -> dict[str, str]:
    return {name: text.decode() for name, text in export(written(folder, made), "model-card", about).files.items()}


def index(card: str) -> list[dict[str, Any]]:
    return yaml.safe_load(card.split("---\n")[1])["model-index"]


def test_a_card_has_the_hubs_schema(tmp_path: Path) -> None:
    samples = Samples("CIFAR-10", {}, (0.0, 1.0), "test", 4, "c")
    made = [record(ACCURACY, 0.9, samples_of=samples, interval=(0.8, 0.95)), record(PGD, 0.03, samples_of=samples)]
    (card,) = cards(tmp_path, made).values()
    assert index(card) == [
        {
            "name": "B",
            "results": [
                {
                    "task": {"type": "image-classification", "name": "Image Classification"},
                    "dataset": {"name": "CIFAR-10", "type": "uoft-cs/cifar10", "split": "test"},
                    "metrics": [
                        {
                            "type": "accuracy",
                            "value": 0.9,
                            "name": "accuracy",
                            "args": {"samples": 4, "bounds": [0.0, 1.0], "interval": [0.8, 0.95]},
                            "verified": False,
                        },
                        {
                            "type": "epsilon50",
                            "value": 0.03,
                            "name": "ε50% PGD L∞",
                            "args": {
                                "samples": 4, "bounds": [0.0, 1.0], "attack": "pgd", "norm": "Linf",
                                "settings": {"steps": 40},
                            },
                            "verified": False,
                        },
                    ],
                }
            ],
        }
    ]  # fmt: skip


def test_the_hubs_own_parser_reads_what_was_written(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="comes with timm")
    attacked = Quantity("accuracy", "autoattack", "Linf", epsilon="8/255")
    made = [record(ACCURACY, 0.9), record(attacked, 0.4), record(PGD_L2, math.inf), record(ALPHA, 0.3)]
    (card,) = cards(tmp_path, made, name="me/robust", dataset="me/data").values()
    data = hub.ModelCard(card).data
    assert data.model_name == "me/robust"
    found = {(r.metric_type, r.metric_name): r for r in data.eval_results}
    assert {key: r.metric_value for key, r in found.items()} == {
        ("accuracy", "accuracy"): 0.9,
        ("accuracy", "accuracy under AutoAttack L∞ at ε = 8/255"): 0.4,
        ("epsilon50", "ε50% PGD L2"): "> 1.4",
        ("alpha_dx", "α_Δx"): 0.3,
    }
    assert {(r.task_type, r.dataset_type, r.dataset_name, r.dataset_split) for r in found.values()} == {
        ("image-classification", "me/data", "d", "test")
    }
    assert all(r.verified is False and r.metric_args["samples"] == 4 for r in found.values())
    assert hub.ModelCardData(**yaml.safe_load(data.to_yaml())).eval_results == data.eval_results


@pytest.mark.parametrize(
    ("quantity", "value", "text"),
    [
        (PGD, math.inf, "> 1.4"),
        (Quantity("tau50", "sta"), 0.0, "< 0.7143"),
        (Quantity("tau50", "sta"), math.inf, "∞"),
        (Quantity("tau50", "sta"), 12.5, 12.5),
    ],
)
def test_a_limit_of_what_was_tried_is_a_text(
    tmp_path: Path, quantity: Quantity, value: float, text: str | float
) -> None:
    (card,) = cards(tmp_path, [record(quantity, value)]).values()
    (metric,) = index(card)[0]["results"][0]["metrics"]
    assert metric["value"] == text


def test_nothing_that_is_no_number_stands_in_a_card(tmp_path: Path) -> None:
    unbounded = Samples("Spheres", {}, (-math.inf, math.inf), "test", 4, "s")
    made = [
        record(PGD, math.inf, interval=(0.2, math.inf), samples_of=unbounded),
        record(Quantity("masking"), math.nan, samples_of=unbounded),
        record(ACCURACY, 0.5, interval=(math.nan, math.nan), samples_of=unbounded),
    ]
    (card,) = cards(tmp_path, made).values()
    assert ".inf" not in card
    assert "nan" not in card
    (result,) = index(card)[0]["results"]
    assert [metric["type"] for metric in result["metrics"]] == ["accuracy", "epsilon50"]
    assert result["task"]["type"] == "tabular-classification"


def test_accuracy_at_an_epsilon_of_a_search_is_a_metric(tmp_path: Path) -> None:
    (card,) = cards(tmp_path, [record(PGD, 0.2, details={"accuracy_at": {"8/255": 0.7}})]).values()
    assert {"type": "accuracy", "value": 0.7, "name": "accuracy under PGD L∞ at ε = 8/255"}.items() <= index(card)[0][
        "results"
    ][0]["metrics"][1].items()


def test_every_set_of_samples_is_a_result_and_every_model_a_card(tmp_path: Path) -> None:
    made = [record(ACCURACY, 0.9, model(data), weights="same") for data in ("one", "two")]
    made += [record(ACCURACY, 0.8, model("one", "other"))]
    found = {name: index(card) for name, card in cards(tmp_path, made).items()}
    assert found.keys() == {"B.md", "other.md"}
    assert [result["dataset"]["name"] for result in found["B.md"][0]["results"]] == ["one", "two"]


def test_people_read_the_same_numbers(tmp_path: Path) -> None:
    (card,) = cards(tmp_path, [record(ACCURACY, 0.9, interval=(0.8, 0.95))]).values()
    assert "| d, test, inputs in [−1, 1] | accuracy % | 90.0 [80.0, 95.0] | 4 |" in card


def test_one_name_does_not_do_for_two_models(tmp_path: Path) -> None:
    made = [record(of=model(recipe=recipe)) for recipe in ("A", "C")]
    with pytest.raises(ValueError, match=r"^`about` should leave out `name` .* Found 2\.$"):
        cards(tmp_path, made, name="me/robust")


def test_estimators_have_no_card(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^`records` should hold those of a classifier\."):
        cards(tmp_path, [record(of=model(groups=("estimators",)))])


def test_figures_are_no_metrics(tmp_path: Path) -> None:
    (card,) = cards(tmp_path, [record(ACCURACY, 0.9), record(Quantity("alpha_dx_other"), 0.3)]).values()
    assert [metric["type"] for metric in index(card)[0]["results"][0]["metrics"]] == ["accuracy"]


def test_settings_of_a_sweep_have_cards_of_their_own(tmp_path: Path) -> None:
    made = [
        record(ACCURACY, 0.9, model(recipe="CA-AT", groups=("sweep",)), weights=str(gamma), training={"model": gamma})
        for gamma in ({"gamma": 0.7}, {"gamma": 0.8})
    ]
    assert len(cards(tmp_path, made)) == 2
