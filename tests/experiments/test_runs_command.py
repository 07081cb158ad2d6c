"""The list of runs: what is chosen, how two differ, what is deleted and what stays."""

import io
import json
import re
import sys
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from adaloss.runs import ArgumentError, load
from experiments.runs import __main__ as runs
from experiments.runs.store import Run, Store
from tests.scripts.synthetic import start

METHODS = {"adaloss": {"alpha": 2.0}, "sgd_constant": {}}


@pytest.fixture
def store(tmp_path):
    """8 runs of one experiment and 1 of another in tmp_path/runs."""
    store = Store(tmp_path / "runs")
    for method, hyper in METHODS.items():
        for b0 in (0.01, 1.0):
            for seed in (0, 1):
                config = {"method": {"name": method, **hyper}, "data": {"name": "gaussian", "n": 10}, "b0": b0}
                run = Run(
                    "regression", f"{method}_b0={b0:g}_seed={seed}", config | {"seed": seed}, "code", f"rows {seed}"
                )
                diverged = method == "sgd_constant" and b0 < 1
                gap = None if diverged else b0 / 8
                store.save(run, "diverged" if diverged else "completed", pd.DataFrame(), {"final_gap": gap}, 0.5)
    store.save(Run("gram", "digits", {"data": {"name": "digits"}, "seed": 0}, "other", "images"), "completed",
               pd.DataFrame(), {}, 2.0)  # fmt: skip
    return store


def lists(store, **sweeps):
    (store.root / "sweeps").mkdir()
    for name, folders in sweeps.items():
        (store.root / f"sweeps/{name}.json").write_text(json.dumps({"runs": folders}))


def run(store, monkeypatch, capsys, *words, answer=None):
    """What is printed; where it fails, the line that says why."""
    if answer is not None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    try:
        start("experiments.runs", monkeypatch, *words, "--runs", store.root)
    except SystemExit as stop:
        assert "\n" not in stop.code
        return stop.code
    return capsys.readouterr().out


def labels(out):
    return re.findall(r"^ *(?:regression|gram) +(\S+)", out, flags=re.MULTILINE)


def test_the_table(store, monkeypatch, capsys):
    out = run(store, monkeypatch, capsys)
    lines = out.splitlines()
    assert lines[0].split() == ["experiment", "label", "id", "status", "made", "seconds", "MB", "commit"]
    assert lines[-1] == f"9 of 9 runs in {store.root}"
    [gram] = store.root.glob("gram/*")
    summary = json.loads((gram / "summary.json").read_text())
    memory, commit = str(summary["peak_memory_mb"]), summary["commit"][:12]
    made = datetime.fromisoformat(summary["made"])
    assert abs(datetime.now(UTC) - made) < timedelta(minutes=5)
    assert lines[1].split() == ["gram", "digits", summary["id"], "completed", summary["made"], "2.0", memory, commit]
    assert labels(out)[1:] == [
        f"{method}_b0={b0}_seed={seed}" for method in METHODS for b0 in ("0.01", "1") for seed in (0, 1)
    ]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (["method.name=adaloss", "b0<1"], 2),
        (["method=sgd_constant", "b0<1", "status=diverged", "data.name=gaussian"], 2),
        (["b0=1e-2"], 4),
        (["b0=.01,7"], 4),
        (["b0<1."], 4),
        (["b0>=1", "seed!=0"], 2),
        (["experiment!=gram"], 8),
        (["method.alpha=2"], 4),
        (["b0=.01"], 4),
        (["b0==1.", "seed<1e0"], 2),
        (["result.final_gap<inf"], 6),
        (["result.final_gap=null"], 2),
        (["result.final_gap=None"], 2),
        (["result.final_gap<=0.125"], 6),
        (["seconds>1"], 1),
        (["method=adaloss,sgd_constant", "b0=0.01,7", "seed!=1,2"], 2),
        (["sweep=figure_0"], 2),
        (["sweep=figure_1"], 1),
        (["sweep!=figure_0,figure_1"], 7),
        (["id={gram}"], 1),
    ],
)
def test_filters(filters, count, store, monkeypatch, capsys):
    gram, *others = store.folders()
    lists(store, figure_0=others[:2], figure_1=others[:1])
    filters = [word.format(gram=gram[-12:-4]) for word in filters]
    out = run(store, monkeypatch, capsys, *filters)
    assert len(labels(out)) == count
    assert out.splitlines()[-1] == f"{count} of 9 runs in {store.root}"


