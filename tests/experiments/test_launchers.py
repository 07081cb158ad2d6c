"""Jobs one after another, in joblib's processes and in submitit's (its local executor): the store holds the same.

All is started from this process, and joblib keeps its workers, so that torch is imported as seldom as can be.
"""

import sys

import pytest
from hydra.core.plugins import Plugins
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from submitit.core.core import Job
from submitit.core.utils import UncompletedJobError

from experiments.gram import Gram
from experiments.runs import app
from experiments.runs.store import Store
from tests.experiments.launch import ROOT, content

LAUNCHERS = {
    "basic": (),
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit_local": ("hydra/launcher=submitit_local",),
}
# The smallest sweep of each experiment: what all runs share, and the values of a list (not of cost.py: seconds differ).
# The largest program comes first: joblib replaces a worker that has grown by 300 MB since its first job.
SWEEPS = {
    "vit": (
        "data.test=1700 weights.share=0.5 weights.epochs=1 epochs=1 batch=16 model.width=8 model.depth=1 model.heads=2",
        "b0=0.1,1",
    ),
    "linear_regression": ("method=adaloss,sgd_constant data.n=50 data.d=5 iterations=30", "b0=0.1,1"),
    "bounds": ("problems=5 max_steps=50", "d=1,2"),
    "gram": ("data.n=20 data.d=20", "seed=0,1"),
    "two_layer": ("data.n=20 m=20 iterations=20", "b0=0.1,1"),
    "ppo": ("frames=64 envs=4 steps=8 epochs=1 batch=16 actor=[4] critic=[4]", "b0=1,100"),
    "lstm": ("data.articles=120 embedding=4 hidden=4 epochs=1", "b0=0.1,1"),
    "errata": ("", "number=2,3"),
    "certificates": ("training.m=30", "seed=0,1"),
    "networks": ("certified=2 adversarial=1 max_steps=20", "seed=0,1"),
    "compare": ("problem=noisy_regression problems.noisy_regression.n=60 epochs=1", "step=0.01,0.1"),
}
SUBMITTED = ("linear_regression", "lstm")  # with torch, and without: a job is the same to submitit, whatever it does


@pytest.fixture(scope="module", autouse=True)
def workers():
    yield
    get_reusable_executor().shutdown(wait=True)


def forbidden(*_):
    raise AssertionError("a job ran in the process that started the sweep")


@pytest.mark.parametrize("experiment", SWEEPS)
def test_every_launcher_makes_the_same_store(experiment, tmp_path, monkeypatch, capfd):
    """And lists in one job are the runs of a job for each value; of a second call there is nothing to train."""
    monkeypatch.chdir(ROOT)
    shared, values = SWEEPS[experiment]
    field, _, each = values.partition("=")
    listed = f"{field}=[{each}]"

    def run(launcher, words, folder):
        command = [experiment, "-m", "scale=smoke", *shared.split(), words, *LAUNCHERS[launcher]]
        monkeypatch.setattr(sys, "argv", [*command, f"runs={tmp_path / folder}"])
        with monkeypatch.context() as patch:
            if launcher != "basic":
                patch.setattr(Store, "save", forbidden)
            app.main(experiment)
        return capfd.readouterr().out

    run("basic", listed, "basic")
    basic, methods = content(tmp_path / "basic"), 1 + shared.count("sgd_constant")
    count = len([folder for folder in basic if folder.startswith(f"{experiment}/")])
    assert count == 2 * methods
    said = run("joblib", values, "joblib")
    assert f"{count} runs in {count} jobs, {count} to make" in said
    assert content(tmp_path / "joblib") == basic
    assert "nothing to train" in run("basic", listed, "joblib")
    if experiment in SUBMITTED:
        run("submitit_local", listed, "submitit_local")
        assert content(tmp_path / "submitit_local") == basic
        assert len(list(tmp_path.glob("submitit_local/.hydra/.submitit/*/*_result.pkl"))) == methods


@pytest.mark.parametrize("launcher", ["basic", "submitit_local"])
def test_a_job_that_cannot_save_says_so_in_one_line(launcher, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(Job, "_results_timeout_s", 1)  # 15 on a slow network's file system
    monkeypatch.chdir(ROOT)
    (tmp_path / "gram").write_text("a file in the way")
    words = ["-m", "data.n=20", "data.d=20", f"runs={tmp_path}", *LAUNCHERS[launcher]]
    monkeypatch.setattr(sys, "argv", ["gram", *words])
    with pytest.raises(SystemExit) as stop:
        app.main("gram")
    [line] = capfd.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert line.startswith(f"error: {tmp_path}/gram/sphere_n=20_d=20_seed=0-") and "not saved (File exists)" in line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            UncompletedJobError("Job 7 (task: 0) with path /x/7_0_result.pkl\nhas not produced any output\n"),
            "Job 7 (task: 0) ended without a result; the same command continues",
        ),
        (
            TerminatedWorkerError("A worker process managed by the executor was unexpectedly terminated.\nMore"),
            "a process that made runs was killed (out of memory?); the same command continues",
        ),
    ],
)
def test_a_job_that_was_killed_is_one_line(error, line, tmp_path, monkeypatch, capsys):
    def killed(*_, **__):
        raise error

    monkeypatch.setattr(Plugins, "instantiate_launcher", killed)
    monkeypatch.setattr(sys, "argv", ["gram", "-m", "data.n=20", "data.d=20", f"runs={tmp_path}"])
    with pytest.raises(SystemExit):
        app.main("gram")
    assert capsys.readouterr().err == f"error: {line}\n"


@pytest.mark.parametrize("words", [[], ["-m"]])
def test_a_job_that_breaks_shows_where(words, tmp_path, monkeypatch, capfd):
    def broken(*_):
        raise ZeroDivisionError("a fault of the program")

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(Gram, "execute", broken)
    monkeypatch.setattr(sys, "argv", ["gram", *words, "data.n=20", "data.d=20", f"runs={tmp_path}"])
    with pytest.raises(SystemExit) as stop:
        app.main("gram")
    lines = capfd.readouterr().err.splitlines()
    assert stop.value.code == 1
    assert "Traceback (most recent call last):" in lines and any(line.endswith("in broken") for line in lines)
    assert lines[-1] == "ZeroDivisionError: a fault of the program"
