"""The Spatially Transformed Attack against its SciPy form, on MNIST with a small CNN, in batches of 64.

    python benchmarks/spatial.py --data-root DIR --save benchmarks/records/spatial.json

Trains a plain and a PGD-trained classifier (minutes on two cores). Attacks the same test images three times at eight
values of τ from paper 1's range for MNIST: with `spatial_attack`; as published, every batch flattened into one
`fmin_l_bfgs_b` problem; and, for the first images, with one SciPy problem for each image. Then finds τ50% on that
grid, as published, and by `critical_radii`. Images that are misclassified untouched are left out.
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import Trainer
from scipy.optimize import fmin_l_bfgs_b
from torch import Tensor, nn

from eval import critical_radii
from eval.attacks import spatial_attack
from eval.attacks.spatial import SpatialObjective
from eval.attacks.verdict import predictions
from eval.records.provenance import provenance
from eval.records.store import write_json
from training import AT, Classifier, Plain
from training.data import MNIST
from training.passes import CountPasses

TAUS = (12, 10, 8, 6, 5, 4, 3, 2)
BATCH, ITERATIONS = 64, 40


def trained(objective: AT | Plain, data: MNIST, epochs: int) -> nn.Module:
    module = Classifier(
        "small_cnn",
        shape=data.shape,
        num_classes=data.num_classes,
        objective=objective,
        optimizer=partial(torch.optim.Adam, lr=1e-3),
    )
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary"), False)
    Trainer(max_epochs=epochs, accelerator="cpu", inference_mode=False, **quiet).fit(module, data)
    return module.network.eval().requires_grad_(False)


def known_images(classifier: nn.Module, data: MNIST, count: int) -> list[tuple[Tensor, Tensor]]:
    """Batches of the first test images that the classifier knows."""
    x, y, _ = next(iter(data.batches("test")))
    known = predictions(classifier, x) == y
    x, y = x[known][:count], y[known][:count]
    return list(zip(x.split(BATCH), y.split(BATCH), strict=True))


def ours(classifier: nn.Module, x: Tensor, y: Tensor, tau: float) -> Tensor:
    return spatial_attack(
        classifier, x, y, 1 / tau, iterations=ITERATIONS, leave_when_fooled=True, bounds=(-1.0, 1.0)
    )


def flattened(classifier: nn.Module, x: Tensor, y: Tensor, tau: float) -> Tensor:
    """As published: the sum over all images, minimised over all their grids by one call of SciPy."""
    objective = SpatialObjective(classifier, x, y, torch.full_like(x[:, 0, 0, 0], tau))
    everyone = torch.arange(len(x))

    def of_sum(grids: np.ndarray) -> tuple[float, np.ndarray]:
        flow = objective.identity.flatten() - torch.from_numpy(grids).to(x).reshape(len(x), -1)
        found = objective(flow, everyone)
        return float(found.value.double().sum()), -found.gradient.double().numpy().ravel()

    start = objective.identity.double().flatten().repeat(len(x)).numpy()
    grids, *_ = fmin_l_bfgs_b(of_sum, start, bounds=[(-1, 1)] * len(start), maxiter=ITERATIONS)
    flow = objective.identity.flatten() - torch.from_numpy(grids).to(x).reshape(len(x), -1)
    return objective.image(flow, everyone)


def one_by_one(classifier: nn.Module, x: Tensor, y: Tensor, tau: float) -> Tensor:
    return torch.cat([flattened(classifier, x[i : i + 1], y[i : i + 1], tau) for i in range(len(x))])


WAYS = {"ours": ours, "flattened": flattened, "one by one": one_by_one}


def measured(way: str, classifier: nn.Module, batches: list[tuple[Tensor, Tensor]], tau: float) -> dict:
    counted, fooled = CountPasses(classifier), []
    started = time.perf_counter()
    answers = [WAYS[way](counted, x, y, tau) for x, y in batches]
    seconds = time.perf_counter() - started
    for answer, (_, y) in zip(answers, batches, strict=True):
        fooled.append(predictions(classifier, answer) != y)
    images = sum(len(y) for _, y in batches)
    return {
        "fooled": float(torch.cat(fooled).double().mean()),
        "seconds_per_batch": seconds / images * BATCH,
        "evaluations": counted.backward_passes / images,
    }


def tau50(fooled: list[float]) -> float | None:
    """τ50% as published, by a straight line between the first two values of τ around one half, if there are any."""
    first = int(np.argmax(np.array(fooled) >= 0.5))
    if first == 0:
        return None
    return float(np.interp(0.5, fooled[first - 1 : first + 1], TAUS[first - 1 : first + 1]))


def searched(classifier: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> dict:
    attack = partial(spatial_attack, iterations=ITERATIONS, leave_when_fooled=True)
    radii = critical_radii(
        classifier, batches, attack, norm=None, bounds=(-1.0, 1.0), epsilon_max=20.0, only="median"
    )
    return {"tau50": 1 / radii.epsilon50, "seconds": radii.seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", help="folder that holds MNIST/raw; ALPHADX_DATA if not given")
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--images", type=int, default=256, help="test images")
    parser.add_argument("--alone", type=int, default=16, help="of them, how many SciPy gets one by one")
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    data = MNIST(data_root=options.data_root)
    command = " ".join(["python", *sys.argv]).replace(options.data_root or "DIR", "DIR")
    record: dict = {"command": command, "provenance": provenance(), "taus": TAUS, "models": {}}
    for name, objective in (("plain", Plain()), ("PGD-trained", AT(0.3, steps=10))):
        classifier = trained(objective, data, options.epochs)
        batches = known_images(classifier, data, options.images)
        few = [(batches[0][0][: options.alone], batches[0][1][: options.alone])]
        ours(classifier, *batches[0], TAUS[-1])  # warms up
        print(f"\n{name}, {sum(len(y) for _, y in batches)} test images of MNIST, {options.alone} of them one by one")
        print(f"{'':>4}{'fooled':>33}{'seconds per batch of 64':>33}{'evaluations per image':>33}")
        print(f"{'τ':>4}" + "".join(f"{way:>11}" for way in WAYS) * 3)
        table: dict[str, list[dict]] = {way: [] for way in WAYS}
        for tau in TAUS:
            for way, rows in table.items():
                rows.append(measured(way, classifier, few if way == "one by one" else batches, tau))
            last = [rows[-1] for rows in table.values()]
            cells = [f"{row['fooled']:11.1%}" for row in last]
            cells += [f"{row['seconds_per_batch']:11.2f}" for row in last]
            cells += [f"{row['evaluations']:11.1f}" for row in last]
            print(f"{tau:4}" + "".join(cells), flush=True)
        scale = sum(len(y) for _, y in batches) / BATCH
        seconds = {way: scale * sum(row["seconds_per_batch"] for row in rows) for way, rows in table.items()}
        grid = {way: tau50([row["fooled"] for row in rows]) for way, rows in table.items()}
        search = searched(classifier, batches)
        ratio = {"grid": seconds["flattened"] / seconds["ours"], "search": seconds["flattened"] / search["seconds"]}
        print(
            f"whole grid: ours {seconds['ours']:.1f} s, flattened {seconds['flattened']:.1f} s: ×{ratio['grid']:.1f}"
        )
        print(
            f"τ50% on the grid, if it lies within: flattened {grid['flattened']}, ours {grid['ours']}; "
            f"ours by critical radii {search['tau50']:.2f} in {search['seconds']:.1f} s: ×{ratio['search']:.1f}"
        )
        record["models"][name] = {
            "table": table,
            "seconds": seconds,
            "tau50": grid,
            "search": search,
            "times_faster": ratio,
        }
    if options.save:
        write_json(options.save, record)


if __name__ == "__main__":
    main()
