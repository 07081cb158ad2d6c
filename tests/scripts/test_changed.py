"""Sweeps that were changed on the command line: what is there is drawn beside the paper's, or one line says why not."""

import importlib
import json
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from experiments.runs.command_line import parsed
from experiments.runs.jobs import Composer, composed
from experiments.runs.store import Store
from scripts.report.sweeps import scripts
from scripts.shared.changed import UnfitError, check, shows_something
from tests.experiments.launch import ROOT, launch
from tests.scripts.synthetic import saved, start
from tests.scripts.test_b0_panels import regression_runs

NAME = "figure_1-0abc12"
FILES = {f"{name}.{kind}" for name in ("figure_1", "figure_1_unit") for kind in ("csv", "pdf", "png")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Figure 1's runs as (configuration, history, results)."""
    root = tmp_path_factory.mktemp("changed")
    return [(run.config, run.history, run.summary["result"]) for run in regression_runs(root)]


def draw(root, cells, monkeypatch, script="figure_1", name=NAME):
    saved(root / "runs", name, cells)
    start(script, monkeypatch, "--sweep", name, "--runs", root / "runs", "--figures", root / "figures")
    return {file.name for file in (root / "figures" / name).iterdir()}


def refusal(*arguments):
    """The one line; nothing is left behind."""
    root = arguments[0]
    with pytest.raises(SystemExit) as stop:
        draw(*arguments)
    assert isinstance(stop.value.code, str) and "\n" not in stop.value.code
    assert not (root / "figures").exists()
    return stop.value.code


def test_a_list_of_its_own_has_a_folder_of_its_own(runs, tmp_path, monkeypatch, capsys):
    saved(tmp_path / "runs", "figure_1", runs)
    start("figure_1", monkeypatch, "--runs", tmp_path / "runs", "--figures", tmp_path / "figures")
    paper = {file.name: file.read_bytes() for file in (tmp_path / "figures").iterdir()}
    fewer = [cell for cell in runs if cell[0]["b0"] != runs[0][0]["b0"]]
    assert draw(tmp_path, fewer, monkeypatch) == {*FILES, "figure_1_messages.csv"}
    for name, content in paper.items():
        assert (tmp_path / "figures" / name).read_bytes() == content, name
    file = tmp_path / f"figures/{NAME}/figure_1.csv"
    assert json.loads(file.read_text().splitlines()[0][2:])["sweep"] == NAME
    assert set(pd.read_csv(file, comment="#").b0) == {config["b0"] for config, *_ in fewer}
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        start("provenance", monkeypatch, file, "--runs", tmp_path / "runs")
    assert stop.value.code == 0 and f"sweep {NAME}, {len(fewer)} runs" in capsys.readouterr().out


def test_provenance_knows_the_scale_and_the_command_of_such_a_file(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cells = runs[:]
    saved(tmp_path / "runs/smoke", NAME, cells)
    start("figure_1", monkeypatch, "--sweep", NAME, "--scale", "smoke")
    file = f"figures/smoke/{NAME}/figure_1.csv"
    with pytest.raises(SystemExit) as stop:
        start("provenance", monkeypatch, file)
    assert stop.value.code == 0
    saved(tmp_path / "runs/smoke", NAME, cells[1:])
    with pytest.raises(SystemExit) as stop:
        start("provenance", monkeypatch, file)
    assert stop.value.code == 1
    assert capsys.readouterr().err.endswith(f"; draw it again: python -m scripts.figure_1 --sweep {NAME}\n")


def test_two_methods_are_drawn_without_the_sentences_about_the_others(runs, tmp_path, monkeypatch, capsys):
    two = [cell for cell in runs if cell[0]["method"]["name"] in ("adaloss", "adagrad_norm")]
    assert draw(tmp_path, two, monkeypatch) == FILES
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"no more than this is drawn: {NAME}: figure_1 needs runs as in configs/sweep/figure_1.yaml "
        "(KeyError: 'sgd_constant')"
    )


@pytest.mark.parametrize("w_star", ["normal", "unit"])
def test_another_dimension_is_drawn(w_star, runs, tmp_path, monkeypatch):
    some = [cell for cell in runs if cell[0]["data"]["w_star"] == w_star]
    cells = [(config | {"data": config["data"] | {"d": 50}}, *rest) for config, *rest in some]
    name = "figure_1" if w_star == "normal" else "figure_1_unit"
    assert draw(tmp_path, cells, monkeypatch) == {f"{name}.{kind}" for kind in ("csv", "pdf", "png")} | {
        "figure_1_messages.csv"
    }


FEW = [
    ("bounds", "figure_bounds", ("d=2", "problems=3", "max_steps=5")),
    ("gram", "figure_5", ("-m", "data=digits", "data.n=20,30")),
    ("two_layer", "figure_critical_step", ("m=20", "eta=1.0", "seed=0", "iterations=60")),
    ("two_layer", "figure_theorem_3", ("m=20", "b0=1", "method=adaloss", "iterations=20")),
]


@pytest.mark.parametrize(("experiment", "sweep", "words"), FEW)
def test_few_runs_are_drawn(experiment, sweep, words, tmp_path, monkeypatch):
    """One width, one step, one method, one kind of data; no bound to compare with."""
    named = f"sweep={sweep}" if "-m" not in words else "+sweep.name=mine"
    launched = launch(*words, named, "scale=smoke", f"runs={tmp_path / 'runs'}", experiment=experiment)
    assert launched.returncode == 0, launched.stderr
    [name] = Store(tmp_path / "runs").sweeps()
    start(sweep, monkeypatch, "--sweep", name, "--runs", tmp_path / "runs", "--figures", tmp_path)
    assert (tmp_path / name / f"{sweep}.png").exists()


def test_a_list_in_the_place_of_a_group():
    launched = launch("sweep=figure_5", "data=sphere", "scale=smoke", experiment="gram")
    assert launched.returncode == 2
    assert launched.stderr == "error: data=sphere: sweep=figure_5 has a list in its place; give one of the two\n"


def test_runs_without_the_windows(runs, tmp_path, monkeypatch):
    short = [(config, history[history.iteration < 900], result) for config, history, result in runs]
    assert refusal(tmp_path, short, monkeypatch) == (
        f"error: {NAME}: figure_1 needs runs as in configs/sweep/figure_1.yaml "
        "(ValueError: no iteration in [991, 1000])"
    )


def test_two_problems_are_never_two_seeds_of_one(runs, tmp_path, monkeypatch):
    other = [(config | {"data": config["data"] | {"n": 500}}, *rest) for config, *rest in runs]
    assert refusal(tmp_path, runs + other, monkeypatch) == (
        f"error: {NAME}: figure_1 needs runs that differ in data, data.w_star, data.d, method, b0, seed alone "
        "(two differ in data.n)"
    )


def test_a_method_that_the_script_cannot_show(runs, tmp_path, monkeypatch):
    other = [(config | {"method": {"name": "adam"}}, *rest) for config, *rest in runs[:3]]
    assert refusal(tmp_path, runs + other, monkeypatch).endswith(
        "needs method among adaloss, adagrad_norm, sgd_constant, sgd_decay_sqrt (a run has adam)"
    )


def test_runs_of_another_experiment(runs, tmp_path, monkeypatch):
    line = refusal(tmp_path, [({"b0": 1.0, "seed": 0}, {"loss": [1.0]}, {})], monkeypatch)
    assert line == f"error: {NAME}: figure_1 needs data among gaussian (a run has None)"


@pytest.mark.parametrize("script", [name for name, *_ in scripts()])
@pytest.mark.parametrize("name", ["figure_0-0abc12", "figure_0"])
def test_every_script_refuses_foreign_runs_in_one_line(script, name, tmp_path, monkeypatch):
    cells = [({"b0": b0, "seed": 0}, {"loss": [1.0]}, {}) for b0 in (1.0, 2.0)]
    assert refusal(tmp_path, cells, monkeypatch, script, name).startswith(f"error: {name}: {script} needs ")


@pytest.mark.parametrize("name", ["nowhere", "../runs/sweeps/figure_1", "/etc/passwd", ""])
def test_a_list_that_is_not_there(name, runs, tmp_path, monkeypatch):
    saved(tmp_path / "runs", NAME, runs[:1])
    with pytest.raises(SystemExit) as stop:
        start("figure_1", monkeypatch, "--sweep", name, "--runs", tmp_path / "runs", "--figures", tmp_path / "figures")
    assert stop.value.code == f"error: --sweep {name}: no such list in {tmp_path}/runs; there are {NAME}"


def test_a_run_of_the_list_that_is_gone(runs, tmp_path, monkeypatch):
    [run, *_] = saved(tmp_path / "runs", NAME, runs)
    (run.path / "summary.json").unlink()
    with pytest.raises(SystemExit) as stop:
        start("figure_1", monkeypatch, "--sweep", NAME, "--runs", tmp_path / "runs", "--figures", tmp_path / "figures")
    assert stop.value.code.startswith(f"error: {run.path}: run missing or unreadable")
    assert "sweep=figure_1" not in stop.value.code  # which would make other runs


def test_our_own_fault_in_the_papers_sweep_stays_a_traceback(runs, tmp_path, monkeypatch):
    saved(tmp_path / "runs", "figure_1", [cell for cell in runs if cell[0]["method"]["name"] == "adaloss"])
    with pytest.raises(KeyError):
        start("figure_1", monkeypatch, "--runs", tmp_path / "runs", "--figures", tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


def test_what_shows_something():
    for plot, shows in (
        (lambda ax: None, False),
        (lambda ax: ax.axvline(1), False),
        (lambda ax: ax.plot([], []), False),
        (lambda ax: ax.plot([1], [np.nan]), False),
        (lambda ax: ax.fill_between([], [], []), False),
        (lambda ax: ax.plot([1], [2]), False),
        (lambda ax: ax.plot([1], [2], "o"), True),
        (lambda ax: ax.plot([1, 2], [2, 3]), True),
        (lambda ax: ax.scatter([1], [2]), True),
        (lambda ax: ax.bar([1], [2]), True),
        (lambda ax: ax.imshow([[1]]), True),
    ):
        fig, ax = plt.subplots()
        plot(ax)
        assert shows_something(fig) == shows
        plt.close(fig)


@pytest.mark.parametrize(("sweep", "experiment"), [(sweep, experiment) for sweep, experiment, _ in scripts()])
def test_a_script_tells_the_runs_of_its_own_sweep_apart(sweep, experiment):
    configs = {}
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        whole = compose(f"experiment/{experiment}", [f"sweep={sweep}", "scale=smoke"], return_hydra_config=True)
        for _, config in composed(experiment, whole, Composer(GlobalHydra.instance().config_loader())):
            configs |= {run.id: run.config for run in parsed(experiment, config)[0].runs()}
    runs = [SimpleNamespace(config=dict(config)) for config in configs.values()]
    apart = importlib.import_module(f"scripts.{sweep}").APART
    check(runs, apart)
    with pytest.raises(UnfitError, match="epochs_of_another"):  # or nothing would be told apart
        check([*runs, SimpleNamespace(config={**runs[0].config, "epochs_of_another": 1})], apart)