def test_values_are_written_as_the_command_line_of_a_run_takes_them():
    """Or as a table shows them."""
    rows = [{"on": True, "names": ["loss", "step"], "sizes": [8, 0.5], "batch": None, "at": float("inf")}]
    for word in ("on=True", "on=true", "names=[loss,step]", 'names=["loss", "step"]', "names=['loss', 'step']",
                 "sizes=[8,.5]", "batch=null", "batch=Null", "at=inf", "at>1_000", "batch!="):  # fmt: skip
        assert runs.chosen(rows, [word]) == rows, word
    for word in ("on=False", "names=loss", "batch=", "at<inf"):
        assert runs.chosen(rows, [word]) == [], word


def test_a_commit_is_taken_as_the_table_shows_it():
    clean, changed, other = rows = [{"commit": text} for text in ("a1" * 20, "a1" * 20 + "-dirty", "unknown")]
    shown = [runs.listing([row], ["commit"]).split()[-1] for row in rows]
    for word, found in (
        (f"commit={shown[0]}", [clean, changed]),
        (f"commit={shown[1]},{shown[2]}", rows),
        (f"commit!={shown[0]}", [other]),
        (f"commit={changed['commit']}", [changed]),
        (f"commit={shown[0]}-dirty", [changed]),
        (f"commit!={shown[0]}-dirty", [clean, other]),
        ("commit=", []),
        ("commit=1a", []),
    ):
        assert runs.chosen(rows, [word]) == found, word


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["bo=1"], "bo=1: no such field; there are MB, b0, code, commit, config_sha256, data, "),
        (["b0"], "b0: not understood; a filter is FIELD=VALUE, or != < <= > >= in place of ="),
        (["b0<small"], "b0<small: 'small' is not a number; < compares numbers"),
        (["method>=1"], "method>=1: 'adaloss' is not a number; >= compares numbers"),
        (["delete"], "delete: which? Give filters, or --stale"),
        (["diff", "zz", "yy"], "zz: no run with such an id"),
        (["diff", "", "yy"], ": 9 runs (gram/digits-"),
    ],
)
def test_what_is_refused_in_one_line(words, line, store, monkeypatch, capsys):
    assert run(store, monkeypatch, capsys, *words).startswith(f"error: {line}")
    assert len(store.folders()) == 9
    nowhere = f"error: {store.root / 'x'}: no runs there (No such file or directory); make some or name their folder"
    assert run(Store(store.root / "x"), monkeypatch, capsys) == nowhere


def test_the_difference_of_two_runs(store, monkeypatch, capsys):
    ids = {folder.rpartition("-")[0]: folder.rpartition("-")[2] for folder in store.folders()}
    first, second = ids["regression/adaloss_b0=0.01_seed=0"], ids["regression/sgd_constant_b0=0.01_seed=1"]
    lines = run(store, monkeypatch, capsys, "diff", first[:6], second[:6]).splitlines()
    assert lines[:2] == [
        f"{first}: regression/adaloss_b0=0.01_seed=0-{first} (completed)",
        f"{second}: regression/sgd_constant_b0=0.01_seed=1-{second} (diverged)",
    ]
    assert [line.split() for line in lines[2:4]] == [[first, second], ["method", "adaloss", "sgd_constant"]]
    assert [line.split() for line in lines[4:6]] == [["method.alpha", "2.0", "-"], ["seed", "0", "1"]]
    assert re.split("  +", lines[6]) == ["checksum of the data", "rows 0", "rows 1"] and len(lines) == 7
    same = run(store, monkeypatch, capsys, "diff", first, first)
    assert same.endswith("configuration, code and data are the same\n")


