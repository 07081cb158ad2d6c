"""What make refuses, and in which order it does what hangs together."""

import os
import re
import subprocess

import pytest

from experiments.runs import registry
from tests.experiments.launch import ROOT

# without what a make that started the tests left in it
ALONE = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "SCALE", "JOBS"))}

INSTALLED = [word for name in ("reproduce", "test", "peers") for word in ("-o", f".venv/.{name}")]


def make(*words, **environment):
    """What make would do, and what it says instead."""
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", *INSTALLED, *words],
        cwd=ROOT, env=ALONE | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


SCALES = [("claims", "nonsense"), ("report", ""), ("figures", "Smoke"), ("reproduce", "smoke laptop"),
          ("theory-check", "smoke,laptop"), ("compare", "nonsense")]  # fmt: skip
JOBS = [("reproduce", "0"), ("smoke", "abc"), ("sweep EXPERIMENT=gram", "-1"), ("theory-check", ""), ("test", "1.5"),
        ("test", "2 3"), ("test", "007")]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [(f"{target}|SCALE={scale}", "smoke, laptop, paper") for target, scale in SCALES]
    + [(f"{target}|JOBS={jobs}", "a whole number of at least 1") for target, jobs in JOBS],
)
def test_a_scale_or_jobs_that_are_none(words, says):
    targets, _, given = words.partition("|")
    status, out, error = make(*targets.split(), given)
    allowed = "allowed are" if "SCALE" in given else "allowed is"
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"Makefile:\d+: \*\*\* {given}: {allowed} {says}\.  Stop\.\n", error)


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_what_is_allowed(scale):
    status, out, error = make("sweep", "EXPERIMENT=gram", f"SCALE={scale}", "JOBS=10")
    assert (status, error) == (0, "") and f"scale={scale}" in out and "n_jobs=10" in out


def test_there_is_a_job_for_each_core_however_many_threads_one_may_have():
    cores = len(os.sched_getaffinity(0))
    for few in ({"OMP_NUM_THREADS": "1"}, {"OMP_THREAD_LIMIT": "1"}, {"OMP_NUM_THREADS": str(cores + 1)}):
        assert f"n_jobs={cores} " in make("sweep", "EXPERIMENT=gram", **few)[1]


def test_the_report_waits_for_what_it_shows_and_decides_no_claims():
    for goals in (["claims", "report"], ["report", "figures", "claims"], ["report"]):
        status, out, _ = make("-j4", *goals)
        drawn = re.findall(r"scripts\.(claims|report|\$\{pair##)", out)
        assert status == 0 and drawn[-1] == "report" and len(drawn) == len(goals)


def test_a_real_j_runs_one_target_after_the_other(tmp_path):
    """The Makefile with a python that takes its time over the claims, and notes what it is called for.

    What would keep a true one from the project's modules, or from their docstrings, does not reach it.
    """
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    wait = 'case "$2" in *.claims|*.reproduce) sleep 0.5;; esac'
    python.write_text(f'#!/bin/sh\n{wait}\necho "$2$PYTHONSAFEPATH$PYTHONOPTIMIZE" >> calls\n')
    python.chmod(0o755)
    # in the order in which they are made
    for name in ("pyproject.toml", "constraints.txt", "packaged.txt", ".venv/.reproduce"):
        (tmp_path / name).touch()
    for goals in (["claims", "report"], ["reproduce", "report"]):
        (tmp_path / "calls").write_text("")
        environment = ALONE | {"PYTHONSAFEPATH": "1", "PYTHONOPTIMIZE": "2"}
        subprocess.run(["make", "-j8", *goals], cwd=tmp_path, env=environment, check=True, capture_output=True)
        assert (tmp_path / "calls").read_text().split()[-2:] == [f"scripts.{goal}" for goal in goals]


def test_one_figure_and_its_runs():
    status, out, _ = make("figure_1", "table_1", "SCALE=smoke", "JOBS=1")
    calls = re.findall(r"registry (\w+)\); .*experiments\.\$\{pair%%:\*\} sweep=.*scripts\.\$\{pair##", out)
    assert status == 0 and calls == ["figure_1", "table_1"]


def test_what_make_makes_is_in_the_sweeps_files(tmp_path, monkeypatch, capsys):
    registry.main(["paper"])
    made = [line.split(":")[1] for line in capsys.readouterr().out.splitlines()]
    papers = ["figure_1", "figure_2", "figure_2_bbc", "figure_2_overlap", "figure_2_readings", "figure_3"]
    assert made[:6] == papers and made.index("figure_6") < made.index("table_1") < made.index("figure_bounds")
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    head, many = "# a comment\n# @package _global_\n", "\nhydra: {mode: MULTIRUN}"
    (tmp_path / "mine.yaml").write_text(head + "sweep: {name: mine, experiment: gram}" + many)
    (tmp_path / "other.yaml").write_text(head + "defaults: [mine, _self_]\nsweep: {name: other, part: facts}")
    (tmp_path / ".#mine.yaml").symlink_to("me@machine.1")  # while Emacs has it open
    read = registry.listed.__wrapped__()
    assert [(one.name, one.experiment, one.part) for one in read.values()] == [
        ("mine", "gram", None), ("other", "gram", "facts"),
    ]  # fmt: skip
    for text, says in (
        (head + "sweep: {name: mine, part: magic, experiment: gram}" + many, "sweep.part=magic: allowed are paper, "),
        (head + "sweep: {name: mine, part: paper}" + many, "sweep.part=paper: allowed are paper, "),
        (head + "sweep: {name: other}" + many, "sweep={'name': 'other'}: should be {name: mine, "),
        (head + "sweep: mine" + many, "sweep='mine': should be {name: mine, "),
        (head + "sweep: {name: mine, experiment: gram}", "hydra.mode=None: should be MULTIRUN"),
        ("sweep: {name: mine, experiment: gram}" + many, "the line '# @package _global_' is missing at its top"),
        ("[1", "not a configuration of a sweep"),
        (head + "defaults: [other, _self_]\nsweep: {name: mine}", "starts from other, which starts from it"),
    ):
        (tmp_path / "mine.yaml").write_text(text)
        with pytest.raises(registry.SweepError, match=rf"^{tmp_path}/mine.yaml: {re.escape(says)}[^\n]*$"):
            registry.listed.__wrapped__()
