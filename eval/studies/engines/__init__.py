"""What does the work of a study: this process, several of this machine, a Ray cluster, or Slurm."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.studies.engines.engine import Crew, Engine
from eval.studies.engines.here import Here
from eval.studies.engines.ray_cluster import Ray
from eval.studies.engines.slurm import Slurm

__all__ = ["Crew", "Engine", "Here", "Ray", "Slurm", "engine_for"]


def engine_for(
    folder: Path,
    *,
    ray: str | None = None,
    slurm: str | None = None,
    slurm_options: Mapping[str, Any] | None = None,
    cpus: float = 1.0,
    gpus: float = 0.0,
    jobs: int | None = None,
) -> Engine | None:
    """The cluster that is asked for, or None for this machine.

    Args:
        folder: of results.
        ray: address of a Ray cluster, see `Ray`.
        slurm: "slurm", or "local" to try things out, see `Slurm`.
        slurm_options: of submitit.
        cpus: per task.
        gpus: per task.
        jobs: tasks at a time.

    Raises:
        ValueError: if both are asked for, what is asked for cannot be, or options have nothing that they are of.
        ModuleNotFoundError: if the library is not installed.
    """
    if ray is not None and slurm is not None:
        raise ValueError("`ray` and `slurm` should not be given together: one cluster does the work.")
    if slurm is None and slurm_options:
        raise ValueError("`slurm_options` should be given with `slurm`. Found no --slurm.")
    if ray is not None:
        return Ray(folder, ray, cpus, gpus, jobs)
    if slurm is not None:
        return Slurm(folder, slurm, cpus, gpus, jobs, options=slurm_options or {})
    if (cpus, gpus) != (1, 0):
        raise ValueError(
            "`cpus` and `gpus` should be given with `ray` or `slurm`, whose tasks have them. Found none."
        )
    return None
