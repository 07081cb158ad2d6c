"""A script at a terminal: nothing that happens to stdout costs a file, and every error is one line."""

import os
import resource
import shutil
import subprocess
import sys

import pytest

from experiments.runs.store import StoreError
from experiments.runs.terminal import RefusalError, run_main
from scripts.shared.output import write
from tests.experiments.launch import ROOT
from tests.scripts.synthetic import refusal
from tests.scripts.test_drawing import burn_in

# A script that says more than a pipe holds and then writes a file.
TALKATIVE = """
from pathlib import Path
from experiments.runs.terminal import run_main

def main():
    for k in range(20_000):
        print(f"line {k}: {WORD}")
    with Path("done").open("w") as file:
        file.write("all of it")
        assert file.fileno() > 2

run_main(main)
"""
REMEDY = "fix the folder or name another one with --figures"


def shell(command, folder, **environment):
    """A command line in a folder, with the project's python as $PYTHON."""
    known = {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=os.environ | known | environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("redirected", "status", "says"),
    [
        ("| head -1", 0, ""),
        (">&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        (">/dev/full", 1, "error: stdout: No space left on device; all else is done\n"),
        (">/dev/full 2>/dev/full", 1, ""),
        ("</dev/null 1</dev/null", 0, ""),
    ],
)
def test_a_stdout_that_takes_nothing_costs_no_file(redirected, status, says, tmp_path):
    (tmp_path / "talk.py").write_text(TALKATIVE.replace("{WORD}", "word"))
    done = shell(f"$PYTHON talk.py {redirected}; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert (done.returncode, done.stderr) == (status, says)
    assert (tmp_path / "done").read_text() == "all of it"


@pytest.mark.parametrize("environment", [
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
])  # fmt: skip
def test_a_stdout_of_ascii_spells_the_rest_out(environment, tmp_path):
    (tmp_path / "talk.py").write_text(TALKATIVE.replace("{WORD}", "± \\udcff"), encoding="utf-8")
    done = shell("$PYTHON talk.py", tmp_path, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("line 0: \\xb1 \\udcff\n") and (tmp_path / "done").exists()


@pytest.mark.parametrize(("error", "line"), [
    (RefusalError("no"), "error: no"),
    (StoreError("gone"), "error: gone"),
    (PermissionError(13, "Permission denied", "figures"), "error: figures: Permission denied"),
    (OSError("something\nlong"), "error: something long"),
    (MemoryError(), "error: out of memory"),
    (KeyboardInterrupt(), "interrupted; the same command continues"),
])  # fmt: skip
def test_an_error_is_one_line(error, line):
    def main():
        raise error

    with pytest.raises(SystemExit) as stop:
        run_main(main)
    assert stop.value.code == line


def test_a_script_that_is_stopped_while_it_imports_says_so_too(tmp_path):
    """A Ctrl-C as matplotlib is imported."""
    (tmp_path / "matplotlib.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = shell("trap - INT; exec $PYTHON -m scripts.plot", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "interrupted; the same command continues\n")


def test_a_bug_is_no_line():
    with pytest.raises(ZeroDivisionError):
        run_main(lambda: 1 / 0)


def test_agreement_is_asked_for_at_a_scale(monkeypatch):
    allowed = "error: --scale nonsense: allowed are smoke, laptop, paper"
    for words in ((), ("--runs", "runs", "--figures", "figures")):
        assert refusal("scripts.claims.agree", monkeypatch, "--scale", "nonsense", *words) == allowed


@pytest.mark.parametrize("script", ["claims", "report"])
def test_a_scale_without_runs_is_no_table_of_claims_not_run(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    allowed = "error: --scale nonsense: allowed are smoke, laptop, paper"
    assert refusal(script, monkeypatch, "--scale", "nonsense") == allowed
    none = "error: runs/paper: no runs there; make some (make reproduce SCALE=paper) or name their folder"
    assert refusal(script, monkeypatch, "--scale", "paper") == none and list(tmp_path.iterdir()) == []
    (tmp_path / "runs/paper").mkdir(parents=True)
    assert refusal(script, monkeypatch, "--scale", "paper") == none and not (tmp_path / "figures").exists()


def test_a_figure_for_a_reader_that_leaves_and_a_notebooks_backend(tmp_path):
    """And for one whose matplotlibrc needs LaTeX."""
    burn_in(tmp_path / "runs")
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\ntext.latex.preamble: \\nothing\n")
    command = "$PYTHON -m scripts.figure_burn_in --runs runs --figures figures | head -1"
    done = shell(command, tmp_path, MPLBACKEND="module://matplotlib_inline.backend_inline")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.count("\n") == 1
    names = {file.name for file in (tmp_path / "figures").iterdir()}
    assert names == {*(f"figure_burn_in.{kind}" for kind in ("csv", "pdf", "png")), "figure_burn_in_messages.csv"}


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv: root may read everything")
@pytest.mark.parametrize(
    ("script", "locked"),
    [
        ("figure_burn_in", "runs"),
        ("figure_burn_in", "runs/sweeps"),
        ("figure_burn_in", "figures"),
        ("claims", "runs/sweeps"),
        ("claims", "figures"),
        ("report", "runs/sweeps"),
        ("report", "figures"),
    ],
)
def test_a_folder_that_may_not_be_read_is_one_line(script, locked, tmp_path):
    burn_in(tmp_path / "runs")
    (tmp_path / "figures").mkdir()
    (tmp_path / locked).chmod(0)
    plain = "setpriv --bounding-set -dac_override,-dac_read_search --inh-caps -dac_override,-dac_read_search"
    done = shell(f"{plain} $PYTHON -m scripts.{script} --runs runs --figures figures", tmp_path)
    (tmp_path / locked).chmod(0o755)
    assert (done.returncode, done.stdout) == (1, "")
    writing = locked == "figures" and script != "report"  # which reads them first
    says = f"not written (Permission denied); {REMEDY}" if writing else "Permission denied"
    assert done.stderr == f"error: {locked}: {says}\n"


def test_a_full_disk_is_one_line_and_leaves_the_figures_as_they_were(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(RefusalError) as refused:
            write(tmp_path, {"a.csv": b"after", "a.png": bytes(5000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(refused.value) == f"{tmp_path}/a.png: not written (File too large); {REMEDY}"
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.csv", b"before")]
