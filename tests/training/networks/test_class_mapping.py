"""Groups of a network's classes: their probability, their largest logit, and indexes that cannot be right."""

from pathlib import Path

import pytest
import torch
from torch import nn

from training.networks import ClassMapping, build_network
from training.networks.class_mapping import IMAGENET_CLASSES, MAPPINGS, groups_of

GROUPS = [[0, 3, 4], [1], [6, 2]]


def test_softmax_over_groups_is_the_networks_own_probability_of_each():
    logits = torch.randn(6, 7)
    shares = logits.softmax(dim=1)
    expected = torch.stack([shares[:, group].sum(dim=1) for group in GROUPS], dim=1)
    found = ClassMapping(nn.Identity(), GROUPS)(logits).softmax(dim=1)
    torch.testing.assert_close(found, expected / expected.sum(dim=1, keepdim=True))


def test_largest_logit_of_a_group():
    logits = torch.randn(6, 7)
    expected = torch.stack([logits[:, group].max(dim=1).values for group in GROUPS], dim=1)
    assert torch.equal(ClassMapping(nn.Identity(), GROUPS, "max")(logits), expected)


@pytest.mark.parametrize("reduce", ["logsumexp", "max"])
def test_groups_of_one_are_the_outputs_themselves(reduce):
    logits = torch.randn(4, 5)
    torch.testing.assert_close(ClassMapping(nn.Identity(), [3, 0], reduce)(logits), logits[:, [3, 0]])


@pytest.mark.parametrize("reduce", ["logsumexp", "max"])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_gradients_are_finite_and_reach_members_alone(reduce, size):
    logits = torch.randn(size, 7, dtype=torch.float64, requires_grad=True)
    mapping = ClassMapping(nn.Identity(), GROUPS, reduce)
    (gradient,) = torch.autograd.grad(mapping(logits).sum(), logits)
    assert torch.isfinite(gradient).all()
    assert not gradient[:, 5].any()
    if reduce == "logsumexp" and size:
        assert torch.autograd.gradgradcheck(mapping, (logits,))


@pytest.mark.parametrize("wrap", [lambda z: (z,), lambda z: {"logits": z}, lambda z: [z]])
def test_logits_inside_of_what_a_network_returns(wrap):
    class Wrapped(nn.Module):
        def forward(self, x):
            return wrap(x)

    logits = torch.randn(3, 7)
    torch.testing.assert_close(ClassMapping(Wrapped(), GROUPS)(logits), ClassMapping(nn.Identity(), GROUPS)(logits))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([[0, 1]], "two groups or more"),
        ([], "two groups or more"),
        ([[0], []], "each of at least one index"),
        ([[0, 1], [1, 2]], r"should name each output once. Found 1 more than once"),
        ([[0, -1], [2]], r"indexes of outputs, from 0 on. Found -1"),
        ([[0.0], [2]], r"indexes of outputs, from 0 on. Found 0.0"),
        ([True, 0], r"indexes of outputs, from 0 on. Found True"),
        ({"a": "12", "b": [3]}, r"indexes of outputs, from 0 on. Found '1'"),
        ([1.5, 2], r"Found 1.5"),
        ("imagenet→nowhere", r"`classes` should be one of imagenet→imagenette, .* Found 'imagenet→nowhere'"),
        (7, r"`classes` should be one of .* Found 7"),
    ],
)
def test_groups_that_cannot_be_right_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        groups_of(groups)


def test_index_that_the_network_has_not_is_refused_when_it_is_known():
    with pytest.raises(ValueError, match=r"`classes` should name outputs of the network, from 0 to 4. Found 6"):
        ClassMapping(nn.Identity(), GROUPS, outputs=5)
    with pytest.raises(ValueError, match=r"from 0 to 4. Found 6"):
        ClassMapping(nn.Identity(), GROUPS)(torch.zeros(2, 5))


