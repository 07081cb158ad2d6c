"""Figure 5 and the bounds' figure from made-up runs."""

import numpy as np
import pytest

from scripts import figure_5, figure_bounds, figure_networks
from tests.scripts.synthetic import saved

SPHERE = [(800, d) for d in (3200, 1600, 800, 200, 50)] + [(n, n) for n in (50, 200)]
DIGITS = (50, 100, 400)


def edge(n, d, sign):
    return 0.25 + (1 + sign * np.sqrt(n / d)) ** 2 / 4


def gram_runs(root, change=None):
    """Spectra at the edges of Marchenko-Pastur, lambda_0 = 0.2 for n > d; ``change(row, seed)`` alters one run."""
    cells = []
    for data, n, d in [("sphere", *size) for size in SPHERE] + [("digits", n, 64) for n in DIGITS]:
        for seed in range(8):
            top = edge(n, d, 1) if data == "sphere" else 0.26 * n
            bottom = 0.01 if data == "digits" else edge(n, d, -1) if n <= d else 0.2
            row = {"data": data, "n": n, "d": d, "lambda_min": bottom, "lambda_max": top}
            row |= {"k_min": 0.0, "k_max": 2.4 * top, "expected_min": edge(n, d, -1), "expected_max": edge(n, d, 1)}
            if change:
                change(row, seed)
            cells.append(({"data": {"name": row.pop("data")}, "seed": seed}, [row], {}))
    return saved(root, "figure_5", cells)


def said(runs):
    table = figure_5.measured(runs)
    return figure_5.messages(table, figure_5.over_seeds(table))


def test_spectra_at_the_edges_bear_every_sentence_out():
    found = said(gram_runs(None))
    assert [message.holds for message in found] == [True] * 6
    # 1/4 + (1 + 1)^2 / 4 and 1/4 + (1 + 4)^2 / 4
    assert found[0].evidence.startswith("||H_inf|| = 1.25 at n/d = 1 and 6.5 at n/d = 16 (n/(4d) = 4)")
    assert found[0].evidence.endswith("0.25: 0.812, 0.5: 0.979, 1: 1.25, 4: 2.5, 16: 6.5")
    assert found[1].evidence.endswith("8 seeds: 1 [1, 1]")
    assert found[4].evidence == "0 of 80 runs against it"
    assert found[5].evidence.startswith("||H_inf|| / n from 0.26 to 0.26; at n = 400 ||H_inf|| = 104")


def times(column, factor, seeds=range(8), **where):
    def change(row, seed):
        if seed in seeds and all(row[key] == value for key, value in where.items()):
            row[column] *= factor

    return change


@pytest.mark.parametrize(
    ("change", "failing", "evidence"),
    [
        (
            times("lambda_max", 0.61, d=50, n=800),
            {0, 2},
            "||H_inf|| = 1.25 at n/d = 1 and 3.965 at n/d = 16 (n/(4d) = 4)",
        ),
        (
            times("lambda_max", 0.83, n=50, d=50),
            {1, 2},
            "greatest over least norm while n grows",
        ),
        (times("lambda_max", 0.82, d=3200), {2}, "greatest deviation 18.0% at n = 800, d = 3200"),
        (
            times("lambda_min", 1.06, d=1600),
            {3},
            "greatest deviation for n < d 6.0%; for n > d by n/d: 4: 0.2, 16: 0.2",
        ),
        (times("lambda_min", 1.3, seeds=(1,), d=50, n=800), {3}, "greatest deviation for n < d 0.0%"),
        (times("k_max", 0.5, seeds=(1,), d=3200), {4}, "1 of 80 runs against it"),
        (times("lambda_max", 1.15, data="digits", n=100), {5}, "||H_inf|| / n from 0.26 to 0.299; at n = 400"),
    ],
)
def test_each_sentence_of_figure_5_can_fail(change, failing, evidence):
    found = said(gram_runs(None, change))
    assert {k for k, message in enumerate(found) if not message.holds} == failing
    assert found[min(failing)].evidence.startswith(evidence)


def test_one_odd_seed_moves_the_range_and_not_the_median():
    drawn = figure_5.over_seeds(figure_5.measured(gram_runs(None, times("lambda_max", 3.0, seeds=(2,), d=200))))
    row = drawn[(drawn.data == "sphere") & (drawn.d == 200) & (drawn.n == 800)].iloc[0]
    np.testing.assert_allclose([row.lambda_max, row.lambda_max_least, row.lambda_max_greatest], [2.5, 2.5, 7.5])
    assert (row.ratio, row.seeds) == (4.0, 8)


