from hashlib import sha256
from pathlib import Path

import pytest
import torch
from torch import nn

from generators import DirectResidual, holds_estimator, load_estimator, load_generator
from generators.checkpoints import FORMAT, GENERATOR_KEY, digest
from generators.networks import build_generator

DESCRIPTION = {
    "format": FORMAT, "kind": "direct", "network": "mlp", "options": {"hidden": [4]}, "shape": [3], "num_classes": 2,
    "bounds": [-1.0, 1.0], "averaged": False, "data": "Spheres3",
}  # fmt: skip
EXPECTED = {"data": "Spheres3", "shape": (3,), "num_classes": 2}


def saved(path: Path, **changes: object) -> nn.Module:
    """A checkpoint whose generator and averaged generator differ."""
    made = [build_generator("mlp", shape=(3,), num_classes=2, hidden=[4]) for _ in range(2)]
    weights = {}
    for prefix, module in zip(("generator.", "averaged.module."), made, strict=True):
        for name, value in module.state_dict().items():
            weights[prefix + name] = nn.init.normal_(value)
    torch.save({GENERATOR_KEY: DESCRIPTION | changes, "state_dict": weights}, path)
    return made[1 if changes.get("averaged") else 0]


@pytest.mark.parametrize("averaged", [False, True])
def test_generator_comes_back(tmp_path: Path, averaged: bool) -> None:
    made = saved(tmp_path / "a.ckpt", averaged=averaged)
    found, description = load_generator(tmp_path / "a.ckpt")
    x, y = torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 0])
    assert torch.equal(found(x, y, 1 - y), made(x, y, 1 - y))
    assert not found.training
    assert not any(p.requires_grad for p in found.parameters())
    assert description["data"] == "Spheres3"


def test_estimator_comes_from_its_file(tmp_path: Path) -> None:
    made = saved(tmp_path / "a.ckpt")
    estimator = load_estimator(tmp_path / "a.ckpt", **EXPECTED)
    assert isinstance(estimator, DirectResidual)
    assert estimator.digest == digest(made)
    assert holds_estimator(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "Spheres"}, r"data 'Spheres3' where 'Spheres' is needed"),
        ({"shape": (4,)}, r"shape \[3\] where \[4\] is needed"),
        ({"bounds": (0.0, 1.0)}, r"bounds \[-1.0, 1.0\] where \[0.0, 1.0\] is needed"),
        ({"num_classes": 10, "shape": (1, 2)}, r"shape \[3\] where \[1, 2\] is needed, num_classes 2 where 10 is"),
    ],
)
def test_estimator_of_something_else_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    saved(tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=rf"a.ckpt was made for something else: .*{message}"):
        load_estimator(tmp_path / "a.ckpt", **(EXPECTED | changes))


def test_what_is_no_generator_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_text("no checkpoint")
    with pytest.raises(ValueError, match=r"a.ckpt should hold a generator trained by `alphadx fit`"):
        load_generator(tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"b.ckpt cannot be read as a checkpoint with weights_only=True"):
        load_generator(tmp_path / "b.ckpt")
    with pytest.raises(FileNotFoundError, match=r"c.ckpt: no such checkpoint"):
        load_generator(tmp_path / "c.ckpt")
    assert not any(holds_estimator(tmp_path / name) for name in ("a.ckpt", "b.ckpt", "c.ckpt"))


def test_digest_depends_on_every_weight_and_buffer() -> None:
    module = nn.BatchNorm1d(2)
    before = digest(module)
    assert digest(nn.BatchNorm1d(2)) == before
    module.running_mean[1] += 1e-6
    assert digest(module) != before


def test_digest_is_that_of_the_bytes_of_any_precision() -> None:
    states = [nn.Linear(2, 2).to(dtype) for dtype in (torch.float32, torch.bfloat16, torch.float16)]
    for state in states:
        before = digest(state)
        state.weight.data[0, 0] *= 2
        assert digest(state) != before
    plain = nn.Linear(2, 2)
    arrays = [name.encode() + value.numpy().tobytes() for name, value in sorted(plain.state_dict().items())]
    assert digest(plain) == sha256(b"".join(arrays)).hexdigest()[:16]  # records of older versions are found


def test_digest_of_a_sparse_buffer_is_that_of_its_values() -> None:
    sparse, dense = nn.Module(), nn.Module()
    dense.register_buffer("links", torch.eye(3))
    sparse.register_buffer("links", torch.eye(3).to_sparse())
    assert digest(sparse) == digest(dense)


class Quantised(nn.Module):
    """Its state holds more than tensors, as that of a quantised layer does."""

    def __init__(self, scale: float, weight: float) -> None:
        super().__init__()
        self.state = (torch.quantize_per_tensor(torch.full((2,), weight), 0.1, 0, torch.qint8), None, scale)

    def get_extra_state(self) -> object:
        return self.state

    def set_extra_state(self, state: object) -> None:
        """Nothing is loaded here."""


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_digest_of_a_state_that_holds_more_than_tensors() -> None:
    before = digest(Quantised(0.5, 1.0))
    assert digest(Quantised(0.5, 1.0)) == before
    assert digest(Quantised(0.6, 1.0)) != before
    assert digest(Quantised(0.5, 0.9)) != before


def test_unknown_generator_and_options_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"`network` should be one of conditional, denoising, film, mlp, unet. Found 'vae'"
    ):
        build_generator("vae", shape=(3,), num_classes=2)
    with pytest.raises(ValueError, match=r"The generator 'mlp' does not take these options: .*levels"):
        build_generator("mlp", shape=(3,), num_classes=2, levels=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"network": "subprocess.Popen", "options": {"args": ["touch", "trap"]}},
            "should be one of conditional",
        ),
        ({"network": None}, "the `network` it describes should be a name"),
        (
            {"kind": "os.system"},
            "the `kind` it describes should be one of direct, conditional, denoiser. Found 'os.system'",
        ),
        ({"options": {"hidden": {"class_path": "subprocess.Popen"}}}, "should be a dict of plain values"),
        ({"options": {"shape": [3]}}, "the `options` it describes should leave out shape"),
        ({"options": {"hiden": [4]}}, "The generator 'mlp' does not take these options"),
        ({"options": {"hidden": [5]}}, "does not hold the weights of the generator that it describes"),
        ({"format": FORMAT + 1}, f"has format {FORMAT + 1}, which a later version of alphadx wrote"),
        ({"shape": []}, "the `shape` it describes should be one or more sizes"),
        ({"num_classes": True}, "the `num_classes` it describes should be 2 or more"),
    ],
)
def test_nothing_that_a_generators_file_says_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "a.ckpt", **changes)
    with pytest.raises(ValueError, match=message):
        load_estimator(tmp_path / "a.ckpt", **EXPECTED)
    assert not (tmp_path / "trap").exists()


def test_misspelt_option_of_an_estimator_is_named(tmp_path: Path) -> None:
    saved(tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"a.ckpt does not take these options: .*bach"):
        load_estimator(tmp_path / "a.ckpt", **EXPECTED, bach=3)


def test_sizes_that_no_generator_can_have_are_named() -> None:
    with pytest.raises(ValueError, match=r"The generator 'unet' cannot be built with .*'width': "):
        build_generator("unet", shape=(1, 8, 8), num_classes=2, bounds=(-1.0, 1.0), width=10**18)
