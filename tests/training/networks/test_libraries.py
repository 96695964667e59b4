"""Networks by the names of their libraries: classes, options, weights, and what these were trained with."""

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import SqueezeNet1_1_Weights

from training.networks import Normalization, OneLogit, build_network, find_network
from training.networks.normalization import NORMALIZATIONS

IMAGES = {"shape": (3, 32, 32), "bounds": (0.0, 1.0)}
SMALL = ["torchvision:squeezenet1_1", "timm:test_resnet", "torchvision.models.squeezenet1_1"]


@pytest.fixture
def timm():
    return pytest.importorskip("timm", reason="the extra timm is not installed")


def head(network: nn.Module, classes: int) -> tuple[int, ...]:
    return tuple(network.eval()(torch.rand(2, *IMAGES["shape"])).shape)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("classes", "one_logit"), [(2, False), (7, False), (2, True)])
def test_number_of_classes_reaches_every_library(timm, name, classes, one_logit):
    found = find_network(name, num_classes=classes, one_logit=one_logit, **IMAGES)
    assert found.network.eval()(torch.rand(2, 3, 32, 32)).shape == (2, classes)
    assert isinstance(found.network, OneLogit) == one_logit
    assert (found.normalization, found.said_by) == (None, "")


@pytest.mark.parametrize(
    ("name", "option", "kind"),
    [
        ("torchvision:resnet18", {"norm_layer": "torch.nn.Identity"}, nn.Identity),
        ("torchvision.models:resnet18", {"norm_layer": "torch.nn.Identity"}, nn.Identity),
        ("timm:test_resnet", {"act_layer": "torch.nn.SiLU"}, nn.SiLU),
        ("preact_resnet18", {"width": 2, "activation": "torch.nn.Tanh"}, nn.Tanh),
        ("preact_resnet18", {"width": 2, "activation": "swish"}, nn.SiLU),
    ],
)
def test_option_may_name_a_class(timm, name, option, kind):
    network = build_network(name, num_classes=2, **IMAGES, **option)
    assert any(isinstance(part, kind) for part in network.modules())
    assert not any(isinstance(part, kind) for part in build_network(name, num_classes=2, **IMAGES).modules())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet19", r"a classifier of torchvision, such as resnet18, .* Found 'torchvision:resnet19'"),
        ("torchvision:fcn_resnet50", r"a classifier of torchvision, such as .*resnet50"),
        ("torchvision:", r"a classifier of torchvision, such as alexnet"),
        ("timm:resnt10t", r"a network of timm, such as resnet10t, .* more. Found 'timm:resnt10t'"),
        ("timm:hf-hub:somebody/something", r"a network of timm, such as "),
        (
            "resnet50",
            r"should be one of 16 names, a name behind hf:, robustbench:, timm:, torchvision:, or a dotted path\. ",
        ),
        ("resnet50", r"Found 'resnet50'. Did you mean torchvision:resnet50"),
        ("small_cn", r"Did you mean small_cnn\?"),
        ("nothing", r"should be one of .*, mlp, .*Found 'nothing'\.$"),
    ],
)
def test_unknown_name_lists_what_there_is(timm, name, message):
    with pytest.raises(ValueError, match=message):
        build_network(name, num_classes=2, **IMAGES)


@pytest.mark.parametrize("name", SMALL)
def test_option_that_a_library_does_not_take(timm, name):
    with pytest.raises(ValueError, match=rf"'{name}' does not take these options: .*nonsense"):
        build_network(name, num_classes=2, nonsense=3, **IMAGES)


def test_weights_of_torchvision_go_with_pretrained_alone():
    with pytest.raises(
        ValueError, match=r"`weights` of 'torchvision:resnet18' should be left out without `pretr.*'D"
    ):
        build_network("torchvision:resnet18", num_classes=2, weights="DEFAULT", **IMAGES)
    with pytest.raises(
        ValueError, match=r"`weights` of .* should be one of IMAGENET1K_V1, IMAGENET1K_V2, DEF.* 'V3'"
    ):
        build_network("torchvision:resnet50", num_classes=1000, pretrained=True, weights="V3", **IMAGES)


