r"""Two-layer networks of finite width and their certificates (docs/theory.md, D): Theorems 2 and 3, network by network.

    python -m experiments.certificates training.m=[500,1000] seed=[0,1,2]
    python -m experiments.certificates data@training.data=digits training.data.n=20 training.m=10000
    python -m experiments.certificates sweep=figure_certificates                 the sweep behind the figure

A run is one training on the full gradient, until ||u - y||^2 is ``target`` times its start and stays there. A
certificate is asked for at the start, and again after half as many steps more (:func:`asked_next`), until there is one.
The history has every step up to 64 and then 32 of each octave: the loss, the bound of it by the first certificate, and
where one was asked for.
"""

import math
from collections.abc import Iterator
from itertools import count, product
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Field

from adaloss.theory.finite_width import Certificate, certify
from adaloss.theory.gram import extreme_eigenvalues, h_empirical, h_infinity
from adaloss.theory.random_start import sufficient_width
from experiments.data import module as data_module
from experiments.runs import app
from experiments.runs.identity import code_hash
from experiments.runs.schema import (
    Count,
    CountList,
    Experiment,
    Outcome,
    Positive,
    PositiveList,
    Progress,
    SeedList,
    Strict,
    as_list,
    nested,
    validated,
)
from experiments.runs.store import Run

NAME = "certificates"
DATA = ("sphere", "digits")
INIT_STREAM = 2  # as in experiments.two_layer
DELTA = 0.05  # the probability that the theorem on random starts leaves out
LARGE = 1e100  # of a residual or a weight: it has diverged


class Training(Strict):
    """Trainings of all combinations of ``m`` and ``b0``; the fields: configs/experiment/certificates.yaml."""

    data: Annotated[Any, nested("training.data", lambda name: data_module(name).Config, DATA)]
    m: CountList
    eta: Positive
    eta_unit: Literal["absolute", "start"]
    alpha: Annotated[float, Field(ge=0, le=1e100)]
    b0: PositiveList


class Certificates(Experiment):
    """One job: all combinations of ``training``, one or a list of them, its widths and b0, and ``seed``."""

    training: Annotated[
        list[Training],
        BeforeValidator(lambda values: [validated(Training, value, "training") for value in as_list(values)]),
        Field(min_length=1),
    ]
    target: Annotated[Positive, Field(lt=1)]
    most: Count
    seed: SeedList

    def runs(self) -> list[Run]:
        """Return one run per training, m, b0 and seed."""
        return [
            self._run(training, m, b0, seed)
            for training, seed in product(self.training, self.seed)
            for m, b0 in product(training.m, training.b0)
        ]

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Train one network after the other."""
        for run in progress(runs, desc=NAME):
            yield Outcome(run, *_trained(run.config))

    def _run(self, training: Training, m: int, b0: float, seed: int) -> Run:
        module, data = data_module(training.data.name), training.data.model_dump()
        sizes = "_".join(f"{key}={value}" for key, value in data.items() if key != "name")
        rule = f"alpha={training.alpha:g}_eta={training.eta:g}"
        return Run(
            experiment=NAME,
            label=f"{data['name']}_{sizes}_m={m}_{rule}_b0={b0:g}_seed={seed}",
            config=training.model_dump() | {"m": m, "b0": b0, "seed": seed, "target": self.target, "most": self.most},
            code=code_hash(f"experiments.{NAME}", module.__name__),
            data=module.load(training.data, seed)[2],
        )


class Network:
    """A training in its preactivations: a step costs one product with K = XX', in place of two with X."""

    def __init__(self, x: np.ndarray, y: np.ndarray, m: int, seed: int):
        rng = np.random.default_rng([seed, INIT_STREAM])
        self.x, self.y, self.inner = x, y, x @ x.T
        self.start, self.signs = rng.normal(size=(m, x.shape[1])), rng.choice([-1.0, 1.0], size=m)
        self.scale = self.signs[:, None] / math.sqrt(m)
        self.first = self.start @ x.T
        self.now, self.pushed = self.first, np.zeros_like(self.first)  # pushed: the sum of step times active residual

    def residual(self) -> np.ndarray:
        """Return u - y (n,)."""
        return self.scale[:, 0] @ np.maximum(self.now, 0.0) - self.y

    def weights(self) -> np.ndarray:
        """Return W (m, d)."""
        return self.start - self.scale * (self.pushed @ self.x)

    def train(self, eta: float, growth: float, b: float) -> Iterator[tuple[int, float, float]]:
        """Yield (k, b, ||u - y||) before each step; b² grows by (``growth`` ||u - y||)²."""
        for k in count():
            z = self.residual()
            size = float(np.linalg.norm(z))
            yield k, b, size
            b = math.hypot(b, growth * size)
            self.pushed += (self.now > 0) * (eta / b * z)
            self.now = self.first - self.scale * (self.pushed @ self.inner)


