"""Every script from made-up runs: it says what it writes, and the claims of the paper follow its messages."""

import re
from importlib import import_module

import pandas as pd
import pytest

from experiments.runs.registry import listed
from scripts import figure_1
from scripts.claims.claim import NOT_REPRODUCED, NOT_RUN, PARTLY, REPRODUCED, ClaimError, Sweep, by_key
from tests.scripts import claim_runs as made
from tests.scripts import (
    test_b0_panels,
    test_c,
    test_critical_step,
    test_figure_2,
    test_figure_3,
    test_figure_4,
    test_figure_compare,
    test_figure_suggest,
    test_gram_and_bounds,
    test_table_1,
    test_theorem_3,
)
from tests.scripts.synthetic import saved, start


def burn_in(root, last=3.0):
    """b stays below half of eta lambda_1 over three iterations, in which the error of the one direction grows."""
    config = {"method": {"name": "adaloss"}, "b0": 0.1, "data": {"eigenvalues": [1.0]}}
    history = {"iteration": [1, 2, 3], "loss": 1.0, "step": 5.0, "s_1": [1.0, 2.0, last]}
    return saved(root, "figure_burn_in", [(config, history, {"lambda_1": 1.0})])


RUNS = {
    "figure_1": lambda root: test_b0_panels.regression_runs(root, seeds=[0]),
    "figure_2": test_figure_2.runs,
    "figure_2_overlap": test_figure_2.overlapping,
    "figure_2_readings": test_figure_2.readings,
    "figure_3": test_figure_3.runs,
    "figure_3_readings": test_figure_3.readings,
    "figure_4": test_figure_4.runs,
    "figure_4_width": test_figure_4.widths,
    "figure_5": test_gram_and_bounds.gram_runs,
    "figure_6": lambda root: test_b0_panels.network_runs(root, seeds=[0]),
    "figure_bounds": test_gram_and_bounds.bound_runs,
    "figure_burn_in": burn_in,
    "figure_c": test_c.runs_of,
    "figure_compare": test_figure_compare.runs,
    "figure_critical_step": lambda root: test_critical_step.runs_of(root, (2.0, 2.0)),
    "figure_suggest": test_figure_suggest.runs,
    "figure_theorem_3": test_theorem_3.runs_of,
    "table_1": test_table_1.runs,
}
# where claims refer to a script's messages: the key of one that those runs bear out, and runs that do not
OTHERWISE = {
    "figure_3": ("robust", lambda root: test_figure_3.runs(root, adamloss=test_figure_3.RISING)),
    "figure_3_readings": ("robust", lambda root: test_figure_3.readings(root, test_figure_3.RISING)),
    "figure_5": (
        "independent_of_n",
        lambda root: test_gram_and_bounds.gram_runs(root, test_gram_and_bounds.times("lambda_max", 0.8, n=50, d=50)),
    ),
    "figure_6": (
        "almost_the_same",
        lambda root: test_b0_panels.network_runs(root, test_b0_panels.ENDS | {"adaloss": (1e-5, 1e-5, 1e-4)}),
    ),
    "figure_burn_in": ("grows_while", lambda root: burn_in(root, 1.5)),
    "figure_c": ("first", lambda root: test_c.runs_of(root, there=test_c.THERE | {2.0: 10})),
    "figure_critical_step": (
        "calm_below",
        lambda root: test_critical_step.runs_of(root, (2.0, 2.0), instead={(100, 0, 1.9): test_critical_step.GREW}),
    ),
    "figure_theorem_3": ("apart", lambda root: test_theorem_3.runs_of(root, apart={100: 0.2, 1000: 0.8})),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_script_says_what_it_writes(name, tmp_path, monkeypatch, capsys):
    RUNS[name](tmp_path)
    start(name, monkeypatch, "--runs", tmp_path, "--figures", tmp_path / "figures")
    messages = pd.read_csv(tmp_path / f"figures/{name}_messages.csv", comment="#")
    said = re.findall(r"^  \[(holds|FAILS| open)\] (.*)\n {10}(.*)$", capsys.readouterr().out, flags=re.MULTILINE)
    words = {"holds": True, "FAILS": False}
    assert [(words.get(verdict), *rest) for verdict, *rest in said] == [
        (None if pd.isna(row.holds) else row.holds in (True, "True"), f"{row.problem}: {row.sentence}", row.evidence)
        for row in messages.itertuples()
    ]
    files = {file.name for file in (tmp_path / "figures").iterdir()}
    pictures = {name.removesuffix(".png") for name in files if name.endswith(".png")}
    assert files >= {f"{picture}.{kind}" for picture in pictures for kind in ("pdf", "csv")} | {f"{name}.csv"}
    assert name in pictures or files == {"table_1.csv", "table_1.md", "table_1.tex", "table_1_messages.csv"}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_claim_follows_the_scripts_messages(name):
    script, (key, otherwise) = import_module(f"scripts.{name}"), OTHERWISE[name]
    for runs, verdicts in ((RUNS[name], {REPRODUCED}), (otherwise, {NOT_REPRODUCED, PARTLY})):
        sweep = Sweep(name, runs(None))
        found = by_key(sweep, decided=script.decided, keys=[key])
        assert found.verdict in verdicts, found.measured
    for claim in script.CLAIMS:
        if getattr(claim.measure, "func", None) is by_key:
            assert claim.measure(sweep).measured  # no key is missing


def test_every_script_is_tried():
    assert {*RUNS} == {name for name, one in listed().items() if one.part in ("paper", "compare")}
    assert {*OTHERWISE, "figure_1"} == {name for name in RUNS if hasattr(import_module(f"scripts.{name}"), "decided")}


def test_messages_become_verdicts():
    def found(sweep, *keys):
        return by_key(sweep, decided=figure_1.decided, keys=keys or ["outperforms", "diverges"])

    assert found(made.figure_1()).verdict == REPRODUCED
    assert "better at 4, worse at 0 of 4 values of b0" in found(made.figure_1()).measured
    worse = {"adaloss": (2.0, 1.0, 3e-9)}
    assert found(made.figure_1(losses=worse)).verdict == PARTLY
    assert found(made.figure_1(losses=worse, constant={0.1: 1e-9, 0.5: 1e-9})).verdict == NOT_REPRODUCED
    undecided = made.figure_1(constant={0.1: 1.0, 0.5: 1.0})
    for run in undecided.runs:
        run.summary["result"]["lambda_1"] = 0.1  # no b0 is below half of it
    assert found(undecided, "diverges").verdict == NOT_RUN
    with pytest.raises(ClaimError, match=r"^the sweep figure_1 decides no diverges, fails$"):
        found(made.figure_1(), "diverges", "fails")
