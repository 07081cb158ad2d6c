"""One sentence about each of the paper's items, computed from what its sweep's script drew and decided."""

from collections.abc import Mapping
from functools import partial

import pandas as pd

from experiments.methods import METHODS
from scripts.shared.b0_panels import RESOLUTION


class Facts:
    """The tables of an item's sweeps by name. Raises KeyError for one that was not drawn."""

    def __init__(self, tables: Mapping[str, pd.DataFrame]):
        self.tables = tables

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Return a table."""
        return self.tables[name]

    def holding(self, words: str, sweep: str) -> str:
        """Return in how many of a sweep's decided sentences with these words they hold: "3 of 4".

        Raises KeyError if none has them.
        """
        messages = self.tables[f"{sweep}_messages"].dropna(subset="holds")
        chosen = messages[messages.sentence.str.contains(words, regex=False)]
        if chosen.empty:
            raise KeyError(words)
        said = chosen.holds.astype(str)
        open_ = int((~said.isin(["True", "False"])).sum())
        return f"{int((said == 'True').sum())} of {len(chosen)}" + (f" ({open_} undecided)" if open_ else "")


def offset(facts: Facts) -> str:
    """Return by which factors b grows in the second half of the iterations."""
    table = facts["figure_c"]
    late = table[table.iteration >= table.iteration.max() / 2].groupby(["setting", "c_over_f_star", "b0"]).b
    grown = (late.last() / late.first()).reset_index()
    grown["c"] = grown.c_over_f_star.map({1.0: "c = f*"}).fillna("another c")
    said = [
        f"{factors.min():.3g} to {factors.max():.3g} with {c} ({setting})"
        for (setting, c), factors in grown.groupby(["setting", "c"], sort=False).b
    ]
    return f"In the second half of the iterations b still grows by a factor of {', '.join(said)}."


def theorem_1(facts: Facts) -> str:
    """Return how many problems were checked, and how tight the bound is."""
    bounds = facts["figure_bounds"].set_index("bound")
    tight = bounds.loc[bounds.index.str.contains("exact steps")].iloc[-1]
    return (
        f"With our explicit constants every bound holds in {len(facts['figure_bounds_problems'])} random problems, for "
        f"{facts.holding('no proved bound', 'figure_bounds')} methods. After at most 8 exact steps the bound on the "
        f"iterations is {tight['50%']:.3g} times what is needed in the median problem, and in 99 % of them at most "
        f"{tight['99%']:.3g} times."
    )


def lemma_1(facts: Facts) -> str:
    """Return how long b takes to pass the threshold."""
    ends = facts["figure_burn_in"].groupby(["method", "b0"]).exit_index.first()
    said = [
        f"{exits.iloc[0]:.0f} iterations from b0 = {exits.index[0][1]:g} and at most {exits.max():.0f}, from "
        f"b0 = {exits.idxmax()[1]:g} ({METHODS[name].label})"
        for name, exits in ends.groupby(level="method")
    ]
    return f"b passes ηλ₁/2 after {', after '.join(said)}."


def figure_1(facts: Facts) -> str:
    """Return who ends alike from small b0, and who leads at first."""
    loss, norm, constant, first = (
        facts.holding(words, "figure_1")
        for words in ("AdaLoss ends within", "AdaGrad-Norm ends within", "SGD-Constant diverges", "is not better than")
    )
    return (
        f"From every b0 below ηλ₁/2 AdaLoss ends within a factor 10 of its own best in {loss} problems and "
        f"AdaGrad-Norm in {norm}; SGD-Constant diverges from there in {constant}. Cases in which AdaLoss is at first "
        f"no better than AdaGrad-Norm for b0 < 1: {first}."
    )


def stochastic(facts: Facts) -> str:
    """Return how often what is proved with a probability failed."""
    table = facts["figure_stochastic"]
    return (
        f"What we prove of stochastic gradients failed on {table.failed.sum()} of {table.paths.sum()} paths; "
        f"{facts.holding('fails with probability at most', 'figure_stochastic')} statements fail no more often than "
        f"their probability allows. The median bound is {table.ratio_median.min():.3g} to "
        f"{table.ratio_median.max():.3g} times what was measured."
    )


def figure_5(facts: Facts) -> str:
    """Return the norm at n = d and at the greatest n / d."""
    sphere = facts["figure_5"].query("data == 'sphere'").sort_values("n")
    [square, long] = sphere[sphere.ratio == 1].iloc[-1], sphere.loc[sphere.ratio.idxmax()]
    return (
        f"For rows on the unit sphere ‖H∞‖ is {square.lambda_max:.3g} for n = d = {square.n} and {long.lambda_max:.3g} "
        f"for n = {long.n} = {long.ratio:g} d."
    )


def theorem_2(facts: Facts) -> str:
    """Return the predicted critical step of the widest network, and what happens above it."""
    ends = facts["figure_critical_step"].groupby(["m", "seed", "c"]).last().reset_index()
    widest = ends[ends.m == ends.m.max()]
    fell = ends.loss < ends.start_loss
    below, above = fell[ends.c < ends.critical_c], fell[ends.c > ends.critical_c]
    return (
        f"For m = {widest.m.iloc[0]} the critical η‖H∞‖ is {widest.critical_c.median():.3g}. Below the critical step "
        f"the loss ends below its first value in {below.sum()} of {len(below)} runs; above it in {above.sum()} of "
        f"{len(above)}."
    )


def theorem_3(facts: Facts) -> str:
    """Return in how many widths each statement holds."""
    loss, constant, case_b, linear = (
        facts.holding(words, "figure_theorem_3")
        for words in ("AdaLoss converges to", "gradient descent with eta / b0", "in case (b)", "falls with the width")
    )
    return (
        f"AdaLoss converges from every b0 with every α at {loss} widths; gradient descent with η/b0 fails for all b0 "
        f"below η‖H‖/2 at {constant}. Case (b), b below η‖H‖/2 after its first update, is entered at {case_b}. "
        f"Of the changes that should get smaller with the width, {linear} do."
    )


def figure_6(facts: Facts) -> str:
    """Return how the ends of AdaLoss compare with each other and with AdaGrad-Norm's."""
    table = facts["figure_6"]
    last = table[table.window == table.window.iloc[-1]]
    alike, over = [], []
    for (data, eta), ends in last.groupby(["data", "eta"], sort=False):
        floor = 100 * RESOLUTION * ends.start_loss.iloc[0]  # below it a loss is rounding
        loss = ends.pivot(index="b0", columns="method", values="loss").clip(lower=floor)
        small = loss.adaloss[loss.index < ends.critical_b0.iloc[0]]
        ratio = (loss.adaloss / loss.adagrad_norm).max()
        setting = f"{data}, η = {eta.replace('||', '‖')}"
        alike.append(f"{small.max() / small.min():.3g} ({setting})")
        over.append(f"{ratio:.3g} ({setting})")
    return (
        f"AdaLoss's losses at the end, from all b0 below η‖H‖/2n, agree up to a factor of {', '.join(alike)}. Its loss "
        f"over AdaGrad-Norm's from the same b0 is at most {', '.join(over)}."
    )


