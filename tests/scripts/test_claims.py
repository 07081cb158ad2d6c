"""The list of claims, the two tables that scripts.claims writes, and how it refuses."""

import inspect
import json
import re
import shutil
from collections import Counter

import pandas as pd
import pytest

from experiments.runs.registry import listed
from experiments.runs.store import Store
from scripts.claims.claim import CODE, FALSE, NOT_CHECKABLE, NOT_RUN, PAPER, VERDICTS
from scripts.claims.errata import counterexample
from scripts.claims.listed import ORDER, claims
from scripts.shared.marks import digest
from tests.scripts import claim_runs as made
from tests.scripts.synthetic import cells, check, refusal, saved, start

CLAIMS = claims()
BY_ID = {claim.id: claim for claim in CLAIMS}


def test_every_statement_is_there_once_and_short():
    assert len(CLAIMS) == len(BY_ID) >= 45
    assert {*ORDER} <= {*BY_ID}
    for claim in CLAIMS:
        assert re.fullmatch(r"[a-z0-9.-]+", claim.id) and 1 <= len(claim.quote.split()) <= 15, claim.id
        assert claim.place and claim.tolerance and claim.source in (PAPER, CODE), claim.id
        if claim.sweep is None:
            continue
        assert claim.at_paper_scale, claim.id
        if getattr(claim.measure, "func", None) is counterexample:
            assert claim.corrected, claim.id
        inspect.signature(claim.measure).bind(None)  # nothing is missing
    assert {name for claim in CLAIMS for name in claim.sweeps} <= {*listed()}


def test_every_figure_theorem_and_table_has_a_claim():
    places = " ".join(claim.place for claim in CLAIMS)
    named = ["Lemma 1", "Theorem 1", "Theorem 2", "Theorem 3(a)", "Theorem 3(b)", "Corollary 1", "Proposition 1"]
    named += ["Assumption 1", "Assumption 2", "Table 1", *(f"Figure {k}" for k in range(1, 7) if k != 2), "Figures 2"]
    assert [name for name in named if name not in places] == []


def test_the_cells_of_the_papers_tables():
    """By hand, one of each kind."""
    of = {"paper": 68.34, "best": (10, 90.83), "method": "adagrad_norm_rowwise", "b0": 0.01}
    assert BY_ID["table-1-adagrad-norm-0.01"].measure.keywords == of | {"tolerance": 1.0, "far": 5.0}
    for name, quote, place, paper, best in (
        ("table-1-adagrad-norm-0.01", "68.34 ± 2.87", "Table 1, AdaGrad-Norm, b0 = 0.01", 68.34, (10, 90.83)),
        ("table-1-sgd-constant-0.1", "N/A", "Table 1, SGD_Constant, b0 = 0.1", None, (10, 90.36)),
        (
            "resnet-sgd-decaysqrt-1",
            "83.98 ± 0.13",
            "the code's second table, SGD-DecaySqrt, b0 = 1",
            83.98,
            (10, 84.79),
        ),
    ):
        cell = BY_ID[name]
        assert (cell.quote, cell.place, cell.paper) == (quote, place, paper)
        assert (cell.measure.keywords["paper"], cell.measure.keywords["best"]) == (paper, best)
    assert [sum(claim.sweep == name for claim in CLAIMS) for name in ("table_1", "table_2")] == [21, 20]


@pytest.fixture
def root(tmp_path):
    saved(tmp_path, "errata", cells(made.errata().runs))
    saved(tmp_path, "figure_bounds", cells(made.bounds().runs))
    return tmp_path


def decided(root, monkeypatch):
    start("claims", monkeypatch, "--runs", root, "--figures", root / "figures")
    return pd.read_csv(root / "figures/claims.csv", comment="#", keep_default_na=False).set_index("id")


