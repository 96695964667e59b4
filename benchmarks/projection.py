"""The paper's projection into a generator's latent space beside ours, on Squares32 or MNIST.

    python benchmarks/projection.py --data Squares32 --save benchmarks/records/projection_squares32.json
    python benchmarks/projection.py --data MNIST --data-root DIR --checkpoint generator.ckpt

Both search for the same (image, class) pairs, each image with one other class drawn at random, in the same generator
with the same λ_Regz, and are judged by the same L_proj (paper 1, Eq. 15). A pass is an image that the generator
draws; a gradient follows each of the paper's but the last, and each of ours but the last. Without a checkpoint a
small generator is trained first (about ten minutes on one core).
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from eval.records.provenance import provenance
from eval.records.store import write_json
from generators import ConditionalGAN, LatentProjection, load_generator, project
from generators.networks import ConditionalDiscriminator
from generators.projection import Projection
from training.data import MNIST, DataSet, Squares

SETTINGS = {"Squares32": {"regularization": 0.03}, "MNIST": {"regularization": 1.5}}
PAPERS = "paper, 600 + 150 Adam steps"
RATE = 0.2
BUDGETS = (20, 50, 100, 150)


def trained(data: DataSet, batches: int) -> nn.Module:
    """A narrow generator, after some batches of the recipe with an encoder."""
    model = ConditionalGAN(
        ConditionalDiscriminator(data.shape, data.num_classes, width=16),
        network_options={"width": 16, "encoder": 16},
        shape=data.shape,
        num_classes=data.num_classes,
        bounds=data.bounds,
        projection_weight=10.0,
        distance_weight=0.3,
        class_weight=1.0 if data.num_classes == 2 else 5.0,
        lr=6e-4,
        discriminator_lr=1e-3,
        average=0.99,
    )
    trainer = Trainer(
        max_steps=2 * batches,  # the discriminator's count as well
        limit_val_batches=0,
        accelerator="auto",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    return model.drawing.eval()


def search(generator: nn.Module, x: Tensor, target: Tensor, **settings: Any) -> tuple[Projection, dict[str, Any]]:
    """What was found, and what stands in the table."""
    started = time.process_time()
    found = project(generator, x, target, **settings)
    return found, {
        "L_proj": float(found.loss.mean()),
        "median": float(found.loss.median()),
        "passes": float(found.passes.double().mean()),
        "most_passes": int(found.passes.max()),
        "seconds": time.process_time() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=list(SETTINGS), default="Squares32")
    parser.add_argument(
        "--data-root", help="folder that holds MNIST/raw; the environment's ALPHADX_DATA if not given"
    )
    parser.add_argument("--checkpoint", type=Path, help="of a conditional generator, as `alphadx fit` writes it")
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--batches", type=int, default=1500, help="to train with where no checkpoint is given")
    options = parser.parse_args()
    batch = 32 if options.data == "Squares32" else 64
    data = (
        Squares(32, batch_size=batch) if options.data == "Squares32" else MNIST(options.data_root, batch_size=batch)
    )
    generator = load_generator(options.checkpoint)[0] if options.checkpoint else trained(data, options.batches)

    images = data.split("test").__getitems__(range(options.images))
    x, y = images.x, images.y
    further = torch.randint(1, data.num_classes, y.shape, generator=torch.Generator().manual_seed(0))
    target = (y + further) % data.num_classes
    settings = SETTINGS[options.data]
    ways: dict[str, dict[str, Any]] = {PAPERS: {"method": "paper", "learning_rate": RATE}}
    ways |= {f"ours, at most {passes} passes": {"method": "ours", "passes": passes} for passes in BUDGETS}
    found, table = {}, {}
    for name, way in ways.items():
        found[name], table[name] = search(generator, x, target, **settings, **way)
        table[name]["L_proj_over_papers"] = table[name]["L_proj"] / table[PAPERS]["L_proj"]
        table[name]["passes_over_papers"] = table[name]["passes"] / table[PAPERS]["passes"]
        table[name]["no_higher_in"] = float((found[name].loss <= found[PAPERS].loss).double().mean())
    print(f"\n{len(x)} pairs of {data.name}, λ_Regz = {settings['regularization']}")
    print(f"{'':30}{'L_proj':>9}{'of paper':>10}{'no higher in':>14}{'passes':>9}{'of paper':>10}{'CPU s':>8}")
    for name, row in table.items():
        print(
            f"{name:30}{row['L_proj']:9.5f}{row['L_proj_over_papers']:9.3f}×{row['no_higher_in']:14.1%}"
            f"{row['passes']:9.1f}{row['passes_over_papers']:9.3f}×{row['seconds']:8.1f}"
        )
    quality = {}
    if data.exact_residual is not None:
        exact = data.exact_residual(x, y, target).flatten(1)
        ours = LatentProjection(generator, method="ours", **settings)(x, y, target)
        print(f"\n{'':30}{'sim(Δx, Δ̂x)':>14}{'length':>10}")
        for name, residual in (("paper, G(z*, c̃) − x", found[PAPERS].image - x), ("ours", ours)):
            sim = cosine_similarity(residual.flatten(1), exact)
            length = residual.flatten(1).norm(dim=1) / exact.norm(dim=1)
            quality[name] = {"sim": float(sim.mean()), "sd": float(sim.std()), "length": float(length.mean())}
            print(f"{name:30}{f'{sim.mean():.3f} ± {sim.std():.3f}':>14}{length.mean():9.3f}×")
    if options.save:
        command = " ".join(["python", *sys.argv]).replace(options.data_root or "DIR", "DIR")
        record = {"command": command, "provenance": provenance(), "pairs": len(x), "searches": table}
        write_json(options.save, record | {"quality": quality})


if __name__ == "__main__":
    main()
