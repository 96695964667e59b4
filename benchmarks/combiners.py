"""What a training step costs with every way of combining gradients, with PreAct-ResNet-18.

    python benchmarks/combiners.py --width 16 --save benchmarks/records/combiners.json
    python benchmarks/combiners.py --width 64 --device cuda --rounds 51 --save …

Times the gradient work of a step, from images to one gradient per parameter, with the adversarial images given: the
inner maximisation is the same in all ways. All ways take turns in every round, every other round in reverse order;
medians over the rounds, and of ratios within a round, are printed side by side. Memory is the peak of what a step
allocates beyond what was there before it: on a GPU as CUDA's allocator counts it, on a CPU as the profiler does.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torchjd.aggregation import PCGrad
from torchjd.autojac import backward, jac_to_grad

from alignment import alignment_penalty
from eval.records.provenance import provenance
from eval.records.store import write_json
from training import AT, Strength, build_network
from training.combiners import AGR, CAAT, Combiner, TorchJD
from training.conflict import conflict
from training.objectives import TRADES, AdversarialObjective, Step

Gradient = list[Tensor]
CLASSES, EPSILON = 10, Strength("8/255")


class Steps:
    """Gradient work on one batch of random images, in every way.

    Args:
        width: of the network.
        batch: number of images.
        device: of everything.
    """

    def __init__(self, width: int, batch: int, device: str) -> None:
        torch.manual_seed(0)
        shape = (3, 32, 32)
        self.network, self.binary = (
            build_network("preact_resnet18", shape=shape, num_classes=classes, width=width).to(device)
            for classes in (CLASSES, 2)
        )
        self.x = torch.rand(batch, *shape, device=device)
        self.perturbed = (self.x + EPSILON * torch.randn_like(self.x).sign()).clamp(0, 1)
        self.residual = torch.randn_like(self.x)
        self.y = torch.randint(CLASSES, (batch,), device=device)
        self.generator = torch.Generator(device)

    def clean_loss(self) -> Tensor:
        """Cross-entropy at the images."""
        return F.cross_entropy(self.network(self.x), self.y)

    def adversarial_loss(self, objective: AdversarialObjective) -> Tensor:
        """An objective at the perturbed images."""
        clean = partial(self.network, self.x)
        named = objective.losses(Step(self.network, self.x, self.y, self.perturbed, clean, self.generator))
        return named["adversarial"]

    def clean(self) -> Gradient:
        """One backward pass, plain training."""
        return gradient(self.clean_loss(), self.network)

    def adversarial(self, objective: AdversarialObjective) -> Gradient:
        """One backward pass, adversarial training."""
        return gradient(self.adversarial_loss(objective), self.network)

    def both(self) -> dict[str, Gradient]:
        """Two backward passes, not combined."""
        return {"clean": self.clean(), "adversarial": self.adversarial(AT(EPSILON))}

    def combined(self, combiner: Combiner) -> Gradient:
        """Two backward passes, measured and combined."""
        return measured_and_combined(combiner, self.both())

    def loop(self) -> Gradient:
        """Two backward passes, combined tensor by tensor."""
        return by_a_loop(**self.both())

    def autojac(self) -> Gradient:
        """Both rows of the Jacobian in one call of TorchJD, combined by PCGrad."""
        parameters = list(self.network.parameters())
        backward([self.clean_loss(), self.adversarial_loss(AT(EPSILON))], inputs=parameters)
        jac_to_grad(parameters, PCGrad())
        answer = [parameter.grad for parameter in parameters]
        self.network.zero_grad()
        return answer  # type: ignore[return-value]

    def plain_binary(self) -> Gradient:
        """Plain training with two classes."""
        return gradient(F.cross_entropy(self.binary(self.x), self.y % 2), self.binary)

    def penalty_binary(self) -> Gradient:
        """The same with the alignment penalty."""
        x, y = self.x.clone().requires_grad_(), self.y % 2
        logits = self.binary(x)
        penalty = alignment_penalty(self.binary, x, y, self.residual, logits=logits)
        return gradient(F.cross_entropy(logits, y) + penalty, self.binary)


def gradient(loss: Tensor, network: nn.Module) -> Gradient:
    return list(torch.autograd.grad(loss, list(network.parameters())))


def measured_and_combined(combiner: Combiner, gradients: dict[str, Gradient]) -> Gradient:
    """What a training step adds to the two backward passes: the measures that are logged, and the combination."""
    measured = conflict(gradients["clean"], gradients["adversarial"])
    _ = measured.opposed, measured.mu
    return combiner(gradients, measured)


def by_a_loop(clean: Gradient, adversarial: Gradient) -> Gradient:
    """AGR as published programs do it: tensor by tensor, the case chosen in Python."""
    answer = []
    for g_n, g_a in zip(clean, adversarial, strict=True):
        cosine = F.cosine_similarity(g_n.flatten(), g_a.flatten(), dim=0).item()
        g = cosine * g_n + (1 - cosine) * g_a
        if cosine < 0:
            g = g_a - (g_a * g_n).sum() / (g_n * g_n).sum() * g_n
        answer.append(g / max(1.0, g.norm().item() / 0.1))
    return answer


def ways_of(steps: Steps) -> dict[str, Callable[[], object]]:
    given = steps.both()
    return {
        "clean": steps.clean,
        "AT": partial(steps.adversarial, AT(EPSILON)),
        "TRADES": partial(steps.adversarial, TRADES(EPSILON)),
        "two gradients": steps.both,
        "AGR": partial(steps.combined, AGR()),
        "CA-AT": partial(steps.combined, CAAT()),
        "AGR in a loop": steps.loop,
        "PCGrad, TorchJD": partial(steps.combined, TorchJD(PCGrad())),
        "PCGrad, autojac": steps.autojac,
        "AGR alone": partial(measured_and_combined, AGR(), given),
        "CA-AT alone": partial(measured_and_combined, CAAT(), given),
        "loop alone": partial(by_a_loop, **given),
        "PCGrad alone": partial(measured_and_combined, TorchJD(PCGrad()), given),
        "plain, 2 classes": steps.plain_binary,
        "Lα, 2 classes": steps.penalty_binary,
    }


TARGETS: dict[str, tuple[list[str], list[str], float]] = {
    "AGR alone / two gradients": (["AGR alone"], ["two gradients"], 0.02),
    "CA-AT alone / two gradients": (["CA-AT alone"], ["two gradients"], 0.02),
    "AGR / (clean + AT)": (["AGR"], ["clean", "AT"], 1.05),
    "CA-AT / (clean + AT)": (["CA-AT"], ["clean", "AT"], 1.05),
    "Lα / plain, 2 classes": (["Lα, 2 classes"], ["plain, 2 classes"], 3.2),
}
"""What is divided by what, summed over ways, and how much it should be at most."""


def seconds_of(job: Callable[[], object], device: str) -> float:
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    wait()
    started = time.perf_counter()
    job()
    wait()
    return time.perf_counter() - started


def peak_bytes(job: Callable[[], object], device: str) -> int:
    """Most bytes allocated at a time during a job, beyond those allocated before it."""
    if device.startswith("cuda"):
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        job()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        job()
    events = sorted(found.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    now = peak = 0
    for event in events:
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage; 64 is the papers'")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--save", type=Path, help="JSON file for the record")
    options = parser.parse_args()
    steps = Steps(options.width, options.batch, options.device)
    ways = ways_of(steps)
    memory = {name: peak_bytes(job, options.device) for name, job in ways.items()}  # and warms up
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.rounds):
        for name in reversed(ways) if number % 2 else ways:
            seconds[name].append(seconds_of(ways[name], options.device))

    parameters = sum(parameter.numel() for parameter in steps.network.parameters())
    print(f"PreAct-ResNet-18 of width {options.width}, {parameters:,} parameters, batches of {options.batch}")
    print(f"{'gradient work of a step':24}{'ms, median':>12}{'lowest':>10}{'highest':>10}{'peak MB':>10}")
    for name, found in seconds.items():
        middle, low, high = (1000 * value for value in (statistics.median(found), min(found), max(found)))
        print(f"{name:24}{middle:12.2f}{low:10.2f}{high:10.2f}{memory[name] / 1e6:10.1f}")
    ratios = {}
    for name, (above, below, target) in TARGETS.items():
        pairs = zip(
            *(map(sum, zip(*(seconds[way] for way in part), strict=True)) for part in (above, below)), strict=True
        )
        ratios[name] = [a / b for a, b in pairs]
        middle = statistics.median(ratios[name])
        print(f"{name:30}{middle:8.4f}   to reach: at most {target}{'' if middle <= target else ', missed'}")
    if options.save:
        record = {
            "command": " ".join(["python", *sys.argv]),
            "provenance": provenance(options.device),
            "parameters": parameters,
            "seconds": seconds,
            "peak_bytes": memory,
            "ratios": ratios,
        }
        write_json(options.save, record)


if __name__ == "__main__":
    main()
