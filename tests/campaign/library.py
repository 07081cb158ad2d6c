"""Generated inputs to every public function of the library: a documented result, or a documented error in one line.

    python -m tests.campaign.library [examples]

Numbers are ordinary, nan, infinite, subnormal, huge, of wrong type; arrays are empty, of wrong shape or dtype. Warnings
count as failures, and so does nan where every number lies within 1e-40..1e40 (the squares of squares are in float64).
"""

import sys
import time
import traceback
import warnings
from collections import Counter

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adaloss import optim, stepsizes
from adaloss.simulate import eigenbasis, two_layer
from adaloss.simulate import linear_regression as regression
from adaloss.theory import gram, stochastic
from adaloss.theory import linear_regression as theory
from adaloss.theory import two_layer as network
from adaloss.theory.finite_width import certify
from adaloss.theory.random_start import sufficient_width

ORDINARY = st.floats(-1e3, 1e3, allow_subnormal=False)
POSITIVE = st.floats(1e-3, 1e3)
EDGES = [float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 5e-324, 1e-310, 1e-100, 1e100, 1.7e308, -1.7e308, -1.0]
WRONG = [None, "1", b"1", 1j, [], [[1.0], [1.0, 2.0]], {}, True, 10**400, object, np.array("x"), np.float16(1), 2, -3]


@st.composite
def mostly(draw, good, *bad):
    """Fourteen times in fifteen what is allowed, so that what has many arguments is often taken."""
    return draw(good if draw(st.integers(0, 14)) else st.one_of(*bad))


SCALAR = mostly(POSITIVE, ORDINARY, st.sampled_from(EDGES), st.floats(), st.sampled_from(WRONG))
COUNT = mostly(st.integers(1, 6), st.sampled_from([0, -1, 1.5, True, None, "2", np.int64(3)]))
DTYPES = [np.float64, np.float64, np.float64, np.float32, np.int64, np.bool_, np.complex128, np.object_]


@st.composite
def vector(draw, size=3, axes=1, elements=ORDINARY):
    """An array that mostly has ``axes`` axes of length ``size``, with now and then an edge among its numbers."""
    if draw(st.integers(0, 29)) == 0:
        return draw(st.sampled_from([*WRONG, *EDGES, torch.ones(size), np.ma.ones(size)]))
    good = draw(st.integers(0, 19)) > 0
    shape = (size,) * axes if good else draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    array = draw(hnp.arrays(np.float64, shape, elements=elements))
    if array.size and draw(st.integers(0, 9)) == 0:
        array.flat[draw(st.integers(0, array.size - 1))] = draw(st.sampled_from(EDGES))
    dtype = draw(st.sampled_from(DTYPES)) if draw(st.integers(0, 19)) == 0 else np.float64
    with np.errstate(all="ignore"):
        return array.astype(dtype)


def increasing(size=3):
    def descending(a):
        return np.sort(a)[::-1] if isinstance(a, np.ndarray) and a.ndim and a.dtype.kind in "fi" else a

    return vector(size, elements=POSITIVE).map(descending)


VECTOR, MATRIX, SPECTRUM = vector(), vector(axes=2), increasing()
SIGNS = mostly(vector(elements=st.sampled_from([-1.0, 1.0])), VECTOR)
BOUND = st.one_of(SCALAR, SCALAR, vector(elements=POSITIVE))
P = mostly(st.sampled_from([1, 2]), st.sampled_from([0, 3, 1.0, True, None, "1", np.int64(2)]))
Q = mostly(st.sampled_from([0, 1]), st.sampled_from([2, -1, None, 0.5]))
METHOD = mostly(st.sampled_from([*stepsizes.RULES]), st.sampled_from(["adam", "", None, 3]))
HYPER = mostly(
    st.one_of(st.just({}), st.just({"eta": 0.5})),
    st.dictionaries(st.sampled_from(["eta", "alpha", "c", "c_s"]), SCALAR, max_size=2),
    st.dictionaries(st.sampled_from(["eta", "form", "x", 3]), st.sampled_from(["linear", "root", "cubic", 1.0])),
    st.just(None),
)


