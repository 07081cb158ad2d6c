"""Verdicts under other instruction sets and numbers of processes, on one machine: no two contradict each other.

python -m tests.campaign.machines              the laptop scale four times, an hour or two
python -m tests.campaign.machines smoke        the smallest one
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from experiments.runs.registry import listed
from scripts.claims.agree import compare
from tests.experiments.launch import ROOT

# name -> environment, processes
VARIANTS = {
    "as it is": ({}, 1),
    "torch's plain kernels": ({"ATEN_CPU_CAPABILITY": "default"}, 1),
    "OpenBLAS of another processor": ({"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "AVX512F"}, 1),
    "two processes": ({}, 2),
}


def made(root, scale, environment, jobs):
    """The folder of figures and claims that a whole reproduction writes, runs of its own included."""
    runs, figures = root / "runs", root / "figures"

    def start(*words):
        command = [sys.executable, "-m", *words]
        subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL)

    where = ["--scale", scale, "--runs", str(runs), "--figures", str(figures)]
    for name, sweep in listed().items():
        if sweep.part not in ("paper", "facts"):
            continue
        launcher = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
        start(f"experiments.{sweep.experiment}", f"sweep={name}", f"scale={scale}", f"runs={runs}", *launcher)
        if sweep.part == "paper":
            start(f"scripts.{name}", *where)
    start("scripts.claims", *where)
    return figures


def main():
    scale = sys.argv[1] if len(sys.argv) > 1 else "laptop"
    with tempfile.TemporaryDirectory() as folder:
        found = {name: made(Path(folder) / name, scale, *how) for name, how in VARIANTS.items()}
        first, *others = found
        agreements = {name: compare(found[name], found[first]) for name in others}
    for name, agreement in agreements.items():
        print(f"{name}:", *agreement.lines(), sep="\n  ")
    return sum(len(agreement.contradictions) for agreement in agreements.values())


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
