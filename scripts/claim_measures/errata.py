"""Statements that a counterexample refutes: the numbers are in the runs of the sweep ``errata``, one for each erratum.

A statement whose counterexample does not refute it (any more) counts as reproduced: nothing here speaks against it.
"""

from collections.abc import Callable
from math import inf

from scripts.claim_measures.finding import FALSE, NOT_REPRODUCED, REPRODUCED, ClaimError, Finding, Sweep

Numbers = dict[str, float]
MORE = 3.0  # between two starts that should give the same up to logarithms: log(1 / eps) grows 1.3 times
STEPS = 600  # of erratum 8's runs: a loss that is above 1e-6 of its start for as long has not fallen


def _converges_above_limit(x: Numbers) -> bool:
    """At 3 and 4 times 1 / ||H|| the loss grows, then falls for good while the Gram matrix shrinks below the limit."""
    return all(
        1 < x[f"peak_{c}"] < inf and x[f"steps_{c}"] < STEPS and x[f"top_{c}"] <= x[f"limit_{c}"] for c in (3, 4)
    )


# statement -> (number of the erratum, whether its numbers refute the statement)
STATEMENTS: dict[str, tuple[int, Callable[[Numbers], bool]]] = {
    "uniform_in_the_start": (1, lambda x: x["ratio"] > MORE * x["ratio_before"]),
    "exit_exists": (2, lambda x: x["b_end"] <= x["b_bound"] < x["threshold"]),
    "condition_without_square": (3, lambda x: x["b0"] >= x["printed"] and x["growth"] > 1),
    "gap_without_eta": (4, lambda x: x["gap"] > (1 + 1e-9) * x["printed"] or x["gap_short"] < 0),
    "two_rates_below_inverse": (6, lambda x: x["b0"] > x["threshold"] and x["two_rates"] >= x["inverse"]),
    "exit_above_twice_threshold": (6, lambda x: max(x["b_exit"], x["b_end"]) <= 2 * x["threshold"]),
    "norm_independent_of_n": (7, lambda x: x["norm_160"] >= x["lower"] and x["norm_160"] > 10 * x["norm_1"]),
    "limit_of_steps": (8, _converges_above_limit),
    "rate_in_inverse_eps": (9, lambda x: x["t_8"] <= x["bound_8"] and x["term_8"] > 1000 * x["bound_8"]),
}


def counterexample(sweep: Sweep, *, statement: str) -> Finding:
    """False as printed where the counterexample's numbers refute the statement."""
    number, refutes = STATEMENTS[statement]
    numbers, runs = _numbers(sweep, number)
    said = f"erratum {number}: " + ", ".join(f"{name} = {value:.4g}" for name, value in numbers.items())
    return Finding(FALSE if refutes(numbers) else REPRODUCED, said, runs=runs)


def more_steps(sweep: Sweep) -> Finding:
    """Whether AdaLoss takes more steps to the threshold in more random problems than fewer (erratum 5)."""
    x, runs = _numbers(sweep, 5)
    said = (
        f"random problems with lambda_1 >= 1: more in {x['more']}, equal in {x['equal']}, fewer in {x['fewer']}; "
        f"no rule: in one problem {x['n_adaloss']} against AdaGrad-Norm's {x['n_adagrad_norm']}"
    )
    return Finding(REPRODUCED if x["more"] > x["fewer"] else NOT_REPRODUCED, said, runs=runs)


def within_printed(sweep: Sweep) -> Finding:
    """Whether Theorem 3(b)'s printed summand in 1 / eps is at least the steps that are needed (erratum 9)."""
    x, runs = _numbers(sweep, 9)
    kept = x["t_4"] <= x["term_4"] and x["t_8"] <= x["term_8"]
    said = (
        f"needed {x['t_4']} steps to 1e-4 and {x['t_8']} to 1e-8 of the squared residual, "
        f"printed {x['term_4']:.3g} and {x['term_8']:.3g} without the constant"
    )
    return Finding(REPRODUCED if kept else NOT_REPRODUCED, said, runs=runs)


def _numbers(sweep: Sweep, number: int) -> tuple[Numbers, tuple]:
    runs = tuple(run for run in sweep.runs if run.config["number"] == number)
    if len(runs) != 1:
        raise ClaimError(f"erratum {number}: {len(runs)} runs of it in the sweep {sweep.name}, one is needed")
    return runs[0].history.to_dict("records")[0], runs
