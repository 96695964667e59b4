"""With no extra installed everything can be imported, and whatever needs one says how to install it."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = (
    "adv_lib",
    "bokeh",
    "datasets",
    "foolbox",
    "pyarrow",
    "pyautoattack",
    "pytorch_pretrained_biggan",
    "robustbench",
    "safetensors",
    "tensorboard",
    "timm",
    "torchjd",
    "transformers",
    "webdataset",
)
BLOCKED = f"""
import importlib.metadata as metadata
import sys

found = metadata.Distribution.from_name

def known(name):  # torchmetrics asks what is installed before it imports it
    if name.replace("-", "_") in {EXTRAS!r}:
        raise metadata.PackageNotFoundError(name)
    return found(name)

metadata.Distribution.from_name = staticmethod(known)

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.path.insert(0, {str(ROOT)!r})
"""
EVERYTHING = """
import importlib, pkgutil
import alignment, eval, generators, training

for package in (alignment, generators, training, eval):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
assert not set(sys.modules) & set(EXTRAS)
"""
USES = {
    "autoattack": "SuiteAttack.check(ATTACKS['autoattack'], {}, 'Linf', (1, 8, 8), 10, (0.0, 1.0))",
    "foolbox": "SuiteAttack.check(ATTACKS['ddn'], {}, 'L2', (1, 8, 8), 10, (0.0, 1.0))",
    "timm": "build_network('timm:resnet10t', shape=(3, 32, 32), num_classes=2)",
    "safetensors": "load_classifier('mlp', checkpoint='x.safetensors', shape=(2,), num_classes=2, bounds=(0, 1))",
    "datasets": "HuggingFaceData('.')",
    "parquet": "Tabular(bounds=(0, 1), train='x.parquet', validation='x.parquet', test='x.parquet').split('test')",
    "biggan": "projection_of('biggan-deep-256', shape=(3, 256, 256), num_classes=1000, bounds=(0.0, 1.0))",
}
IMPORTS = """
from eval.attacks import ATTACKS, SuiteAttack
from generators.biggan import projection_of
from training import build_network, load_classifier
from training.data import HuggingFaceData, Tabular
"""


def run(program: str, at: Path) -> str:
    """What a program prints in a fresh process in which no extra can be imported."""
    whole = f"{BLOCKED}\nEXTRAS = {EXTRAS!r}\n{program}"
    done = subprocess.run([sys.executable, "-c", whole], cwd=at, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_everything_is_imported(tmp_path: Path) -> None:
    run(EVERYTHING, tmp_path)


@pytest.mark.slow
def test_what_needs_an_extra_names_it(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"8")
    (tmp_path / "x.parquet").write_bytes(b"8")
    tried = "".join(
        f"""
try:
    {use}
except Exception as error:
    print({extra!r}, str(error).replace(chr(10), " "))
"""
        for extra, use in USES.items()
    )
    told = dict(line.split(" ", 1) for line in run(IMPORTS + textwrap.dedent(tried), tmp_path).splitlines())
    assert set(told) == set(USES)
    for extra, said in told.items():
        assert f"alphadx[{extra}]" in said, said
