"""The store with folders in the way, faster processes beside it, and values at the edge of what it promises."""

import errno
import json
import os
import re
import resource
import shutil
import subprocess
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from experiments.runs import files
from experiments.runs.provenance import ROOT, origin
from experiments.runs.store import Run, Store, StoreError, provenance

RUN = Run("exp", "adaloss_b0=1_seed=0", {"zeta": 1.0, "b0": 2.0}, "code", "data")
HISTORY = pd.DataFrame({"iteration": [1, 2, 3], "loss": [0.5, 0.25, 0.125]}, index=[7, 8, 9])


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "runs")
    store.prepare()
    return store


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "a paragraph\nof pyarrow's")


# Names and contents


def test_the_folder_is_named_after_experiment_label_and_twelve_digits():
    assert re.fullmatch(r"exp/adaloss_b0=1_seed=0-[0-9a-f]{12}", RUN.folder)


def test_identities_and_runs_read_are_not_changed(store):
    with pytest.raises(FrozenInstanceError):
        RUN.code = "other"
    store.save(RUN, "completed", HISTORY, {}, 1.0)
    with pytest.raises(FrozenInstanceError):
        store.load(RUN.folder).summary = {}


def test_the_files_of_a_run(store, monkeypatch):
    """The configuration in its own order, no index in the history, seconds to the microsecond, memory in MiB."""
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=2000 * 1024))
    store.save(RUN, "completed", HISTORY, {}, 1.23456789)
    path = store.root / RUN.folder
    assert (path / "config.yaml").read_text() == "zeta: 1.0\nb0: 2.0\n"
    assert list(pd.read_parquet(path / "history.parquet").columns) == ["iteration", "loss"]
    assert list(store.load(RUN.folder).history.index) == [0, 1, 2]
    summary = json.loads((path / "summary.json").read_text())
    assert (summary["wall_time_s"], summary["experiment"], summary["code"], summary["data"]) == (
        1.234568,
        "exp",
        "code",
        "data",
    )
    assert summary["peak_memory_mb"] == 2000
    assert (path / "summary.json").read_text() == json.dumps(summary, indent=1) + "\n"  # a line for each entry


def test_a_failure_is_kept_with_its_words_and_no_history(store):
    store.save_failure(RUN, "no luck")
    saved = store.load(RUN.folder)
    assert (saved.summary["status"], saved.summary["result"]) == ("failed", {"error": "no luck"})
    assert saved.history.empty and saved.summary["wall_time_s"] == 0.0


def test_provenance_is_the_commit_and_the_machine(monkeypatch):
    def answer(out):
        provenance.cache_clear()
        said = {"rev-parse": out, "status": changed}
        monkeypatch.setattr(
            subprocess,
            "run",
            lambda words, **k: subprocess.CompletedProcess(
                words, 0, next(v for n, v in said.items() if n in words), ""
            ),
        )
        return provenance()

    changed = ""
    try:
        assert answer(f"{ROOT}\nabc123\n")["commit"] == "abc123"
        assert answer("/another/project\nabc123\n")["commit"] == "unknown"
        changed = " M adaloss/stepsizes.py"
        assert answer(f"{ROOT}\nabc123\n")["commit"] == "abc123-dirty"
        found = answer("")  # git says nothing outside a checkout, and its status is no error
        assert found["commit"] == "unknown"
        assert found["machine"].endswith(f"{os.cpu_count()} cores")
        packages = {"python", "numpy", "scipy", "numba", "torch", "pandas", "matplotlib", "scikit-learn"}
        assert set(found["versions"]) == packages
    finally:
        provenance.cache_clear()


def test_provenance_outside_a_checkout_is_no_error(monkeypatch, tmp_path):
    """Nor is no git, and GIT_DIR of another repository has no say."""
    commits = []
    try:
        for name, value in (("GIT_DIR", str(tmp_path / "nowhere")), ("PATH", str(tmp_path))):
            provenance.cache_clear()
            monkeypatch.setenv(name, value)
            commits.append(provenance()["commit"])
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", commits[0])
        assert commits[1] == "unknown"
    finally:
        provenance.cache_clear()


# What is complete


