from pathlib import Path

import pytest

from eval.cli import main
from eval.records import Results
from tests.eval.cli.test_cli import SMALL, small

AT_ONCE = [*SMALL, "--limit=10", "--attacks=[fgsm]", "--resolution=0.3"]


@pytest.mark.slow
def test_a_folder_of_checkpoints_is_measured_in_one_go_and_one_that_fails_is_told_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "models").mkdir()
    for seed, name in enumerate("ABC"):
        small(tmp_path / "models", name, seed)
    (tmp_path / "models" / "broken.pt").write_bytes(b"no checkpoint")
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match=r"^alphadx: 1 failed, all else was finished:\n  broken failed: .*broken.pt"):
        main(["measure", str(tmp_path / "models"), *AT_ONCE, "--out", str(out)])
    printed = capsys.readouterr()
    assert "Correlation of alignment with robustness" in printed.out
    assert "A/best: " in printed.err
    assert {record.model.recipe for record in Results(out).load()} == {"A/best", "B/best", "C/best"}
    assert not [*(out / "plots").glob("correlation-*")]  # of models that guess, which the table counts


def test_a_list_of_models_is_measured_and_repetitions_are_one_row(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for seed, name in enumerate("AB"):
        small(tmp_path, name, seed)
    (tmp_path / "models.yaml").write_text(
        "- {checkpoint: A/best.pt, recipe: AT}\n- {checkpoint: B/best.pt, recipe: AT}\n"
    )
    main(["measure", str(tmp_path / "models.yaml"), *AT_ONCE])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith("digits ")]
    assert line.split()[1:3] == ["AT", "2"]


def test_accuracy_at_a_strength_alone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    given = ["--data=Digits", "--network=small_cnn", "--network-options", '{"width": 2}', "--limit=10"]
    at = ["--attacks=[fgsm]", "--epsilons=[8/255]", "--only=accuracy"]
    main(["measure", str(small(tmp_path, "A", 0)), *given, *at])
    printed = capsys.readouterr()
    assert "accuracy under FGSM L∞ 8/255 %" in printed.out
    assert "α_Δx" not in printed.out
    assert "drawn at random, of each class its share (limit_seed 0)" in printed.err


def test_a_checkpoint_may_be_left_out_where_a_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def loaded(network: str, *, checkpoint: object, **options: object) -> None:
        seen.update(network=network, checkpoint=checkpoint, **options)
        raise ValueError("seen")

    monkeypatch.setattr("eval.measuring.loading.load", loaded)
    named = ["--data=Digits", "--network=torchvision:resnet18", "--normalize=imagenet", "--trust=true", "--key=ema"]
    with pytest.raises(SystemExit, match=r"^alphadx: seen"):
        main(["measure", *named])
    assert seen["network"] == "torchvision:resnet18"
    assert seen["checkpoint"] is None
    assert (seen["normalize"], seen["trust"], seen["key"]) == ("imagenet", True, "ema")
    with pytest.raises(SystemExit, match=r"^alphadx: `checkpoint` should name a file, .* Found neither"):
        main(["measure", "--data=Digits"])


def test_one_thing_of_a_list_needs_no_brackets(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    given = ["--data=Digits", "--network=small_cnn", "--network-options", '{"width": 2}', "--limit=4"]
    at = ["--attacks", "fgsm", "--epsilons", "8/255", "--norms=Linf", "--only=accuracy"]
    main(["measure", str(small(tmp_path, "A", 0)), *given, *at])
    assert "accuracy under FGSM L∞ 8/255 %" in capsys.readouterr().out


def test_strengths_may_be_named_by_norm(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    given = ["--data=Digits", "--network=small_cnn", "--network-options", '{"width": 2}', "--limit=4"]
    at = ["--attacks", "fgsm", "--epsilons", "{Linf: [8/255], L2: [1/2]}", "--only=accuracy"]
    main(["measure", str(small(tmp_path, "A", 0)), *given, *at])
    printed = capsys.readouterr().out
    assert "accuracy under FGSM L∞ 8/255 %" in printed
    assert "accuracy under FGSM L2 1/2 %" in printed


def test_misspelt_data_set_and_option_of_it_are_corrected(tmp_path: Path) -> None:
    checkpoint = str(small(tmp_path, "A", 0))
    with pytest.raises(SystemExit, match=r"`data` has no option 'foldr'. Did you mean 'folder'\?$"):
        main(["measure", checkpoint, "--data=ImageFolders", "--data.foldr=a"])
    with pytest.raises(SystemExit, match=r"Found 'ImageFolder'. Did you mean 'ImageFolders'\?$"):
        main(["measure", checkpoint, "--data=ImageFolder", "--data.folder=a"])
