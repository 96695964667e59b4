"""What is said of a network before it is loaded."""

import pytest
import torch
from torch import nn

from eval import measure
from eval.measuring.candidates import Candidate
from eval.measuring.loading import loaded_for
from training.data import Digits


@pytest.mark.parametrize(("option", "message"), [("num_classes", "the data set says it"), ("pretrained", "Found 3")])
def test_options_that_are_said_elsewhere_are_refused(option: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"`--network-options` should leave out {option}.*{message}"):
        loaded_for(Candidate(network="mlp", network_options={option: 3}), Digits())


def test_a_module_without_modes_is_sent_to_its_file() -> None:
    torch.manual_seed(0)
    program = torch.export.export(nn.Linear(3, 2).eval(), (torch.zeros(2, 3),))
    with pytest.raises(ValueError, match=r"evaluation mode.*torch.export.save and name its \.pt2 file"):
        measure(program.module(), (torch.zeros(4, 3), torch.arange(4) % 2), bounds=(0, 1), say=lambda _: None)


@pytest.mark.parametrize("figure", ["other_classes", "residual_grid", "variants"])
def test_a_figure_of_residuals_that_are_not_there_is_refused_by_its_name(figure: str) -> None:
    asked = {"figures": [figure, "gradients"], "only": "figures", "bounds": (0, 1), "say": lambda _: None}
    with pytest.raises(ValueError, match=rf"`figures` should leave out.*{figure}.*no train samples"):
        measure(nn.Linear(3, 2), (torch.zeros(4, 3), torch.arange(4) % 2), **asked)