def test_only_a_run_that_is_whole_and_its_own_is_there(store):
    assert store.has(RUN) is False
    store.save(RUN, "completed", HISTORY, {}, 1.0)
    file = store.root / RUN.folder / "summary.json"
    text = file.read_text()
    summary = json.loads(text)
    for change in ({"status": "failed"}, {"id": "0" * 12}, {"history_sha256": "0" * 64}):
        file.write_text(json.dumps(summary | change))
        assert store.has(RUN) is False
    for broken in ("[]", "{}", "no json"):
        file.write_text(broken)
        assert store.has(RUN) is False
    file.write_text(text)
    assert store.has(RUN) is True


def test_a_run_without_configuration_says_what_to_do(store):
    store.save(RUN, "completed", HISTORY, {}, 1.0)
    (store.root / RUN.folder / "config.yaml").write_text("a: [")
    with pytest.raises(StoreError, match="run missing or unreadable; delete it and run the sweep again"):
        store.load(RUN.folder)


@pytest.mark.parametrize(
    "text",
    ["no json", "{}", "[]", "null", '{"runs": null}', '{"runs": [1]}', '{"runs": ["../x/y"]}', "[" * 100_000],
)
def test_a_broken_list_is_a_sweep_that_was_not_finished(store, text):
    store.save_sweep("figure_0", [])
    assert store.load_sweep("figure_0") == []
    [listed] = (store.root / "sweeps").iterdir()
    listed.write_text(text)
    with pytest.raises(StoreError, match="not a list of a sweep's runs; run it with sweep=figure_0"):
        store.load_sweep("figure_0")


def test_a_list_is_replaced_by_the_next_and_nothing_else_is_left(store):
    for runs in ([RUN], [RUN, replace(RUN, data="other")]):
        store.save_sweep("figure_0", runs)
        [file] = (store.root / "sweeps").iterdir()
        text = file.read_text()
        listed = json.loads(text)
        assert text == json.dumps(listed, indent=1) + "\n"
        assert listed == {"sweep": "figure_0", "runs": [run.folder for run in runs]}


# Checkpoints


@pytest.mark.parametrize(("status", "stays"), [("completed", False), ("diverged", False), ("failed", True)])
def test_the_checkpoint_goes_when_the_run_is_complete(store, status, stays):
    run = store.opened(RUN)
    assert run.checkpoint == store.root / "checkpoints" / f"exp-{RUN.id}.pt"
    assert (run.id, run.folder) == (RUN.id, RUN.folder)
    store.save(run, status, HISTORY, {}, 1.0)  # there was none yet
    assert store.load(run.folder).summary["status"] == status
    shutil.rmtree(store.root / run.folder)
    run.checkpoint.parent.mkdir()
    run.checkpoint.write_text("half way")
    store.save(run, status, HISTORY, {}, 1.0)
    assert run.checkpoint.exists() == stays


# Folders


def test_all_parents_are_made(tmp_path):
    store = Store(tmp_path / "a/b/runs")
    store.prepare()
    store.prepare()
    assert list(store.root.iterdir()) == []
    unprepared = Store(tmp_path / "c")
    unprepared.save_sweep("figure_0", [])
    assert unprepared.load_sweep("figure_0") == []
    unprepared = Store(tmp_path / "d/e/runs")
    unprepared.save(RUN, "completed", HISTORY, {}, 1.0)
    assert unprepared.has(RUN)


def test_a_root_that_cannot_be_written_is_one_line_and_leaves_no_folders(tmp_path, monkeypatch):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("mine")
    monkeypatch.setattr(Path, "write_bytes", full)
    for root in (tmp_path / "new/er/runs", tmp_path / "kept/runs", tmp_path / "kept"):
        with pytest.raises(StoreError) as error:
            Store(root).prepare()
        assert str(error.value) == (
            f"runs={root}: cannot be written (No space left on device); free it or choose another folder"
        )
    assert [path.relative_to(tmp_path) for path in sorted(tmp_path.rglob("*"))] == [Path("kept"), Path("kept/file")]


def test_a_file_in_the_way_of_the_root_stays(tmp_path):
    (tmp_path / "file").write_text("mine")
    for root, reason in ((tmp_path / "file", "File exists"), (tmp_path / "file/runs", "Not a directory")):
        with pytest.raises(StoreError, match=rf"cannot be written \({reason}\)"):
            Store(root).prepare()
    assert (tmp_path / "file").read_text() == "mine"