def bound_runs(root, broken=None):
    """For each method 100 problems in d = 2 and 7; ratios of bound to measured are 2, 3, ... in a shuffled order."""
    rng, cells = np.random.default_rng(0), []
    for p in (1, 2):
        for d in (2, 7):
            ratio = 2.0 + rng.permutation(100)
            table = {"beta_0": np.repeat([0.2, 1.0], 50), "beta_1": np.repeat([0.3, 2.0], 50), "condition": 10.0}
            table |= {"stopped": np.arange(100) % 10 == 0, "exit_index": np.repeat([4.0, 0.0], 50)}
            table |= {"b_end": 3.0, "b_max": 3.0 * ratio, "b_max_headline": 6.0 * ratio}
            for name, factor in {"best": 5, "two": 6, "log": 20, "paper": 50}.items():
                table |= {f"exit_{name}_0": factor * ratio - 1, f"exit_{name}_4": factor * ratio / 2 - 1}
            for q in (0, 1):
                table |= {f"t_{q}": 10.0, f"t_{q}_bound": 10 * ratio, f"t_{q}_first": 5 * ratio}
                table |= {f"t_{q}_unrolled": 2 * ratio, f"t_{q}_restarted": 20 * ratio, f"t_{q}_least": 10 / ratio}
            for name in ("b", "n"):
                table[f"violations_{name}"] = np.zeros(100, dtype=int)
            if (p, d) == broken:
                table["violations_n"][[3, 30]] = 1, 2
            cells.append(({"p": p, "d": d}, table, {}))
    return saved(root, "figure_bounds", cells)


def test_no_violation_holds_and_a_single_one_fails_its_method():
    checked = "200 problems, d = 2..7, 20 of them stopped early (then one-sided checks); b: 0, n: "
    found = figure_bounds.messages(figure_bounds.problems(bound_runs(None)))
    assert [(m.problem, m.holds, m.evidence) for m in found[::2]] == [
        ("AdaLoss", True, checked + "0"),
        ("AdaGrad-Norm", True, checked + "0"),
    ]
    found = figure_bounds.messages(figure_bounds.problems(bound_runs(None, broken=(2, 7))))
    assert [(m.holds, m.evidence) for m in found[::2]] == [(True, checked + "0"), (False, checked + "3")]
    assert [m.holds for m in found[1::2]] == [True, False]


def test_quantiles_of_bound_over_measured():
    runs = bound_runs(None)
    made = figure_bounds.quantiles(figure_bounds.problems(runs)).set_index("bound")

    def expected(column, over, chosen):
        values = np.sort(np.concatenate([(run.history[column] / over)[chosen(run.history)] for run in runs]))
        return [len(values), *(values[int(np.floor((len(values) - 1) * q))] for q in (0.5, 0.9, 0.99))]

    finished = expected("b_max", 3.0, lambda h: ~h.stopped)
    assert finished[0] == 4 * 90
    assert made.loc["b_max, sharp"].tolist() == finished
    exited = expected("exit_best_4", 5.0, lambda h: h.index < 50)
    row = made.loc["N + 1, least of all, after 4 exact steps"].tolist()
    assert row == pytest.approx([exited[0], *(v + 0.2 for v in exited[1:])])
    said = figure_bounds.messages(figure_bounds.problems(runs))[1].evidence
    both = np.sort(np.concatenate([run.history.exit_two_0[:50] + 1 for run in runs[:2]])) / 5
    assert "a priori: Lemma 1 as printed" in said and f"two {both[49]:.3g} and {both[89]:.3g}, least" in said
    least, finished = made.loc["T, measured over its lower bound"], expected("b_max", 3.0, lambda h: ~h.stopped)
    assert least.tolist() == pytest.approx([2 * finished[0], *finished[1:]])  # 10 / (10 / ratio), as b_max / b_end
    small = expected("t_0_first", 10.0, lambda h: (h.index < 50) & ~h.stopped)
    name = "T, b_0 < 0.4 eta lambda_1, first step exact"
    assert made.loc[name].tolist() == pytest.approx([2 * small[0], *small[1:]])  # q = 0 and 1 alike


def network_runs(root, broken=False):
    table = {"adversarial": [False, False, True], "alpha": [0.0, 0.5, 0.5], "n": 3, "d": 4, "m": 50}
    table |= {"unstable": [0, 2, 1], "burn_in": [0, 1, 0], "stopped": [False, True, False]}
    table |= {"steps": [5, 9, 7], "bound": [6.0, 1e5, 7.0]}
    table |= {"violations_size": [0, 0, int(broken)], "violations_b": 0}
    return saved(root, "figure_networks", [({"seed": 0}, table, {})])


def test_a_single_broken_promise_fails_its_kind():
    for broken in (False, True):
        real, adversarial = figure_networks.messages(figure_networks.networks(network_runs(None, broken)))
        assert real.holds and real.evidence == (
            "2 networks, 1 of them gradient descent, 1 with pairs that may flip, 1 with a burn-in, 1 stopped early; "
            "size: 0, b: 0"
        )
        assert adversarial.holds is not broken