def asked_next(k: int) -> int:
    """Return when to ask again after a refusal at step k: 0, 1, 2, 3, 4, 6, 9, 13, 19, ..."""
    return k + max(k // 2, 1)


@np.errstate(over="ignore", invalid="ignore")
def _trained(config: dict) -> tuple[pd.DataFrame, dict, bool]:
    """Return the history and the results of one run, and whether it stayed finite."""
    data, alpha = data_module(config["data"]["name"]), config["alpha"]
    x, y, _ = data.load(validated(data.Config, config["data"]), config["seed"])
    network = Network(x, y, config["m"], config["seed"])
    top = float(np.linalg.eigvalsh(h_empirical(x, network.start))[-1])
    eta = config["eta"] / (top if config["eta_unit"] == "start" else 1.0)
    eps = config["target"] * float(network.residual() @ network.residual())
    rows, above, found, until, due = [], -1, None, math.inf, 0
    for k, b, size in network.train(eta, alpha * len(y) ** 0.25, config["b0"]):
        above = k if size**2 > eps else above
        asked, finite = found is None and k == due, size < LARGE
        if asked:
            weights, due = network.weights(), asked_next(k)
            finite = finite and bool(np.abs(weights).max() < LARGE)
        if asked and finite:
            answer = certify(weights, network.signs, x, y, eta=eta, b=b, alpha=alpha)
            found, until = (answer, k + answer.iterations(eps)) if answer.holds else (None, until)
        there = above < k and (k >= until or found is None)
        over = there or k >= config["most"] or not finite
        if over or asked or k < 64 or k % (1 << (k.bit_length() - 6)) == 0:
            rows.append((k, 0.5 * size**2, asked))
        if over:
            break
    history = pd.DataFrame(rows, columns=["iteration", "loss", "asked"])
    since = int(history.iteration[history.asked].max()) if found else None
    results = {"eta": eta, "start_loss": rows[0][1], "steps": above + 1 if there else None, "certified_at": since}
    results |= _facts(x, y) | {"certified": _promises(found, until) if found else None}
    return history.assign(bound=_bounds(history.iteration - since, found, eps) if found else np.nan), results, finite


def _bounds(k: pd.Series, found: Certificate, eps: float) -> np.ndarray:
    """Return what the loss is at most, k steps after the certificate; nan before."""
    sizes = found.sizes(eps)
    place = np.searchsorted(sizes[:, 0], k, side="right") - 1
    return np.where(place < 0, np.nan, 0.5 * sizes[place, 1] ** 2)


def _facts(x: np.ndarray, y: np.ndarray) -> dict[str, float | None]:
    """Return what needs no network: both ends of H-infinity, and the width of the theorem on random starts (D6)."""
    ends, width = extreme_eigenvalues(h_infinity(x)), sufficient_width(x, y, DELTA)
    return {
        "lambda_0": float(ends.lambda_min),
        "lambda_1": float(ends.lambda_max),
        "width_by_theorem": width if math.isfinite(width) else None,
    }


def _promises(found: Certificate, until: float) -> dict[str, float]:
    """Return what is certain: iterations from the start of the training on, and bounds for ever."""
    return {
        "iterations": until,
        "burn_in": found.burn_in,
        "rate": found.rate,
        "lambda_min": found.lambda_min,
        "moved": found.moved,
        "b_max": found.b_max,
        "unstable": float(found.unstable.mean()),
    }


EXPERIMENT = Certificates

if __name__ == "__main__":
    app.main(NAME)
