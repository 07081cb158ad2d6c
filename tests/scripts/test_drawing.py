"""Every script from made-up runs: it says what it writes, and the claims of the paper follow its messages."""

import re
from importlib import import_module

import pandas as pd
import pytest

from experiments.runs.registry import listed
from scripts import figure_1, figure_6
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
    test_figure_stochastic,
    test_figure_suggest,
    test_gram_and_bounds,
    test_table_1,
    test_theorem_3,
)
from tests.scripts.synthetic import saved, start


def burn_in(root):
    """b stays below half of eta lambda_1 over three iterations, in which the error of the one direction grows."""
    config = {"method": {"name": "adaloss"}, "b0": 0.1, "data": {"eigenvalues": [1.0]}}
    history = {"iteration": [1, 2, 3], "loss": 1.0, "step": 5.0, "s_1": [1.0, 2.0, 3.0]}
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
    "figure_6": lambda root: test_b0_panels.network_runs(root, problems=[*figure_6.SHOWN][:1], seeds=[0]),
    "figure_bounds": test_gram_and_bounds.bound_runs,
    "figure_burn_in": burn_in,
    "figure_c": test_c.runs_of,
    "figure_compare": lambda root: test_figure_compare.runs(root, ["noisy_regression"], seeds=[0]),
    "figure_critical_step": lambda root: test_critical_step.runs_of(root, (2.0, 2.0)),
    "figure_stochastic": test_figure_stochastic.runs,
    "figure_suggest": test_figure_suggest.runs,
    "figure_theorem_3": test_theorem_3.runs_of,
    "table_1": test_table_1.runs,
}
# script -> key, and what the sentence is about by which claims of the paper mean it
KEYS = {
    "figure_1": {
        "diverges": "SGD-Constant diverges",
        "adaloss_robust": "AdaLoss ends within",
        "adagrad_norm_robust": "AdaGrad-Norm ends within",
        "not_better_first": "not better than AdaGrad-Norm in iterations [101, 200]",
        "outperforms": "after 5000 iterations AdaLoss outperforms",
    },
    "figure_3": {
        "robust": "AdamLoss is very robust",
        "sensitive": "Adam is extremely sensitive",
        "better_start": "eta_0",
    },
    "figure_3_readings": {"robust": "AdamLoss is very robust"},
    "figure_5": {"independent_of_n": "nearly independent of n"},
    "figure_6": {"adaloss_alike": "AdaLoss ends alike", "almost_the_same": "almost the same as or even better"},
    "figure_burn_in": {"grows_while": "grows while b_{t+1} <= eta lambda_i / 2"},
    "figure_c": {"stops": "b stops", "first": "first to bring", "nearer": "c = 0 ends", "keeps_growing": "not stop b"},
    "figure_critical_step": {"calm_below": "never exceeds its start"},
    "figure_stochastic": {"rate": "linear rate"},
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


@pytest.mark.parametrize("name", KEYS)
def test_claims_mean_the_sentences_of_their_keys(name):
    script, sweep = import_module(f"scripts.{name}"), Sweep(name, RUNS[name](None))
    meant = [claim.measure for claim in script.CLAIMS if getattr(claim.measure, "func", None) is by_key]
    assert {key for measure in meant for key in measure.keywords["keys"]} == {*KEYS[name]}
    assert all(measure(sweep).measured for measure in meant)
    for key, words in KEYS[name].items():
        sentences = [message.sentence for message in script.decided(sweep) if message.key == key]
        assert sentences == [m.sentence for m in script.decided(sweep) if words in m.sentence] != []


def test_every_script_is_tried():
    assert {*RUNS} == {name for name, one in listed().items() if one.part in ("paper", "compare")}
    assert {*KEYS} == {name for name in RUNS if hasattr(import_module(f"scripts.{name}"), "decided")}


def test_messages_become_verdicts():
    def found(sweep, *keys):
        return by_key(sweep, decided=figure_1.decided, keys=keys or ["outperforms", "diverges"])

    assert found(made.figure_1()).verdict == REPRODUCED
    assert "better at 4, worse at 0 of 4 values of b0" in found(made.figure_1()).measured
    # a problem is named alone where it has one sentence
    assert "SGD-Constant" in found(made.figure_1()).measured
    assert "SGD-Constant" not in found(made.figure_1(), "diverges").measured
    worse = {"adaloss": (2.0, 1.0, 3e-9)}
    assert found(made.figure_1(losses=worse)).verdict == PARTLY
    assert found(made.figure_1(losses=worse, constant={0.1: 1e-9, 0.5: 1e-9})).verdict == NOT_REPRODUCED
    undecided = made.figure_1(constant={0.1: 1.0, 0.5: 1.0})
    for run in undecided.runs:
        run.summary["result"]["lambda_1"] = 0.1  # no b0 is below half of it
    assert found(undecided, "diverges").verdict == NOT_RUN
    with pytest.raises(ClaimError, match=r"^the sweep figure_1 decides no diverges, fails$"):
        found(made.figure_1(), "diverges", "fails")
