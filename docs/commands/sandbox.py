"""The folder in which the documentation's commands run: small files that stand for what a reader has.

`DIR` holds MNIST's four files, filled with scikit-learn's digits enlarged to 28×28; `model.pt` a small CNN that was
trained on the same digits for a few seconds; `runs/quick` a study of the form of the preset, shorter.
"""

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from limits import overlaid
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy, interpolate

from eval.cli import main
from training import build_network
from training.data import Digits

QUICK = Path(__file__).resolve().parents[2] / "eval" / "studies" / "presets" / "quick.yaml"
DATA = "DIR"
"""How the documentation calls the folder of data files; a folder of that name lies in the sandbox."""


def furnish(folder: Path) -> None:
    """Make everything that the commands find."""
    write_mnist(folder / DATA / "MNIST" / "raw")
    torch.save(trained_on_digits().state_dict(), folder / "model.pt")
    os.environ.pop("ALPHADX_DATA", None)
    (folder / "quick.yaml").write_text(yaml.safe_dump(short_quick(), allow_unicode=True), encoding="utf-8")
    main(["study", "quick.yaml", "--jobs", "1", "--device", "cpu"])


def short_quick() -> dict[str, Any]:
    """The preset `quick` with digits alone, one seed and the limits of `limits.STUDY`."""
    source = yaml.safe_load(QUICK.read_text(encoding="utf-8"))
    digits = source["experiments"]["digits"]
    kept = {key: digits[key] for key in ("recipes", "measure")} | {"base": dict(digits["base"]), "seeds": [0]}
    del kept["base"]["trainer"]
    return overlaid({"title": source["title"], "experiments": {"digits": kept}})


def write_mnist(folder: Path) -> None:
    """MNIST's files, of 1,500 and 297 images."""
    digits = load_digits()
    images = interpolate(torch.tensor(digits.images)[:, None] / 16, size=(28, 28), mode="bilinear")[:, 0]
    pixels, labels = (images * 255).round().numpy().astype(np.uint8), digits.target.astype(np.uint8)
    folder.mkdir(parents=True)
    for name, part in (("train", slice(0, 1500)), ("t10k", slice(1500, None))):
        count = len(labels[part])
        heading = struct.pack(">IIII", 0x803, count, 28, 28)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(heading + pixels[part].tobytes())
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels[part].tobytes())


def trained_on_digits(epochs: int = 6) -> nn.Module:
    """A small CNN that knows most digits."""
    torch.manual_seed(0)
    data = Digits(batch_size=64)
    network = build_network("small_cnn", shape=data.shape, num_classes=data.num_classes)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(epochs):
        for x, y, _ in data.train_dataloader():
            loss = cross_entropy(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()
