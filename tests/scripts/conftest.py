"""A report of two sweeps, made once for all modules that read it."""

import shutil

import pandas as pd
import pytest

from experiments.runs.store import Store
from scripts.shared.output import Output
from tests.experiments.launch import launch
from tests.scripts.synthetic import start
from tests.scripts.test_b0_panels import regression_runs

CLAIMS = ["id", "source", "place", "quote", "measured", "paper", "tolerance", "verdict", "runs"]
ROWS = [
    ("c1", "paper", "Figure 1", "robust <b>& how</b>", "factor 2", "robust", "10", "reproduced", "figure_1"),
    ("c2", "paper", "Table 1", "90.65", "", "90.65", "1", "not run at this scale", "table_1"),
    ("c3", "paper", "Section 2", "no figure", "x", "y", "", "false as printed", ""),
]


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Figure 1 from made-up runs and the burn-in from real ones, drawn, with claims."""
    root = tmp_path_factory.mktemp("report")
    regression_runs(root / "runs")
    assert launch("sweep=figure_burn_in", "scale=smoke", f"runs={root / 'runs'}").returncode == 0
    with pytest.MonkeyPatch.context() as patch:
        for sweep in ("figure_1", "figure_burn_in"):
            start(sweep, patch, "--runs", root / "runs", "--figures", root / "figures")
    decide(root)
    return root


def decide(root, rows=ROWS):
    """claims.csv with these rows, as scripts.claims would write it from the figures' runs."""
    sweeps = [sweep for sweep in Store(root / "runs").sweeps() if sweep in ("figure_1", "figure_burn_in")]
    runs = [run for sweep in sweeps for run in Store(root / "runs").load_sweep(sweep)]
    output = Output(root / "figures", ", ".join(sweeps), runs)
    output.table("claims", pd.DataFrame(rows, columns=CLAIMS))
    output.write()


def written(root, monkeypatch):
    """The report's text after the command, which must end well."""
    start("report", monkeypatch, "--scale", "smoke", "--runs", root / "runs", "--figures", root / "figures")
    return (root / "figures/report.html").read_text()


@pytest.fixture(scope="session")
def page(made):
    with pytest.MonkeyPatch.context() as patch:
        return written(made, patch)


@pytest.fixture
def root(made, tmp_path):
    """A copy to change."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path
