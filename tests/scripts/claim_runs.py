"""Made-up runs, in memory, that bear the paper's claims out; a change of one number has to change a verdict."""

import numpy as np

from scripts.claims.claim import Sweep
from tests.scripts.synthetic import saved

SEEDS = range(8)
WINDOWS = ((101, 200), (991, 1000), (4901, 5000))
ITERATIONS = np.concatenate([[1], *(np.arange(a, b + 1, 9) for a, b in WINDOWS)])


def sweep(name, cells, seeds=None):
    """Cells are (configuration, history, results); the same ones for each of so many seeds."""
    several = [({**config, "seed": seed}, *rest) for config, *rest in cells for seed in range(seeds or 0)]
    return Sweep(name, saved(None, name, several or cells))


# Figure 1: loss and b in the three windows, by method; eta = 1, critical b0 = 1.
LOSSES = {
    "adaloss": (2.0, 1.0, 1e-9),
    "adagrad_norm": (1.0, 0.9, 2e-9),
    "sgd_constant": (1.0, 1.0, 1.0),
    "sgd_decay_sqrt": (1.0, 1.0, 1.0),
}
B = {"adaloss": 3.0, "adagrad_norm": 9.0, "sgd_constant": 1.0, "sgd_decay_sqrt": 1.0}
CONSTANT = {0.1: np.inf, 0.5: 1e9, 10.0: 1e-6, 100.0: 0.5}  # of SGD-Constant, by b0
FIRST = {"adaloss": 4.0, "adagrad_norm": 12.0}  # added to b0^2


def figure_1(losses=(), b=(), growth=1.0, constant=(), first=(), seeds=12):
    losses, b, constant, first = LOSSES | dict(losses), B | dict(b), CONSTANT | dict(constant), FIRST | dict(first)
    cells = []
    for method, levels in losses.items():
        for b0, end in constant.items():
            levels_here = (*levels[:2], end) if method == "sgd_constant" else levels
            late = np.searchsorted([a for a, _ in WINDOWS], ITERATIONS, side="right")
            b_t = np.where(late == 3, growth, 1.0) * b[method]
            b_t[0] = np.sqrt(b0**2 + first.get(method, 0.0))
            loss = np.array([1.0, *levels_here])[late]
            config = {"data": {"w_star": "unit", "d": 20}, "method": {"name": method}, "eta": 1.0, "b0": b0}
            result = {"initial_gap": 1.0, "lambda_1": 2.0, "row_norm_sq_max": 5.0}
            cells.append((config, {"iteration": ITERATIONS, "loss": loss, "step": 1 / b_t}, result))
    return sweep("figure_1", cells, seeds)


def bounds(exit_index=4.0, exit_paper=9.0, violations=0):
    """One problem that starts below the threshold, one above, for each method."""
    cells = []
    for p in (1, 2):
        table = {"exit_index": [exit_index, 0.0], "exit_paper_0": [exit_paper, 0.0]}
        names = ("b", "n", "t_bound", "t_first", "t_unrolled", "t_restarted")
        table |= {"stopped": [False, False]}
        table |= {f"violations_{name}": [0, 0] for name in names} | {"violations_t_first": [0, violations]}
        table["violations_n"] = [violations, 0]
        cells.append(({"p": p, "d": 3}, table, {}))
    return sweep("figure_bounds", cells)


