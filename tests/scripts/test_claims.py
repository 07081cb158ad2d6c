"""The claims' file, the two tables that scripts/claims.py writes, and how it refuses."""

import json
import re
import shutil
from collections import Counter

import pandas as pd
import pytest
import yaml

from scripts import claims as script
from scripts import table_1
from scripts.claim_measures import MEASURES
from scripts.claim_measures.claim import load
from scripts.claim_measures.finding import FALSE, NOT_RUN, REPRODUCED, VERDICTS, ClaimError
from scripts.provenance import digest
from tests.experiments.launch import ROOT
from tests.scripts import claim_runs as made
from tests.scripts.synthetic import saved, start

CLAIMS = load(script.FILE)
BY_ID = {claim.id: claim for claim in CLAIMS.claims}


# The file


def test_every_statement_is_there_once_and_can_be_measured():
    assert len(CLAIMS.claims) == len(BY_ID) >= 45
    assert {claim.measure for claim in CLAIMS.claims} == set(MEASURES)
    for claim in CLAIMS.claims:
        assert len(claim.quote.split()) <= 15 and claim.tolerance.reason and claim.at_paper_scale, claim.id
        if claim.measure == "counterexample":
            assert claim.corrected, claim.id
    assert {claim.sweep for claim in CLAIMS.claims} == set(CLAIMS.sweeps)


def test_every_figure_theorem_and_table_has_a_claim():
    places = " ".join(claim.place for claim in CLAIMS.claims)
    named = ["Lemma 1", "Theorem 1", "Theorem 2", "Theorem 3(a)", "Theorem 3(b)", "Corollary 1", "Proposition 1"]
    named += ["Assumption 1", "Assumption 2", "Table 1", *(f"Figure {k}" for k in range(1, 7) if k != 2), "Figures 2"]
    assert [name for name in named if name not in places] == []


def test_the_table_of_the_paper_is_the_scripts():
    cells = [claim for claim in CLAIMS.claims if claim.sweep == "table_1" and claim.measure == "accuracy"]
    found = {}
    for claim in cells:
        values = claim.parameters
        number = None if claim.paper is None else (claim.paper, values["std"])
        found.setdefault(values["method"], {})[values["b0"]] = number
        assert claim.quote == ("N/A" if number is None else f"{number[0]:.2f} ± {number[1]:.2f}")
        assert claim.place.endswith(f"b0 = {values['b0']:g}")
    assert found == table_1.PAPER and len(cells) == 20
    for claim in cells:
        column = table_1.PAPER[claim.parameters["method"]].values()
        assert tuple(claim.parameters["best"]) == max(number for number in column if number)


def test_the_second_tables_columns_know_their_best():
    cells = [claim for claim in CLAIMS.claims if claim.sweep == "table_resnet50"]
    assert len(cells) == 20 and all(float(claim.quote) == claim.paper for claim in cells)
    for claim in cells:
        column = [c.paper for c in cells if c.parameters["method"] == claim.parameters["method"]]
        assert claim.parameters["best"] == [max(column), 0.0] and len(column) == 5


def test_the_experiments_of_the_sweeps_are_the_projects():
    for sweep, experiment in CLAIMS.sweeps.items():
        file = ROOT / f"configs/sweep/{sweep}.yaml"
        if file.exists():
            assert f"sweep: {{name: {sweep}}}" in file.read_text()
            assert (ROOT / f"configs/experiment/{experiment}.yaml").exists()
    pairs = re.findall(r"\b(\w+):(\w+)\b", (ROOT / "Makefile").read_text())
    for experiment, sweep in pairs:
        assert CLAIMS.sweeps.get(sweep, experiment) == experiment


