"""The experiments in sizes of seconds, and how they are started, read and compared.

A new experiment joins every campaign by one line in CASES.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.experiments.launch import ROOT, Fork, content, eager, finish

VIT = (
    "data.test=1600", "weights.share=0.5", "weights.epochs=2", "epochs=3", "batch=8",
    "model.width=16", "model.depth=1", "model.heads=2", "b0=[0.1,1]", "seed=[0,1]",
)  # fmt: skip
PPO = ("frames=2048", "envs=4", "steps=64", "epochs=2", "batch=32", "actor=[8]", "critic=[8,8]", "b0=[1,100]")
LR = ("-m", "method=adaloss,adagrad_norm,sgd_constant", "b0=[0.1,1,10]", "seed=[0,1]", "data.d=20,60")
CASES = {
    "linear_regression": (*LR, "iterations=1000"),
    "bounds": ("-m", "p=1,2", "d=[2,5]", "seed=[0,1]", "problems=20", "max_steps=200"),
    "gram": ("-m", "data=sphere,digits", "data.n=60,120", "seed=[0,1,2]"),
    "two_layer": ("-m", "method=adaloss,sgd_constant", "data.n=30", "m=100", "b0=[0.1,1]", "seed=[0,1]"),
    "vit": VIT,
    "ppo": (*PPO, "seed=[0,1]"),
    "compare": ("-m", "optimizer=adaloss,sgd", "step=[0.01,1]", "seed=[0,1]", "epochs=2"),
    "lstm": ("data.articles=120", "embedding=8", "hidden=8", "epochs=3", "batch=8", "b0=[0.1,1]", "seed=[0,1]"),
    "certificates": ("training.m=[30,300]", "seed=[0,1]"),
    "networks": ("certified=3", "adversarial=1", "max_steps=20", "seed=[0,1]"),
    "stochastic": ("-m", "part=promises,counterexample", "p=1,2", "problems=50", "max_steps=50"),
    "errata": ("-m", "number=2,3,4"),
}
# A checkpoint after every step instead of every ten seconds; else what ``python -m experiments.NAME`` does.
EAGER = """
import runpy, sys
module = "experiments." + sys.argv[1]
sys.argv[:2], sys.orig_argv = ["-m"], ["python", "-m", module]
import experiments.runs.checkpoint
experiments.runs.checkpoint.Checkpoint.__init__.__defaults__ = (0.0,)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def start(name, runs, *more, **options):
    """The experiment's small case as a process of its own."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen(
        [sys.executable, "-c", EAGER, name, *CASES[name], *more, f"runs={runs}"], cwd=ROOT, env=ENVIRONMENT, **streams
    )


class Forked(Fork):
    """The same as a fork of this process, which spares it the imports: most of the time of a small case."""

    def __init__(self, name, runs, *more):
        super().__init__(name, [*(more or CASES[name]), f"runs={runs}"], eager)


def undisturbed(name, runs, way=start):
    """Make the case's runs with nothing in the way: the seconds that took, and what the store then holds."""
    begun = time.perf_counter()
    code, _, errors = finish(way(name, runs))
    assert (code, errors) == (0, ""), errors
    return time.perf_counter() - begun, content(runs)


def leftovers(runs):
    """What no finished store should hold: half-written folders, checkpoints of complete runs."""
    return [path.name for pattern in (".tmp-*", "checkpoints/*", "sweeps/.tmp-*") for path in Path(runs).glob(pattern)]
