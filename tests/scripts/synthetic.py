"""Made-up runs in a store: a script's sentences have to be right about these, whatever real runs say."""

import runpy
import sys

import pandas as pd
import pytest

from experiments.runs.store import Run, Store
from tests.experiments.launch import ROOT


def saved(root, sweep, cells):
    """Write cells (configuration, history, results) as the sweep's runs and read them back."""
    store, runs = Store(root), []
    for k, (config, history, result) in enumerate(cells):
        runs.append(Run(experiment="made_up", label=f"cell_{k}", config=config, code="none", data="none"))
        store.save(runs[-1], "completed", pd.DataFrame(history), result, 0.0)
    store.save_sweep(sweep, runs)
    return store.load_sweep(sweep)


def start(script, monkeypatch, *arguments):
    """What ``python -m scripts.<script>`` does, in this process; a name with a dot is a module of another folder."""
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    file = ROOT.joinpath(*(script if "." in script else f"scripts.{script}").split("."))
    file = file / "__main__.py" if file.is_dir() else file.with_suffix(".py")
    runpy.run_path(str(file), run_name="__main__")


def check(monkeypatch, capsys, *arguments):
    """The status of scripts.provenance, what it printed, and the problems."""
    with pytest.raises(SystemExit) as stop:
        start("provenance", monkeypatch, *arguments)
    out, err = capsys.readouterr()
    return stop.value.code, out, err.splitlines()


def draw_and_write(draw, output):
    """What a script's ``draw`` does with these runs, written."""
    draw(output)
    output.write()


def about(messages, words):
    """The one message whose sentence contains the words."""
    [message] = [message for message in messages if words in message.sentence]
    return message
