"""Made-up runs in a store: a script's sentences have to be right about these, whatever real runs say."""

import runpy
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from experiments.runs.store import Run, Store
from tests.experiments.launch import ROOT


def saved(root, sweep, cells):
    """Cells (configuration, history, results) as the sweep's runs, written and read back; in memory without a root."""
    if root is None:
        return [in_memory(f"{k:012x}", *cell) for k, cell in enumerate(cells)]
    store, runs = Store(root), []
    for k, (config, history, result) in enumerate(cells):
        runs.append(Run(experiment="made_up", label=f"cell_{k}", config=config, code="none", data="none"))
        store.save(runs[-1], "completed", pd.DataFrame(history), result, 0.0)
    store.save_sweep(sweep, runs)
    return store.load_sweep(sweep)


def cells(runs):
    """The runs as such cells again."""
    return [(run.config, run.history, run.summary["result"]) for run in runs]


def in_memory(name, config, history, result):
    summary = {"result": result, "status": "completed", "machine": "made up"}
    return SimpleNamespace(
        id=name, path=f"made_up/{int(name, 16)}", config=config, history=pd.DataFrame(history), summary=summary
    )


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


def refusal(script, monkeypatch, *arguments):
    """The one line with which a script ends, printed as it is, with status 1."""
    with pytest.raises(SystemExit) as stop:
        start(script, monkeypatch, *arguments)
    assert isinstance(stop.value.code, str) and "\n" not in stop.value.code
    return stop.value.code


def about(messages, words):
    """The one message whose sentence contains the words."""
    [message] = [message for message in messages if words in message.sentence]
    return message


def only_fail(messages, *words):
    """Whether just the messages fail whose sentence contains one of the words, and one for each of them."""
    failed = [message.sentence for message in messages if not message.holds]
    assert failed == [m.sentence for m in messages if any(word in m.sentence for word in words)]
    return all(any(word in sentence for sentence in failed) for word in words)