BASE = {
    "id": "one",
    "quote": "a b c",
    "place": "here",
    "sweep": "figure_5",
    "measure": "positive_gram",
    "tolerance": {"value": 1e-12, "reason": "so"},
    "at_paper_scale": "more",
}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"measure": "magic"}, r"claim 'one': measure='magic': allowed are messages, accuracy, "),
        (
            {"parameters": {"window": 1}},
            r"claim 'one': measure=positive_gram: got an unexpected .* 'window'",
        ),
        ({"tolerance": {"reason": "so"}}, r"claim 'one': measure=positive_gram: missing a required .*'tolerance'"),
        ({"tolerance": {"value": 1.0}}, r"claim 'one': tolerance: reason: Field required"),
        (
            {"tolerance": {"value": "much", "reason": "so"}},
            r"claim 'one': tolerance: value: Input should be",
        ),
        ({"paper": 1.0}, r"claim 'one': measure=positive_gram: got an unexpected .* 'paper'"),
        ({"verdict": "reproduced"}, r"claim 'one': verdict: Extra inputs are not permitted"),
        ({"quote": "word " * 16}, r"claim 'one': quote: Value error, should have at most 15 words"),
        ({"sweep": "figure_9"}, r"claim 'one': sweep='figure_9': is not among sweeps"),
    ],
)
def test_a_claim_that_is_wrong_is_named(change, line, tmp_path):
    file = tmp_path / "claims.yaml"
    file.write_text(yaml.safe_dump({"sweeps": {"figure_5": "gram"}, "claims": [BASE | change]}))
    with pytest.raises(ClaimError, match=line) as refused:
        load(file)
    assert "\n" not in str(refused.value)


def test_files_that_are_wrong(tmp_path):
    file = tmp_path / "claims.yaml"
    file.write_text(yaml.safe_dump({"sweeps": {"figure_5": "gram"}, "claims": [BASE, BASE]}))
    with pytest.raises(ClaimError, match="claim 'one': the id is there twice"):
        load(file)
    for text in ("claims: [", "claims: 3", "- 1", ""):
        file.write_text(text)
        with pytest.raises(ClaimError, match=r"claims\.yaml: ") as refused:
            load(file)
        assert "\n" not in str(refused.value)


# The tables


def cells(sweep):
    return [(run.config, run.history, run.summary["result"]) for run in sweep.runs]


@pytest.fixture
def root(tmp_path):
    saved(tmp_path, "errata", cells(made.errata()))
    saved(tmp_path, "figure_bounds", cells(made.bounds()))
    return tmp_path


def decided(root, monkeypatch):
    start("claims", monkeypatch, "--runs", root, "--figures", root / "figures")
    return pd.read_csv(root / "figures/claims.csv", comment="#", keep_default_na=False).set_index("id")


def test_the_table_has_a_row_for_every_claim_and_is_of_its_runs(root, monkeypatch, capsys):
    found = decided(root, monkeypatch)
    assert found.reset_index().columns.tolist() == [
        "id", "place", "quote", "measured", "paper", "tolerance", "verdict", "runs",
    ]  # fmt: skip
    assert found.index.tolist() == list(BY_ID)
    for name, row in found.iterrows():
        there = BY_ID[name].sweep in ("errata", "figure_bounds")
        assert (row.verdict == NOT_RUN) == (not there), name
        assert (row.runs == f"{BY_ID[name].sweep}: none") == (not there), name
        assert BY_ID[name].tolerance.reason in row.tolerance
    runs = script.Store(root).load_sweep("errata")
    [run] = [run for run in runs if run.config["number"] == 2]
    assert found.runs["lemma-1-exit"] == f"errata: {run.id}"
    assert found.runs["lemma-1-adaloss"].split()[1:] == sorted(
        run.id for run in script.Store(root).load_sweep("figure_bounds")
    )
    counts = Counter(found.verdict)
    line = f"{len(found)} claims: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    assert counts[FALSE] == 10 and capsys.readouterr().out.endswith(f"{line}\n")
    head = json.loads((root / "figures/claims.csv").read_text().splitlines()[0].removeprefix("# "))
    assert (head["sweep"], head["runs"]) == ("errata, figure_bounds", 9 + 2)
    page = (root / "figures/claims.md").read_text()
    assert f"{line}." in page and "2b0 ≥ η sup \\|\\|x_i\\|\\|²" in page
    assert "\npython -m experiments.two_layer sweep=figure_6 scale=laptop\n" in page
    assert "sweep=table_resnet50" not in page  # nothing makes it
    assert all(f"| {name} |" in page for name in BY_ID)
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {5, 7, 8}


