"""Runs that are not the paper's sweep: what is there is drawn beside the paper's, or one line says why not."""

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
from experiments.runs.store import Run, Store
from scripts.report.sweeps import scripts
from scripts.shared.changed import UnfitError, check, shows_something
from scripts.shared.output import STYLE
from tests.experiments.launch import ROOT, launch
from tests.scripts.synthetic import cells, refusal, saved, start
from tests.scripts.synthetic import check as provenance
from tests.scripts.test_b0_panels import regression_runs

NAME = "my.own-2"
FILES = {f"figure_1_unit.{kind}" for kind in ("csv", "pdf", "png")}
SCRIPTS = [(sweep, experiment) for sweep, experiment, _ in scripts()]


@pytest.fixture(scope="module")
def runs():
    """Figure 1's runs from one of its two starts as (configuration, history, results)."""
    return [cell for cell in cells(regression_runs(None, seeds=[0])) if cell[0]["data"]["w_star"] == "unit"]


@pytest.fixture
def unarranged(monkeypatch):
    """Panels where they are: to arrange them takes half of a picture's time, and test_drawing.py has it done."""
    monkeypatch.setitem(STYLE, "figure.constrained_layout.use", False)


def where(root):
    return "--runs", root / "runs", "--figures", root / "figures"


def draw(root, cells, monkeypatch, script="figure_1", name=NAME):
    saved(root / "runs", name, cells)
    start(script, monkeypatch, "--sweep", name, *where(root))
    return {file.name for file in (root / "figures" / name).iterdir()}


@pytest.mark.usefixtures("unarranged")
def test_a_list_of_its_own_has_a_folder_of_its_own(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "runs/smoke"
    saved(root, "figure_1", runs)
    start("figure_1", monkeypatch, "--scale", "smoke")
    folder = tmp_path / "figures/smoke"
    paper = {file.name: file.read_bytes() for file in folder.iterdir()}
    fewer = [cell for cell in runs if cell[0]["b0"] != runs[0][0]["b0"]]
    saved(root, NAME, fewer)
    start("figure_1", monkeypatch, "--sweep", NAME, "--scale", "smoke")
    assert {file.name for file in (folder / NAME).iterdir()} == {*FILES, "figure_1_messages.csv"}
    for name, content in paper.items():
        assert (folder / name).read_bytes() == content, name
    file = f"figures/smoke/{NAME}/figure_1_unit.csv"
    assert json.loads((tmp_path / file).read_text().splitlines()[0][2:])["sweep"] == NAME
    assert set(pd.read_csv(file, comment="#").b0) == {config["b0"] for config, *_ in fewer}
    status, out, _ = provenance(monkeypatch, capsys, file)
    assert status == 0 and f"sweep {NAME}, {len(fewer)} runs" in out
    saved(root, NAME, fewer[1:])
    status, _, [line] = provenance(monkeypatch, capsys, file)
    assert status == 1 and line.endswith(f"; draw it again: python -m scripts.figure_1 --sweep {NAME}")


@pytest.mark.usefixtures("unarranged")
def test_another_dimension_and_two_methods_are_drawn_without_the_sentences(runs, tmp_path, monkeypatch, capsys):
    """The sentences are about all methods."""
    other = [(config | {"data": config["data"] | {"d": 50}}, *rest) for config, *rest in runs]
    two = [cell for cell in other if cell[0]["method"]["name"] in ("adaloss", "adagrad_norm")]
    assert draw(tmp_path, two, monkeypatch) == FILES
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"no more than this is drawn: {NAME}: figure_1 needs runs as in configs/sweep/figure_1.yaml "
        "(KeyError: 'sgd_constant')"
    )


FEW = [
    ("certificates", "figure_certificates", ("-m", "training=gradient_descent", "training.m=30,300")),
    ("networks", "figure_networks", ("certified=3", "adversarial=1", "max_steps=20")),
    ("bounds", "figure_bounds", ("d=2", "problems=3", "max_steps=5")),
    ("compare", "figure_compare", ("-m", "problem=noisy_regression", "optimizer=adaloss,sgd", "step=0.01,0.1")),
    ("stochastic", "figure_stochastic", ("-m", "part=promises,paths,counterexample", "problems=50", "max_steps=50")),
    ("gram", "figure_5", ("-m", "data=digits", "data.n=20,30")),
    ("two_layer", "figure_critical_step", ("m=20", "eta=1.0", "seed=0", "iterations=60")),
    ("two_layer", "figure_theorem_3", ("m=20", "b0=1", "method=adaloss", "iterations=20")),
]


@pytest.mark.parametrize(("experiment", "sweep", "words"), FEW)
def test_few_real_runs_are_drawn(experiment, sweep, words, tmp_path, monkeypatch):
    """One width, one step, one method, one kind of data; no bound to compare with."""
    named = f"sweep={sweep}" if "-m" not in words else "sweep.name=mine"
    launched = launch(*words, named, "scale=smoke", f"runs={tmp_path / 'runs'}", experiment=experiment)
    assert launched.returncode == 0, launched.stderr
    [name] = Store(tmp_path / "runs").sweeps()
    start(sweep, monkeypatch, "--sweep", name, *where(tmp_path))
    assert (tmp_path / "figures" / name / f"{sweep}.png").exists()


