"""Large stores, many cells, large matrices: time grows in proportion, memory stays bounded.

python -m tests.campaign.scale            all but the matrix of 20,000 points
python -m tests.campaign.scale matrix     that one, half an hour of one core, or as many points as are given
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.runs.store import Run, Store
from tests.experiments.launch import ROOT

ITERATIONS = [*range(1, 101), *range(101, 5001, 49)]


def seconds(work, repeats=3):
    """Of the processor, so that other programs do not count."""
    best = float("inf")
    for _ in range(repeats):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best


def stores(sizes, sweep=200):
    """Of stores of these many made-up runs: seconds a run for ``has`` and ``load``, a sweep's, and those of prepare."""
    history = pd.DataFrame({"iteration": ITERATIONS, "loss": 1.0 / np.array(ITERATIONS), "step": 1.0})
    found = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            store = Store(folder)
            runs = [Run("made_up", f"b0=1_seed={k}", {"b0": 1.0, "seed": k}, "code", "data") for k in range(size)]
            for run in runs:
                store.save(run, "completed", history, {"k": 1}, 0.0)
            store.save_sweep("figure", runs[:sweep])
            listed = seconds(lambda store=store, runs=runs: [store.has(run) for run in runs], 1)
            loaded = seconds(lambda store=store, runs=runs: [store.load(run.folder).history for run in runs], 1)
            figure = seconds(lambda store=store: [run.history for run in store.load_sweep("figure")])
            found[size] = (listed / size, loaded / size, figure, seconds(store.prepare))
    return found


def peak(arguments, gigabytes):
    """Run an experiment under a limit of its memory: seconds, peak in GiB, number of runs."""
    limit = int(gigabytes * 2**30)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments, f"runs={folder}"], cwd=ROOT, stdout=subprocess.DEVNULL,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, arguments
        made = len([*Path(folder).glob("*/*-*/summary.json")])
        return time.perf_counter() - begun, usage.ru_maxrss / 2**20, made


def cells(count):
    """``count`` cells of linear regression in one job: 100 seeds, the others values of b0."""
    b0 = "[" + ",".join(f"{b:.6g}" for b in np.geomspace(1e-3, 1e4, count // 100)) + "]"
    seeds = "[" + ",".join(map(str, range(100))) + "]"
    small = ("data.n=100", "data.d=10", "iterations=100", "record.log_points=20")
    return peak(("experiments.linear_regression", f"b0={b0}", f"seed={seeds}", *small), 1.5)


def main(arguments):
    if arguments:
        n = int(arguments[1]) if len(arguments) > 1 else 20000
        took, memory, _ = peak(("experiments.gram", "data=sphere", f"data.n={n}", "data.d=200"), 16)
        print(f"H-infinity of {n} points, both ends: {took:.0f} s, peak {memory:.2f} GiB (limit 16)")
        return
    print("| runs in the store | complete? per run | load, per run | read a sweep of 200 | prepare |")
    print("|---|---|---|---|---|")
    for size, (listed, loaded, figure, ready) in stores((200, 2000, 20000)).items():
        print(f"| {size} | {1e3 * listed:.2f} ms | {1e3 * loaded:.2f} ms | {figure:.2f} s | {1e3 * ready:.1f} ms |")
    for count in (1000, 10000, 100000):  # the last: an hour where a save takes 30 ms
        took, memory, made = cells(count)
        assert made == count
        print(f"linear regression, {count} cells in one job: {took:.0f} s, peak {memory:.2f} GiB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