def test_a_corrupt_run_is_shown_and_can_be_deleted(store, monkeypatch, capsys):
    [victim] = store.root.glob("gram/*")
    (victim / "config.yaml").write_text("edited: by hand\n")
    for _ in range(2):
        out = run(store, monkeypatch, capsys, "status=corrupt")
        assert labels(out) == ["digits"] and out.splitlines()[1].split()[3:] == ["corrupt", "-", "-", "-", "-"]
        for file in victim.iterdir():
            file.unlink()
    assert run(store, monkeypatch, capsys, "delete", "status=corrupt", "--yes") == "1 of 9 runs deleted\n"
    assert not victim.exists() and len(store.folders()) == 8


def test_nothing_goes_without_a_yes(store, monkeypatch, capsys):
    for answer in ("n\n", "\n", "", "yess\n"):
        out = run(store, monkeypatch, capsys, "delete", "method=adaloss", answer=answer)
        assert len(labels(out)) == 4 and out.endswith("[y/N] nothing deleted\n")
    monkeypatch.setattr(sys, "stdin", None)  # <&-
    assert run(store, monkeypatch, capsys, "delete", "method=adaloss").endswith("[y/N] nothing deleted\n")
    assert len(store.folders()) == 9


def test_deleting_names_the_sweeps_that_lose_runs(store, monkeypatch, capsys):
    listed = [folder for folder in store.folders() if "adaloss" in folder]
    lists(store, figure_0=listed)
    out = run(store, monkeypatch, capsys, "delete", "b0=1", answer="y\n")
    assert f"delete these 4 of 9 runs in {store.root}; the sweeps figure_0 list some of them? [y/N] " in out
    assert out.endswith("4 of 9 runs deleted; to be run again: figure_0\n")
    assert [folder for folder in store.folders() if "b0=1_" in folder] == [] and len(store.folders()) == 5


def test_stale_runs_are_those_of_no_sweep(store, monkeypatch, capsys):
    """Pretrained weights stay for a listed run that names them, and for no other."""
    for k, name in enumerate(("used", "unused")):
        store.save(Run("pretraining", name, {}, name, "d"), "completed", pd.DataFrame({"k": [k]}), {}, 1.0)
    used = store.load(next(folder for folder in store.folders() if "/used-" in folder)).summary["history_sha256"]
    tuned = Run("tuning", "tuned", {"seed": 0}, "code", "d")
    store.save(tuned, "completed", pd.DataFrame(), {"weights_sha256": used}, 1.0)
    listed = [folder for folder in store.folders() if "adaloss" in folder or "tuned" in folder]
    lists(store, figure_0=listed)
    kept = sorted([*listed, *(folder for folder in store.folders() if "/used-" in folder)])
    assert run(store, monkeypatch, capsys, "--stale").splitlines()[-1] == f"6 of 12 runs in {store.root}"
    assert run(store, monkeypatch, capsys, "delete", "--stale", "experiment=gram", "--yes") == "1 of 12 runs deleted\n"
    assert run(store, monkeypatch, capsys, "delete", "--stale", "--yes") == "5 of 11 runs deleted\n"
    assert store.folders() == kept
    assert run(store, monkeypatch, capsys, "delete", "--stale") == f"0 of 6 runs in {store.root}\n"


def test_a_store_may_be_called_as_a_command(store, monkeypatch, capsys):
    renamed = Store(store.root.rename(store.root.with_name("verify")))
    monkeypatch.chdir(renamed.root.parent)
    monkeypatch.setattr(sys, "argv", ["runs", "--runs", "verify", "seed=0"])
    runs.main()
    assert capsys.readouterr().out.splitlines()[-1].startswith("5 of 9 runs")


def test_where_no_run_is_chosen_the_columns_stay(store):
    assert load(store.root, "b0=77").columns.tolist() == load(store.root).columns.tolist()
    assert load(store.root, "b0=77").history("b0").empty
    with pytest.raises(ArgumentError, match="path: no such field; there are id, b0"):
        load(store.root)[["id", "b0"]].history()
    assert len(load(store.root, "versions.scikit-learn!=0")) == 9 and load(store.root, "seed=true").empty


