"""Certificates at finite width: which networks have one, when first, how sharp it is, and which width theory asks for.

python -m scripts.figure_certificates --scale laptop

A certificate is a proof for one network (docs/theory.md, D): from its T on the loss stays below the target for ever. A
network without one decides nothing: its training may do well all the same.
"""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.methods import METHODS
from experiments.runs.store import SavedRun
from scripts.claims.claim import Claim, Finding, Sweep, of_cases
from scripts.shared.output import Message, Output, every, labelled, main

APART = {
    "data": ("sphere", "digits"), "data.n": (), "data.d": (), "m": (), "eta": (), "eta_unit": (), "alpha": (),
    "b0": (), "seed": (),
}  # fmt: skip
TRAINING = ["label", "n", "d", "m", "method", "eta", "alpha", "b0"]
ROUNDING, RESOLUTION = 1e-9, 1e-24  # relative to the bound and to the first loss: what float64 may do to a training
NEVER = 1.1  # where a network without a certificate is drawn, among shares
WIDTHS = {"paper": ("$n^8$", "x"), "theorem": ("theorem D6, 95 %", "s"), "certified": ("certified, all seeds", "o")}
GD, ADALOSS = "sgd_constant", "adaloss"
LABELS = {GD: "gradient descent", ADALOSS: "AdaLoss"}


def _labels(run: SavedRun) -> dict:
    config, data = run.config, run.config["data"]
    n, d = data["n"], data.get("d", 64)
    size = f"{'' if data['name'] == 'sphere' else data['name'] + ', '}n = {n}, d = {d}"
    method = ADALOSS if config["alpha"] else GD
    rule = {name: config[name] for name in ("eta", "alpha", "b0", "seed")}
    return {"label": size, "n": n, "d": d, "m": config["m"], "method": method} | rule


