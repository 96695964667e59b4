"""A paper's row stands beside ours only where it is of the same model, and says what differs."""

from typing import Any

import pytest

from eval.records import Model, Quantity, Samples
from eval.report.published import beside, correlation_beside, figure_beside, hours_beside, papers_of
from eval.tables.rows import Row, rows
from tests.eval.made import record

UNIT = Samples("CIFAR-10", {}, (0.0, 1.0), "test", 4, "d")


def trained(objective: str = "AT", combiner: dict[str, Any] | None = None, **model: Any) -> dict[str, Any]:
    described = {"class_path": f"training.{objective}", "init_args": {"epsilon": "8/255"}}
    combined = {} if combiner is None else {"combiner": combiner}
    optimizer = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1 if "AGR" in str(combiner) else 0.4}}
    whole = {"objective": described, "optimizer": optimizer} | combined | model
    return {"model": whole, "trainer": {"max_epochs": 200}, "data": {"init_args": {"batch_size": 1024}}}


def caat(gamma: float | None) -> dict[str, Any]:
    return {"class_path": "training.CAAT", "init_args": {} if gamma is None else {"gamma": gamma}}


def agr(**arguments: Any) -> dict[str, Any]:
    return {"class_path": "training.AGR", "init_args": arguments}


def row(
    recipe: str, training: dict[str, Any] | None = None, network: str = "resnet18_cifar", samples: Samples = UNIT
) -> Row:
    made = record(
        Quantity("accuracy", "pgd", "Linf", {}, "8/255"),
        of=Model(samples.data, recipe),
        training=training or {},
        network={"network": network},
        samples_of=samples,
    )
    (found,) = rows([made])
    return found


@pytest.mark.parametrize(
    ("network", "value"), [("resnet18_cifar", 0.7442), ("resnet34_cifar", 0.8098), ("small_cnn", 0.7442)]
)
def test_of_two_networks_the_paper_s_row_is_that_of_ours(network: str, value: float) -> None:
    found = beside(row("γ = 0.8", trained(combiner=caat(0.8)), network))
    assert found is not None
    assert found.numbers["accuracy_pgd_linf_8/255"] == (value,)
    assert found.numbers["robust_accuracy_pgd_linf_8/255"] == (value,)
    assert found.same == (network != "small_cnn")
    assert found.label == ("paper" if found.same else "paper, but resnet18_cifar")


@pytest.mark.parametrize(("gamma", "clean"), [(None, 0.8659), (0.8, 0.8659), (0.9, 0.9009)])
def test_a_model_is_known_by_its_setting_whatever_it_is_called(gamma: float | None, clean: float) -> None:
    """γ = 0.8 where nobody names one."""
    found = beside(row("conflict-aware", trained(combiner=caat(gamma))))
    assert found is not None
    assert found.numbers["accuracy"] == (clean,)


@pytest.mark.parametrize("recipe", ["CA-AT", "γ = 0.8", "other"])
def test_another_gamma_is_another_model(recipe: str) -> None:
    assert beside(row(recipe, trained(combiner=caat(0.7)))) is None


@pytest.mark.parametrize(("weights", "name"), [((0.5, 0.5), "λ = 0.5"), ((3, 3), "λ = 0.5"), ((0.25, 0.75), None)])
def test_vanilla_is_known_by_its_adversarial_share(weights: tuple[float, float], name: str | None) -> None:
    combined = {"clean": weights[0], "adversarial": weights[1]}
    combiner = {"class_path": "training.WeightedSum", "init_args": {"weights": combined}}
    found = papers_of(row("vanilla", trained(combiner=combiner)))
    assert [model.name for model in found][:1] == ([] if name is None else [f"ResNet18 {name}"])


@pytest.mark.parametrize(
    ("name", "arguments", "clean"),
    [("γ = 0.8, DLR", {"loss": "dlr"}, 0.8646), ("γ = 0.8, APGD", {"solver": "apgd"}, None)],
)
def test_another_inner_maximisation_is_another_model(name: str, arguments: dict, clean: float | None) -> None:
    training = trained(combiner=caat(0.8))
    training["model"]["objective"]["init_args"] |= arguments
    found = beside(row(name, training))
    assert (found and found.numbers["accuracy"][0]) == clean


def test_another_loss_is_another_model_where_gradients_are_combined() -> None:
    assert beside(row("CA-AT", trained("TRADES", caat(0.8)))) is None
    (model, *_) = papers_of(row("CA-AT", trained("MART", caat(0.8))))
    assert model.name == "ResNet18 MART γ = 0.8"


def test_the_peak_of_a_cycle_is_the_learning_rate() -> None:
    cycle = {"class_path": "torch.optim.lr_scheduler.OneCycleLR", "init_args": {"max_lr": 0.1}}
    found = beside(row("γ = 0.8", trained(combiner=caat(0.8), scheduler=cycle)))
    assert found is not None
    assert found.label == "paper, but learning rate 0.4"


def test_ablations_of_agr_are_not_agr() -> None:
    def name(**arguments: Any) -> list[str]:
        training = trained(combiner=agr(**arguments), combiner_start=155)
        return [model.name for model in papers_of(row("mine", training, "preact_resnet18"))][:1]

    assert name() == ["CIFAR10 AT + AGR"]
    assert name(gop=False) == ["CIFAR10 AT + GICS"]
    assert name(gop=False, gics=False) == []


def test_the_paper_s_start_and_clip_are_conditions() -> None:
    training = trained(combiner=agr(clip_norm=1.0), combiner_start=12)
    found = beside(row("AT + AGR", training, "preact_resnet18"))
    assert found is not None
    assert found.label == "paper, but C = 0.1 and combined from epoch 155 on"
    assert found.runs == 3


def test_names_of_data_sets_may_be_written_otherwise() -> None:
    samples = Samples("TinyImageNet", {}, (0.0, 1.0), "test", 4, "d")
    found = beside(row("AT", trained(), "preact_resnet18", samples))
    assert found is not None
    assert found.label == "paper, but learning rate 0.1"
    assert found.numbers["accuracy"] == pytest.approx((0.3190, 0.00023))


@pytest.mark.parametrize(("kind", "said"), [("alpha_dx", "0.67"), ("alpha_x", "0.426"), ("accuracy", "–")])
def test_correlation_over_models_that_were_only_measured(kind: str, said: str) -> None:
    samples = Samples("ImageNet", {}, (-1.0, 1.0), "validation", 4, "d")
    assert correlation_beside([row("Standard_R50", samples=samples)], kind) == said


def test_a_figure_has_the_paper_s_cells_by_column() -> None:
    samples = Samples("MNIST", {}, (-1.0, 1.0), "test", 4, "d")
    found = figure_beside("other_classes", row("Lα", network="resnet18", samples=samples))
    assert found is not None
    assert found.numbers == {"c̃(x)": (0.592, 0.009), "other classes": (0.478, 0.008)}
    assert found.label.startswith("paper, but combiner none (ours is not known)")
    assert figure_beside("linearity", row("Lα", samples=samples)) is None


def test_hours_are_those_of_the_data_set() -> None:
    assert "B 4.1, GAN 0.1, Lα 3.7, P 3.1, Square 8.8, STA 0.3 (paper 1, Table S1)" in hours_beside("MNIST-3/5")
    assert "STA" not in hours_beside("Spheres")
    assert hours_beside("digits") == ""
