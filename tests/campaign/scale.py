"""Large stores, many cells, large matrices: time grows in proportion, memory stays bounded.

python -m tests.campaign.scale            all but the matrix of 20,000 points
python -m tests.campaign.scale matrix     that one, half an hour of one core, or as many points as are given
"""

import json
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


def filled(root, count, sweep=200):
    """A store of ``count`` made-up runs, of which the first 200 are a sweep."""
    store, runs = Store(root), []
    history = pd.DataFrame({"iteration": ITERATIONS, "loss": 1.0 / np.array(ITERATIONS), "step": 1.0})
    for k in range(count):
        runs.append(Run("made_up", f"adaloss_b0=1_seed={k}", {"b0": 1.0, "seed": k}, "code", "data"))
        store.save(runs[-1], "completed", history, {"k": k}, 0.0)
    store.save_sweep("figure", runs[:sweep])
    return store, runs


def seconds(work, repeats=3):
    best = float("inf")
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best


def stores(sizes, sweep=200):
    """Seconds a run to see whether it is complete and to load it, and to read the sweep of 200, for each size."""
    found = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            store, runs = filled(folder, size, sweep)
            listed = seconds(lambda store=store, runs=runs: [store.has(run) for run in runs], 1)
            loaded = seconds(lambda store=store, runs=runs: [store.load(run.folder).history for run in runs], 1)
            figure = seconds(lambda store=store: [run.history for run in store.load_sweep("figure")])
            ready = seconds(store.prepare)
            found[size] = (listed / size, loaded / size, figure, ready)
    return found


def one_figure(others):
    """Seconds to draw the burn-in figure out of a store with ``others`` more runs."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("sweep=figure_burn_in", "scale=smoke", f"runs={folder}/runs")
        subprocess.run(
            [sys.executable, "-m", "experiments.linear_regression", *arguments], cwd=ROOT, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        filled(Path(folder, "runs"), others)
        command = ["-m", "scripts.figure_burn_in", "--runs", f"{folder}/runs", "--figures", f"{folder}/figures"]
        return seconds(
            lambda: subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        )


def limited(gigabytes):
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (int(gigabytes * 2**30),) * 2)


def peak(arguments, gigabytes):
    """Run an experiment under a limit of its memory: seconds, peak in GiB, number of runs, one summary."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments, f"runs={folder}"], cwd=ROOT, preexec_fn=limited(gigabytes),
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, arguments
        [*runs] = Path(folder).glob("*/*-*/summary.json")
        result = json.loads(runs[0].read_text())
        return time.perf_counter() - begun, usage.ru_maxrss / 2**20, len(runs), result


def cells(count, gigabytes=1.5):
    """``count`` cells of linear regression in one job: 100 seeds, the others values of b0."""
    b0 = "[" + ",".join(f"{b:.6g}" for b in np.geomspace(1e-3, 1e4, count // 100)) + "]"
    seeds = "[" + ",".join(map(str, range(100))) + "]"
    small = ("data.n=100", "data.d=10", "iterations=100", "record.log_points=20")
    return peak(("experiments.linear_regression", f"b0={b0}", f"seed={seeds}", *small), gigabytes)


def main(arguments):
    if arguments:
        n = int(arguments[1]) if len(arguments) > 1 else 20000
        took, memory, *_ = peak(("experiments.gram", "data=sphere", f"data.n={n}", "data.d=200"), 16)
        print(f"H-infinity of {n} points, both ends: {took:.0f} s, peak {memory:.2f} GiB (limit 16)")
        return
    print("| runs in the store | complete? per run | load, per run | read a sweep of 200 | prepare |")
    print("|---|---|---|---|---|")
    for size, (listed, loaded, figure, ready) in stores((200, 2000, 20000)).items():
        print(
            f"| {size} | {1e3 * listed:.2f} ms | {1e3 * loaded:.2f} ms | {figure:.2f} s | {1e3 * ready:.1f} ms |",
            flush=True,
        )
    few, many = one_figure(0), one_figure(20000)
    print(f"\none figure beside 0 and 20,000 other runs: {few:.1f} s, {many:.1f} s, ratio {many / few:.2f}", flush=True)
    for count in (1000, 10000, 100000):  # the last: an hour where a save takes 30 ms
        took, memory, made, _ = cells(count)
        assert made == count
        print(f"linear regression, {count} cells in one job: {took:.0f} s, peak {memory:.2f} GiB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