def measured(runs: list[SavedRun]) -> pd.DataFrame:
    """Return one row per run: what was trained, what was certified, when, and whether the training kept to it."""
    rows = []
    for run in runs:
        result, history, config = run.summary["result"], run.history, run.config
        promised = result.get("certified") or {"iterations": None, "lambda_min": None}
        start, steps, until, least = (
            np.nan if value is None else value
            for value in (result["certified_at"], result["steps"], promised["iterations"], promised["lambda_min"])
        )
        added = config["alpha"] * config["data"]["n"] ** 0.25 * (2 * result["start_loss"]) ** 0.5
        bounded = history[history.bound.notna()]
        below = (bounded.loss <= bounded.bound * (1 + ROUNDING) + RESOLUTION * result["start_loss"]).all()
        rows.append(
            _labels(run)
            | {
                "steps": steps,
                "certified_at": start,
                "iterations": until,
                "over_measured": (until - start) / (steps - start) if steps > start else np.nan,
                "share_of_steps": start / (until if np.isnan(steps) else steps),
                "kept": bool(below and (history.iteration.iloc[-1] if np.isnan(steps) else steps) <= until),
                "certified_lambda_min": least,
                "first_b": np.hypot(config["b0"], added),
                "threshold": result["eta"] * (result["lambda_0"] + result["lambda_1"]) / 2,
                "classical": result["lambda_1"] / result["lambda_0"] * np.log(1 / config["target"]),
                "width_by_theorem": result["width_by_theorem"],
            }
        )
    return pd.DataFrame(rows)


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per kind of training: how many networks are certified at the start and at all, and the medians."""
    return table.groupby(TRAINING, as_index=False, sort=False).agg(
        networks=("seed", "size"),
        at_start=("certified_at", lambda at: int((at == 0).sum())),
        certified=("certified_at", "count"),
        steps=("steps", "median"),
        share_of_steps=("share_of_steps", "median"),
        over_measured=("over_measured", "median"),
        width_by_theorem=("width_by_theorem", "median"),
    )


def curves(runs: list[SavedRun]) -> pd.DataFrame:
    """Return the loss and its bound over the first loss, of the first seed of each training."""
    first = min(run.config["seed"] for run in runs)
    tables = []
    for run in runs:
        if run.config["seed"] == first:
            start = run.summary["result"]["start_loss"]
            table = run.history.assign(loss=run.history.loss / start, bound=run.history.bound / start)
            tables.append(labelled(table, **_labels(run)))
    return pd.concat(tables, ignore_index=True)


def widths(drawn: pd.DataFrame) -> pd.DataFrame:
    """Return by size the least width at which gradient descent is certified at the start for all seeds, and others."""
    rows = []
    for (size, n), some in drawn[drawn.method == GD].groupby(["label", "n"], sort=False):
        whole, theorem = some.m[some.at_start == some.networks].min(), some.width_by_theorem.median()
        rows.append({"label": size, "certified": whole, "theorem": theorem, "paper": float(n) ** 8})
    return pd.DataFrame(rows)


def figure(table: pd.DataFrame, drawn: pd.DataFrame, lines: pd.DataFrame) -> plt.Figure:
    """Draw shares and widths, when and how sharply networks are certified, and losses below their bounds."""
    fig, axes = plt.subplots(2, 3, figsize=(12, 7))
    for k, size in enumerate(drawn["label"].unique()):
        descent = drawn[(drawn.method == GD) & (drawn["label"] == size)]
        axes[0, 0].plot(descent.m, descent.at_start / descent.networks, "v-", color=f"C{k}", label=size)
        for method, some in table[table["label"] == size].groupby("method"):
            at = some.m * np.exp(0.02 * (some.seed - some.seed.median()))  # side by side
            look = {"marker": METHODS[method].marker, "ls": "none", "color": f"C{k}", "alpha": 0.6}
            axes[0, 2].plot(at, some.over_measured, **look)
            axes[1, 2].plot(at, some.share_of_steps.fillna(NEVER), **look)
    axes[0, 0].set(xlabel="width m", title="gradient descent: share certified at the start")
    axes[0, 2].set(xlabel="width m", title="certified over measured steps to the target")
    axes[1, 2].set(xlabel="width m", title="share of the steps until the first certificate")
    axes[1, 2].axhline(NEVER, color="0.6", ls=":", lw=1)
    axes[1, 2].annotate("none", (0.01, NEVER), xycoords=("axes fraction", "data"), fontsize=7, color="0.4")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(drawn["label"].unique()))
    for ax in (axes[0, 0], axes[0, 2], axes[1, 2]):
        ax.set_xscale("log")
    _widths(axes[0, 1], widths(drawn))
    rule = ["label", "m", "method", "eta", "alpha"]
    every_b0 = table.groupby(rule).b0.nunique().idxmax()
    _losses(axes[1, 0], lines[lines.set_index(rule).index == every_b0], "b0")
    late = table.loc[table.share_of_steps.fillna(-1.0).idxmax()]
    _losses(axes[1, 1], lines[(lines["label"] == late.label) & (lines.m == late.m)], "method")
    fig.suptitle(
        "Two-layer networks of finite width and their certificates (triangles: gradient descent, circles: AdaLoss)"
    )
    return fig


def _widths(ax: plt.Axes, needed: pd.DataFrame) -> None:
    for column, (label, marker) in WIDTHS.items():
        ax.plot(range(len(needed)), needed[column], marker, ls="none", ms=5, label=label)
    ax.set(yscale="log", title="width m that is enough for gradient descent")
    ax.set_xticks(range(len(needed)), needed["label"].str.replace(", d", "\nd"), fontsize=7)
    ax.legend(fontsize=7)


def _losses(ax: plt.Axes, lines: pd.DataFrame, by: str) -> None:
    """Draw losses, and from the first certificate on the bounds of them."""
    for k, (key, curve) in enumerate(lines.groupby(by, sort=False)):
        label = f"$b_0 = {key:g}$" if by == "b0" else LABELS[key]
        ax.plot(curve.iteration + 1, curve.loss, color=f"C{k}", label=label)
        ax.plot(curve.iteration + 1, curve.bound, color=f"C{k}", ls="--", lw=1)
    ax.set(xscale="log", yscale="log", xlabel="iteration", ylabel="loss over the first one")
    if len(lines):
        first = lines.iloc[0]
        ax.set_title(
            f"{first.label}, m = {first.m}{', ' + LABELS[first.method] if by == 'b0' else ''}\ndashed: certified",
            fontsize=8,
        )
        ax.legend(fontsize=7)


def _counted(at: pd.Series) -> str:
    """Say how many networks are certified, and when."""
    return f"{(at == 0).sum()} at the start, {(at > 0).sum()} on the way and {at.isna().sum()} never, of {len(at)}"


def messages(table: pd.DataFrame) -> list[Message]:
    """Decide from all seeds what certificates are worth, when there are any, and how the widths compare."""
    found: list[Message] = []

    def add(problem: str, sentence: str, holds: bool | None, evidence: str) -> None:
        found.append(Message(problem, sentence, holds, evidence))

    some = table[table.certified_at.notna()]
    kept = f"kept in {some.kept.sum()} of {len(some)} certified trainings"
    add("all networks", "no training breaks a bound of its certificate", every(some.kept), kept)
    for method, at, ratios in ((m, t.certified_at, t.over_measured) for m, t in some.groupby("method")):
        for limit, when, ratio in ((1.25, "at the start", ratios[at == 0]), (1.5, "on the way", ratios[at > 0])):
            add(
                f"{LABELS[method]}, certified {when}",
                f"T is at most {limit:g} times the measured steps (median)",
                bool(ratio.median() <= limit) if len(ratio) else None,
                f"median {ratio.median():.3g}, 90 % {ratio.quantile(0.9):.3g}, of {len(ratio)} networks",
            )
    for size, of_size in table.groupby("label", sort=False):
        descent, least = of_size[of_size.method == GD], of_size[of_size.m == of_size.m.min()]
        widest = descent.certified_at[descent.m == descent.m.max()]
        add(
            size,
            "at the greatest width, gradient descent is certified at the start in nine of ten networks",
            bool((widest == 0).mean() >= 0.9),
            "; ".join(
                f"{LABELS[method]}, m = {m}: {_counted(at)}"
                for (method, m), at in of_size.groupby(["method", "m"]).certified_at
            ),
        )
        for method, share in least.share_of_steps.fillna(1.0).groupby(least.method).median().items():
            add(
                f"{size}, m = {least.m.min()}, {LABELS[method]}",
                "there is a certificate before half of the steps are done (median; asked after 1, 2, 3, 4, 6, 9, ...)",
                bool(share < 0.5),
                f"after {share:.2g} of them",
            )
    needed = widths(over_seeds(table))
    add(
        "all sizes",
        "widths at which every seed is certified at the start are below n^8",
        every((needed.certified < needed.paper)[needed.certified.notna()]),
        "; ".join(
            f"{row.label}: certified "
            + (f"from {row.certified:g} on" if row.certified == row.certified else "at no width")
            + f", theorem D6 {row.theorem:.2g}, n^8 {row.paper:.2g}"
            for row in needed.itertuples()
        ),
    )
    return found


def draw(output: Output) -> None:
    """Save the figure, the CSV of its counts and medians, the curves, and the messages."""
    table, lines = measured(output.runs), curves(output.runs)
    drawn = over_seeds(table)
    output.save("figure_certificates", figure(table, drawn, lines), drawn)
    output.table("figure_certificates_networks", table)
    output.table("figure_certificates_curves", lines)
    output.messages("figure_certificates", messages(table))


def _chosen(table: pd.DataFrame, method: str, side: str | None) -> pd.DataFrame:
    """Return the rows of a method; of AdaLoss, those with b0 below or from eta (lambda_0 + ||H||) / 2 on."""
    rows = table[table.method == method]
    return rows if side is None else rows[(rows.b0 < rows.threshold) == (side == "below")]


def certified(sweep: Sweep, *, method: str, side: str | None = None) -> Finding:
    """Decide network by network: one that has a certificate, and keeps to it, holds; one without decides nothing.

    A network that is certified and breaks its certificate does not hold.
    """
    rows = _chosen(sweep.of(measured), method, side)
    cases = {_case(row): row.kept if np.isfinite(row.certified_at) else None for row in rows.itertuples()}
    over = rows.over_measured.dropna()
    said = f"{_counted(rows.certified_at)}; T over measured {over.median():.3g} (median), at most {over.max():.3g}"
    if side == "below":
        inside = rows[rows.first_b < rows.threshold]
        said += f"; b below the threshold after its first update: {_counted(inside.certified_at)}"
    return of_cases(cases, said)


def classical_rate(sweep: Sweep, *, tolerance: float) -> Finding:
    """Decide whether gradient descent's certified T is at most ``tolerance`` (||H|| / lambda_0) log(1 / eps)."""
    rows = _chosen(sweep.of(measured), GD, None)
    ratio = rows.iterations / rows.classical
    cases = {
        _case(row): bool(r <= tolerance) if np.isfinite(r) else None
        for row, r in zip(rows.itertuples(), ratio, strict=True)
    }
    said = f"certified T / ((||H|| / lambda_0) log(1 / eps)) from {ratio.min():.3g} to {ratio.max():.3g}"
    return of_cases(cases, said, tolerance=f"the constant {tolerance:g}")