@pytest.fixture
def kept(tmp_path, monkeypatch) -> nn.Module:
    """A network whose weights torchvision has fetched already."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    network = torchvision.models.squeezenet1_1()
    file = Path(SqueezeNet1_1_Weights.DEFAULT.url).name
    (tmp_path / "checkpoints").mkdir()
    torch.save(network.state_dict(), tmp_path / "checkpoints" / file)
    return network.eval()


def test_weights_of_torchvision_are_taken_with_what_it_says_of_the_inputs(kept):
    found = find_network("torchvision:squeezenet1_1", num_classes=1000, pretrained=True, **IMAGES)
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(found.network.eval()(x), kept(x))
    assert found.normalization == NORMALIZATIONS["imagenet"]
    assert found.said_by == "torchvision's SqueezeNet1_1_Weights.IMAGENET1K_V1"


def test_head_of_pretrained_weights_is_never_changed_in_silence(kept):
    with pytest.raises(
        ValueError, match=r"which of the 1000 outputs of 'torchvision:squeezenet1_1' .* with 10 classes"
    ):
        find_network("torchvision:squeezenet1_1", num_classes=10, pretrained=True, **IMAGES)
    with pytest.raises(ValueError, match=r"which of the 1000 outputs .* with 1 classes"):
        find_network("torchvision:squeezenet1_1", num_classes=2, one_logit=True, pretrained=True, **IMAGES)


def test_pretrained_outputs_are_mapped_to_the_classes_of_the_data(kept):
    options = {"num_classes": 2, "classes": [[0, 1], [999]], "pretrained": True}
    found = find_network("torchvision:squeezenet1_1", **options, **IMAGES)
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        logits = kept(x)
        expected = torch.stack([logits[:, :2].logsumexp(1), logits[:, 999]], dim=1)
        torch.testing.assert_close(found.network.eval()(x), expected)
    assert found.normalization == NORMALIZATIONS["imagenet"]
    with pytest.raises(ValueError, match=r"from 0 to 999. Found 1000"):
        find_network("torchvision:squeezenet1_1", **(options | {"classes": [[0], [1000]]}), **IMAGES)


def test_weights_that_torchvision_cannot_fetch_come_with_a_remedy(tmp_path, monkeypatch):
    def fail(*args, **options):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    message = r"could not fetch SqueezeNet.* \(no network\).*copy it to squeezenet1_1-\w+.pth in torch.hub.get_dir"
    with pytest.raises(RuntimeError, match=message):
        build_network("torchvision:squeezenet1_1", num_classes=1000, pretrained=True, **IMAGES)


def file_of(timm, folder: Path) -> tuple[nn.Module, dict[str, str]]:
    """A network of timm, and where its weights lie instead of on the network."""
    network = timm.create_model("test_resnet")
    torch.save(network.state_dict(), folder / "weights.pth")
    return network.eval(), {"file": str(folder / "weights.pth")}


@pytest.mark.parametrize("name", ["test_resnet", "test_resnet.r160_in1k"])
def test_weights_of_timm_are_taken_with_what_it_says_of_the_inputs(timm, tmp_path, name):
    network, overlay = file_of(timm, tmp_path)
    options = {"num_classes": 1000, "pretrained": True, "pretrained_cfg_overlay": overlay}
    found = find_network(f"timm:{name}", **options, **IMAGES)
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(found.network.eval()(x), network(x))
    assert found.normalization == Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert found.said_by == f"timm's pretrained_cfg of {name}"


@pytest.mark.parametrize(("bounds", "expected"), [((0.0, 1.0), None), ((-1.0, 1.0), Normalization((0.0,), (1.0,)))])
def test_library_that_leaves_inputs_in_0_1_as_they_are_is_given_those(timm, tmp_path, bounds, expected):
    _, overlay = file_of(timm, tmp_path)
    overlay |= {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    options = {"num_classes": 1000, "pretrained": True, "pretrained_cfg_overlay": overlay}
    found = find_network("timm:test_resnet", **(IMAGES | {"bounds": bounds}), **options)
    assert found.normalization == expected
    assert found.said_by == "timm's pretrained_cfg of test_resnet"


def test_weights_that_timm_cannot_fetch_come_with_a_remedy(timm, monkeypatch):
    def fail(*args, **options):
        raise ConnectionError("no network\nin many lines")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", fail)
    monkeypatch.setattr("timm.models._builder.load_pretrained", fail)
    message = r"timm could not fetch the weights of test_resnet \(no network\)\. Fetch them .*'timm:test_resnet'"
    with pytest.raises(RuntimeError, match=message):
        build_network("timm:test_resnet", num_classes=1000, pretrained=True, **IMAGES)


@pytest.mark.parametrize("name", ["resnet10t.nonsense", "vit_giant_patch14_224"])
def test_network_of_timm_without_weights_is_refused(timm, name):
    with pytest.raises(ValueError, match=rf"timm has no weights for '{name}'\. .* has, such as {name[:6]}"):
        build_network(f"timm:{name}", num_classes=1000, pretrained=True, **IMAGES)


def test_timm_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ImportError, match=r"Networks of timm need it. Install it: pip install 'alphadx\[timm\]'"):
        build_network("timm:test_resnet", num_classes=2, **IMAGES)


def with_weights(num_classes: int = 3, pretrained: bool = False) -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, num_classes))
    nn.init.constant_(network[1].bias, float(pretrained))
    return network


def with_its_own_classes(**options: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, options.get("num_classes", 8)))


def test_factory_that_is_pretrained_is_called_and_told_so_where_it_asks():
    found = find_network(f"{__name__}:with_weights", num_classes=5, pretrained=True, **IMAGES)
    assert found.network[1].bias.tolist() == [1.0] * 5
    assert (found.normalization, found.said_by) == (None, "")
    assert not build_network(f"{__name__}:with_weights", num_classes=5, **IMAGES)[1].bias.any()


def test_pretrained_factory_that_takes_any_options_keeps_its_own_classes():
    name = f"{__name__}:with_its_own_classes"
    assert build_network(name, num_classes=5, pretrained=True, **IMAGES)[1].out_features == 8
    assert build_network(name, num_classes=5, **IMAGES)[1].out_features == 5


def test_our_networks_have_no_weights_of_their_own():
    with pytest.raises(ValueError, match=r"`pretrained` should be left out for 'mlp', .* Name a checkpoint"):
        build_network("mlp", num_classes=2, pretrained=True, **IMAGES)


@pytest.mark.parametrize(
    ("name", "options", "said_by"),
    [
        ("mlp", {"hidden": []}, ""),
        ("resnet18", {"weights": None}, "resnet18, which normalises by itself"),
        ("dm_preact_resnet18", {"width": 2, "activation": "relu"}, "dm_preact_resnet18, which normalises by itself"),
    ],
)
def test_our_networks_say_whether_they_normalise(name, options, said_by):
    found = find_network(name, num_classes=2, **(IMAGES | {"bounds": (-1.0, 1.0)}), **options)
    assert (found.normalization, found.said_by) == (None, said_by)


class Counting(torch.nn.Sequential):
    """A network of a user's own whose options are called as some of ours."""

    def __init__(self, classes: int, outputs: int) -> None:
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(4, outputs), torch.nn.Linear(outputs, classes))


def test_options_of_ones_own_network_may_be_called_classes_and_outputs():
    path = f"{__name__}.Counting"
    found = find_network(path, shape=(4,), num_classes=2, bounds=(0.0, 1.0), classes=2, outputs=7)
    assert found.network(torch.zeros(1, 4)).shape == (1, 2)
