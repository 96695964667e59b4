"""Measure weights that you have: python measure_checkpoint.py model.pt [NETWORK [FOLDER]]."""

import sys

from eval import measure
from training.data import Digits


def main(checkpoint: str, network: str = "small_cnn", folder: str = "runs/mine") -> None:
    """Print the table of a checkpoint, and write records, plots and a page."""
    report = measure(
        checkpoint,
        Digits(),  # or tensors (x, y), a Dataset, a DataLoader, with bounds=(0, 1)
        network=network,  # or "torchvision:resnet18", "mypackage.models:Net"
        normalize="none",  # what stands before the network; leave it out to be asked
        attacks=["pgd", "square"],
        norms=["Linf"],
        epsilons=[0.1, 0.2],
        attack_options={"square": {"queries": 200}},
        limit=40,
    )
    print(report.table)
    alignment = report["alpha_dx"]
    low, high = alignment.interval
    print(f"α_Δx = {alignment.value:.3f} [{low:.3f}, {high:.3f}], n = {alignment.samples}")
    print(report.per_sample.head())
    print("written:", report.save(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