def test_other_runs_give_other_verdicts(root, monkeypatch):
    before = decided(root, monkeypatch).verdict
    shutil.rmtree(root / "made_up")  # a complete run stays as it is
    saved(root, "errata", cells(made.errata(erratum_3={"growth": 0.5})))
    saved(root, "figure_bounds", cells(made.bounds(violations=1)))
    after = decided(root, monkeypatch).verdict
    changed = before[before != after].index
    assert set(changed) == {
        "proposition-1-condition", "linear-convergence-adaloss", "theorem-1-any-b0", "independent-of-accuracy",
    }  # fmt: skip
    assert (before["proposition-1-condition"], after["proposition-1-condition"]) == (FALSE, REPRODUCED)


def test_many_runs_are_counted(root, monkeypatch):
    runs = saved(root, "figure_1", cells(made.figure_1()))
    row = decided(root, monkeypatch).loc["smaller-addition"]
    assert row.runs == f"figure_1: {len(runs)} runs, digest {digest(run.id for run in runs)}"


def test_provenance_finds_the_runs_of_both_tables(root, monkeypatch, capsys):
    decided(root, monkeypatch)
    files = [root / "figures/claims.csv", root / "figures/claims.md"]
    with pytest.raises(SystemExit) as stop:
        start("provenance", monkeypatch, *files, "--runs", root)
    assert stop.value.code == 0 and capsys.readouterr().out.count(f"11 runs in {root} are as they were saved") == 2
    shutil.rmtree(root / "made_up")
    saved(root, "errata", cells(made.errata())[:3])
    with pytest.raises(SystemExit) as stop:
        start("provenance", monkeypatch, files[0], "--runs", root)
    assert stop.value.code == 1 and "draw it again: python -m scripts.claims" in capsys.readouterr().err


def test_no_sweep_of_the_paper(tmp_path, monkeypatch, capsys):
    saved(tmp_path, "of_somebody", cells(made.errata()))
    found = decided(tmp_path, monkeypatch)
    assert (found.verdict == NOT_RUN).all() and f"{len(found)} {NOT_RUN}\n" in capsys.readouterr().out


def test_no_runs_at_all(tmp_path, monkeypatch):
    assert refusal(tmp_path, monkeypatch) == (
        f"error: {tmp_path}: no runs there; make some (make reproduce SCALE=laptop) or name their folder"
    )


def refusal(root, monkeypatch):
    with pytest.raises(SystemExit) as stop:
        decided(root, monkeypatch)
    assert isinstance(stop.value.code, str) and "\n" not in stop.value.code
    assert not (root / "figures").exists()
    return stop.value.code


def test_a_run_that_is_gone_or_harmed_is_an_error(root, monkeypatch):
    run = script.Store(root).load_sweep("figure_bounds")[0]
    (run.path / "history.parquet").write_bytes(b"x")
    command = f"python -m experiments.bounds sweep=figure_bounds scale=laptop runs={root}"
    assert refusal(root, monkeypatch) == (
        f"error: {run.path}/history.parquet: missing or not as it was saved; delete {run.path} and run the sweep "
        f"again: {command}"
    )
    (run.path / "summary.json").unlink()
    line = f"error: {run.path}: run missing or unreadable; delete it and run the sweep again: {command}"
    assert refusal(root, monkeypatch) == line


def test_runs_that_cannot_decide_name_the_claim(root, monkeypatch):
    saved(root, "errata", cells(made.errata())[:3])
    assert refusal(root, monkeypatch) == (
        "error: claim 'threshold-of-two-rates': erratum 6: 0 runs of it in the sweep errata, one is needed"
    )


def test_a_folder_that_cannot_be_written(root, monkeypatch):
    (root / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        start("claims", monkeypatch, "--runs", root, "--figures", root / "file/figures")
    assert stop.value.code == f"error: {root}/file/figures: Not a directory"