def given_state(function):
    return lambda eigenvalues, s, b, eta, p, *more: function(theory.State(eigenvalues, s, b, eta, p), *more)


STATE = (SPECTRUM, vector(elements=POSITIVE), BOUND, BOUND, P)
STOCHASTIC = (BOUND, BOUND, BOUND, BOUND)
UNIT = MATRIX.map(
    lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    if isinstance(x, np.ndarray) and x.dtype == np.float64 and x.ndim == 2 and x.size and (np.abs(x).sum(1) > 0).all()
    and np.isfinite(x).all() and np.abs(x).max(1).min() > 1e-100 and np.abs(x).max() < 1e100 else x
)  # fmt: skip
SYMMETRIC = MATRIX.map(
    lambda x: x @ x.T if isinstance(x, np.ndarray) and x.dtype == np.float64 and x.ndim == 2 and x.size
    and np.isfinite(x).all() and np.abs(x).max() < 1e100 else x
)  # fmt: skip
COLUMNS = mostly(
    st.just(["loss", "step"]),
    st.lists(st.sampled_from(["loss", "step", "gap", "s", "flips", "full_loss", "lambda_min", "distance", ""])),
)
RECORD = mostly(st.just([1]), st.lists(COUNT, max_size=3))
BATCH = st.one_of(st.none(), COUNT)


def simulate_regression(x, noise, error0, method, b0, hyper, iterations, record, batch, columns, key):
    cells = [regression.Cell(method, b0, hyper)]
    problem = regression.Problem(x, noise, error0)
    return regression.simulate(
        [problem], [key], cells, iterations=iterations, record=record, batch=batch, columns=columns
    )


def simulate_two_layer(x, y, w0, a, method, b0, hyper, iterations, record, batch, columns, key):
    cells, problem = [regression.Cell(method, b0, hyper)], two_layer.Problem(x, y, w0, a)
    return two_layer.simulate(
        [problem], [key], cells, iterations=iterations, record=record, batch=batch, columns=columns
    )


def certified(w, a, x, y, eta, b, alpha, eps):
    found = certify(w, a, x, y, eta=eta, b=b, alpha=alpha)
    if not found.holds:
        assert found.reason and "\n" not in found.reason
        return []
    return [found.moved, found.neuron_moved, found.b_max, found.rate, found.path, found.iterations(eps)]


def optimizer(kind, lr, b0, loss, options, value):
    """Two steps of one parameter; None where the optimizer refuses with its documented RuntimeError."""
    p = torch.nn.Parameter(torch.ones(2))
    p.grad = torch.tensor([value, 1.0])
    made = getattr(optim, kind)([p], lr=lr, b0=b0, **options)
    before = p.detach().clone()
    try:
        for _ in range(2):
            made.step(loss=loss) if isinstance(made, optim.LossDriven) else made.step()
    except RuntimeError as error:
        assert "not finite" in str(error) or "unchanged" in str(error) or "step() got no loss" in str(error), error
        assert p.detach().equal(before) or made.param_groups[0]["t"] > 0
        return None
    return float(made.b)


OPTIONS = st.one_of(
    st.just({}),
    st.dictionaries(
        st.sampled_from(["nonfinite", "alpha", "c", "granularity", "form", "betas2"]),
        st.sampled_from([0.0, 0.1, "skip", "raise", "row", "linear", True, None, -1.0, float("nan")]), max_size=2,
    ),
)  # fmt: skip
KINDS = st.sampled_from(["AdaLoss", "AdamLoss", "AdaGradNorm", "SGDConstant", "SGDDecaySqrt", "AdamSqrt"])
LOSS = mostly(POSITIVE, SCALAR, st.sampled_from([torch.tensor(1.0), torch.ones(2), torch.tensor(1j)]))
SIMULATED = (METHOD, SCALAR, HYPER, COUNT, RECORD, BATCH, COLUMNS, COUNT)