@pytest.mark.usefixtures("as_in_production")
def test_other_reduction_and_other_output_are_refused():
    with pytest.raises(ValueError, match=r"`reduce` should be one of logsumexp, max. Found 'mean'"):
        ClassMapping(nn.Identity(), GROUPS, "mean")
    with pytest.raises(
        ValueError, match=r"`network` should return logits of shape \(B, outputs\). Found \(2, 7, 1\)"
    ):
        ClassMapping(nn.Identity(), GROUPS)(torch.zeros(2, 7, 1))


def test_forms_of_groups_are_the_same():
    assert (
        groups_of({"dog": [1, 2], "cat": 0}) == groups_of([[1, 2], 0]) == groups_of([(1, 2), (0,)]) == [[1, 2], [0]]
    )
    assert groups_of("imagenet->imagenette") == groups_of("imagenet→imagenette")


SYNSETS = {
    "imagenet→imagenette": "n01440764 n02102040 n02979186 n03000684 n03028079 "
    "n03394916 n03417042 n03425413 n03445777 n03888257",
    "imagenet→imagewoof": "n02086240 n02087394 n02088364 n02089973 n02093754 "
    "n02096294 n02099601 n02105641 n02111889 n02115641",
}
"""Folders of Imagenette and Imagewoof, in the order in which folders become classes."""


@pytest.mark.parametrize("name", SYNSETS)
def test_indexes_are_those_of_the_synsets(name):
    timm = pytest.importorskip("timm", reason="timm ships ImageNet's synsets in their order")
    file = Path(timm.__file__).parent / "data" / "_info" / "imagenet_synsets.txt"
    synsets = file.read_text(encoding="utf-8").split()
    assert len(synsets) == IMAGENET_CLASSES
    assert [[synsets[index] for index in group] for group in groups_of(name)] == [[s] for s in SYNSETS[name].split()]
    assert SYNSETS[name].split() == sorted(SYNSETS[name].split())


ENDS = {
    "dog": ("Chihuahua", "Mexican hairless"),
    "cat": ("tabby", "Egyptian cat"),
    "frog": ("bullfrog", "tailed frog"),
    "turtle": ("loggerhead", "box turtle"),
    "bird": ("black grouse", "black swan"),
    "primate": ("orangutan", "squirrel monkey"),
    "fish": ("barracouta", "puffer"),
    "crab": ("Dungeness crab", "king crab"),
    "insect": ("tiger beetle", "dragonfly"),
}


def test_restricted_imagenet_has_its_classes():
    """Tsipras et al. 2019, Table 3, in which ranges are given by their ends."""
    timm = pytest.importorskip("timm", reason="timm ships the names of ImageNet's classes")
    folder = Path(timm.__file__).parent / "data" / "_info"
    synsets = (folder / "imagenet_synsets.txt").read_text(encoding="utf-8").split()
    lines = (folder / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines()
    lemmas = dict(line.split("\t") for line in lines)
    groups = MAPPINGS["imagenet→restricted"]
    found = {name: [lemmas[synsets[index]] for index in group] for name, group in groups.items()}
    assert [*found] == [*ENDS]
    for name, ends in ENDS.items():
        assert [found[name][0].startswith(ends[0]), found[name][-1].startswith(ends[1])] == [True, True]


def built(**options) -> nn.Module:
    return build_network("mlp", shape=(4,), hidden=[], **options)


def test_network_is_built_with_its_own_outputs():
    network = built(num_classes=2, classes=[[0, 1], [4]], outputs=6)
    assert network.network[-1].out_features == 6
    assert network(torch.rand(3, 4)).shape == (3, 2)
    assert built(num_classes=10, classes="imagenet→imagenette").network[-1].out_features == IMAGENET_CLASSES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": [[0], [1]], "num_classes": 3}, r"`classes` should have 3 groups, one per class. Found 2"),
        ({"classes": [[0], [9]], "num_classes": 2, "outputs": 5}, r"from 0 to 4. Found 9"),
        ({"outputs": 5, "num_classes": 2}, r"`outputs` should be left out of the options without `classes`"),
        (
            {"classes": [[0], [1]], "num_classes": 2, "one_logit": True},
            r"`one_logit` should be left out with `classes`",
        ),
    ],
)
def test_mapping_that_does_not_go_with_the_data_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        built(**options)
