"""Pictures of the documentation that are drawn without records."""

import re

import pytest
import torch


def test_the_cosine_in_the_title_is_that_of_the_arrows() -> None:
    import figures

    (axis,) = figures.closest().axes
    residual, gradient = (
        torch.tensor(patch._posA_posB[1]) - torch.tensor(patch._posA_posB[0]) for patch in axis.patches
    )
    cosine = torch.nn.functional.cosine_similarity(residual, gradient, dim=0).item()
    assert float(re.search(r"= ([\d.]+)$", axis.get_title())[1]) == pytest.approx(cosine, abs=0.005)


def test_the_closest_class_lies_under_the_tip_of_the_gradient() -> None:
    import figures

    (axis,) = figures.closest().axes
    names = {text.get_text(): text.get_position() for text in axis.texts}
    place = torch.tensor([names["c̃(x), the closest class"]])
    tip = torch.tensor([axis.patches[1]._posA_posB[1]], dtype=torch.float32)
    model = figures.Three()
    assert model(place).argmax() == model(tip).argmax() != 0


def test_combined_gradients_are_those_of_the_papers() -> None:
    import figures

    clean, adversarial = torch.tensor([1.0, 0.15]), torch.tensor([-0.55, 0.9])
    drawn = {axis.get_title(): torch.tensor(axis.patches[2]._posA_posB[1]) for axis in figures.combiners().axes}
    sims = {name: torch.nn.functional.cosine_similarity(g.float(), clean, dim=0).item() for name, g in drawn.items()}
    assert torch.allclose(drawn["weighted sum, ½ and ½"].float(), (clean + adversarial) / 2)
    assert sims["AGR"] == pytest.approx(0, abs=1e-5)
    assert sims["CA-AT, γ = 0.8"] == pytest.approx(0.8, abs=1e-5)