FUNCTIONS = {
    **{f"stepsizes.{name}": (rule, (POSITIVE, st.floats(), st.floats(), st.integers(1, 10**9)))
       for name, rule in stepsizes.RULES.items()},
    "theory.linear_regression.State": (lambda *a: theory.State(*a).s, STATE),
    "theory.linear_regression.advance": (given_state(lambda s, n: theory.advance(s, n).b), (*STATE, COUNT)),
    "theory.linear_regression.growth": (theory.growth, (st.floats(),)),
    "theory.linear_regression.growth_from": (theory.growth_from, (st.floats(), st.floats())),
    **{f"theory.linear_regression.{f.__name__}": (given_state(f), STATE)
       for f in (theory.error_bounds, theory.exit_bound, theory.b_max, theory.b_max_headline)},
    "theory.linear_regression.target_bound": (given_state(theory.target_bound), (*STATE, Q)),
    "theory.linear_regression.exit_bounds": (given_state(theory.exit_bounds), (*STATE, COUNT)),
    "theory.linear_regression.iterations_at_least": (given_state(theory.iterations_at_least), (*STATE, BOUND, Q)),
    "theory.linear_regression.iterations": (given_state(theory.iterations), (*STATE, BOUND, Q, COUNT)),
    **{f"theory.stochastic.{f.__name__}": (f, (*STOCHASTIC, P))
       for f in (stochastic.error_limit, stochastic.b_limit, stochastic.b_limit_headline)},
    "theory.stochastic.contraction": (stochastic.contraction, (*STOCHASTIC, BOUND, P)),
    "theory.stochastic.iterations": (stochastic.iterations, (*STOCHASTIC, BOUND, P, BOUND, st.floats(-0.1, 1.1))),
    "theory.stochastic.iterations_of_equal_rows":
        (stochastic.iterations_of_equal_rows, (*STOCHASTIC, BOUND, P, BOUND, st.floats(-0.1, 1.1))),
    "theory.stochastic.iterations_to_a_minimum":
        (stochastic.iterations_to_a_minimum, (*STOCHASTIC, BOUND, BOUND, P, BOUND, st.floats(-0.1, 1.1))),
    "theory.stochastic.error_sum_limit": (stochastic.error_sum_limit, (*STOCHASTIC, BOUND, P)),
    "theory.stochastic.of_rows": (stochastic.of_rows, (MATRIX, VECTOR, P)),
    "theory.finite_width.certify": (certified, (MATRIX, SIGNS, MATRIX, VECTOR, SCALAR, SCALAR, SCALAR, POSITIVE)),
    "theory.random_start.sufficient_width":
        (sufficient_width, (st.one_of(UNIT, UNIT, MATRIX), VECTOR, st.floats(0, 1))),
    "theory.stochastic.proposition_1_gap": (stochastic.proposition_1_gap, (BOUND, BOUND, BOUND)),
    "theory.gram.h_infinity": (gram.h_infinity, (st.one_of(UNIT, UNIT, MATRIX),)),
    "theory.gram.h_empirical": (gram.h_empirical, (MATRIX, MATRIX)),
    "theory.gram.extreme_eigenvalues": (gram.extreme_eigenvalues, (st.one_of(SYMMETRIC, SYMMETRIC, MATRIX),)),
    "theory.gram.largest_eigenvalue": (gram.largest_eigenvalue, (st.one_of(SYMMETRIC, SYMMETRIC, MATRIX),)),
    "theory.gram.marchenko_pastur": (gram.marchenko_pastur, (COUNT, COUNT)),
    "theory.two_layer.predict": (network.predict, (MATRIX, VECTOR, MATRIX)),
    "theory.two_layer.loss": (network.loss, (VECTOR, VECTOR)),
    "theory.two_layer.gradient": (network.gradient, (MATRIX, VECTOR, MATRIX, VECTOR)),
    "theory.two_layer.rule_alpha": (network.rule_alpha, (SCALAR, COUNT)),
    "theory.two_layer.linearised": (network.linearised, (SPECTRUM, VECTOR, VECTOR)),
    "theory.two_layer.linearised_adaloss":
        (network.linearised_adaloss, (SPECTRUM, VECTOR, SCALAR, SCALAR, SCALAR, COUNT, COUNT)),
    "theory.two_layer.gradient_descent_iterations": (network.gradient_descent_iterations, (SPECTRUM, SCALAR, SCALAR)),
    "theory.two_layer.best_constant_step": (network.best_constant_step, (SPECTRUM,)),
    "theory.two_layer.critical_step": (network.critical_step, (SPECTRUM,)),
    "theory.two_layer.weights_travelled": (network.weights_travelled, (SPECTRUM, VECTOR)),
    "theory.two_layer.setting_a": (network.setting_a, (SPECTRUM, VECTOR, SCALAR, SCALAR, SCALAR, COUNT)),
    "simulate.linear_regression.simulate": (simulate_regression, (MATRIX, VECTOR, VECTOR, *SIMULATED)),
    "simulate.two_layer.simulate": (simulate_two_layer, (MATRIX, VECTOR, MATRIX, SIGNS, *SIMULATED)),
    "simulate.eigenbasis.simulate_eigenbasis":
        (eigenbasis.simulate_eigenbasis, (SPECTRUM, VECTOR, METHOD, vector(elements=POSITIVE), HYPER, COUNT)),
    "optim": (optimizer, (KINDS, SCALAR, SCALAR, LOSS, OPTIONS, st.floats(width=32))),
}  # fmt: skip
NAN = ("stepsizes", "growth", "simulate", "optim")  # document nan or inf as what becomes of what leaves float64