def gram(lambda_min=0.2, lambda_max=1.2, larger=1.3):
    cells = [
        ({"data": {"name": name}}, [{"n": n, "d": 50 * n // 50, "lambda_min": low, "lambda_max": high}], {})
        for name, n, low, high in (
            ("sphere", 50, 0.2, 1.2),
            ("sphere", 800, 0.2, larger),
            ("digits", 80, lambda_min, lambda_max),
        )
    ]
    return sweep("figure_5", cells, 8)


def labels(zero_loss=0.2):
    cells = [({"data": {"name": name}}, {"iteration": [1]}, {"zero_loss": zero_loss}) for name in ("digits", "sphere")]
    return sweep("figure_6", cells)


def critical_step(slow=1.0, start=1.0, fits=1.9):
    """The loss falls by a factor 10 in 10 ``slow`` iterations, first from ``start``, for c <= ``fits``."""
    iteration = np.arange(1, 401)
    loss = 10.0 ** (-(iteration - 1) / (10 * slow))
    loss[1] *= start
    history = {"iteration": iteration, "loss": loss, "step": 1.0, "lambda_max": 1.0}
    result = {"lambda_1": 1.0, "lambda_0": 0.2, "start_loss": 1.0, "start_lambda_1": 1.0, "zero_loss": 1.0}
    steps = {c: history if c <= fits else history | {"loss": np.ones(400)} for c in (1.5, 1.9, 4.0, 6.0)}
    return sweep(
        "figure_critical_step", [({"m": 100, "eta": c, "data": {"n": 40}}, h, result) for c, h in steps.items()], 8
    )


def burn_in(rate=0.9, late=1.0, past=3):
    """The loss falls by ``rate``, and by ``rate ** late`` below 1e-6; b is past eta lambda_1 / 2 = 5 from N on."""
    iteration = np.arange(1, 1001)
    logs = (iteration - 1) * np.log(rate)
    loss = np.exp(np.where(logs > np.log(1e-6), logs, np.log(1e-6) + late * (logs - np.log(1e-6))))
    cells = [
        (
            {"method": {"name": "adagrad_norm"}, "b0": b0, "eta": 1.0},
            {"iteration": iteration, "loss": loss, "step": 1 / np.where(iteration > past, 6.0, b0)},
            {"lambda_1": 10.0},
        )
        for b0 in (0.1, 1.0, 60.0)
    ]
    return sweep("figure_burn_in", cells)


NETWORK_ITERATIONS = np.arange(1, 1002, 10)
SLOW = {("adaloss", 2.0): 2.0, ("adaloss", 0.001): 1.05, ("adagrad_norm", None): 1.0, ("sgd_constant", None): 1.0}


def theorem_3(**changed):
    return sweep("figure_theorem_3", network_cells(**changed))


def network_cells(losses=None, slow=(), bend=(), role=1.0, peak=2.0, bound=1.2, n=40, seeds=SEEDS, **facts):
    """Losses exp(-k / 20 / ``slow``), by method and alpha; from b0 = 0.1 and alpha = 0.001 they first rise to ``peak``.

    The critical b0 is 0.6, below which the constant step diverges. ``bend``: methods that are slow from 1e-7 on;
    ``losses`` of all AdaLoss's runs instead; of ``facts`` ``change`` and ``error`` are the exponents of m of H's change
    and the distance to the linearised network, and of H's first error.
    """
    facts = {"lambda_min": 0.1, "distance": 1.0, "last_b": 1.5, "change": -0.5, "error": -0.5} | facts
    k, cells = NETWORK_ITERATIONS - 1, []
    for (method, alpha), times in (SLOW | dict(slow)).items():
        for m in (100, 1000):
            for b0 in (0.1, 1.0):
                deep = alpha == 0.001 and b0 == 0.1
                log_loss = -k / 20 / times
                if method in bend:
                    log_loss = np.maximum(log_loss, -16 - k / 200)
                loss = np.exp(log_loss) if losses is None or method != "adaloss" else np.array(losses)
                if deep:
                    loss[1] = peak
                if method == "sgd_constant" and b0 < 0.6:
                    loss = np.where(k > 100, np.inf, 1.5**k)
                b = np.linspace(0.5, facts["last_b"], len(k)) if deep else np.linspace(2.0, 3.0, len(k))
                history = {"iteration": k + 1, "loss": loss, "step": 2 / (1.2 * b)}
                history |= {"linear_loss": np.exp(log_loss * role - 0.01 * m ** facts["change"])}
                history |= {"lambda_min": facts["lambda_min"], "distance": facts["distance"]}
                history |= {"gram_change": m ** facts["change"]}
                result = {"eta": 1.0, "lambda_1": 1.2, "lambda_0": 0.2, "start_loss": 1.0, "linear_distance": 1.0}
                result |= {"start_gram_error": m ** facts["error"]}
                if method == "adaloss":
                    result |= {"iterations_bound": bound * 20 * times * np.log(1e6)}
                config = {"m": m, "b0": b0, "method": {"name": method} | ({"alpha": alpha} if alpha else {})}
                cells += [(config | {"data": {"n": n}, "seed": seed}, history, result) for seed in seeds]
    return cells


def hyperparameters(end=1e-9, bound=100, off=0.0):
    """Two choices that are one in other units, and one whose bound asks for more iterations; ``off``: of the steps."""
    cells = []
    for b0, alpha, eta, last, steps in (
        (0.1, 0.01, 0.1, 1e-9, 50),
        (1.0, 1.0, 1.0, end, bound),
        (1.0, 1e3, 1.0, 0.5, 1e9),
    ):
        history = {"iteration": [1, 2], "loss": [1.0, 0.1], "step": [0.5, 0.4 * (1 + off * (eta == 1.0))]}
        config = {"b0": b0, "method": {"alpha": alpha}, "eta": eta, "iterations": 1000, "m": 100}
        result = {"start_loss": 1.0, "final_loss": last, "iterations_bound": steps}
        cells += [(config | {"seed": seed}, history, result) for seed in SEEDS]
    return sweep("hyperparameters", cells)


def certificates(root=None, at=0, until=11.0, bound=1.5, lambda_min=0.2, n=10, b0=(0.1, 1.0, 100.0)):
    """Losses that fall by 4 for 10 steps, certified from step ``at``; b0 has the threshold 1. And gradient descent."""
    cells, k = [], np.arange(11)
    for alpha, start in [(0.0, 1.0), *((0.5, start) for start in b0)]:
        loss = 0.25**k
        history = {
            "iteration": k,
            "loss": loss,
            "asked": k == at,
            "bound": np.where(k >= (at or 0), bound * loss, np.nan),
        }
        result = {"eta": 2.0, "lambda_0": 0.3, "lambda_1": 0.7, "start_loss": 1.0, "steps": 10, "certified_at": at}
        result |= {"width_by_theorem": 1e7, "certified": {"iterations": until, "lambda_min": lambda_min}}
        if at is None:
            history["bound"], result["certified"] = np.full(11, np.nan), None
        config = {"data": {"name": "sphere", "n": n, "d": 50}, "m": 500, "eta": 2.0, "eta_unit": "absolute"}
        cells.append((config | {"alpha": alpha, "b0": start, "seed": 0, "target": 1e-6}, history, result))
    return Sweep("figure_certificates", saved(root, "figure_certificates", cells))


ACCURACY = {
    "adaloss": {0.01: 0.90, 1: 0.90, 100: 0.89},
    "adagrad_norm": {0.01: 0.85, 1: 0.90, 100: 0.9},
    "adagrad_norm_rowwise": {0.01: 0.70, 1: 0.89, 100: 0.90},
    "sgd_constant": {0.01: None, 1: 0.8, 10: 0.9, 100: 0.9},
    "sgd_decay_sqrt": {0.01: 0.90, 1: 0.90, 100: 0.88},
}


def table(data="digit_images", changed=(), seeds=8, spread=0.0):
    """``changed`` replaces the accuracy of (method, b0), and at b0 = 100 neighbouring seeds are ``spread`` apart."""
    cells = []
    for method, column in ACCURACY.items():
        for b0, accuracy in column.items():
            value = dict(changed).get((method, b0), accuracy)
            for seed in range(seeds):
                config = {"data": {"name": data}, "model": {"name": "vit", "patch": 4, "width": 64, "depth": 2}}
                config |= {
                    "method": {"name": method},
                    "b0": b0,
                    "seed": seed,
                    "epochs": 1,
                    "batch": 4,
                    "frozen": 0,
                    "weights": {"name": "labels"},
                }
                apart = spread * (seed - (seeds - 1) / 2) * (b0 == 100)
                shown = None if value is None else value + apart
                cells.append((config, {"iteration": [1]}, {"classes": 10, "test_accuracy": shown}))
    return sweep("table_1", cells)


ERRATA = {
    1: {"t": 1000, "bracket": 10.0, "ratio": 100.0, "ratio_before": 10.0, "t_bound": 2000.0},
    2: {"b_end": 0.1, "b_bound": 0.2, "threshold": 0.5, "threshold_seen": 0.05},
    3: {"b0": 6.0, "printed": 5.0, "growth": 9.0, "corrected": 50.0, "growth_corrected": 0.9},
    4: {"gap": 30.0, "printed": 3.0, "gap_short": -0.5, "printed_short": 1.0},
    5: {"n_adaloss": 7, "n_adagrad_norm": 95, "more": 500, "equal": 480, "fewer": 20},
    6: {"b0": 0.9, "threshold": 0.5, "two_rates": 2.2, "inverse": 1.0, "b_exit": 0.7, "b_end": 0.8},
    7: {"norm_1": 1.2, "norm_160": 47.0, "lower": 40.0, "upper": 93.0},
    8: {"peak_3": 7.0, "steps_3": 30, "top_3": 0.6, "limit_3": 0.8}
    | {"peak_4": 9.0, "steps_4": 40, "top_4": 0.5, "limit_4": 0.6, "peak_6": np.inf},
    9: {"t_4": 17, "term_4": 1e5, "t_8": 34, "term_8": 1e9, "bound_8": 35.0},
}


def errata(**changed):
    """``erratum_3={"growth": 0.5}`` replaces numbers of one."""
    cells = [({"number": k}, [row | changed.get(f"erratum_{k}", {})], {}) for k, row in ERRATA.items()]
    return sweep("errata", cells)


def cost(disturbed=0.0, **seconds):
    """Twenty turns, each a tenth slower than the one before; ``disturbed``: in every other one AdaLoss's step."""
    times = {"gradient": 1.0, "sgd_constant": 0.1, "adaloss": 0.1, "adagrad_norm": 0.3, "adagrad_norm_rowwise": 0.5}
    rows = [
        {"turn": turn, "part": part, "seconds": value * 1.1**turn * (1 + disturbed * (turn % 2) * (part == "adaloss"))}
        for part, value in (times | seconds).items()
        for turn in range(20)
    ]
    config = {"model": {"width": 384, "depth": 12}, "batch": 2}
    return sweep("cost", [(config, rows, {"parameters": 10**7, "tensors": 9})])


def lstm(name, losses=(), train=(), b=(), accuracy=(), methods=("adamloss", "adam", "adam_sqrt"), each="pooling"):
    """Two readings of ``each`` and another corpus, twelve seeds.

    What is given replaces what is of a b0 (``accuracy``: a method), or of that in one reading or on the corpus "bbc".
    """
    cells, iteration = [], np.arange(1, 301)
    readings = {name: {each: name} for name in {"pooling": ("mean", "last"), "hidden": (32, 64)}[each]}
    for reading, fields in (readings | {"bbc": {"data": {"name": "bbc"}}}).items():
        for method in methods:
            for b0, end in zip((0.1, 1, 400), (0.02, 0.02, 0.018), strict=True):

                def of(given, key, otherwise, reading=reading):
                    return dict(given).get((key, reading), dict(given).get(key, otherwise))

                loss = np.linspace(0.7, end, 300)
                loss[1:20] = 3.0 if b0 < 400 else loss[1:20]
                history = {"iteration": iteration, "loss": of(losses, b0, loss)}
                history["b"] = of(b, b0, np.minimum(b0 + 4.0 * iteration, 101.0))
                result = {"test_accuracy": of(accuracy, method, 0.95 if method == "adamloss" else 0.9)}
                result |= {"train_loss": of(train, b0, end), "bag_of_words_accuracy": 0.7}
                config = {"method": {"name": method}, "data": {"name": "news"}, "pooling": "mean", "hidden": 64}
                cells.append((config | {"b0": b0} | fields, history, result))
    return sweep(name, cells, 12)
