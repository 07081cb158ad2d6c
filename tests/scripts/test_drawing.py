"""Every script from made-up runs: it says what it writes, and the claims of the paper follow its messages."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from experiments.runs.registry import listed
from scripts import figure_6, table_1_controls
from scripts.claims.claim import NOT_REPRODUCED, NOT_RUN, PARTLY, REPRODUCED, ClaimError, Sweep, by_key
from scripts.shared.output import Message, command
from scripts.table_1 import over_seeds
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
    test_gram_and_bounds,
    test_table_1,
    test_theorem_3,
)
from tests.scripts.synthetic import cells, saved, start


def burn_in(root):
    """b stays below half of eta lambda_1 over three iterations, in which the error of the one direction grows."""
    config = {"method": {"name": "adaloss"}, "b0": 0.1, "data": {"eigenvalues": [1.0]}}
    history = {"iteration": [1, 2, 3], "loss": 1.0, "step": 5.0, "s_1": [1.0, 2.0, 3.0]}
    return saved(root, "figure_burn_in", [(config, history, {"lambda_1": 1.0})])


def second_table(root):
    """The first table's, without the textbook's AdaGrad-Norm."""
    curves = {method: curve for method, curve in test_table_1.AS_PRINTED.items() if method != "adagrad_norm"}
    return saved(root, "table_2", cells(test_table_1.runs(None, curves)))


def controls(root):
    """A network, one of which the head alone is trained, and one on other data."""
    curves = {"adaloss": {0.01: 0.9, 10: 0.8}, "adagrad_norm_rowwise": {0.01: 0.7, 10: 0.8}}
    whole = cells(test_table_1.runs(None, curves, seeds=1))

    def changed(accuracy, **fields):
        return [(config | fields, history, result | {"test_accuracy": accuracy}) for config, history, result in whole]

    return saved(root, "table_1_controls", whole + changed(0.5, frozen=2) + changed(0.4, data={"name": "mnist"}))


@pytest.mark.parametrize("place", [
    "/tmp/a-b.c/d_1", "runs", "my runs", "renée", "old (1)", "[x]", "{a}", "a,b", "a=b", "~/x", "<&;#$>", "null", "12",
    "1e5", "o'b", 'say "hi"', "back\\slash", "at the end\\", '\\"', '\\\\"\\\\', "two\nlines", "${x}",
])  # fmt: skip
def test_a_command_that_is_named_can_be_pasted(place):
    *words, runs = shlex.split(command("figure_5", "smoke", Path(place)))
    assert words == ["python", "-m", "experiments.gram", "sweep=figure_5", "scale=smoke"]
    found = OverridesParser.create().parse_override(runs)
    assert (found.key_or_group, found.value()) == ("runs", place)
    if place == "/tmp/a-b.c/d_1":  # quotes only where they are needed
        assert runs == f"runs={place}"


def test_what_the_controls_say():
    found = table_1_controls.messages(over_seeds(controls(None)))
    assert [message.holds for message in found] == [True, True, True, False, False]
    assert found[0].evidence == "50.00 and 90.00" and found[-1].problem.startswith("mnist, ")


def over_eta(root):
    """One eta is good from both b0, another from the larger."""
    of = {(0.1, 0.01): 0.9, (0.1, 1): 0.88, (1, 0.01): 0.1, (1, 1): 0.9}
    return saved(root, "figure_eta", [
        ({"method": {"name": "adaloss"}, "eta": eta, "b0": b0, "seed": 0}, {"iteration": [1]},
         {"classes": 10, "validation_accuracy": accuracy}) for (eta, b0), accuracy in of.items()
    ])  # fmt: skip


def on_articles(root):
    """Both readings of the LSTM, with what Figure 4 draws."""
    of = [test_figure_2.cells(test_figure_2.PRINTED, pooling, seeds=1) for pooling in ("mean", "last")]
    more = {"loss": [0.7, 0.6, 0.5, 0.4], "b": [1.0, 2.0, 3.0, 4.0]}
    return saved(root, "figure_2_bbc", [(c | {"hidden": 64}, h | more, result) for some in of for c, h, result in some])


RUNS = {
    "figure_1": lambda root: test_b0_panels.regression_runs(root, seeds=[0]),
    "figure_2": test_figure_2.runs,
    "figure_2_bbc": on_articles,
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
    "figure_certificates": lambda root: made.certificates(root, at=2).runs,
    "figure_compare": lambda root: test_figure_compare.runs(root, ["noisy_regression"], seeds=[0]),
    "figure_critical_step": lambda root: test_critical_step.runs_of(root, (2.0, 2.0)),
    "figure_networks": test_gram_and_bounds.network_runs,
    "figure_stochastic": test_figure_stochastic.runs,
    "figure_eta": over_eta,
    "figure_theorem_3": test_theorem_3.runs_of,
    "table_1": test_table_1.runs,
    "table_1_controls": controls,
    "table_2": second_table,
}
# script -> key, and what the sentence is about by which claims of the paper mean it
KEYS = {
    "figure_burn_in": {"grows_while": "grows while b_{t+1} <= eta lambda_i / 2"},
    "figure_stochastic": {"rate": "linear rate"},
}


@pytest.mark.parametrize("name", RUNS)
def test_a_script_says_what_it_writes(name, tmp_path, monkeypatch, capsys):
    RUNS[name](tmp_path)
    start(name, monkeypatch, "--runs", tmp_path, "--figures", tmp_path / "figures")
    messages = pd.read_csv(tmp_path / f"figures/{name}_messages.csv", comment="#", dtype=str, keep_default_na=False)
    said = re.findall(r"^  \[(holds|FAILS| open)\] (.*)\n {10}(.*)$", capsys.readouterr().out, flags=re.MULTILINE)
    words = {"holds": True, "FAILS": False}
    assert [(words.get(verdict), *rest) for verdict, *rest in said] == [
        (
            {"True": True, "False": False}.get(row.holds),
            f"{row.problem}: {row.sentence}",
            row.evidence,
        )
        for row in messages.itertuples()
    ]
    files = {file.name for file in (tmp_path / "figures").iterdir()}
    pictures = {name.removesuffix(".png") for name in files if name.endswith(".png")}
    assert files >= {f"{picture}.{kind}" for picture in pictures for kind in ("pdf", "csv")} | {f"{name}.csv"}
    assert name in pictures or {f"{name}{kind}" for kind in (".csv", ".md", "_messages.csv")} <= files


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
    assert {*RUNS} == {name for name, one in listed().items() if one.part != "facts"}
    assert {*KEYS} == {name for name in RUNS if hasattr(import_module(f"scripts.{name}"), "decided")}


def test_messages_become_verdicts():
    def found(holds, *keys):
        messages = [Message("p", f"sentence {k}", one, f"{k}", key="abc"[k]) for k, one in enumerate(holds)]
        return by_key(made.errata(), decided=lambda sweep: messages, keys=keys or ["a", "b"])

    assert found([True, True]).verdict == REPRODUCED and "p: sentence 0: 0" in found([True, True]).measured
    # a problem is named alone where it has one sentence
    assert found([True], "a").measured == "p: 0"
    assert found([True, False]).verdict == PARTLY and found([False, False]).verdict == NOT_REPRODUCED
    assert found([None], "a").verdict == NOT_RUN
    with pytest.raises(ClaimError, match=r"^the sweep errata decides no a, d$"):
        found([True], "a", "d")