def test_another_process_may_take_away_what_is_being_removed(tmp_path, monkeypatch):
    """Two that fail at once remove the same folders, two that start at once the same leftovers."""
    root = tmp_path / "new/runs"
    with monkeypatch.context() as patch:

        def full_and_gone(*args):
            patch.setattr(shutil, "rmtree", lambda *a, **k: (remove(tmp_path / "new"), remove(*a, **k)))
            raise OSError(errno.ENOSPC, "")

        remove = shutil.rmtree
        patch.setattr(Path, "write_bytes", full_and_gone)
        with pytest.raises((StoreError, FileNotFoundError)):
            Store(root).prepare()
    store = Store(root)
    store.prepare()
    left = root / f".tmp-{origin()}-{2**22 + 1}-aaaaaaaa"
    left.mkdir()

    def dead(pid, signal):
        assert (pid, signal) == (2**22 + 1, 0)
        left.rmdir()
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", dead)
    store.prepare()
    assert list(root.iterdir()) == []


def test_leftovers_on_a_host_with_dashes_in_its_name(store, monkeypatch):
    monkeypatch.setattr("experiments.runs.store.origin", lambda: "node-07-a")
    asked = []

    def kill(pid, signal):
        asked.append(pid)
        if pid == 41:
            raise ProcessLookupError
        if pid == 42:
            raise PermissionError  # it lives, and is another user's

    monkeypatch.setattr(os, "kill", kill)
    for pid in (41, 42, 43):
        (store.root / f".tmp-node-07-a-{pid}-aaaaaaaa").mkdir()
    store.prepare()
    assert sorted(asked) == [41, 42, 43]
    assert sorted(path.name for path in store.root.iterdir()) == [f".tmp-node-07-a-{pid}-aaaaaaaa" for pid in (42, 43)]


# Saving


def test_temporary_names_are_those_that_prepare_looks_for(store, monkeypatch):
    seen = []
    true = files.write

    def look(path, content):
        seen.append(path.parent.name)
        true(path, content)

    monkeypatch.setattr(files, "write", look)
    store.save(RUN, "completed", HISTORY, {}, 1.0)
    assert re.fullmatch(rf"\.tmp-{re.escape(origin())}-{os.getpid()}-[0-9a-f]{{8}}", seen[0])


def test_what_could_not_be_saved_is_one_line_with_the_systems_word(store, monkeypatch):
    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(StoreError) as error:
        store.save(RUN, "completed", HISTORY, {}, 1.0)
    assert str(error.value) == (
        f"{store.root / RUN.folder}: not saved (No space left on device); complete runs are untouched: "
        "fix the folder and run the same command again"
    )
    monkeypatch.setattr(pd.DataFrame, "to_parquet", lambda *a, **k: (_ for _ in ()).throw(OSError("no number")))
    with pytest.raises(StoreError, match=r"not saved \(no number\)"):
        store.save(RUN, "completed", HISTORY, {}, 1.0)
    assert list(store.root.glob(".tmp-*")) == []


def test_a_missing_root_is_one_line(tmp_path, monkeypatch):
    store = Store(tmp_path / "runs")
    store.root.write_text("a file in the way")
    with pytest.raises(StoreError, match=r"not saved \(Not a directory\)"):
        store.save(RUN, "completed", HISTORY, {}, 1.0)


@pytest.mark.parametrize("whole", [True, False])
def test_another_process_may_save_the_same_run_first(store, monkeypatch, whole):
    """Its run stays where it is whole; where it is not, that ours could not be put there is told."""
    target, rename = store.root / RUN.folder, Path.rename

    def late(self, other):
        if Path(other) == target and not target.exists():
            monkeypatch.setattr(Path, "rename", rename)
            if whole:
                store.save(RUN, "completed", HISTORY, {"first": True}, 1.0)
            else:
                target.mkdir()
                (target / "config.yaml").write_text("half")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", late)
    if whole:
        store.save(RUN, "completed", HISTORY, {"first": False}, 1.0)
        assert store.load(RUN.folder).summary["result"] == {"first": True}
    else:
        with pytest.raises(StoreError, match=r"not saved \(Directory not empty\)"):
            store.save(RUN, "completed", HISTORY, {"first": False}, 1.0)
    assert list(store.root.glob(".tmp-*")) == []


def test_a_replaced_run_leaves_nothing_of_the_old_one(store):
    store.save(RUN, "failed", HISTORY, {}, 1.0)
    (store.root / RUN.folder / "more").write_text("of a failed run")
    store.save(RUN, "completed", HISTORY, {}, 1.0)
    names = {file.name for file in (store.root / RUN.folder).iterdir()}
    assert names == {"config.yaml", "history.parquet", "summary.json"}