def numbers(value):
    """All numbers in what a function took or gave."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [x for item in value for x in numbers(item)]
    if isinstance(value, np.ndarray | torch.Tensor | float | int | np.number) and not isinstance(value, bool):
        try:
            return np.asarray(value, dtype=np.float64).ravel().tolist()
        except (TypeError, ValueError, OverflowError):
            return []
    return []


def attempt(name, arguments):
    """Whether the arguments were taken; AssertionError where what came of them is not documented."""
    function, _ = FUNCTIONS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = function(*arguments)
        except (ValueError, TypeError) as error:
            assert str(error) and "\n" not in str(error), repr(error)
            return False
        except (OverflowError, ZeroDivisionError):
            if name.startswith("stepsizes"):  # Python's own floats: nothing is checked
                return False
            raise
    ordinary = all(x == 0 or 1e-40 < abs(x) < 1e40 for x in numbers(list(arguments)))
    if ordinary and not any(word in name for word in NAN):
        assert not np.isnan(numbers(result)).any(), result
    return True


def campaign(name, examples):
    """How many of the generated arguments were taken and how many refused."""
    counts = Counter()

    @seed(0)
    @settings(
        max_examples=examples, database=None, deadline=None, phases=[Phase.generate], derandomize=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.tuples(*FUNCTIONS[name][1]))
    def check(arguments):
        counts[attempt(name, arguments)] += 1

    check()
    return counts


def main(examples):
    torch.set_num_threads(1)
    print("| function | inputs | taken | refused | seconds |\n|---|---|---|---|---|")
    failed = 0
    for name in FUNCTIONS:
        begun = time.perf_counter()
        try:
            counts = campaign(name, examples)
        except Exception as error:
            failed += 1
            if examples < 1000:
                traceback.print_exc()
            print(f"| {name} | FAILS: {type(error).__name__}: {str(error)[:300]!r} {error.__notes__[:1]} |", flush=True)
            continue
        took = time.perf_counter() - begun
        print(f"| {name} | {counts.total()} | {counts[True]} | {counts[False]} | {took:.0f} |", flush=True)
    assert not failed, f"{failed} functions"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10000)
