"""Every script without its runs: one line, and the command in it is the one that make runs."""

import pytest

from experiments.runs.registry import listed
from experiments.runs.store import Run, Store
from tests.scripts.synthetic import start

PAIRS = [(one.experiment, one.name) for one in listed().values() if one.part in ("paper", "compare")]


def refusal(sweep, monkeypatch, *arguments):
    with pytest.raises(SystemExit) as stop:
        start(sweep, monkeypatch, *arguments)
    assert isinstance(stop.value.code, str) and "\n" not in stop.value.code  # printed as it is, with status 1
    return stop.value.code


@pytest.mark.parametrize(("experiment", "sweep"), PAIRS)
def test_a_sweep_that_was_never_run(experiment, sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = refusal(sweep, monkeypatch, "--scale", "smoke")
    assert line == (
        f"error: runs/smoke: the sweep {sweep!r} has not been finished; run it with sweep={sweep}: "
        f"python -m experiments.{experiment} sweep={sweep} scale=smoke"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("experiment", "sweep"), PAIRS)
def test_a_run_that_is_gone(experiment, sweep, tmp_path, monkeypatch):
    run = Run(experiment=experiment, label="gone", config={}, code="none", data="none")
    Store(tmp_path).save_sweep(sweep, [run])
    line = refusal(sweep, monkeypatch, "--runs", tmp_path, "--figures", tmp_path / "figures")
    assert line.startswith(
        f"error: {tmp_path / run.folder}: run missing or unreadable; delete it and run the sweep again"
    )
    assert line.endswith(f": python -m experiments.{experiment} sweep={sweep} scale=laptop runs={tmp_path}")
    assert not (tmp_path / "figures").exists()
