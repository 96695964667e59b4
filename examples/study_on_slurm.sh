#!/bin/bash
#SBATCH --job-name=alphadx
#SBATCH --array=0-3
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --output=runs/slurm-%A_%a.out

# Every task takes models that no other has begun; a file lock keeps two from training the same one, and what is
# finished is not repeated, so that a task that ran out of time is simply submitted again.
set -euo pipefail
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-2}"

alphadx study "${STUDY:-own_study.yaml}" --out "${OUT:-runs/own_study}"