def test_the_table_has_a_row_for_every_claim_and_is_of_its_runs(root, monkeypatch, capsys):
    found = decided(root, monkeypatch)
    columns = ["id", "source", "place", "quote", "measured", "paper", "tolerance", "verdict", "runs"]
    assert found.reset_index().columns.tolist() == columns
    assert found.index.tolist() == list(BY_ID)
    for name, row in found.iterrows():
        if BY_ID[name].sweep is None:
            assert (row.verdict, row.measured, row.runs) == (NOT_CHECKABLE, BY_ID[name].tolerance, "none: none")
            continue
        there = BY_ID[name].sweep in ("errata", "figure_bounds")
        assert (row.verdict == NOT_RUN) == (not there), name
        assert (row.runs == f"{', '.join(BY_ID[name].sweeps)}: none") == (not there), name
        assert (BY_ID[name].cannot_fail or BY_ID[name].tolerance) in row.tolerance
    runs = Store(root).load_sweep("errata")
    [run] = [run for run in runs if run.config["number"] == 2]
    assert found.runs["lemma-1-exit"] == f"errata: {run.id}"
    assert found.runs["lemma-1-adaloss"].split()[1:] == sorted(
        run.id for run in Store(root).load_sweep("figure_bounds")
    )
    counts = Counter(found.verdict)
    line = f"{len(found)} claims: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    assert counts[FALSE] == 5 and capsys.readouterr().out.endswith(f"{line}\n")
    head = json.loads((root / "figures/claims.csv").read_text().splitlines()[0].removeprefix("# "))
    assert (head["sweep"], head["runs"]) == ("errata, figure_bounds", 9 + 2)
    page = (root / "figures/claims.md").read_text()
    assert f"{line}." in page and "2b0 ≥ η sup \\|\\|x_i\\|\\|²" in page
    assert "\npython -m experiments.two_layer sweep=figure_6 scale=laptop\n" in page
    assert all(f"| {name} |" in page for name in BY_ID)
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {4, 5, 7, 8}


def test_provenance_finds_the_runs_of_both_tables(root, monkeypatch, capsys):
    decided(root, monkeypatch)
    files = [root / "figures/claims.csv", root / "figures/claims.md"]
    status, out, _ = check(monkeypatch, capsys, *files, "--runs", root)
    assert status == 0 and out.count(f"11 runs in {root} are as they were saved") == 2
    shutil.rmtree(root / "made_up")
    saved(root, "errata", cells(made.errata().runs)[:3])
    status, _, [line] = check(monkeypatch, capsys, files[0], "--runs", root)
    assert status == 1 and "draw it again: python -m scripts.claims" in line


def test_many_runs_are_counted(root, monkeypatch):
    runs = saved(root, "figure_1", cells(made.figure_1().runs))
    row = decided(root, monkeypatch).loc["smaller-addition"]
    assert row.runs == f"figure_1: {len(runs)} runs, digest {digest(run.id for run in runs)}"


def test_no_sweep_of_the_paper(tmp_path, monkeypatch, capsys):
    saved(tmp_path, "of_somebody", cells(made.errata().runs))
    found = decided(tmp_path, monkeypatch)
    assert {*found.verdict} == {NOT_RUN, NOT_CHECKABLE}
    assert f"{(found.verdict == NOT_RUN).sum()} {NOT_RUN}\n" in capsys.readouterr().out


def refused(root, monkeypatch):
    line = refusal("claims", monkeypatch, "--runs", root, "--figures", root / "figures")
    assert not (root / "figures").exists()
    return line


def test_a_run_that_is_gone_or_corrupt_is_an_error(root, monkeypatch):
    run = Store(root).load_sweep("figure_bounds")[0]
    (run.path / "history.parquet").write_bytes(b"x")
    command = f"python -m experiments.bounds sweep=figure_bounds scale=laptop runs={root}"
    assert refused(root, monkeypatch) == (
        f"error: {run.path}/history.parquet: missing or not as it was saved; delete {run.path} and run the sweep "
        f"again: {command}"
    )
    (run.path / "summary.json").unlink()
    line = f"error: {run.path}: run missing or unreadable; delete it and run the sweep again: {command}"
    assert refused(root, monkeypatch) == line


def test_runs_that_cannot_decide_name_the_claim(root, monkeypatch):
    saved(root, "errata", cells(made.errata().runs)[:3])
    assert refused(root, monkeypatch) == (
        "error: claim 'threshold-of-two-rates': erratum 6: 0 runs of it in the sweep errata, one is needed"
    )