def short(runs):
    return [(config, history[history.iteration < 900], result) for config, history, result in runs]


def of_two_problems(runs):
    return runs + [(config | {"data": config["data"] | {"n": 500}}, *rest) for config, *rest in runs]


def of_another_method(runs):
    return runs + [(config | {"method": {"name": "adam"}}, *rest) for config, *rest in runs[:3]]


@pytest.mark.parametrize(
    ("change", "needs"),
    [
        (short, "runs as in configs/sweep/figure_1.yaml (ValueError: no iteration in [991, 1000])"),
        (
            of_two_problems,
            "runs that differ in data, data.w_star, data.d, method, b0, seed alone (two differ in data.n)",
        ),
        (of_another_method, "method among adaloss, adagrad_norm, sgd_constant, sgd_decay_sqrt (a run has adam)"),
        (lambda runs: [({"b0": 1.0}, {"loss": [1.0]}, {})], "data among gaussian (a run has None)"),
    ],
)
def test_runs_that_cannot_be_shown(change, needs, runs, tmp_path, monkeypatch):
    saved(tmp_path / "runs", NAME, change(runs))
    line = refusal("figure_1", monkeypatch, "--sweep", NAME, *where(tmp_path))
    assert line == f"error: {NAME}: figure_1 needs {needs}" and not (tmp_path / "figures").exists()


@pytest.mark.parametrize(("script", "experiment"), SCRIPTS)
def test_every_script_says_in_one_line_what_it_lacks(script, experiment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refusal(script, monkeypatch, "--scale", "nonsense") == (
        "error: --scale nonsense: allowed are smoke, laptop, paper"
    )
    command = f"python -m experiments.{experiment} sweep={script} scale="
    assert refusal(script, monkeypatch, "--scale", "smoke") == (
        f"error: runs/smoke: the sweep {script!r} has not been finished; run it with sweep={script}: {command}smoke"
    )
    assert list(tmp_path.iterdir()) == []
    gone = Run(experiment=experiment, label="gone", config={}, code="none", data="none")
    Store(tmp_path / "runs").save_sweep(script, [gone])
    line = refusal(script, monkeypatch, *where(tmp_path))
    assert line.startswith(f"error: {tmp_path / 'runs' / gone.folder}: run missing or unreadable; delete it and run ")
    assert line.endswith(f": {command}laptop runs={tmp_path / 'runs'}")
    saved(tmp_path / "runs", "foreign", [({"b0": b0, "seed": 0}, {"loss": [1.0]}, {}) for b0 in (1.0, 2.0)])
    line = refusal(script, monkeypatch, "--sweep", "foreign", *where(tmp_path))
    assert line.startswith(f"error: foreign: {script} needs ") and not (tmp_path / "figures").exists()


def test_a_list_or_a_run_that_is_not_there(runs, tmp_path, monkeypatch):
    [run, *_] = saved(tmp_path / "runs", NAME, runs)
    for name in ("nowhere", "../runs/sweeps/figure_1", "/etc/passwd", ""):
        assert refusal("figure_1", monkeypatch, "--sweep", name, *where(tmp_path)) == (
            f"error: --sweep {name}: no such list in {tmp_path}/runs; there are {NAME}"
        )
    (run.path / "summary.json").unlink()
    line = refusal("figure_1", monkeypatch, "--sweep", NAME, *where(tmp_path))
    assert line.startswith(f"error: {run.path}: run missing or unreadable")
    assert "sweep=figure_1" not in line  # which would make other runs


@pytest.mark.usefixtures("unarranged")
def test_our_own_fault_in_the_papers_sweep_stays_a_traceback(runs, tmp_path, monkeypatch):
    saved(tmp_path / "runs", "figure_1", [cell for cell in runs if cell[0]["method"]["name"] == "adaloss"])
    with pytest.raises(KeyError):
        start("figure_1", monkeypatch, *where(tmp_path))
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize(
    ("plot", "shows"),
    [
        (lambda ax: None, False),
        (lambda ax: ax.axvline(1), False),
        (lambda ax: ax.plot([1], [np.nan]), False),
        (lambda ax: ax.fill_between([], [], []), False),
        (lambda ax: ax.plot([1], [2]), False),
        (lambda ax: ax.plot([1], [2], "o"), True),
        (lambda ax: ax.plot([1, 2], [2, 3]), True),
        (lambda ax: ax.scatter([1], [2]), True),
        (lambda ax: ax.bar([1], [2]), True),
        (lambda ax: ax.imshow([[1]]), True),
    ],
)
def test_what_shows_something(plot, shows):
    fig, ax = plt.subplots()
    plot(ax)
    assert shows_something(fig) == shows
    plt.close(fig)


@pytest.mark.parametrize(("sweep", "experiment"), SCRIPTS)
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