def table_1(facts: Facts, name: str = "table_1") -> str:
    """Return how much AdaLoss's accuracy depends on b0 up to 10, ours and the paper's."""
    cells = facts[name].query("method == 'adaloss' and b0 <= 10")
    spread = cells.groupby("problem", sort=False).agg(most=("accuracy", "max"), least=("accuracy", "min"))
    ours = ", ".join(
        f"{row.most - row.least:.2f} points ({problem.partition(' (')[0]})" for problem, row in spread.iterrows()
    )
    return (
        f"From b0 = 0.01 to 10 AdaLoss's test accuracy differs by {ours}; in the authors' table, on CIFAR-100, by "
        f"{cells.paper.max() - cells.paper.min():.2f} points."
    )


table_2 = partial(table_1, name="table_2")


def figure_2(facts: Facts) -> str:
    """Return each method's worst start."""
    ends = facts["figure_2_final"].groupby(["method", "b0"])[["train_loss", "test_accuracy"]].median()
    worst = {name: ends.loc[name].sort_values("train_loss").iloc[-1] for name in ("adam", "adamloss")}
    adam, adamloss = worst["adam"], worst["adamloss"]
    return (
        f"From its worst b0 ({adam.name:g}) Adam ends at a training loss of {adam.train_loss:.2g} and a test accuracy "
        f"of {adam.test_accuracy:.1%}; AdamLoss from its worst ({adamloss.name:g}) at {adamloss.train_loss:.2g} and "
        f"{adamloss.test_accuracy:.1%}."
    )


def figure_3(facts: Facts) -> str:
    """Return the range of final returns over b0, and how it depends on the losses that AdamLoss sees."""
    ends = facts["figure_3_final"].groupby(["method", "b0"]).final.mean().groupby("method").agg(["min", "max"])
    said = [
        f"between {row['min']:.0f} and {row['max']:.0f} with {METHODS[name].label}" for name, row in ends.iterrows()
    ]
    readings = facts.holding("AdamLoss is very robust", "figure_3_readings")
    return (
        f"Over all b0 the final return is {' and '.join(said)}. The paper does not say which losses drive AdamLoss: "
        f"it is robust in {readings} readings."
    )


def figure_4(facts: Facts) -> str:
    """Return in how many starts each statement holds."""
    high, reached, stable = (
        facts.holding(words, "figure_4") for words in ("very high in the first 25", "about 0.01", "Then it stabilizes")
    )
    return (
        f"Of the small b0, {high} have a very high loss in the first 25 iterations; 1/b is about 0.01 after them for "
        f"{reached}, and then stable to a factor of 2 for {stable}."
    )
