"""The data of the report's curves by b0: curves of saved runs, and the theory's bounds for the same problem.

An explorer is data for report.js: ``b0`` and ``variants``, each of which has one frame for each b0. A frame's
``series`` are the curves of the ``panels`` (y is null where there is no number); its ``rows`` are the same in words.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from adaloss.theory.linear_regression import State, b_max, exit_bounds, iterations, target_bound
from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from scripts.figure_1 import SHOWN
from scripts.shared.b0_panels import RESOLUTION

POINTS = 60  # of a curve, spaced like the logarithm of the iteration
D = 200  # Figure 1 shows this dimension
STARTS = {"normal": "w* with N(0, 1) entries", "unit": "w* of length 1"}
DECADES = 25  # of the initial loss that the bound is followed through
EXACT_STEPS = 8  # of equation (7), which the theory may take before it bounds the rest
EXPONENT = {"adaloss": 1, "adagrad_norm": 2}  # the theory's p


def thinned(iteration: np.ndarray) -> np.ndarray:
    """Return about POINTS recorded iterations' indices, evenly spaced in the logarithm, the first and last included."""
    wanted = np.geomspace(iteration[0], iteration[-1], POINTS)
    return np.unique(np.searchsorted(iteration, wanted * (1 - 1e-12)))


def numbers(values: Iterable[float]) -> list[float | None]:
    """Prepare numbers for JSON: four digits, and null for what is not finite."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]


def shown(value: float) -> str:
    """Return a loss or a step in words."""
    return f"{value:.3g}" if np.isfinite(value) else "diverged"


def panel(name: str, label: str, least: float, most: float) -> dict:
    """Return one of an explorer's panels with its limits, which stay while b0 changes; both axes are logarithmic."""
    return {"name": name, "label": label, "min": float(f"{least:.4g}"), "max": float(f"{most:.4g}")}


def series(name: str, method: str, kind: str, x: Iterable[float], y: Iterable[float]) -> dict:
    """Return one curve: ``kind`` is run or bound."""
    return {"panel": name, "method": method, "kind": kind, "x": [int(value) for value in x], "y": numbers(y)}