def certified_gram(sweep: Sweep) -> Finding:
    """Decide whether lambda_min(H(k)) of AdaLoss's networks is positive for all k: certified, or not decided."""
    rows = _chosen(sweep.of(measured), ADALOSS, None)
    cases = {
        _case(row): row.certified_lambda_min > 0 if np.isfinite(row.certified_at) else None for row in rows.itertuples()
    }
    return of_cases(
        cases, f"{_counted(rows.certified_at)}; lambda_min(H(k)) at least {rows.certified_lambda_min.min():.3g}"
    )


def width_needed(sweep: Sweep) -> Finding:
    """Decide whether some network of width at most n^8 is certified at the start from every b0: that refutes it."""
    cases, said = {}, []
    rule = ["n", "d", "m", "eta", "alpha"]
    for (n, d, m, *_), rows in _chosen(sweep.of(measured), ADALOSS, None).groupby(rule):
        if rows.b0.nunique() < 3:
            continue
        whole = (rows.certified_at == 0).groupby(rows.seed).all()
        cases[f"n = {n}, m = {m}"] = False if whole.any() and m <= n**8 else None
        said.append(f"n = {n}, d = {d}, m = {m}: {whole.sum()} of {len(whole)} networks, n^8 = {float(n) ** 8:.2g}")
    return of_cases(cases, f"certified at the start from every b0: {'; '.join(said)}")


