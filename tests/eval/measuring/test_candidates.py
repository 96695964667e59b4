from pathlib import Path

import pytest
from torch import nn

from eval.measuring.candidates import Candidate, candidates_of


def made(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_one_checkpoint_is_called_by_its_name_and_has_no_seed(tmp_path: Path) -> None:
    (one,) = candidates_of(made(tmp_path, "a.pt") / "a.pt", Candidate(network="mlp"))
    assert (one.title, one.seed, one.network, one.checkpoint) == ("a", None, "mlp", tmp_path / "a.pt")


def test_the_checkpoints_of_a_folder_and_below_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    made(tmp_path, "b/best.ckpt", "a/best.ckpt", "last.pt", "log.txt", ".hidden/x.pt", "hf/config.json")
    made(tmp_path, "hf/model-1.safetensors", "hf/model-2.safetensors")
    found = candidates_of(str(tmp_path), Candidate())
    assert [one.title for one in found] == ["a/best", "b/best", "hf", "last"]
    assert found[2].checkpoint == tmp_path / "hf"


def test_a_folder_of_one_model_is_one(tmp_path: Path) -> None:
    (one,) = candidates_of(made(tmp_path, "config.json", "model.safetensors"), Candidate())
    assert one.checkpoint == tmp_path


def test_a_list_says_what_is_particular_of_each(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(
        "- {checkpoint: a.pt, recipe: AT, normalize: cifar10, epsilon: 8/255}\n"
        "- {checkpoint: sub/a.pt, recipe: AT, epsilon: 8/255, key: ema}\n"
        "- {checkpoint: /far/b.pt, network: mlp, network_options: {hidden: [3]}, seed: 7}\n"
        "- {network: 'torchvision:resnet18'}\n"
    )
    found = candidates_of(tmp_path / "models.yaml", Candidate(network="small_cnn", normalize="none"))
    assert [one.title for one in found] == ["AT", "AT", "b", "torchvision:resnet18"]
    assert [one.seed for one in found] == [0, 1, 7, 0]
    assert [one.normalize for one in found] == ["cifar10", "none", "none", "none"]
    assert [one.network for one in found] == ["small_cnn", "small_cnn", "mlp", "torchvision:resnet18"]
    assert [one.checkpoint for one in found[:3]] == [tmp_path / "a.pt", tmp_path / "sub/a.pt", Path("/far/b.pt")]
    assert (found[1].key, found[2].network_options, found[0].epsilon) == ("ema", {"hidden": [3]}, "8/255")


def test_models_of_one_recipe_may_differ_in_a_setting(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(
        "- {checkpoint: a.pt, recipe: CA-AT, setting: {gamma: 0.8}}\n"
        "- {checkpoint: b.pt, recipe: CA-AT, setting: {gamma: 0.9}}\n"
        "- {checkpoint: c.pt, recipe: CA-AT, setting: {gamma: 0.9}}\n"
    )
    found = candidates_of(tmp_path / "models.yaml", Candidate())
    assert [(one.setting, one.seed) for one in found] == [
        ({"gamma": "0.8"}, 0),
        ({"gamma": "0.9"}, 0),
        ({"gamma": "0.9"}, 1),
    ]


def test_modules_by_name_and_paths_in_a_list(tmp_path: Path) -> None:
    made(tmp_path, "a/x.pt", "b/x.pt")
    named = candidates_of({"one": nn.Identity(), "two": tmp_path / "a/x.pt"}, Candidate(recipe="R"))
    assert [one.title for one in named] == ["one", "two"]
    assert [one.title for one in candidates_of([tmp_path / "a/x.pt", tmp_path / "b/x.pt"], Candidate())] == [
        "a/x", "b/x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1", "should be a list of models, such as .*Found dict"),
        ("[]", "should be a list of models"),
        ("- a.pt", "model 1: should hold some of the keys checkpoint, .*Found 'a.pt'"),
        ("- {checkpoint: a.pt, recepi: AT}", r"model 1: .*Found \['recepi'\]"),
        ("- {recipe: AT}", "`checkpoint` should name a file"),
        ("- {checkpoint: a.pt, setting: 3}", "model 1: `setting` should hold names with values. Found 3"),
        ("- {a: [", "should be YAML"),
    ],
)
def test_lists_that_cannot_be_read_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "models.yml").write_text(content)
    with pytest.raises(ValueError, match=message):
        candidates_of(tmp_path / "models.yml", Candidate())


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"should hold checkpoints, files that end in .ckpt.*Found none"):
        candidates_of(tmp_path, Candidate())
    with pytest.raises(FileNotFoundError, match=r"no such checkpoint file"):
        candidates_of(tmp_path / "a.pt", Candidate())
    with pytest.raises(ValueError, match=r"`checkpoint` should name a file.*or `network`"):
        candidates_of(None, Candidate())
    with pytest.raises(ValueError, match=r"`model` should be a torch.nn.Module.*Found int"):
        candidates_of(3, Candidate())
    (one,) = candidates_of(None, Candidate(network="torchvision:resnet18"))
    assert (one.title, one.checkpoint) == ("torchvision:resnet18", None)


def test_a_list_of_the_package_is_meant_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = candidates_of("imagenet", Candidate())
    assert [one.title for one in found] == [
        "Standard_R50",
        "Salman2020Do_R18",
        "Wong2020Fast",
        "Engstrom2019Robustness",
        "Salman2020Do_R50",
        "Salman2020Do_50_2",
    ]
    assert {one.network for one in found} == {f"robustbench:{one.title}" for one in found}
    assert found[0].checkpoint == tmp_path / "models" / "imagenet" / "Linf" / "Standard_R50.pt"
    made(tmp_path, "imagenet/a.pt")  # a folder of this name is what is meant
    assert [one.title for one in candidates_of("imagenet", Candidate())] == ["a"]