def medians(runs: list[SavedRun]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return iterations, and loss and step as medians over the seeds of one cell (inf if most seeds diverged)."""
    histories = [run.history for run in runs]
    iteration = histories[0].iteration.to_numpy()
    with np.errstate(invalid="ignore"):
        loss, step = (np.median([h[name] for h in histories], axis=0) for name in ("loss", "step"))
    return iteration, loss, step


def figure_1(runs: list[SavedRun]) -> dict:
    """Return loss and effective step size against the iteration, medians over seeds, at Figure 1's d = 200."""
    runs = [run for run in runs if run.config["data"]["d"] == D]
    methods = [name for name in METHODS if any(run.config["method"]["name"] == name for run in runs)]
    variants, first_loss, steps, last = [], [], [], 1
    for w_star in SHOWN.values():
        of_start = [run for run in runs if run.config["data"]["w_star"] == w_star]
        first_loss += [run.summary["result"]["initial_gap"] for run in of_start]
        frames = []
        for b0 in sorted({run.config["b0"] for run in runs}):
            frame = {"series": [], "rows": []}
            for method in methods:
                cell = [run for run in of_start if (run.config["method"]["name"], run.config["b0"]) == (method, b0)]
                iteration, loss, step = medians(cell)
                seen = thinned(iteration)
                frame["series"] += [
                    series("loss", method, "run", iteration[seen], loss[seen]),
                    series("step", method, "run", iteration[seen], step[seen]),
                ]
                frame["rows"].append([METHODS[method].label, shown(loss[-1]), shown(step[-1]), str(len(cell))])
                steps += [step[0], step[-1]]
                last = max(last, int(iteration[-1]))
            frames.append(frame)
        variants.append({"name": w_star, "label": STARTS[w_star], "frames": frames})
    initial, steps = np.median(first_loss), np.array(steps)
    return {
        "name": "figure_1",
        "text": f"One minibatch's loss and the step of each iteration at d = {D}; medians over seeds.",
        "b0": sorted({run.config["b0"] for run in runs}),
        "x": {"label": "iteration", "min": 1, "max": last},
        "panels": [
            panel("loss", "loss", RESOLUTION * initial / 10, 1e4 * initial),
            panel("step", "effective step size η / bₜ", np.nanmin(steps) / 3, 3e3),
        ],
        "columns": ["method", "loss at the end", "step at the end", "seeds"],
        "variants": variants,
    }


def certificate(state: State, last: int) -> tuple[list[int], list[float]]:
    """Return what is proved up to row ``last``: from which rows on which levels hold for the loss (docs A3, A5)."""
    levels = float(target_bound(state, 1)) / 2 * 10.0 ** -np.arange(DECADES)
    rows, ones = {name: np.tile(getattr(state, name), (DECADES, 1)) for name in ("eigenvalues", "s")}, np.ones(DECADES)
    each = replace(state, **rows, b=state.b * ones, eta=state.eta * ones)
    first = iterations(each, 2 * levels, 1, EXACT_STEPS) + 1  # row t + 1 of a history has the loss after t steps
    proved = [(1, levels[0]), *((int(t), y) for t, y in zip(first[1:], levels[1:], strict=True) if t <= last)]
    steps = dict([*proved, (last, proved[-1][1])])  # of two levels from the same row on the lower one
    return [*steps], [*steps.values()]


def burn_in(runs: list[SavedRun]) -> dict:
    """Return loss and b against the iteration with the full gradient, and what the theory proves for the same start."""
    values, last = sorted({run.config["b0"] for run in runs}), runs[0].config["iterations"]
    frames = {b0: {"series": [], "rows": []} for b0 in values}
    for run in runs:
        config, history, frame = run.config, run.history, frames[run.config["b0"]]
        method, eta, eigenvalues = config["method"]["name"], config["eta"], np.array(config["data"]["eigenvalues"])
        state = State(eigenvalues, np.full(len(eigenvalues), config["data"]["s0"]), config["b0"], eta, EXPONENT[method])
        iteration, loss, b = (one.to_numpy() for one in (history.iteration, history.loss, eta / history.step))
        seen, bound = thinned(iteration), float(b_max(state))
        past = np.flatnonzero(b >= eta * eigenvalues[0] / 2)
        frame["series"] += [
            series("loss", method, "run", iteration[seen], loss[seen]),
            series("loss", method, "bound", *certificate(state, last)),
            series("b", method, "run", iteration[seen], b[seen]),
            series("b", method, "bound", [1, last], [bound, bound]),
        ]
        exit_index = str(iteration[past[0]] - 1) if len(past) else "not reached"
        proved = (str(int(exit_bounds(state, k)["best"])) for k in (0, EXACT_STEPS))
        words = exit_index, *proved, shown(b[-1]), shown(bound), shown(loss[-1])
        frame["rows"].append([METHODS[method].label, *words])
    seen = {
        name: [y for frame in frames.values() for one in frame["series"] if one["panel"] == name for y in one["y"]]
        for name in ("loss", "b")
    }
    return {
        "name": "figure_burn_in",
        "text": "Until b passes ηλ₁/2 at the exit index N, direction 1 grows (Lemma 1). Dotted: what the theory proves "
        f"about the loss and b of all later iterations, after at most {EXACT_STEPS} exact steps; it is never below.",
        "b0": values,
        "x": {"label": "iteration", "min": 1, "max": last},
        "panels": [
            panel("loss", "loss", max(min(seen["loss"]), 1e-30), 3 * max(seen["loss"])),
            panel("b", "bₜ", min(seen["b"]) / 2, 3 * max(seen["b"])),
        ],
        "columns": [
            "method",
            "exit index N",
            "proved: N ≤",
            f"proved after ≤ {EXACT_STEPS} steps: N ≤",
            "b at the end",
            "proved: b ≤",
            "loss at the end",
        ],
        "variants": [{"name": "spectrum", "label": "eigenvalues 100 to 1", "frames": list(frames.values())}],
    }