def test_a_path_need_not_be_in_any_encoding(store):
    renamed = store.root.rename(store.root.with_name("l\udce9"))
    assert load(renamed).path.str.startswith(str(renamed)).all()


def test_every_run_is_read_once(store, monkeypatch):
    """So that the time grows with the number of runs, no faster."""
    read, load = [], Store.load
    monkeypatch.setattr(Store, "load", lambda self, folder: read.append(folder) or load(self, folder))
    rows = runs.table(store, store.folders())
    runs.listing(runs.stale(store, runs.chosen(rows, ["method=adaloss", "b0<1"])))
    assert sorted(read) == store.folders()


def test_columns_csv_and_json(store, monkeypatch, capsys):
    words = ("--columns", "b0,seed,result.final_gap", "method=sgd_constant")
    rows = [[b0, seed, None if b0 < 1 else 0.125] for b0 in (0.01, 1.0) for seed in (0, 1)]
    out = run(store, monkeypatch, capsys, *words, "--format", "json")
    assert [list(row.values()) for row in json.loads(out)] == rows
    table = pd.read_csv(io.StringIO(run(store, monkeypatch, capsys, *words, "--format", "csv")))
    assert table.astype(object).where(table.notna(), None).to_numpy().tolist() == rows
    assert run(store, monkeypatch, capsys, "--columns", "b").startswith("error: --columns b: no such field; there are ")
    values = {"b0": 0.1 + 0.2, "tiny": 5e-324, "odd": [1.5, float("nan")], "seed": 2**62 + 1, "lost": float("inf")}
    [row] = json.loads(runs.listing([values], ["b0", *values], "json"))
    assert row == values | {"odd": [1.5, None], "lost": None}


def test_a_list_is_one_value_in_every_row_of_a_history(store):
    """Also where it is as long as the history."""
    for layers in ([3, 4], [5]):
        run = Run("lists", f"layers={len(layers)}", {"layers": layers}, "code", "rows")
        store.save(run, "completed", pd.DataFrame({"iteration": [1, 2]}), {}, 0.5)
    curves = load(store.root, "experiment=lists").history()
    assert curves[["layers", "iteration"]].to_numpy().tolist() == [[[5], 1], [[5], 2], [[3, 4], 1], [[3, 4], 2]]


def test_runs_as_frames(store, monkeypatch):
    """From another folder; b0 in the order of numbers, history with what differs between the runs."""
    for b0 in (2.0, 10.0):
        history = pd.DataFrame({"iteration": [1, 2], "loss": [b0, b0 / 2], "seed": [7, 7]})
        config = {"method": {"name": "adaloss"}, "b0": b0, "seed": int(b0), "data": {"n": 3}}
        store.save(Run("other", f"b0={b0:g}", config, "code", "rows"), "completed", history, {"final_gap": b0}, 0.5)
    lists(store, mine=[folder for folder in store.folders() if folder.startswith("other")])
    monkeypatch.chdir("/")
    loaded = load(store.root, "sweep=mine")
    assert loaded["b0"].tolist() == loaded["result.final_gap"].tolist() == [2.0, 10.0]
    assert loaded["data.n"].tolist() == [3, 3] and loaded.sweep.tolist() == ["mine", "mine"]
    curves = loaded.history()
    assert curves.columns.tolist() == ["id", "b0", "iteration", "loss", "seed"]  # as recorded, over the field
    assert curves[["b0", "loss", "seed"]].to_numpy().tolist() == [[2, 2, 7], [2, 1, 7], [10, 10, 7], [10, 5, 7]]
    assert loaded[loaded.b0 > 2].history("data.n")[["data.n", "loss"]].to_numpy().tolist() == [[3, 10], [3, 5]]
    assert loaded.history("path", "id", "b0", "b0").columns.tolist() == [
        "id",
        "path",
        "b0",
        "iteration",
        "loss",
        "seed",
    ]
    assert len(load(store.root)) == 11 and load(store.root, "b0>99").history().empty
    for wrong in (lambda: load(store.root, "bo=1"), lambda: loaded.history("bo")):
        with pytest.raises(ArgumentError, match=r"^bo(=1)?: no such field; there are "):
            wrong()
