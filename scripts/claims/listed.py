"""All claims, in the paper's order."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pandas as pd

from experiments.runs.registry import listed
from scripts.claims.claim import Claim

HERE = Path(__file__).resolve().parent
# Where the paper makes each claim. One that is not named here follows the one before it in its script.
ORDER = (
    # Abstract and introduction
    "linear-convergence-adaloss",
    "converges-in-polynomial-time",
    "cost-of-adaloss",
    "cost-of-the-norm",
    "norm-impractical",
    "hyperparameters-never-matter",
    "much-larger-rate",
    "improved-to-a-logarithm",
    "independent-of-parameters",
    "theorem-2-improves",
    # Section 2
    "small-steps-are-slow",
    "large-steps-diverge",
    "gradient-bounded-by-loss",
    "b-is-monotone",
    "c-replaces-f-star",
    "homogeneous-in-eta",
    "significant-improvement",
    # Section 3
    "threshold-of-two-rates",
    "theorem-1-any-b0",
    "theorem-1-as-printed",
    "fewer-than-the-earlier-bound",
    "independent-of-accuracy",
    "direction-grows-until-half",
    "lemma-1-exit",
    "lemma-1-adagrad-norm",
    "lemma-1-adaloss",
    "adaloss-more-iterations",
    "tighter-upper-bound",
    "b-is-bounded",
    "theorem-7-stochastic",
    "theorem-8-stochastic",
    "smaller-addition",
    "proposition-1-condition",
    "proposition-1-difference",
    "figure-1-robust",
    "figure-1-not-better-first",
    "figure-1-not-better-1000",
    "figure-1-larger-steps",
    "figure-1-outperforms",
    # Section 4
    "assumption-1-labels",
    "definition-1",
    "assumption-2",
    "theorem-2-largest-step",
    "theorem-2-convergence",
    "theorem-2-iterations",
    "theorem-2-probability",
    "theorem-2-certified-iterations",
    "norm-at-most-n",
    "figure-5-norm",
    "figure-5-independent-of-n",
    "gram-matrices-alike",
    "iterates-stay-near",
    "theorem-3-positive-gram",
    "theorem-3-rate",
    "theorem-3a",
    "theorem-3b",
    "first-of-all-robust",
    "converges-linearly",
    "width-above-n-to-the-8",
    "same-rate-as-gradient-descent",
    "step-decreases-to-threshold",
    "pl-inequality",
    "loss-may-increase",
    "adagrad-norm-same-rate",
    "figure-6",
    # Table 1
    "table-1-robust",
    "resnet-adaloss-0.01",
    # Section 5
    "figure-4-robust",
    "figure-2-accuracy",
    "lstm-loss-high",
    "lstm-b-after-25-from-0.1",
    "lstm-b-after-25-from-1",
    "lstm-b-stabilizes",
    "lstm-400-decreases",
    "figure-3-robust",
    "figure-3-adam-sensitive",
    "figure-3-better-start",
)


def claims() -> list[Claim]:
    """Return the claims of all scripts."""
    places, found = {name: k for k, name in enumerate(ORDER)}, []
    for module in _modules():
        place = len(ORDER)
        for claim in getattr(module, "CLAIMS", ()):
            place = places.get(claim.id, place)
            found.append((place, claim))
    return [claim for _, claim in sorted(found, key=lambda one: one[0])] + not_checkable()


def not_checkable() -> list[Claim]:
    """Return the statements that no runs can decide, each with the reason, from not_checkable.csv."""
    rows = pd.read_csv(HERE / "not_checkable.csv").itertuples()
    return [
        Claim(
            id=row.id, place=row.place, quote=row.quote, sweep=None, measure=None, tolerance=row.why, at_paper_scale=""
        )
        for row in rows
    ]


def _modules() -> Iterator[ModuleType]:
    """Yield the script of each sweep, and the module of this folder that has its name."""
    for name in listed():
        for folder, package in ((HERE.parent, "scripts"), (HERE, "scripts.claims")):
            if (folder / f"{name}.py").is_file():
                yield import_module(f"{package}.{name}")