def _case(row: tuple) -> str:
    rule = "" if row.method == GD else f", eta = {row.eta:g}, alpha = {row.alpha:g}, b0 = {row.b0:g}"
    return f"{row.label}, m = {row.m}{rule}, seed {row.seed}"


PROOF = "a certificate is a proof for its network, for all later k and every eps; a network without one decides nothing"
PROVED = "a certificate is a proof, and a network without one decides nothing: only an error of ours could fail here"
_claim = partial(Claim, sweep="figure_certificates", at_paper_scale="more seeds; the paper gives no sizes")
CLAIMS = (
    _claim(
        id="converges-in-polynomial-time",
        quote="AdaLoss converges robustly to the global minimum in polynomial time",
        place="Abstract",
        measure=partial(certified, method=ADALOSS),
        cannot_fail=PROVED,
        tolerance=PROOF + "; its T is at most the burn-in and b_max / (2 eta nu) log(1 / eps) (docs/theory.md, D4)",
    ),
    _claim(
        id="theorem-2-probability",
        quote="with probability at least 1 − δ over the random initialization",
        place="Theorem 2",
        measure=partial(certified, method=GD),
        cannot_fail=PROVED,
        tolerance=PROOF,
    ),
    _claim(
        id="theorem-2-certified-iterations",
        quote="T = O((||H∞||/λ0) log(1/ε))",
        place="Theorem 2",
        measure=partial(classical_rate, tolerance=1.0),
        tolerance="as for the measured T: twice what the linearised network needs at η = 1/||H∞||",
    ),
    _claim(
        id="theorem-3-positive-gram",
        quote="the positiveness of the Gram matrix",
        place="Section 4, before Theorem 3",
        measure=certified_gram,
        cannot_fail=PROVED,
        tolerance=PROOF,
    ),
    _claim(
        id="theorem-3a",
        quote="the effective learning rate at the beginning (1/b0) is smaller than the threshold",
        place="Theorem 3(a)",
        measure=partial(certified, method=ADALOSS, side="from"),
        cannot_fail=PROVED,
        tolerance=PROOF,
    ),
    _claim(
        id="theorem-3b",
        quote="the initial effective learning rate, η/b0, is greater than the threshold",
        place="Theorem 3(b)",
        measure=partial(certified, method=ADALOSS, side="below"),
        cannot_fail=PROVED,
        tolerance=PROOF,
    ),
    _claim(
        id="width-above-n-to-the-8",
        quote="the width of the hidden layer has to be much wider than n⁸",
        place="Section 4, after Theorem 3",
        measure=width_needed,
        tolerance="a certified network of width n⁸ or less refutes that it has to be; a refusal decides nothing",
    ),
)


if __name__ == "__main__":
    main("figure_certificates", draw, APART)
